"""One outbox row as one MQTT message."""

from __future__ import annotations

import json

from cloud_sync.ports import Envelope, OutboxRow

MAX_PAYLOAD_BYTES = 100_000  # AWS IoT Core takes 128 KiB of payload; brokers' own caps lie around


class EnvelopeRefused(Exception):
    """The row can't become a message; the text is the reason."""


def seal_envelope(gateway_id: str, row: OutboxRow) -> Envelope:
    """The row's JSON object on topic `ecg/<gateway id>/<lane>`, at most 100,000 bytes in UTF-8.

    It gains the members `id` (the row's message id, the same in each repeat), `gateway`, `lane`,
    `kind`, `created_s` (Unix time) and `number`, which grows within the lane, for receivers that
    want the gateway's order.
    Raises EnvelopeRefused where the payload is no JSON object, or the whole is too large.
    """
    _require_size(len(row.payload))  # before anything is parsed; a character is at least one byte
    try:
        message = _json_object(row.payload) | {
            "id": row.message_id,
            "gateway": gateway_id,
            "lane": row.lane,
            "kind": row.kind,
            "created_s": row.created_s,
            "number": row.id,
        }
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        payload = text.encode()
    except (ValueError, RecursionError) as error:
        raise EnvelopeRefused(f"the payload is not a JSON object: {error}") from error
    _require_size(len(payload))
    return Envelope(f"ecg/{gateway_id}/{row.lane}", payload, row.message_id)


def _json_object(payload: str) -> dict[str, object]:
    body = json.loads(payload)
    if not isinstance(body, dict):
        raise ValueError(f"it is a {type(body).__name__}")
    return body


def _require_size(size: int) -> None:
    if size > MAX_PAYLOAD_BYTES:
        raise EnvelopeRefused(f"{size:,} bytes; at most {MAX_PAYLOAD_BYTES:,} are sent")
