"""The built package, dressed as other versions of itself, to upgrade from and to."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gateway import __version__

PREVIOUS, NEXT = "0.0.9", "99.0.0"  # NEXT's migration fails
_BROKEN_MIGRATION = '''
"""It fails halfway: what it has done until then must not stay."""

from alembic import op

revision = "9999"
down_revision = "{down}"


def upgrade() -> None:
    op.execute("CREATE TABLE half_done (nothing INTEGER)")
    op.execute("DROP TABLE frames")
    raise RuntimeError("this migration fails")
'''


def previous_version(package: Path, folder: Path) -> Path:
    """The package as the version before it."""
    return _repacked(package, folder, PREVIOUS)


def version_with_a_broken_migration(package: Path, folder: Path) -> Path:
    """The package as the next version, whose new schema can't be reached."""
    return _repacked(package, folder, NEXT, break_migration=True)


def _repacked(package: Path, folder: Path, version: str, break_migration: bool = False) -> Path:
    tree = folder / f"tree-{version}"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    for path in (tree / "DEBIAN/control", tree / "usr/lib/ecg-gateway/gateway/__init__.py"):
        path.write_text(path.read_text().replace(__version__, version))
    if break_migration:
        _break_migration(tree / "usr/lib/ecg-gateway/gateway/store")
    changed = folder / package.name.replace(__version__, version)
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--build", tree, changed], check=True)
    subprocess.run(["rm", "-r", tree], check=True)
    return changed


def _break_migration(store: Path) -> None:
    schema = store / "schema.py"
    lines = schema.read_text().splitlines(keepends=True)
    (at,) = [at for at, line in enumerate(lines) if line.startswith("SCHEMA_REVISION = ")]
    down = lines[at].split('"')[1]
    lines[at] = 'SCHEMA_REVISION = "9999"\n'
    schema.write_text("".join(lines))
    migration = _BROKEN_MIGRATION.format(down=down).lstrip()
    (store / "migrations/versions/v9999_broken.py").write_text(migration)
