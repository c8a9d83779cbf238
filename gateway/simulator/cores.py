"""Whose rules a virtual sensor follows: the Python twin's, or the firmware's own."""

from __future__ import annotations

from gateway.simulator.firmware_slots import FirmwareSlots
from gateway.simulator.outbox import Outbox
from gateway.simulator.sensor_core import BootCore, HeldFrames
from gateway.simulator.virtual_sensor import boot_twin

CORES = ("python", "c")


def open_core(
    kind: str, ring_frames: int, signer: bytes | None = None
) -> tuple[HeldFrames, BootCore]:
    """One chip's held frames, and what boots over them; raises CoreError.

    It takes firmware that the owner of the public key `signer` has signed.
    """
    if kind == "python":
        outbox = Outbox(ring_frames)
        return outbox, boot_twin(outbox, FirmwareSlots(signer))
    from gateway.simulator.c_core import CCore  # it needs cffi and a compiler

    core = CCore(ring_frames, signer)
    return core, core.boot
