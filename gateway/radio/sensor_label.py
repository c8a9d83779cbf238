"""What the QR code on a sensor's case says: its name and its pairing secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gateway.messages import DeviceId, device_name
from gateway.radio.noise import PSK_BYTES

_TEXT = re.compile(r"ECG1:ECG-([0-9A-F]{8}):([0-9A-F]{64})", re.IGNORECASE)


class LabelError(Exception):
    """The label can't be read or made; the message says why, and never holds the secret."""


@dataclass(frozen=True, slots=True)
class SensorLabel:
    """`secret` is the handshake's pre-shared key; it is never shown."""

    device_id: DeviceId
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != PSK_BYTES:
            raise LabelError(f"a pairing secret is {2 * PSK_BYTES} hex digits")

    @property
    def text(self) -> str:
        return f"ECG1:{device_name(self.device_id)}:{self.secret.hex().upper()}"


def parse_label(text: str) -> SensorLabel:
    """Read the code's text as it was scanned or typed; raises LabelError."""
    match = _TEXT.fullmatch("".join(text.split()))
    if match is None:
        raise LabelError(
            "this is not a label's text; it is ECG1:, the sensor's name, a colon and 64 hex"
            " digits, as in ECG1:ECG-0000002A:0123…"
        )
    return SensorLabel(DeviceId(int(match[1], 16)), bytes.fromhex(match[2]))
