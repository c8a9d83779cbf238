"""`ecg-gateway doctor`: is this box fit to watch, and what to do where it is not.

Each check stands alone and needs neither a running gateway nor BlueZ nor D-Bus. What can't be
found out is a warning, never an "ok".
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from gateway.config_file import DEFAULT_PATH, ConfigError, load_config
from gateway.health import host, services
from gateway.health.finding import Finding, Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(arguments: argparse.Namespace) -> int:
    """0 unless a check fails; warnings are told, too."""
    findings = list(examine(arguments.config))
    print(json.dumps([asdict(found) for found in findings]) if arguments.json else told(findings))
    return int(any(found.verdict is Verdict.FAIL for found in findings))


def examine(path: Path) -> Iterator[Finding]:
    """Every check, in the order in which one would mend things."""
    try:
        config = load_config(path)
    except ConfigError as error:
        yield Finding("configuration", Verdict.FAIL, str(error), f"mend {path}")
        return
    yield Finding("configuration", Verdict.OK, f"{path} is in order")
    yield from host.adapters(config.radio.adapters)
    yield host.bluez()
    yield from host.clock()
    yield host.disk(config.state_directory)
    yield from host.storage(config.state_directory)
    yield services.permissions(config)
    yield services.key(config)
    yield from services.certificate()
    yield services.model(config)
    yield services.service(config)


def told(findings: Sequence[Finding]) -> str:
    """A line for each finding; what to do stands below it."""
    lines = []
    for found in findings:
        lines.append(f"{found.verdict:4}  {found.check}: {found.what}")
        if found.to_do:
            lines.append(f"      → {found.to_do}")
    return "\n".join(lines)
