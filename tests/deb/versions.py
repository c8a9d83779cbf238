"""The built package, dressed as other versions of itself, to upgrade from and to."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gateway import __version__

PREVIOUS, MIGRATING, FAILING = "0.0.9", "98.0.0", "99.0.0"
_MIGRATION = '''
"""A step of the schema that no released version has."""

from alembic import op

revision = "9999"
down_revision = "{down}"


def upgrade() -> None:
    op.execute("CREATE TABLE later_things (id INTEGER)")
'''
# What it has done until it fails must not stay.
_FAILS = '    op.execute("DROP TABLE beats")\n    raise RuntimeError("this migration fails")\n'


def previous_version(package: Path, folder: Path) -> Path:
    """The package as the version before it."""
    tree = _unpack(package, folder, PREVIOUS)
    return _pack(tree, package, PREVIOUS)


def migrating_version(package: Path, folder: Path) -> Path:
    """The package as a later version, with a newer schema and another default configuration."""
    tree = _unpack(package, folder, MIGRATING)
    _add_migration(tree, _MIGRATION)
    with (tree / "etc/ecg-gateway/gateway.toml").open("a") as config:
        config.write("# a later version says more here\n")
    return _pack(tree, package, MIGRATING)


def failing_version(package: Path, folder: Path) -> Path:
    """The package as a later version, whose new schema can't be reached."""
    tree = _unpack(package, folder, FAILING)
    _add_migration(tree, _MIGRATION + _FAILS)
    return _pack(tree, package, FAILING)


def _unpack(package: Path, folder: Path, version: str) -> Path:
    tree = folder / f"tree-{version}"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    for path in (tree / "DEBIAN/control", tree / "usr/lib/ecg-gateway/gateway/__init__.py"):
        path.write_text(path.read_text().replace(__version__, version))
    return tree


def _pack(tree: Path, package: Path, version: str) -> Path:
    changed = tree.with_name(package.name.replace(__version__, version))
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--build", tree, changed], check=True)
    subprocess.run(["rm", "-r", tree], check=True)
    return changed


def _add_migration(tree: Path, migration: str) -> None:
    store = tree / "usr/lib/ecg-gateway/gateway/store"
    schema = store / "schema.py"
    lines = schema.read_text().splitlines(keepends=True)
    (at,) = [at for at, line in enumerate(lines) if line.startswith("SCHEMA_REVISION = ")]
    down = lines[at].split('"')[1]
    lines[at] = 'SCHEMA_REVISION = "9999"\n'
    schema.write_text("".join(lines))
    script = migration.format(down=down).lstrip()
    (store / "migrations/versions/v9999_later.py").write_text(script)
