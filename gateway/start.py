"""Runs the daemon in this process and turns what stops it at the start into words."""

from __future__ import annotations

import asyncio
import sys

from gateway import log
from gateway.beat_classifier import ModelRefused
from gateway.config import GatewayConfig, ListenAddressRefused
from gateway.daemon import serve
from gateway.radio.keyring import KeyringError
from gateway.store.database import StoreTooNew

CANNOT_START = (KeyringError, ModelRefused, StoreTooNew, ListenAddressRefused, OSError)


def run_daemon(config: GatewayConfig) -> int:
    """`ecg-gateway run`."""
    log.configure()
    return run_gateway(config)


def run_gateway(config: GatewayConfig) -> int:
    """The daemon's life; gives the exit code."""
    try:
        asyncio.run(serve(config, _announce))
    except KeyboardInterrupt:
        return 0
    except CANNOT_START as error:
        print(f"ecg-gateway can't start: {error}", file=sys.stderr)
        return 1
    return 0


def _announce(url: str) -> None:
    print(f"The page is at {url}", flush=True)
