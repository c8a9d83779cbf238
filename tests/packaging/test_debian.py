"""What the package says of itself must fit the code it carries."""

from __future__ import annotations

import re
from pathlib import Path

from cloud_sync.config import load_config
from gateway import __version__

PACKAGING = Path(__file__).parents[2] / "packaging"


def test_the_package_has_the_version_of_the_code() -> None:
    first = (PACKAGING / "debian/changelog").read_text().splitlines()[0]
    assert first.startswith(f"ecg-gateway ({__version__}) ")


def test_the_packaged_cloud_sync_toml_shows_keys_that_are_known(tmp_path: Path) -> None:
    shown = re.sub(
        r'^#(\w+ = )"/etc/ecg-gateway/tls/',
        rf'\1"{tmp_path}/',
        (PACKAGING / "cloud-sync.toml").read_text(),
        flags=re.MULTILINE,
    )
    for name in ("ca.pem", "client.pem", "client.key"):
        (tmp_path / name).touch()
    path = tmp_path / "cloud-sync.toml"
    path.write_text(re.sub(r"^#(\w+ = )", r"\1", shown, flags=re.MULTILINE))
    assert load_config(path).mqtt.tls is not None


def test_every_bundled_library_has_its_licence_told() -> None:
    lock = (PACKAGING.parent / "requirements/gateway.txt").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)) - {"setuptools"}
    told = re.findall(r"^Files: private/([\w.]+?)(?:\.py|/\*)$", _copyright(), re.MULTILINE)
    assert len(told) == len(locked), sorted(told)


def _copyright() -> str:
    return (PACKAGING / "debian/copyright").read_text()
