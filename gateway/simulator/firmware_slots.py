"""A virtual chip's two slots of firmware, and the update from one to the other.

The rules are those of docs/protocol.md, 7, and of `ecg_update.c`; an image runs by its manifest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from gateway.radio.firmware_image import (
    FirmwareManifest,
    ImageRefused,
    Version,
    decode_manifest,
    has_signed,
)
from gateway.radio.message_codec import Answer, AnswerCode, Command, MessageType, UpdateRefusal

FIRMWARE_VERSION = (0, 1, 0)
VIRTUAL_CHIP = 5  # an ESP32-C3
BLOCK_BYTES = 65536
BLOCKS = 22  # of a slot in firmware/partitions.csv
ALIGNMENT = 16
ERASE_EACH_S = 5.0
TRIAL_S = 600.0


@dataclass(frozen=True, slots=True)
class Release:
    version: Version = FIRMWARE_VERSION
    chip: int = VIRTUAL_CHIP
    security_version: int = 0


class FirmwareSlots:
    """Outlives the boots of its sensor. Without a `signer`, a P-256 point, it takes no update."""

    def __init__(self, signer: bytes | None = None, running: Release | None = None) -> None:
        self._signer = signer
        self.running = running or Release()
        self._former: Release | None = None  # while the running one is on trial
        self._flash = bytearray()
        self._record = (b"", 0)  # manifest and whole blocks, kept over power cuts
        self._forget_transfer()

    @property
    def on_trial(self) -> bool:
        return self._former is not None

    @property
    def restarts(self) -> bool:
        """Is the restart into the new firmware due?"""
        return self._installed

    def boot(self) -> None:
        """What the bootloader does: the new firmware once, the former one if it was on trial."""
        if self._installed and self._manifest is not None:
            manifest = self._manifest
            self._former = self.running
            self.running = Release(manifest.version, manifest.chip, manifest.security_version)
        elif self._former is not None:
            self.running, self._former = self._former, None
        self._forget_transfer()

    def try_out(self, heard: bool, up_s: float) -> bool:
        """Confirm the new firmware once it was heard; True when it has failed its trial."""
        if heard:
            self._former = None
        return self.on_trial and up_s >= TRIAL_S

    def obey(self, command: Command, safe: bool, now_s: float) -> Answer | None:
        """The answer to an update's command; `safe`: a restart would lose no frame."""
        if self._signer is None:
            return Answer(command.type, AnswerCode.NOT_SUPPORTED)
        if command.type is MessageType.UPDATE_CHUNK:
            self._take_chunk(command.offset, command.argument[4:], now_s)
            return None
        if command.type is MessageType.UPDATE_BEGIN:
            return self._begin(command.argument)
        return self._finish(safe)

    def _forget_transfer(self) -> None:
        self._manifest: FirmwareManifest | None = None
        self._offset = self._erased_to = 0
        self._erased_s: float | None = None
        self._hashed = self._installed = False

    def _begin(self, encoded: bytes) -> Answer:
        begin = MessageType.UPDATE_BEGIN
        if self.on_trial or self._installed:
            return Answer(begin, AnswerCode.BUSY)
        try:
            manifest = decode_manifest(encoded)
        except ImageRefused:
            return Answer(begin, AnswerCode.BAD_ARGUMENT)
        if manifest != self._manifest:
            if (reason := self._reason_against(manifest)) is not None:
                return Answer.update_refused(begin, reason)
            self._take_up(manifest)
        return Answer(begin, AnswerCode.DONE, self._offset.to_bytes(4, "little"))

    def _reason_against(self, manifest: FirmwareManifest) -> UpdateRefusal | None:
        assert self._signer is not None
        newer = manifest.version > self.running.version
        if not has_signed(self._signer, manifest.encode()):
            return UpdateRefusal.NOT_SIGNED
        if manifest.chip != self.running.chip:
            return UpdateRefusal.OTHER_CHIP
        if not newer or manifest.security_version < self.running.security_version:
            return UpdateRefusal.NOT_NEWER
        if not 0 < manifest.size <= BLOCKS * BLOCK_BYTES:
            return UpdateRefusal.TOO_LARGE
        return None

    def _take_up(self, manifest: FirmwareManifest) -> None:
        recorded, blocks = self._record
        if recorded != manifest.encode():
            blocks = 0
            self._record = (manifest.encode(), 0)
        erased_s = self._erased_s
        self._forget_transfer()
        self._erased_s = erased_s
        self._manifest = manifest
        self._offset = self._erased_to = blocks * BLOCK_BYTES
        del self._flash[self._offset :]

    def _take_chunk(self, offset: int, part: bytes, now_s: float) -> None:
        if self._manifest is None or self._hashed or offset != self._offset:
            return
        left = self._manifest.size - offset
        block_left = BLOCK_BYTES - offset % BLOCK_BYTES
        whole = len(part) == left or len(part) % ALIGNMENT == 0
        if len(part) > min(left, block_left) or not whole or not self._make_room(now_s):
            return
        self._flash[offset:] = part
        self._offset += len(part)
        if self._offset % BLOCK_BYTES == 0:
            self._record = (self._record[0], self._offset // BLOCK_BYTES)

    def _make_room(self, now_s: float) -> bool:
        if self._offset < self._erased_to:
            return True
        if self._erased_s is not None and now_s - self._erased_s < ERASE_EACH_S:
            return False
        self._erased_s = now_s
        self._erased_to = self._offset + BLOCK_BYTES
        return True

    def _finish(self, safe: bool) -> Answer:
        finish = MessageType.UPDATE_FINISH
        if self._installed:
            return Answer(finish, AnswerCode.DONE)
        if self._manifest is None or self._offset < self._manifest.size:
            return Answer(finish, AnswerCode.BAD_ARGUMENT)
        if not self._hashed:  # a chip takes seconds for it
            self._hashed = True
            return Answer(finish, AnswerCode.BUSY)
        if hashlib.sha256(self._flash).digest() != self._manifest.sha256:
            self._record = (b"", 0)
            self._forget_transfer()
            return Answer.update_refused(finish, UpdateRefusal.DAMAGED)
        self._installed = safe
        return Answer(finish, AnswerCode.DONE if safe else AnswerCode.BUSY)
