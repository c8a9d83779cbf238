"""What accuracy has been reached: `ratchet.json` holds it, and its tools only make it stricter.

Section (a sample rate of the R peaks, or a tool's name) → split → figure → value. A figure whose
name says that it is counted by the hour, in beats a minute or as a false positive rate is an error
and may only fall; all others are percentages and may only rise. `loosened.md` names the exceptions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

RATCHET = Path(__file__).with_name("ratchet.json")
ERRORS = ("/h", "bpm", "FPR")
Figures = Mapping[str, float | None]  # None where there was nothing to measure
Splits = dict[str, dict[str, float]]


def read_ratchet() -> dict[str, Splits]:
    ratchet: dict[str, Splits] = json.loads(RATCHET.read_text())
    return ratchet


def shortfalls(name: str, reached: Figures, bounds: Mapping[str, float]) -> list[str]:
    """Which figures are worse than their bounds, in words."""
    measured = {
        figure: _rounded(figure, value)
        for figure in bounds
        if (value := reached[figure]) is not None
    }
    return [
        f"{name} {figure} {value:.3f} is {'above' if _is_error(figure) else 'below'}"
        f" {bounds[figure]:.3f}"
        for figure, value in measured.items()
        if value != _better(figure, value, bounds[figure])
    ]


def tighten(section: str, splits: Mapping[str, Figures]) -> None:
    """Keep the better of what is recorded and what is reached."""
    ratchet = read_ratchet()
    recorded = ratchet.setdefault(section, {})
    for split, reached in splits.items():
        bounds = recorded.setdefault(split, {})
        for figure, value in reached.items():
            if value is not None:
                rounded = _rounded(figure, value)
                bounds[figure] = _better(figure, rounded, bounds.get(figure, rounded))
    RATCHET.write_text(json.dumps(ratchet, indent=2) + "\n")


def check(section: str, splits: Mapping[str, Figures], update: bool) -> list[str]:
    """All shortfalls, in words, tightened first where asked; what is not recorded is one."""
    if update:
        tighten(section, splits)
    recorded = read_ratchet().get(section, {})
    lines = [f"{split} is not recorded; --update does" for split in splits.keys() - recorded.keys()]
    for split in splits.keys() & recorded.keys():
        lines += shortfalls(split, splits[split], recorded[split])
    return sorted(lines)


def _is_error(figure: str) -> bool:
    return figure.endswith(ERRORS)


def _better(figure: str, value: float, other: float) -> float:
    return min(value, other) if _is_error(figure) else max(value, other)


def _rounded(figure: str, value: float) -> float:
    """To the worse side, so that the same result passes."""
    towards = math.ceil if _is_error(figure) else math.floor
    return towards(value * 1000) / 1000
