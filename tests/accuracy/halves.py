"""The halves of `vfdb` and `challenge2015`: one chooses rules and constants, one only reports."""

from __future__ import annotations

from pathlib import Path

HALVES = Path(__file__).with_name("halves.txt")


def read_halves() -> dict[str, list[str]]:
    """`vfdb_tune`, `vfdb_report`, `challenge2015_tune`, `challenge2015_report` → record names."""
    lines = HALVES.read_text().splitlines()
    named = [line.split(":") for line in lines if line and not line.startswith("#")]
    return {name: records.split() for name, records in named}
