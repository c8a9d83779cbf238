"""ecg-cloud-sync escrow: the root keys that `ecg-gateway keys` prints, into the cloud's escrow."""

from __future__ import annotations

import argparse
import ssl
import sys
import time

from cloud_sync.config import CloudSyncConfig, EscrowConfig, NoticeConfig
from cloud_sync.credentials import CredentialsProvider
from cloud_sync.escrow import MAX_KEYS_BYTES, Escrow, NoRootKeys, read_root_keys
from cloud_sync.https import Https, RequestFailed
from cloud_sync.tls import tls_context
from cloud_sync.toml_section import ConfigError

NOTE_FILE = "escrow.json"
EX_OK = 0
EX_DATA = 65  # sysexits.h: what came in is not what it should be
EX_UNAVAILABLE = 69


def escrow(config: CloudSyncConfig, _options: argparse.Namespace) -> int:
    """Put the root keys that come on standard input, where they changed, into the escrow."""
    if config.escrow is None or config.notices is None:
        raise ConfigError("[escrow] with its key_arn, and [notices], say where root keys go")
    try:
        root_keys = read_root_keys(sys.stdin.read(MAX_KEYS_BYTES + 1))
        put = _escrow(config, config.escrow, config.notices).put(root_keys)
    except NoRootKeys as error:
        print(f"ecg-cloud-sync: these are no root keys: {error}", file=sys.stderr)
        return EX_DATA
    except RequestFailed as failed:
        print(f"ecg-cloud-sync: {failed}", file=sys.stderr)
        return EX_UNAVAILABLE
    print(f"{len(put)} of {len(root_keys)} put into escrow{': ' if put else ''}{', '.join(put)}")
    return EX_OK


def _escrow(config: CloudSyncConfig, escrow: EscrowConfig, notices: NoticeConfig) -> Escrow:
    """The credentials provider wants our certificate; Parameter Store shows a public one."""
    mqtt = config.mqtt
    ours = None if mqtt.tls is None else tls_context(mqtt.tls)
    public = ssl.create_default_context() if escrow.endpoint.startswith("https:") else None
    provider = CredentialsProvider(
        Https(ours, mqtt.proxy, _uncounted),
        notices.credentials_endpoint,
        notices.role_alias,
        config.gateway_id,
        time.time,
    )
    https = Https(public, mqtt.proxy, _uncounted)
    note = config.state_directory / NOTE_FILE
    return Escrow(escrow, config.gateway_id, https, provider, note, time.time)


def _uncounted(_wire_bytes: int) -> None:
    """By hand and once a sensor: no part of a day's allowance."""
