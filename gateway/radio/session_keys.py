"""Finds the root key that a session was sealed under, and remembers what was derived from it."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from dataclasses import dataclass

from gateway.messages import DeviceId, Frame, SessionId
from gateway.radio.frame_codec import (
    FrameKey,
    FrameRefusal,
    FrameRefused,
    derive_frame_key,
    open_frame,
    read_header,
)
from gateway.radio.keyring import Keyring

MAX_REMEMBERED = 64  # sessions that proved authentic: 8 sensors, each with some history


@dataclass(frozen=True, slots=True)
class SessionRoot:
    """The root key that opened a session, its generation from 1, and the frame key it gave."""

    root_key: bytes
    generation: int
    frame_key: FrameKey


class SessionKeys:
    """Opens frames under whichever generation of a device's root key they were sealed with."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self._proven: OrderedDict[SessionId, SessionRoot] = OrderedDict()

    def open(self, sealed: bytes) -> tuple[Frame, int]:
        """The frame and its key generation; raises FrameRefused."""
        session = read_header(sealed).session
        proven = self._proven.get(session)
        if proven is not None:
            self._proven.move_to_end(session)
            return open_frame(proven.frame_key, sealed), proven.generation
        return self._prove(session, sealed)

    def root_of(self, session: SessionId) -> bytes | None:
        """The root key to talk with: the proven one, else the newest; None for a stranger."""
        if session in self._proven:
            return self._proven[session].root_key
        self.keyring.refresh()
        return next(iter(self.keyring.root_keys(session.device_id)), None)

    def pending_for(self, session: SessionId) -> bytes | None:
        """A newer key than `root_of`, which the sensor takes, or has taken, when it is used."""
        pending = self.keyring.pending_key(session.device_id)
        return None if pending == self.root_of(session) else pending

    def adopt(self, device_id: DeviceId, root_key: bytes) -> None:
        """The sensor has used this key: it is pending no longer."""
        with contextlib.suppress(OSError):  # on a full disk it stays pending, which opens as well
            self.keyring.adopt(device_id, root_key)

    def forget(self, device_id: DeviceId) -> None:
        """Destroy a device's keys, here and in the keyring; raises KeyringError or OSError."""
        self.keyring.forget(device_id)
        for session in [known for known in self._proven if known.device_id == device_id]:
            del self._proven[session]

    def _prove(self, session: SessionId, sealed: bytes) -> tuple[Frame, int]:
        self.keyring.refresh()
        root_keys = self._candidates(session.device_id)
        if not root_keys:
            raise FrameRefused(FrameRefusal.UNKNOWN_DEVICE)
        for age, root_key in enumerate(root_keys):
            root = SessionRoot(root_key, len(root_keys) - age, derive_frame_key(root_key, session))
            try:
                frame = open_frame(root.frame_key, sealed)
            except FrameRefused as refused:
                if refused.reason is not FrameRefusal.NOT_AUTHENTIC:
                    raise
            else:
                self._remember(session, root)
                return frame, root.generation
        raise FrameRefused(FrameRefusal.NOT_AUTHENTIC)

    def _candidates(self, device_id: DeviceId) -> tuple[bytes, ...]:
        """Newest first; the pending key is what will be the newest generation."""
        pending, root_keys = self.keyring.pending_key(device_id), self.keyring.root_keys(device_id)
        return root_keys if pending is None else (pending, *root_keys)

    def _remember(self, session: SessionId, root: SessionRoot) -> None:
        self.adopt(session.device_id, root.root_key)
        self._proven[session] = root
        if len(self._proven) > MAX_REMEMBERED:
            self._proven.popitem(last=False)
