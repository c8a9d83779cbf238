"""One outbox row as one MQTT message (docs/cloud.md). Pure, but for the frames it is given."""

from __future__ import annotations

import json

from cloud_sync.lanes import Lane
from cloud_sync.ports import Envelope, OutboxRow
from cloud_sync.stretches import Frames, NotAStretch, Stretch, cbor_batch, strip_json

VERSION = 1
MAX_PAYLOAD_BYTES = 100_000  # AWS IoT Core takes 128 KiB of payload; brokers' own caps lie around


class EnvelopeRefused(Exception):
    """The row can't become a message; the text is the reason."""


def seal_envelope(gateway_id: str, row: OutboxRow, frames: Frames) -> Envelope:
    """The message on its topic, at most 100,000 bytes.

    An alarm's `strip` gets its frames; waveforms are CBOR, all else is JSON in UTF-8.
    Raises EnvelopeRefused where the payload does not say what it must, or the whole is too large.
    """
    _require_size(len(row.payload))  # before anything is parsed; a character is at least one byte
    topic = f"ecg/{gateway_id}/{row.lane}"
    try:
        if row.lane is Lane.WAVEFORM:
            topic = f"{topic}/{row.message_id}"
            payload = _waveform(gateway_id, row, frames)
        else:
            payload = _json_message(gateway_id, row, frames)
    except (ValueError, RecursionError) as error:
        raise EnvelopeRefused(f"the payload is not what it should be: {error}") from error
    _require_size(len(payload))
    return Envelope(topic, payload, row.message_id)


def _json_message(gateway_id: str, row: OutboxRow, frames: Frames) -> bytes:
    body = _json_object(row.payload)
    if row.lane is Lane.ALARM and body.get("strip") is not None:
        body["strip"] = _strip(body, frames)
    message = body | {
        "id": row.message_id,
        "gateway": gateway_id,
        "lane": row.lane,
        "kind": row.kind,
        "created_s": row.created_s,
        "number": row.id,
    }
    text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _strip(body: dict[str, object], frames: Frames) -> dict[str, object] | None:
    """None where its frames can't be told: the alarm goes all the same."""
    strip = body["strip"]
    if not isinstance(strip, dict):
        return None
    try:
        stretch = Stretch.of(body | strip)
    except NotAStretch:
        return None
    return strip_json(stretch, strip.get("sample_rate_hz"), stretch.read(frames))


def _waveform(gateway_id: str, row: OutboxRow, frames: Frames) -> bytes:
    stretch = Stretch.of(_json_object(row.payload))
    found = stretch.read(frames)
    if not found:
        raise ValueError("none of these frames is stored any more")
    head = {
        "version": VERSION,
        "id": row.message_id,
        "gateway": gateway_id,
        "lane": str(row.lane),
        "kind": row.kind,
        "created_s": row.created_s,
        "number": row.id,
    }
    return cbor_batch(head, stretch, found)


def _json_object(payload: str) -> dict[str, object]:
    body = json.loads(payload)
    if not isinstance(body, dict):
        raise ValueError(f"it is a {type(body).__name__}")
    return body


def _require_size(size: int) -> None:
    if size > MAX_PAYLOAD_BYTES:
        raise EnvelopeRefused(f"{size:,} bytes; at most {MAX_PAYLOAD_BYTES:,} are sent")
