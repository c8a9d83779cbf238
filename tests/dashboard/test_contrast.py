"""The style sheet's colours against WCAG 2.2 AA: 4.5 for text, 3 for lines and shapes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gateway.dashboard

STYLE = Path(gateway.dashboard.__file__).with_name("static") / "style.css"
TEXT, SHAPE = 4.5, 3.0
GROUNDS = ("page", "panel", "raised", "lane", "paper")
BEATS = tuple(f"beat-{beat_class}" for beat_class in "nsvfq")
PAIRS = [
    *((ink, ground, TEXT) for ink in ("text", "muted") for ground in GROUNDS),
    *((ink, "lane", TEXT) for ink in BEATS),
    *(("link", ground, TEXT) for ground in ("page", "panel")),
    *((ink, "panel", TEXT) for ink in ("rate", "good")),
    *((ink, "panel", SHAPE) for ink in ("fair", "poor", "high")),
    ("trace", "paper", SHAPE),
    ("trace", "grid-major", SHAPE),
    ("hatch", "paper", SHAPE),
    ("alarm-ink", "medium", TEXT),
    ("alarm-ink", "low", TEXT),
    ("high-ink", "high-solid", TEXT),
]


def themes() -> dict[str, dict[str, str]]:
    dark, light, *_ = re.findall(r":root \{(.*?)\}", STYLE.read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))
    return {
        "dark": colours,
        "light": colours | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light)),
    }


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_measured_as_wcag_defines_it() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(("ink", "ground", "least"), PAIRS)
def test_colours_can_be_told_apart(theme: str, ink: str, ground: str, least: float) -> None:
    colours = themes()[theme]
    assert contrast(colours[ink], colours[ground]) >= least
