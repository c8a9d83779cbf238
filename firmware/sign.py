"""`python -m firmware.sign keygen | image`: a release of the sensor's firmware, signed offline.

The private key lies in a file of 64 hex digits that its owner alone can read; it is never shown.
Run it in the project's folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey

from gateway.radio.firmware_image import MAX_APPLICATION_BYTES, ImageRefused, sign_image
from gateway.radio.keyring import write_new_secret

PRIVATE_KEY_BYTES = 32
HEADER = Path("firmware/main/update_signer.h")
HEADER_TEXT = """\
/* The public key of whoever signs releases; `python -m firmware.sign keygen` writes this file.
 * With zeros the sensor takes no update over the air. */
#ifndef UPDATE_SIGNER_H
#define UPDATE_SIGNER_H

#include "ecg_update.h"

static const uint8_t update_signer[ECG_P256_POINT_BYTES] = {{
{rows}
}};

#endif
"""
ROW_BYTES = 13


class KeyRefused(Exception):
    """A private key file can't be made or read; the message says why."""


def make_key(path: Path) -> EccKey:
    """A new private key in a new file, readable by its owner alone; raises KeyRefused."""
    key = ECC.generate(curve="p256")
    try:
        write_new_secret(path, int(key.d).to_bytes(PRIVATE_KEY_BYTES, "big"))
    except OSError as error:
        raise KeyRefused(f"{path} can't be made: {error.strerror}") from error
    return key


def read_key(path: Path) -> EccKey:
    """Raises KeyRefused, which tells nothing of the file's content."""
    try:
        return ECC.construct(curve="p256", d=int(path.read_text("ascii").strip(), 16))
    except OSError as error:
        raise KeyRefused(f"{path} can't be read: {error.strerror}") from error
    except ValueError:
        raise KeyRefused(f"{path} does not hold {2 * PRIVATE_KEY_BYTES} hex digits") from None


def public_point(key: EccKey) -> bytes:
    """As the firmware wants it: 04 ‖ x ‖ y."""
    point: bytes = key.public_key().export_key(format="SEC1")
    return point


def header(point: bytes) -> str:
    """The C header that makes the firmware trust this key."""
    rows = (point[at : at + ROW_BYTES] for at in range(0, len(point), ROW_BYTES))
    lines = ("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)
    return HEADER_TEXT.format(rows="\n".join(lines))


def sign(application: Path, key: EccKey, out: Path) -> str:
    """Write the release image; gives its title. Raises ImageRefused or OSError."""
    if application.stat().st_size > MAX_APPLICATION_BYTES:
        raise ImageRefused(f"{application} is larger than any sensor's flash")
    image = sign_image(application.read_bytes(), key)
    out.write_bytes(image.encode())
    return f"{image.manifest.title}, security version {image.manifest.security_version}"


def main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    try:
        if arguments.action == "keygen":
            arguments.header.write_text(header(public_point(make_key(arguments.key))), "ascii")
            print(f"{arguments.header}: build the firmware with it, and keep {arguments.key} safe")
        else:
            print(sign(arguments.application, read_key(arguments.key), arguments.out))
    except (KeyRefused, ImageRefused, OSError) as error:
        print(f"firmware.sign: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m firmware.sign", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    keygen = actions.add_parser("keygen", help="make a private key, and have the firmware trust it")
    keygen.add_argument("--header", type=Path, default=HEADER, help=f"default: {HEADER}")
    image = actions.add_parser("image", help="sign an application that idf.py has built")
    for action in (keygen, image):
        action.add_argument("--key", type=Path, required=True, metavar="FILE", help="private key")
    image.add_argument("--out", type=Path, required=True, metavar="IMAGE")
    image.add_argument("application", type=Path, help="firmware/build/ecg_sensor.bin")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
