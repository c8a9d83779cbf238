"""The halves of `vfdb` and `challenge2015`: one chooses rules and constants, one only reports."""

from __future__ import annotations

from pathlib import Path

HALVES = Path(__file__).with_name("halves.txt")


def read_halves() -> dict[str, list[str]]:
    """`vfdb_tune`, `vfdb_report`, `challenge2015_tune`, `challenge2015_report` → record names."""
    lines = HALVES.read_text().splitlines()
    named = [line.split(":") for line in lines if line and not line.startswith("#")]
    return {name: records.split() for name, records in named}


def present_halves(folder: Path) -> dict[str, list[str]]:
    """`tune`, `report` and `all` of a collection → its records in the folder of its name.

    `all` holds records of neither half as well, where the folder has them.
    """
    present = sorted(header.stem for header in folder.glob("*.hea"))
    named = read_halves()
    halves = {half: named[f"{folder.name}_{half}"] for half in ("tune", "report")}
    kept = {half: [name for name in names if name in present] for half, names in halves.items()}
    return {**kept, "all": present}
