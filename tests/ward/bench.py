"""A sensor's frames and the gateway's inside on one bench; the test holds clock and commits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gateway.config import AlarmLimits, SessionConfig
from gateway.counters import Counters
from gateway.messages import (
    SAMPLES_PER_FRAME,
    Beat,
    DeviceId,
    FrameSequence,
    SampleIndex,
    SessionId,
)
from gateway.radio.frame_codec import FrameHeader, derive_frame_key, seal_frame
from gateway.radio.keyring import Keyring
from gateway.radio.message_codec import Acknowledgement
from gateway.radio.session_keys import SessionKeys
from gateway.served_model.in_service import ModelInService
from gateway.store.answers import StoredBeat
from gateway.store.database import open_store, writer_engine
from gateway.store.entries import Entry, Found, LateStretchAnalysed
from gateway.store.reader import Reader
from gateway.store.transactions import Commit, StoreWriter
from gateway.ward.late_stretch import analyse_late_stretch
from gateway.ward.sensor_channel import ChannelParts, LiveSignal, SensorChannel
from tests.fakes import FakeClassifier, ecg_uv

RATE_HZ = 250
DEVICE = DeviceId(0x2A)
ROOT_KEY = bytes(range(32))
NOW_S = 1_800_000_000.0
SESSION = SessionId(DEVICE, 1, bytes(range(16)))
FRAME_S = SAMPLES_PER_FRAME / RATE_HZ


def heart(seconds: float, rr_s: float = 0.8, stops_at_s: float = 1e9) -> np.ndarray:
    """An ECG in steps of 5 µV, shape (frames, 187): regular until it stops."""
    beats = [at for at in np.arange(0.5, seconds - 0.5, rr_s) if at < stops_at_s]
    steps = np.rint(ecg_uv(seconds, RATE_HZ, beats) / 5).astype(np.int16)
    return steps[: steps.size // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME].reshape(-1, 187)


def seal(
    steps: np.ndarray, sequence: int, session: SessionId = SESSION, rate_hz: int = RATE_HZ
) -> bytes:
    header = FrameHeader(
        session,
        FrameSequence(sequence),
        0,
        round(sequence * SAMPLES_PER_FRAME / rate_hz * 1e6),
        rate_hz,
    )
    return seal_frame(derive_frame_key(ROOT_KEY, session), header, steps)


def new_keyring(folder: Path) -> Keyring:
    keyring = Keyring(folder / "keyring", bytes(32))
    keyring.add(DEVICE, ROOT_KEY)
    return keyring


class ChannelBench:
    """One channel on a real store, whose entries are committed when the test says so."""

    def __init__(self, folder: Path, ecg: np.ndarray, checkpoint_interval_s: float = 5.0) -> None:
        self.path = folder / "gateway.sqlite3"
        open_store(self.path)
        self.ecg = ecg
        self.reader = Reader(self.path)
        self.counters = Counters()
        self._writer = StoreWriter(writer_engine(self.path), now=lambda: NOW_S)
        self._entries: list[Entry] = []
        self.parts = ChannelParts(
            ModelInService(FakeClassifier()),
            AlarmLimits(),
            SessionConfig(),
            checkpoint_interval_s,
            5,
            SessionKeys(new_keyring(folder)),
            self.reader,
            self._entries.append,
            self.counters,
        )
        self.channel = SensorChannel(DEVICE, self.parts)
        self.now_s = 0.0

    def close(self) -> None:
        self.reader.close()
        self._writer.close()

    def send(
        self, sequences: Iterable[int], session: SessionId = SESSION, wait_s: float = 0.01
    ) -> list[LiveSignal]:
        """Frames arrive, `wait_s` after one another."""
        return [
            signal
            for sequence in sequences
            for signal in self.take(seal(self.ecg[sequence], sequence, session), wait_s)
        ]

    def take(self, sealed: bytes, wait_s: float = 0.01) -> list[LiveSignal]:
        self.now_s += wait_s
        received_s = NOW_S + self.now_s
        signals = self.channel.tick(received_s, self.now_s)
        frame, generation = self.parts.keys.open(sealed)
        return signals + self.channel.take(frame, generation, received_s, self.now_s)

    def wait(self, seconds: float) -> list[LiveSignal]:
        self.now_s += seconds
        return self.channel.tick(NOW_S + self.now_s, self.now_s)

    def commit(self, first: int | None = None) -> Commit:
        """Make what was recorded durable: the first entries of it, or all; the rest is lost."""
        commit = self._writer.write(self._entries[:first])
        self._entries.clear()
        for session, sequences in commit.frames.items():
            self.channel.committed(session, sequences)
        return commit

    def redate(self) -> None:
        """All that a correction of the clock leaves to do."""
        while self._writer.redate():
            pass

    @property
    def recorded(self) -> Sequence[Entry]:
        return tuple(self._entries)

    def restart(self) -> None:
        """A new gateway process on the same store; what was not committed never happened."""
        self._entries.clear()
        self.channel = SensorChannel(DEVICE, self.parts)
        for stored in self.reader.open_sessions():
            self.channel.resume(stored)

    def analyse_late(self, session: SessionId = SESSION) -> None:
        for gap in self.channel.gaps_filled(session):
            found = asyncio.run(
                analyse_late_stretch(self.parts, session, RATE_HZ, gap, self.channel.limits)
            )
            self.parts.record(Found(session, found.model, found.beats, found.events, late=True))
            self.parts.record(LateStretchAnalysed(session, gap.start))
        self.commit()

    def acknowledged(self, session: SessionId = SESSION) -> Acknowledgement:
        acknowledgement = self.channel.acknowledgement(session)
        assert acknowledgement is not None
        return acknowledgement

    def beats(self, session: SessionId = SESSION) -> list[Beat]:
        return [stored.beat for stored in self.stored_beats(session)]

    def stored_beats(self, session: SessionId = SESSION) -> list[StoredBeat]:
        return self.reader.beats(session, SampleIndex(0), SampleIndex(2**40))


def next_boot(session: SessionId = SESSION) -> SessionId:
    return replace(session, boot_id=session.boot_id + 1, salt=bytes(16))
