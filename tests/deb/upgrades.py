"""The package becomes other versions of itself: what is refused, kept, and how one goes back."""

from __future__ import annotations

import time
from pathlib import Path

from tests.deb.box import ANYWAY, SHOWN_BEATS, Box, say
from tests.end_to_end.processes import wait_until

REFUSED_S = 60.0


class Upgrades:
    """Steps in their order; each asserts what it is about and prints a line with its figures."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._run = box.run

    def refuse_during_an_alarm(self) -> None:
        box = self._box
        version, pid = box.version, box.show("MainPID")
        box.apt("update")
        box.fall_silent()
        refused = box.container.attempt("apt-get", "-q", "install", "-y", "ecg-gateway")
        assert refused.returncode != 0
        assert "acknowledge them first" in refused.stdout, refused.stdout
        assert box.version == version, box.version
        assert box.show("MainPID") == pid, "the gateway was restarted"
        say("upgrade refused while an alarm calls", version=version)

    def upgrade_in_spite_of_it(self) -> str:
        """Gives the version that it is now."""
        self._upgrade("install", "ecg-gateway")
        self._box.sensor.go_on()
        self._box.wait_for_beats(SHOWN_BEATS)
        return self._box.version

    def upgrade_debian(self, suite: str, next_suite: str) -> None:
        """By the release notes: other sources, then everything at once."""
        for sources in ("etc/apt/sources.list", "etc/apt/sources.list.d/ecg-gateway.sources"):
            path = self._box.container.folder / sources
            path.write_text(path.read_text().replace(suite, next_suite))
        self._upgrade("full-upgrade")
        self._box.wait_for_beats(SHOWN_BEATS)
        assert next_suite in self._run("cat", "/etc/os-release")

    def migrate(self) -> None:
        """The next version changes the schema, and what was stored stays."""
        schema = self._box.schema
        self._upgrade("install", "ecg-gateway")
        self._box.wait_for_beats(SHOWN_BEATS)
        assert self._box.schema != schema
        assert self._box.config.with_name("gateway.toml.dpkg-dist").exists()
        say("migrated", before=schema, now=self._box.schema)

    def go_back(self, version: str) -> None:
        """The older version says why it can't open the database, and opens the copy of before."""
        box = self._box
        frames = box.frames()
        told = self._apt_anyway(
            "install", "--allow-downgrades", f"/srv/packages/{self._package(version)}"
        )
        assert "going back from" in told, told
        wait_until(lambda: "this gateway knows up to" in box.log(), REFUSED_S, box.log)
        assert box.show("ActiveState") != "active"
        self._put_back(self._copy_of(version))
        box.wait_until_active()
        box.wait_for_beats(SHOWN_BEATS)
        assert box.frames() >= frames
        say("went back over a migration", version=box.version, frames=len(frames))

    def _put_back(self, copy: Path) -> None:
        """docs/plug-in-box.md's lines."""
        lines = f"""set -e
            systemctl stop ecg-gateway
            cd /var/lib/ecg-gateway
            mkdir newer && mv gateway.sqlite3* newer
            install -o ecg-gateway -g ecg-gateway -m 640 backups/{copy.name} gateway.sqlite3
            systemctl start ecg-gateway"""
        self._run("sh", "-c", lines)

    def fail_to_migrate(self) -> None:
        """The next version's migration fails: the database stays, the old version opens it."""
        box = self._box
        version, frames, schema = box.version, box.frames(), box.schema
        box.apt("update")
        told = self._apt_anyway("install", "ecg-gateway")
        assert "the service has not started" in told, told
        assert box.show("ActiveState") != "active"
        assert box.schema == schema
        assert box.frames() >= frames
        say("migration failed and was rolled back", version=box.version)
        self._apt_anyway("install", "--allow-downgrades", f"/srv/packages/{self._package(version)}")
        box.wait_until_active()
        box.wait_for_beats(SHOWN_BEATS)
        assert box.frames() >= frames
        say("went back", version=box.version)

    def _upgrade(self, *words: str) -> None:
        box = self._box
        version, frames = box.version, box.frames()
        box.apt("update")
        begun_s = time.monotonic()
        self._apt_anyway(*words)
        taken_s = time.monotonic() - begun_s
        box.wait_until_active()
        assert not (box.container.folder / ANYWAY).exists()
        assert box.config.read_text() == box.edited_config
        assert box.frames() >= frames
        copy = self._copy_of(version)
        assert box.beats_in(copy) > 0
        say("upgraded", seconds=round(taken_s), before=version, now=box.version)

    def _apt_anyway(self, *words: str) -> str:
        """The recording has alarms of its own, too; an edited configuration asks nothing."""
        self._run("touch", f"/{ANYWAY}")
        return self._box.apt("-o", "Dpkg::Options::=--force-confold", *words)

    def _copy_of(self, version: str) -> Path:
        """The database as the gateway of that version left it."""
        return self._box.state / f"backups/gateway-{version.partition('~')[0]}.sqlite3"

    def _package(self, version: str) -> str:
        return f"ecg-gateway_{version}_{self._run('dpkg', '--print-architecture')}.deb"
