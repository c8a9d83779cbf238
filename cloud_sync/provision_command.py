"""ecg-cloud-sync provision | renew: this box's certificate, by AWS IoT's fleet provisioning."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from cloud_sync.certificates import NotACertificate
from cloud_sync.config import GATEWAY_ID, CloudSyncConfig, TlsFiles
from cloud_sync.provisioning import Enrolment, ProvisioningFailed, is_due, provision
from cloud_sync.tls import tls_context
from cloud_sync.toml_section import ConfigError

EX_OK = 0
EX_NOT_DUE = 1
EX_UNAVAILABLE = 69  # sysexits.h: the other side gives no certificate
MAX_CODE = 200
ENROLMENT_TEMPLATE = "ecg-enrolment"


def add_provision(commands: Any) -> None:
    """`commands` is what `add_subparsers` gave."""
    new = commands.add_parser("provision", help="Enrol this box with a claim certificate.")
    new.add_argument("--gateway", required=True, type=_gateway_id, metavar="ID")
    new.add_argument("--host", required=True, help="the account's AWS IoT endpoint")
    new.add_argument("--port", type=int, default=8883)
    new.add_argument("--ca", type=Path, required=True, metavar="FILE")
    new.add_argument("--template", default=ENROLMENT_TEMPLATE)
    new.add_argument("--identity", type=Path, required=True, metavar="FILE")
    new.add_argument("--claim-certificate", type=Path, required=True, metavar="FILE")
    new.add_argument("--claim-key", type=Path, required=True, metavar="FILE")
    new.add_argument("--code-file", type=Path, required=True, metavar="FILE", help="- is stdin")
    new.set_defaults(perform=_enrol)


def _gateway_id(text: str) -> str:
    if not GATEWAY_ID.fullmatch(text):
        raise argparse.ArgumentTypeError("1 to 64 of A–Z a–z 0–9 _ -")
    return text


def renew(config: CloudSyncConfig, options: argparse.Namespace) -> int:
    """Get a new key and certificate where the old one is due, in its place."""
    tls = config.mqtt.tls
    if tls is None or tls.certificate != tls.key:
        raise ConfigError(
            "renewal needs mqtt.certificate_file and mqtt.key_file to be one file, as"
            " `ecg-cloud-sync provision` writes it"
        )
    due = options.now or _is_due(tls.certificate)
    if options.due or not due:
        print(f"{tls.certificate} is {'due' if due else 'not due'}")
        return EX_NOT_DUE if options.due and not due else EX_OK
    mqtt = config.mqtt
    enrolment = Enrolment(
        mqtt.host, mqtt.port, f"rotate-{config.gateway_id}", options.template, config.gateway_id
    )
    return _ask(enrolment, tls, tls.certificate)


def _is_due(identity: Path) -> bool:
    try:
        return is_due(identity, time.time())
    except OSError as error:
        raise ConfigError(f"{identity}: {error.strerror}") from error
    except NotACertificate as error:
        raise ConfigError(f"{identity}: {error}") from error


def _enrol(chosen: argparse.Namespace) -> int:
    if chosen.identity.exists():
        raise ConfigError(f"{chosen.identity} is there: this box is enrolled; renew it instead")
    claim = TlsFiles(chosen.ca, chosen.claim_certificate, chosen.claim_key)
    client_id = f"claim-{chosen.gateway}"  # not the daemon's: two of one name throw each other out
    enrolment = Enrolment(
        chosen.host,
        chosen.port,
        client_id,
        chosen.template,
        chosen.gateway,
        _code(chosen.code_file),
    )
    return _ask(enrolment, claim, chosen.identity)


def _ask(enrolment: Enrolment, tls: TlsFiles, identity: Path) -> int:
    try:
        thing = provision(enrolment, tls_context(tls), identity)
    except ProvisioningFailed as failed:
        print(f"ecg-cloud-sync: {failed}", file=sys.stderr)
        return EX_UNAVAILABLE
    print(f"{thing}: {identity} holds its certificate and its key")
    return EX_OK


def _code(path: Path) -> str:
    """From a file or standard input: what is on a command line, every user of the box can read."""
    try:
        text = sys.stdin.readline() if str(path) == "-" else path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    code = text.strip()
    if not 0 < len(code) <= MAX_CODE:
        raise ConfigError(f"{path} must hold the enrolment code")
    return code
