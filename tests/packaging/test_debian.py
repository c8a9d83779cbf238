"""What the package says of itself must fit the code it carries."""

from __future__ import annotations

import re
from pathlib import Path

from gateway import __version__

PACKAGING = Path(__file__).parents[2] / "packaging"


def test_the_package_has_the_version_of_the_code() -> None:
    first = (PACKAGING / "debian/changelog").read_text().splitlines()[0]
    assert first.startswith(f"ecg-gateway ({__version__}) ")


def test_every_bundled_library_has_its_licence_told() -> None:
    lock = (PACKAGING.parent / "requirements/gateway.txt").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)) - {"setuptools"}
    told = re.findall(r"^Files: private/([\w.]+?)(?:\.py|/\*)$", _copyright(), re.MULTILINE)
    assert len(told) == len(locked), sorted(told)


def _copyright() -> str:
    return (PACKAGING / "debian/copyright").read_text()
