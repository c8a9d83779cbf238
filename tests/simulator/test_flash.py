"""What a virtual sensor keeps over a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from gateway.messages import DeviceId, FrameSequence, SessionId
from gateway.radio.frame_codec import FrameHeader, derive_frame_key, seal_frame
from gateway.simulator.flash import Flash
from gateway.simulator.outbox import LEAST_HELD_FRAMES, Outbox
from gateway.simulator.sensor_core import SensorIdentity

SESSION = SessionId(DeviceId(1), 1, bytes(16))


def sealed(sequence: int) -> bytes:
    key = derive_frame_key(bytes(32), SESSION)
    header = FrameHeader(SESSION, FrameSequence(sequence), 0, 0, 250)
    return seal_frame(key, header, np.zeros(187, np.int16))


def test_boots_count_on(tmp_path: Path) -> None:
    assert [Flash(tmp_path, "ECG-1").next_boot_id() for _ in range(3)] == [1, 2, 3]
    assert Flash(tmp_path, "ECG-2").next_boot_id() == 1


def test_held_frames_come_back_with_their_names(tmp_path: Path) -> None:
    Flash(tmp_path, "ECG-1").save_frames([sealed(3), sealed(4)])
    outbox = Outbox(LEAST_HELD_FRAMES)
    Flash(tmp_path, "ECG-1").load_frames(outbox)
    assert list(outbox.frames()) == [sealed(3), sealed(4)]
    assert outbox.oldest(SESSION) == 3
    assert outbox.take(100.0, 1.0) == [sealed(3), sealed(4)]


def test_without_a_directory_nothing_is_kept_and_boots_still_rise() -> None:
    flash = Flash(None, "ECG-1")
    flash.save_frames([sealed(0)])
    outbox = Outbox(LEAST_HELD_FRAMES)
    Flash(None, "ECG-1").load_frames(outbox)
    assert outbox.held == 0
    assert flash.next_boot_id() + 1 == flash.next_boot_id()
    assert flash.next_boot_id() > 1_700_000_000


def test_keys_come_back_and_others_can_not_read_them(tmp_path: Path) -> None:
    made = SensorIdentity(DeviceId(1), 0, bytes(32), provisioned=False)
    flash = Flash(tmp_path, "ECG-1")
    assert flash.load_keys(made) == made
    for identity in (
        replace(made, root_key=bytes([1]) * 32, pending_key=bytes([2]) * 32),
        replace(made, provisioned=True),
    ):
        flash.save_keys(identity)
        assert Flash(tmp_path, "ECG-1").load_keys(made) == identity
    assert (tmp_path / "ECG-1.keys").stat().st_mode & 0o777 == 0o600
