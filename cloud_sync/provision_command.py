"""ecg-cloud-sync provision | renew: this box's certificate, by AWS IoT's fleet provisioning."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from cloud_sync.certificates import NotACertificate
from cloud_sync.config import GATEWAY_ID, TlsFiles
from cloud_sync.provisioning import Enrolment, ProvisioningFailed, is_due, provision
from cloud_sync.tls import tls_context
from cloud_sync.toml_section import ConfigError

EX_OK = 0
EX_UNAVAILABLE = 69  # sysexits.h: the other side gives no certificate
MAX_CODE = 200


def add_commands(commands: Any) -> None:
    """`commands` is what `add_subparsers` gave."""
    new = commands.add_parser("provision", help="Enrol this box with a claim certificate.")
    _add_where(new)
    new.add_argument("--claim-certificate", type=Path, required=True, metavar="FILE")
    new.add_argument("--claim-key", type=Path, required=True, metavar="FILE")
    new.add_argument("--code-file", type=Path, required=True, metavar="FILE", help="- is stdin")
    new.set_defaults(perform=_enrol)
    again = commands.add_parser("renew", help="Renew this box's certificate where it is due.")
    _add_where(again)
    again.add_argument("--now", action="store_true", help="whether it is due or not")
    again.set_defaults(perform=_renew)


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateway", required=True, type=_gateway_id, metavar="ID")
    parser.add_argument("--host", required=True, help="the account's AWS IoT endpoint")
    parser.add_argument("--port", type=int, default=8883)
    parser.add_argument("--ca", type=Path, required=True, metavar="FILE")
    parser.add_argument("--template", default="ecg-enrolment")
    parser.add_argument("--identity", type=Path, required=True, metavar="FILE")


def _gateway_id(text: str) -> str:
    if not GATEWAY_ID.fullmatch(text):
        raise argparse.ArgumentTypeError("1 to 64 of A–Z a–z 0–9 _ -")
    return text


def _enrol(chosen: argparse.Namespace) -> int:
    if chosen.identity.exists():
        raise ConfigError(f"{chosen.identity} is there: this box is enrolled; renew it instead")
    claim = TlsFiles(chosen.ca, chosen.claim_certificate, chosen.claim_key)
    return _ask(chosen, "claim", claim, _code(chosen.code_file))


def _renew(chosen: argparse.Namespace) -> int:
    try:
        if not chosen.now and not is_due(chosen.identity, time.time()):
            print(f"{chosen.identity} is not due")
            return EX_OK
    except OSError as error:
        raise ConfigError(f"{chosen.identity}: {error.strerror}") from error
    except NotACertificate as error:
        raise ConfigError(f"{chosen.identity}: {error}") from error
    return _ask(chosen, "rotate", TlsFiles(chosen.ca, chosen.identity, chosen.identity), "")


def _ask(chosen: argparse.Namespace, role: str, tls: TlsFiles, code: str) -> int:
    client_id = f"{role}-{chosen.gateway}"  # not the daemon's: two of one name throw each other out
    enrolment = Enrolment(
        chosen.host, chosen.port, client_id, chosen.template, chosen.gateway, code
    )
    try:
        thing = provision(enrolment, tls_context(tls), chosen.identity)
    except ProvisioningFailed as failed:
        print(f"ecg-cloud-sync: {failed}", file=sys.stderr)
        return EX_UNAVAILABLE
    print(f"{thing}: {chosen.identity} holds its certificate and its key")
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
