from __future__ import annotations

import base64
import json
import random
import zlib
from collections.abc import Sequence

import cbor2
import pytest

from cloud_sync.envelope import MAX_PAYLOAD_BYTES, EnvelopeRefused, seal_envelope
from cloud_sync.lanes import Lane
from cloud_sync.ports import Envelope, OutboxRow
from cloud_sync.stretches import MAX_FRAMES, Frames, Stretch
from tests.cloud_sync.fakes import no_frames


def row(payload: str) -> OutboxRow:
    return OutboxRow(7, "cafe", Lane.ALARM, "alarm raised", 1234.5, payload)


def sealed(of: OutboxRow, frames: Frames = no_frames) -> Envelope:
    return seal_envelope("ward-3", of, frames)


def test_the_row_travels_with_its_name_and_place() -> None:
    envelope = sealed(row('{"version": 1, "bed": "3 – Süd"}'))
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
    message = json.loads(sealed(row('{"id": "other", "gateway": "x"}')).payload)
    assert (message["id"], message["gateway"]) == ("cafe", "ward-3")


@pytest.mark.parametrize(
    "payload",
    ["", "{", "[]", "7", '{"a": NaN}', '{"a": "\\ud800"}', "[" * 50_000, '{"a": 1e999}'],
    ids=["empty", "cut", "list", "number", "nan", "surrogate", "deep", "infinite"],
)
def test_what_is_no_json_object_is_refused(payload: str) -> None:
    with pytest.raises(EnvelopeRefused, match="not what it should be"):
        sealed(row(payload))


def test_the_cap_holds_at_the_byte() -> None:
    frame = len(sealed(row('{"a":""}')).payload)
    largest = "x" * (MAX_PAYLOAD_BYTES - frame)
    envelope = sealed(row(json.dumps({"a": largest})))
    assert len(envelope.payload) == MAX_PAYLOAD_BYTES
    with pytest.raises(EnvelopeRefused, match=r"100,001 bytes; at most 100,000"):
        sealed(row(json.dumps({"a": largest + "x"})))


def test_the_cap_counts_bytes_not_characters() -> None:
    with pytest.raises(EnvelopeRefused, match="at most"):
        sealed(row(json.dumps({"a": "ü" * 60_000}, ensure_ascii=False)))


SESSION = {"device": "ECG-0000002A", "boot_id": 5, "salt": "ab" * 16}


def stored(sequences: Sequence[int]) -> Frames:
    """Frames of 434 bytes: a header that repeats, and bytes that do not."""

    def frames(
        device: str, boot_id: int, salt: bytes, first: int, last: int
    ) -> list[tuple[int, bytes]]:
        assert (device, boot_id, salt) == ("ECG-0000002A", 5, b"\xab" * 16)
        return [
            (number, bytes(44) + random.Random(number).randbytes(390))
            for number in sequences
            if first <= number <= last
        ]

    return frames


def test_an_alarm_takes_its_sealed_strip_along() -> None:
    strip = {"first_sequence": 7, "last_sequence": 9, "sample_rate_hz": 250}
    frames = stored([7, 9])
    message = json.loads(sealed(row(json.dumps({**SESSION, "strip": strip})), frames).payload)
    assert message["strip"]["first_sequence"] == 7
    shown = [None if f is None else base64.b64decode(f) for f in message["strip"]["frames"]]
    found = dict(frames("ECG-0000002A", 5, b"\xab" * 16, 7, 9))
    assert shown == [found[7], None, found[9]]


@pytest.mark.parametrize("strip", [None, 7, {}, {"first_sequence": 9, "last_sequence": 7}])
def test_an_alarm_goes_without_a_strip_too(strip: object) -> None:
    message = json.loads(sealed(row(json.dumps({**SESSION, "strip": strip}))).payload)
    assert message["strip"] is None


def test_waveforms_are_sealed_frames_in_cbor() -> None:
    stretch = Stretch("ECG-0000002A", 5, "ab" * 16, 10, 19)
    of = OutboxRow(3, "beef", Lane.WAVEFORM, "frames", 1.0, stretch.to_json())
    frames = stored(range(12, 40))
    envelope = sealed(of, frames)
    assert envelope.topic == "ecg/ward-3/waveform/beef"
    message = cbor2.loads(envelope.payload)
    assert (message["id"], message["salt"]) == ("beef", b"\xab" * 16)
    assert message["sequences"] == list(range(12, 20))
    assert message["compression"] == "zlib"  # the headers alone
    found = frames("ECG-0000002A", 5, b"\xab" * 16, 10, 19)
    assert zlib.decompress(message["frames"]) == b"".join(bytes_ for _, bytes_ in found)


def test_a_full_batch_fits_into_a_message() -> None:
    (stretch,) = Stretch("ECG-0000002A", 5, "ab" * 16, 0, MAX_FRAMES - 1).batches()
    of = OutboxRow(3, "beef", Lane.WAVEFORM, "frames", 1.0, stretch.to_json())
    incompressible = [
        (number, random.Random(number).randbytes(434)) for number in range(MAX_FRAMES)
    ]
    message = cbor2.loads(sealed(of, lambda *_: incompressible).payload)
    assert message["compression"] == "none"
    assert message["frames"] == b"".join(sealed_ for _, sealed_ in incompressible)


def test_frames_that_are_gone_are_refused_with_the_reason() -> None:
    stretch = Stretch("ECG-0000002A", 5, "ab" * 16, 10, 19)
    of = OutboxRow(3, "beef", Lane.WAVEFORM, "frames", 1.0, stretch.to_json())
    with pytest.raises(EnvelopeRefused, match="none of these frames is stored any more"):
        sealed(of)
