"""`ecg-gateway doctor` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.__main__ import FAILURE, main
from gateway.commands.doctor import told
from gateway.health.finding import Finding, Verdict


def test_a_broken_configuration_is_the_first_thing_to_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("[dashboard]\nprot = 1\n")
    assert main(["doctor", "--config", str(path), "--json"]) == FAILURE
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["check"], found["verdict"]) == ("configuration", "fail")


def test_every_check_speaks_on_a_machine_that_has_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(f'state_directory = "{tmp_path / "state"}"\n[radio]\nadapters = ["hci99"]\n')
    assert main(["doctor", "--config", str(path), "--json"]) == FAILURE
    checks = {found["check"] for found in json.loads(capsys.readouterr().out)}
    assert checks >= {"adapter", "BlueZ", "clock", "real-time clock", "disk", "storage", "key"}
    assert checks >= {"permissions", "certificate", "model", "service"}


def test_what_to_do_stands_below_what_was_found() -> None:
    findings = [
        Finding("disk", Verdict.OK, "much is free"),
        Finding("clock", Verdict.WARN, "nobody has set it", "set it"),
    ]
    assert told(findings) == (
        "ok    disk: much is free\nwarn  clock: nobody has set it\n      → set it"
    )
