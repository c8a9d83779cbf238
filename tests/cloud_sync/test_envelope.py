from __future__ import annotations

import json

import pytest

from cloud_sync.envelope import MAX_PAYLOAD_BYTES, EnvelopeRefused, seal_envelope
from cloud_sync.lanes import Lane
from cloud_sync.ports import OutboxRow


def row(payload: str) -> OutboxRow:
    return OutboxRow(7, "cafe", Lane.ALARM, "alarm raised", 1234.5, payload)


def test_the_row_travels_with_its_name_and_place() -> None:
    envelope = seal_envelope("ward-3", row('{"version": 1, "bed": "3 – Süd"}'))
    assert envelope.topic == "ecg/ward-3/alarm"
    assert envelope.message_id == "cafe"
    assert json.loads(envelope.payload) == {
        "version": 1,
        "bed": "3 – Süd",
        "id": "cafe",
        "gateway": "ward-3",
        "lane": "alarm",
        "kind": "alarm raised",
        "created_s": 1234.5,
        "number": 7,
    }


def test_a_row_cannot_take_another_name() -> None:
    sealed = json.loads(seal_envelope("ward-3", row('{"id": "other", "gateway": "x"}')).payload)
    assert (sealed["id"], sealed["gateway"]) == ("cafe", "ward-3")


@pytest.mark.parametrize(
    "payload",
    ["", "{", "[]", "7", '{"a": NaN}', '{"a": "\\ud800"}', "[" * 50_000, '{"a": 1e999}'],
    ids=["empty", "cut", "list", "number", "nan", "surrogate", "deep", "infinite"],
)
def test_what_is_no_json_object_is_refused(payload: str) -> None:
    with pytest.raises(EnvelopeRefused, match="not a JSON object"):
        seal_envelope("ward-3", row(payload))


def test_the_cap_holds_at_the_byte() -> None:
    frame = len(seal_envelope("ward-3", row('{"a":""}')).payload)
    largest = "x" * (MAX_PAYLOAD_BYTES - frame)
    envelope = seal_envelope("ward-3", row(json.dumps({"a": largest})))
    assert len(envelope.payload) == MAX_PAYLOAD_BYTES
    with pytest.raises(EnvelopeRefused, match=r"100,001 bytes; at most 100,000"):
        seal_envelope("ward-3", row(json.dumps({"a": largest + "x"})))


def test_the_cap_counts_bytes_not_characters() -> None:
    with pytest.raises(EnvelopeRefused, match="at most"):
        seal_envelope("ward-3", row(json.dumps({"a": "ü" * 60_000}, ensure_ascii=False)))
