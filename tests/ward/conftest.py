"""A ward on a real store, with its recorder's thread, inside one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.beat_classifier import BeatClassifier
from gateway.config import AlarmLimits, SessionConfig, StoreConfig
from gateway.counters import Counters
from gateway.live_view import LiveView
from gateway.radio.session_keys import SessionKeys
from gateway.served_model.in_service import ModelInService
from gateway.store.database import open_store
from gateway.store.reader import Reader
from gateway.store.recorder import Recorder
from gateway.store.transactions import Commit
from gateway.ward.sensor_channel import ChannelParts
from gateway.ward.ward import Ward
from gateway.watchdog import Heartbeats
from tests.fakes import FakeClassifier
from tests.ward.bench import NOW_S, new_keyring

PATIENCE_S = 20.0  # a disk that is busy with something else


@dataclass
class WardBench:
    """The ward, what it stands on, and the clock."""

    ward: Ward
    store: Path
    reader: Reader
    recorder: Recorder
    live_view: LiveView
    counters: Counters
    model: ModelInService
    now_s: float = NOW_S
    clock_is_set: bool = True

    async def until(self, holds: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Give way until the condition holds; fails when it does not within the patience."""
        async with asyncio.timeout(patience_s):
            while not holds():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def open_ward(
    folder: Path,
    auto_admit: bool = True,
    classifier: BeatClassifier | None = None,
    commit_interval_s: float = 0.02,
) -> AsyncIterator[WardBench]:
    loop = asyncio.get_running_loop()
    path = folder / "gateway.sqlite3"
    open_store(path)
    reader, counters, live_view = Reader(path), Counters(), LiveView()

    def committed(commit: Commit) -> None:
        loop.call_soon_threadsafe(bench.ward.settle, commit)

    recorder = Recorder(
        path, StoreConfig(commit_interval_s=commit_interval_s, index_interval_s=0.0), committed
    )
    model = ModelInService(classifier or FakeClassifier())
    parts = ChannelParts(
        model,
        AlarmLimits(),
        SessionConfig(),
        60.0,
        5,
        SessionKeys(new_keyring(folder)),
        reader,
        recorder.record,
        counters,
        clock_is_set=lambda: bench.clock_is_set,
    )
    ward = Ward(parts, recorder, live_view, Heartbeats(), auto_admit, now=lambda: bench.now_s)
    bench = WardBench(ward, path, reader, recorder, live_view, counters, model)
    recorder.start()
    try:
        ward.resume()
        yield bench
        ward.stop()
    finally:
        await asyncio.to_thread(recorder.close)
        reader.close()


@pytest.fixture
def with_ward(tmp_path: Path) -> Callable:
    """Runs `scenario(bench)` in an event loop of its own."""

    def run(scenario: Callable, **options: bool) -> None:
        async def main() -> None:
            async with asyncio.timeout(3 * PATIENCE_S), open_ward(tmp_path, **options) as bench:
                await scenario(bench)

        asyncio.run(main())

    return run
