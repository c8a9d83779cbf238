"""A signed model goes into a gateway that monitors a patient; later its file is damaged."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.messages import DeviceId, SampleIndex
from gateway.radio.keyring import Keyring, read_sealing_key
from gateway.radio.session_keys import SessionKeys
from gateway.store.answers import JournalledFrame, StoredBeat
from gateway.store.reader import Reader
from gateway.tflite_classifier import TfliteClassifier, default_model_path
from model.bundle import make_key, public_key, sign
from tests.end_to_end.offline import OfflineRun, wait_for_late_analysis
from tests.end_to_end.processes import AUTO_ADMIT, Gateway, Simulator, free_port, pair

pytestmark = pytest.mark.timeout(300)

SECONDS = 150
SPEED = 3.0  # 33 s are left for the installation, which takes 4
FRAMES = SECONDS * 250 // 187
SENSOR = DeviceId(1)
PACKAGED = default_model_path()
DONE_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What was said and stored on the way."""

    installed: subprocess.CompletedProcess[str]
    refused: subprocess.CompletedProcess[str]
    beats: list[StoredBeat]
    offline: OfflineRun
    health: dict[str, object]
    health_when_damaged: dict[str, object]
    short_hash: str


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("ward")
    bundle, signer = next_model(folder)
    keys, radio_port = pair(folder, 1), free_port()
    gateway = Gateway(
        folder,
        [f"virtual:127.0.0.1:{radio_port}"],
        beds=AUTO_ADMIT,
        model={"public_keys": [signer]},
    )
    gateway.start()
    simulator = Simulator([f"{SENSOR:08X}:synthetic=pvcs*{SECONDS}"], keys, SPEED, radio_port)
    try:
        simulator.wait_until(lambda sensor: sensor["acknowledged"] >= FRAMES // 3, DONE_S)
        installed = model(folder, "install", str(bundle))
        bundle.write_bytes(bundle.read_bytes()[:-1])
        refused = model(folder, "install", str(bundle))
        simulator.wait_until(lambda sensor: sensor["acknowledged"] >= FRAMES, DONE_S)
        wait_for_late_analysis(gateway.store, DONE_S)
        health = healthz(gateway.port)
        gateway.stop()
        (card,) = folder.glob("state/models/*-*/model.json")
        card.write_text("{}")
        gateway.start()
        yield Outcome(
            installed,
            refused,
            stored_beats(gateway.store),
            offline_run(folder, gateway.store),
            health,
            healthz(gateway.port),
            hashlib.sha256((folder / "next.tflite").read_bytes()).hexdigest()[:8],
        )
    finally:
        simulator.stop()
        gateway.stop()


def next_model(folder: Path) -> tuple[Path, str]:
    """The packaged model under another hash, signed, and the signer's public key."""
    model_path, key = folder / "next.tflite", make_key(folder / "signer.key")
    model_path.write_bytes(PACKAGED.read_bytes() + b"\0")  # a FlatBuffer's reader stops before it
    card = json.loads(PACKAGED.with_suffix(".json").read_text())
    card |= {"name": "beat_next", "sha256": hashlib.sha256(model_path.read_bytes()).hexdigest()}
    model_path.with_suffix(".json").write_text(json.dumps(card))
    sign(model_path, key, folder / "next.bundle")
    return folder / "next.bundle", public_key(key)


def model(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", "model", "--config", str(folder / "gateway.toml")]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def healthz(port: int) -> dict[str, object]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
        return json.load(answer)


def stored_beats(store: Path) -> list[StoredBeat]:
    reader = Reader(store)
    (stored,) = reader.sessions_of(SENSOR)
    beats = reader.beats(stored.session, SampleIndex(0), SampleIndex(2**40))
    reader.close()
    return beats


def offline_run(folder: Path, store: Path) -> OfflineRun:
    """What one model, never replaced, finds in the stored frames."""
    keys = SessionKeys(Keyring(folder / "state/keyring", read_sealing_key(folder / "keyring-key")))
    reader = Reader(store)
    (stored,) = reader.sessions_of(SENSOR)
    journal = list(reader.journal_after(stored.session, None))
    reader.close()
    frames = [entry.frame for entry in journal if isinstance(entry, JournalledFrame)]
    opened = {frame.sequence: keys.open(frame.sealed)[0] for frame in frames}
    assert sorted(opened) == list(range(FRAMES)), "a frame was lost"
    return OfflineRun(stored.sample_rate_hz, journal, opened.__getitem__)


def test_the_running_gateway_takes_a_signed_model(outcome):
    assert outcome.installed.returncode == 0, outcome.installed.stderr
    assert "stored beats are N or not N as" in outcome.installed.stdout
    assert outcome.installed.stdout.endswith("serves now: the running gateway has taken it\n")
    assert outcome.health["model"] == {
        "name": "beat_next",
        "hash": outcome.short_hash,
        "refused": None,
    }
    assert outcome.health["status"] == "ok"


def test_a_truncated_bundle_leaves_it_in_service(outcome):
    assert outcome.refused.returncode == 1
    assert "its header says" in outcome.refused.stderr


def test_no_beat_is_lost_and_each_says_whose_label_it_has(outcome):
    assert [stored.beat for stored in outcome.beats] == outcome.offline.beats()
    assert len(outcome.beats) > SECONDS
    packaged = TfliteClassifier(PACKAGED).card.short_hash
    live = outcome.offline.live()  # a gap before the switch may have been filled after it
    models = [
        stored.model
        for stored in outcome.beats
        if stored.beat.label is not None and stored.beat in live
    ]
    changed = models.index(outcome.short_hash)
    assert set(models[:changed]) == {packaged}
    assert set(models[changed:]) == {outcome.short_hash}


def test_a_gateway_whose_model_is_damaged_starts_with_the_packaged_one_and_says_so(outcome):
    health = outcome.health_when_damaged
    assert health["status"] == "degraded"
    assert health["model"]["hash"] == TfliteClassifier(PACKAGED).card.short_hash
    assert "/model.json is damaged" in health["model"]["refused"]
