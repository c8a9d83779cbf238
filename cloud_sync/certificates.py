"""A key that never leaves the box, the request for its certificate, and when that one ends.

DER by hand, but for one request of one shape: PKCS #10 (RFC 2986) with an ECDSA key on P-256.
"""

from __future__ import annotations

import base64
import datetime
import textwrap
from dataclasses import dataclass

from Crypto.Hash import SHA256
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS
from Crypto.Util.asn1 import DerBitString, DerObject, DerObjectId, DerSequence, DerSetOf

COMMON_NAME = "2.5.4.3"
ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"  # RFC 5758
UTF8_STRING = 0x0C
NO_ATTRIBUTES = b"\xa0\x00"  # [0] of a request
UTC_TIME = 0x17  # two digits of the year, 50 to 49 (RFC 5280, 4.1.2.5.1)

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class NotACertificate(Exception):
    """The text is not a PEM certificate."""


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate is good, in Unix time."""

    not_before_s: float
    not_after_s: float


def new_key() -> ECC.EccKey:
    return ECC.generate(curve="P-256")


def key_pem(key: ECC.EccKey) -> str:
    return str(key.export_key(format="PEM")) + "\n"


def certificate_request(key: ECC.EccKey, common_name: str) -> str:
    """A signed request in PEM."""
    name = DerSequence([DerObjectId(COMMON_NAME), DerObject(UTF8_STRING, common_name.encode())])
    subject = DerSequence([DerSetOf([name.encode()])])
    public_key = key.public_key().export_key(format="DER")
    asked = DerSequence([0, subject, public_key, NO_ATTRIBUTES]).encode()
    signature = DSS.new(key, "fips-186-3", encoding="der").sign(SHA256.new(asked))
    algorithm = DerSequence([DerObjectId(ECDSA_WITH_SHA256)])
    request = DerSequence([asked, algorithm, DerBitString(signature)]).encode()
    lines = textwrap.wrap(base64.b64encode(request).decode(), 64)
    return "\n".join(
        ["-----BEGIN CERTIFICATE REQUEST-----", *lines, "-----END CERTIFICATE REQUEST-----", ""]
    )


def validity(pem: str) -> Validity:
    """Of the first certificate in the text; raises NotACertificate."""
    try:
        body = pem[pem.index(BEGIN) + len(BEGIN) : pem.index(END)]
        certificate = DerSequence().decode(base64.b64decode(body))
        fields = DerSequence().decode(certificate[0])
        serial = 1 if isinstance(fields[0], bytes) else 0  # [0], the version, may come first
        times = DerSequence().decode(fields[serial + 3])  # after serial, algorithm and issuer
        return Validity(_unix_time(times[0]), _unix_time(times[1]))
    except (ValueError, IndexError, TypeError) as error:
        raise NotACertificate(f"this is no PEM certificate: {error}") from error


def _unix_time(encoded: bytes) -> float:
    time = DerObject().decode(encoded)
    text = time.payload.decode("ascii")
    if encoded[0] == UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    moment = datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ")
    return moment.replace(tzinfo=datetime.UTC).timestamp()
