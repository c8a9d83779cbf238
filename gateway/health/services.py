"""The doctor's look at the gateway's own things: keys, files, certificate, model and service."""

from __future__ import annotations

import ssl
import stat
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

from Crypto.Util.asn1 import DerObject, DerSequence

from gateway.beat_classifier import ModelRefused
from gateway.config import GatewayConfig
from gateway.control.socket import ControlRefused, NoGateway, ask
from gateway.health.finding import Finding, Verdict
from gateway.served_model.store import ModelStore

UNIT_KEY_FILE = Path("/etc/ecg-gateway/keyring.key")  # what the unit hands over as credential
CLOUD_CONFIG = Path("/etc/ecg-gateway/cloud-sync.toml")
WARN_BEFORE_END_S = 30 * 86_400.0  # of a certificate
OTHERS = stat.S_IRWXG | stat.S_IRWXO
_UTC_TIME = 0x17  # X.680's tag; years of two digits, 50 and above are of the last century
_UTC_FORMAT, _GENERAL_FORMAT = "%y%m%d%H%M%SZ", "%Y%m%d%H%M%SZ"


def key(config: GatewayConfig, unit_key_file: Path = UNIT_KEY_FILE) -> Finding:
    """The file with the key that opens the keyring: there, and closed to others."""
    path = config.keyring.key_file or unit_key_file
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        to_do = "systemctl start ecg-gateway-key makes it; without the old one, pair anew"
        return Finding("key", Verdict.FAIL, f"{path} is not there", to_do)
    except OSError as error:
        return Finding("key", Verdict.WARN, str(error), "ask again as root")
    if mode & OTHERS:
        what = f"{path} is open to others ({stat.filemode(mode)})"
        return Finding("key", Verdict.FAIL, what, f"chmod 600 {path}")
    return Finding("key", Verdict.OK, f"{path} is its owner's alone")


def permissions(config: GatewayConfig) -> Finding:
    """The state directory and the keyring within it."""
    folder = config.state_directory
    try:
        mode = folder.stat().st_mode
        keyring = folder / config.keyring.path
        keyring_mode = keyring.stat().st_mode if keyring.exists() else 0
    except OSError as error:
        return Finding("permissions", Verdict.WARN, str(error), "ask again as root")
    if mode & (stat.S_IWGRP | stat.S_IRWXO):
        what = f"{folder} is open to others ({stat.filemode(mode)})"
        return Finding("permissions", Verdict.FAIL, what, f"chmod 750 {folder}")
    if keyring_mode & OTHERS:
        what = f"{keyring} is open to others ({stat.filemode(keyring_mode)})"
        return Finding("permissions", Verdict.FAIL, what, f"chmod 600 {keyring}")
    return Finding("permissions", Verdict.OK, f"{folder} is closed to others")


def model(config: GatewayConfig) -> Finding:
    """The classifier that would serve."""
    reinstall = "apt install --reinstall ecg-gateway"
    try:
        loaded = ModelStore(config.state_directory, config.model.public_keys).load_in_service()
    except (ModelRefused, ImportError, OSError) as error:
        return Finding("model", Verdict.FAIL, f"none can serve: {error}", reinstall)
    card = loaded.classifier.card
    if loaded.refused is not None:
        what = f"{card.name} {card.short_hash} serves in place of another: {loaded.refused}"
        return Finding("model", Verdict.WARN, what, "ecg-gateway model install, or rollback")
    return Finding("model", Verdict.OK, f"{card.name} {card.short_hash}")


def service(config: GatewayConfig) -> Finding:
    """Whether a gateway answers."""
    try:
        sensors = ask(config.state_directory, "sensors")
    except NoGateway as error:
        to_do = "systemctl status ecg-gateway says why"
        return Finding("service", Verdict.FAIL, str(error), to_do)
    except (ControlRefused, PermissionError) as error:
        return Finding("service", Verdict.WARN, str(error), "ask again as root")
    count = len(sensors) if isinstance(sensors, list) else 0
    return Finding("service", Verdict.OK, f"it answers, with {count} sensors")


def certificate(cloud_config: Path = CLOUD_CONFIG, now_s: float | None = None) -> Iterator[Finding]:
    """How long the certificates of the way to the cloud last, where one is set up."""
    try:
        mqtt = tomllib.loads(cloud_config.read_text("utf-8")).get("mqtt", {})
    except (OSError, ValueError) as error:
        yield Finding("certificate", Verdict.WARN, f"{cloud_config}: {error}", "mend the file")
        return
    named = [mqtt[name] for name in ("ca_file", "certificate_file") if name in mqtt]
    if not named:
        yield Finding("certificate", Verdict.OK, "none is set up: the box speaks to no cloud")
    for path in named:
        yield _lasting(Path(path), time.time() if now_s is None else now_s)


def _lasting(path: Path, now_s: float) -> Finding:
    try:
        left_s = certificate_end_s(path) - now_s
    except FileNotFoundError:
        to_do = "without a cloud nothing; otherwise put it there"
        return Finding("certificate", Verdict.WARN, f"{path} is not there", to_do)
    except (OSError, ValueError, IndexError) as error:
        what = f"{path} can't be read: {error}"
        return Finding("certificate", Verdict.FAIL, what, "put a PEM certificate there")
    what = f"{path} ends in {left_s / 86_400:.0f} days"
    if left_s < 0:
        what = f"{path} ended {-left_s / 86_400:.0f} days ago"
        return Finding("certificate", Verdict.FAIL, what, "replace it")
    if left_s < WARN_BEFORE_END_S:
        return Finding("certificate", Verdict.WARN, what, "replace it soon")
    return Finding("certificate", Verdict.OK, what)


def certificate_end_s(path: Path) -> float:
    """Unix time of notAfter (RFC 5280, 4.1.2.5) of a PEM file's first certificate."""
    pem = path.read_text("ascii")
    end = "-----END CERTIFICATE-----"
    der = ssl.PEM_cert_to_DER_cert(
        pem[pem.index("-----BEGIN CERTIFICATE-----") :].split(end)[0] + end
    )
    to_be_signed = DerSequence().decode(DerSequence().decode(der)[0])
    # version [0], serialNumber, signature, issuer, validity; every version 3 names its version
    not_after = DerSequence().decode(to_be_signed[4])[1]
    told = DerObject().decode(not_after).payload.decode("ascii")
    form = _UTC_FORMAT if not_after[0] == _UTC_TIME else _GENERAL_FORMAT
    return float(
        ssl.cert_time_to_seconds(time.strftime("%b %d %H:%M:%S %Y GMT", time.strptime(told, form)))
    )
