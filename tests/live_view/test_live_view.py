from __future__ import annotations

import base64
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bed_screen import (
    MAX_STRIP_ITEMS,
    STRIP_S,
    BedView,
    Json,
    SensorView,
    stale_after_s,
)
from gateway.live_view import MAX_BEDS, Cursor, LiveView, UnknownBed
from gateway.messages import (
    Alarm,
    AlarmKind,
    AlarmPriority,
    AlarmState,
    Beat,
    BeatClass,
    BeatLabel,
    BedState,
    Gap,
    Quality,
    QualityReason,
    SampleBlock,
    SampleIndex,
    Variability,
    VitalSigns,
)

BED, SESSION = "1", "ECG-0000000A/00112233"
MakeBlock = Callable[..., SampleBlock]


def payloads(live_view: LiveView, kind: str, after: Cursor | None = None) -> list[Json]:
    changes = live_view.read(after).changes
    return [change.payload for change in changes if change.payload["kind"] == kind]


def decoded(payload: Json) -> list[int]:
    return np.frombuffer(base64.b64decode(str(payload["steps"])), "<i2").tolist()


def vitals(rate: float | None, *reasons: QualityReason, usable: bool = True) -> VitalSigns:
    quality = Quality(SampleIndex(0), 0.9, frozenset(reasons), usable, usable)
    return VitalSigns(SampleIndex(0), rate, quality)


def beat(r_sample: int, label: BeatLabel | None = None) -> Beat:
    return Beat(SampleIndex(r_sample), 900.0, 800.0, False, label)


ALARM = Alarm(AlarmKind.ASYSTOLE, AlarmPriority.HIGH, 5.0, 9.0, AlarmState.ACTIVE)


def test_signal_travels_as_steps_of_five_microvolts(live_view: LiveView) -> None:
    amplitude_uv = np.array([0.0, 12.4, -1000.0, 1e9, -1e9])
    items = [SampleBlock(SampleIndex(7), 250, amplitude_uv)]
    live_view.signal(BED, SESSION, 250, items, at_s=1.5)
    (signal,) = payloads(live_view, "signal")
    assert decoded(signal) == [0, 2, -200, 32767, -32767]
    assert (signal["start"], signal["at_s"]) == (7, 1.5)


def test_a_reader_gets_each_change_once_in_order(live_view: LiveView, block: MakeBlock) -> None:
    first = live_view.read(None)
    assert first.fresh
    live_view.signal(BED, SESSION, 250, [block(0), Gap(SampleIndex(250), 10), block(260)], 1.0)
    second = live_view.read(first.cursor)
    assert not second.fresh
    assert [c.payload["kind"] for c in second.changes] == ["axis", "signal", "gap", "signal"]
    assert live_view.read(second.cursor).changes == ()


@given(cuts=st.lists(st.integers(0, 30), max_size=12))
def test_reading_in_any_rhythm_shows_the_same(cuts: list[int]) -> None:
    live_view = LiveView()
    live_view.bed_changed(BedView(BED, "Bed 1", BedState.MONITORING), 0.0)
    cursor, seen = None, []
    for second in range(31):
        block = SampleBlock(SampleIndex(second * 250), 250, np.full(250, 5.0 * second))
        live_view.signal(BED, SESSION, 250, [block], float(second))
        if second in cuts or second == 30:
            update = live_view.read(cursor)
            cursor = update.cursor
            seen += [c.payload["start"] for c in update.changes if c.payload["kind"] == "signal"]
    assert seen == [second * 250 for second in range(31)]


def test_a_cursor_of_another_run_starts_afresh(live_view: LiveView, block: MakeBlock) -> None:
    live_view.signal(BED, SESSION, 250, [block(0)], 1.0)
    stranger = Cursor.parse(str(LiveView().read(None).cursor))
    assert live_view.read(stranger).fresh
    ahead = Cursor(live_view.read(None).cursor.epoch, 10**6)
    update = live_view.read(ahead)
    assert update.fresh
    assert [c.payload["kind"] for c in update.changes] == ["bed", "axis", "signal"]


@pytest.mark.parametrize("text", ["", "abc", "abc.", "abc.-1", "abc.1e3", "abc." + "9" * 40])
def test_nonsense_is_no_cursor(text: str) -> None:
    assert Cursor.parse(text) is None


def test_a_cursor_survives_its_text(live_view: LiveView) -> None:
    cursor = live_view.read(None).cursor
    assert Cursor.parse(str(cursor)) == cursor


def test_only_the_named_beds_are_read(live_view: LiveView) -> None:
    live_view.bed_changed(BedView("2", "Bed 2", BedState.VACANT), 0.0)
    assert {c.payload["bed"] for c in live_view.read(None, ["2"]).changes} == {"2"}
    assert {c.payload["bed"] for c in live_view.read(None).changes} == {"1", "2"}


def test_thirty_seconds_are_kept(live_view: LiveView, block: MakeBlock) -> None:
    for second in range(100):
        live_view.signal(BED, SESSION, 250, [block(250 * second)], float(second))
    starts = [payload["start"] for payload in payloads(live_view, "signal")]
    assert starts[0] == 250 * (99 - STRIP_S)
    assert len(starts) == STRIP_S + 1


def test_a_signal_cut_to_splinters_stays_bounded(live_view: LiveView, block: MakeBlock) -> None:
    for sample in range(0, 2 * MAX_STRIP_ITEMS, 2):
        items = [block(sample, 1, 500), Gap(SampleIndex(sample + 1), 1)]
        live_view.signal(BED, SESSION, 500, items, 1.0)
    assert len(live_view.read(None).changes) == MAX_STRIP_ITEMS + len(("bed", "axis"))


def test_a_new_session_restarts_the_axis(live_view: LiveView, block: MakeBlock) -> None:
    live_view.signal(BED, SESSION, 250, [block(0)], 1.0)
    live_view.vitals(BED, SESSION, vitals(72.0), 1.0)
    live_view.variability(BED, SESSION, Variability(sdnn_ms=40.0), 1.0)
    live_view.signal(BED, "ECG-0000000A/44556677", 125, [block(0, rate_hz=125)], 2.0)
    (axis,) = payloads(live_view, "axis")
    assert (axis["axis"], axis["sample_rate_hz"]) == (2, 125)
    assert [signal["axis"] for signal in payloads(live_view, "signal")] == [2]
    assert payloads(live_view, "vitals") == payloads(live_view, "variability") == []


def test_what_belongs_to_an_older_session_is_not_shown(
    live_view: LiveView, block: MakeBlock
) -> None:
    live_view.signal(BED, SESSION, 250, [block(0)], 1.0)
    live_view.beats(BED, "ECG-0000000A/older", [beat(100)], 1.0)
    live_view.vitals(BED, "ECG-0000000A/older", vitals(72.0), 1.0)
    live_view.variability(BED, "ECG-0000000A/older", Variability(sdnn_ms=40.0), 1.0)
    assert payloads(live_view, "beats") == payloads(live_view, "vitals") == []
    assert payloads(live_view, "variability") == []


def test_variability_that_is_not_known_is_null(live_view: LiveView, block: MakeBlock) -> None:
    live_view.signal(BED, SESSION, 250, [block(0)], 1.0)
    live_view.variability(BED, SESSION, Variability(sdnn_ms=40.0, rmssd_ms=30.0), 1.0)
    (shown,) = payloads(live_view, "variability")
    assert (shown["sdnn_ms"], shown["rmssd_ms"], shown["lf_hf"]) == (40.0, 30.0, None)


def test_a_beat_without_a_label_says_so(live_view: LiveView, block: MakeBlock) -> None:
    live_view.signal(BED, SESSION, 250, [block(0)], 1.0)
    labelled = beat(40, BeatLabel(BeatClass.VENTRICULAR, 0.9712))
    live_view.beats(BED, SESSION, [labelled, beat(90)], 1.0)
    live_view.beats(BED, SESSION, [], 1.0)
    (beats,) = payloads(live_view, "beats")
    assert beats["beats"] == [
        {"r": 40, "class": "V", "p_abnormal": 0.971},
        {"r": 90, "class": None, "p_abnormal": None},
    ]


def test_an_unusable_rate_never_leaves_the_gateway(live_view: LiveView, block: MakeBlock) -> None:
    live_view.signal(BED, SESSION, 250, [block(0)], 1.0)
    live_view.vitals(BED, SESSION, vitals(180.0, QualityReason.MUSCLE, usable=False), 1.0)
    (shown,) = payloads(live_view, "vitals")
    assert shown["heart_rate_bpm"] is None
    assert shown["reasons"] == ["muscle"]


@pytest.mark.parametrize(
    "after",
    [
        BedView(BED, "Bed 1", BedState.MONITORING, "ECG-0000000A", stay=2),
        BedView(BED, "Bed 1", BedState.MONITORING, "ECG-0000000B", stay=1),
        BedView(BED, "Bed 1", BedState.VACANT, "ECG-0000000A", stay=1),
    ],
    ids=["next stay", "another sensor", "discharged"],
)
def test_nothing_of_a_stay_is_shown_in_the_next(
    live_view: LiveView, block: MakeBlock, after: BedView
) -> None:
    live_view.signal(BED, SESSION, 250, [block(0)], 1.0)
    live_view.beats(BED, SESSION, [beat(40)], 1.0)
    live_view.vitals(BED, SESSION, vitals(72.0), 1.0)
    live_view.alarms(BED, [ALARM], 1.0)
    cursor = live_view.read(None).cursor
    live_view.bed_changed(after, 2.0)
    kinds = [change.payload["kind"] for change in live_view.read(None).changes]
    assert sorted(kinds) == ["alarms", "axis", "bed"]
    assert payloads(live_view, "alarms")[0]["alarms"] == []
    assert payloads(live_view, "axis", cursor)[0]["session"] is None


def test_standby_keeps_the_strip(live_view: LiveView, block: MakeBlock) -> None:
    live_view.signal(BED, SESSION, 250, [block(0)], 1.0)
    live_view.bed_changed(BedView(BED, "Bed 1", BedState.STANDBY, "ECG-0000000A", stay=1), 2.0)
    assert len(payloads(live_view, "signal")) == 1


def test_a_removed_bed_makes_all_screens_start_afresh(live_view: LiveView) -> None:
    cursor = live_view.read(None).cursor
    live_view.bed_removed(BED)
    update = live_view.read(cursor)
    assert update.fresh
    assert update.changes == ()


def test_an_unknown_bed_is_refused(live_view: LiveView, block: MakeBlock) -> None:
    with pytest.raises(UnknownBed):
        live_view.signal("9", SESSION, 250, [block(0)], 1.0)
    with pytest.raises(UnknownBed):
        live_view.bed_removed("9")


def test_one_bed_too_many_is_refused() -> None:
    live_view = LiveView()
    for number in range(MAX_BEDS):
        live_view.bed_changed(BedView(str(number), "", BedState.VACANT), 0.0)
    with pytest.raises(ValueError, match="64 beds"):
        live_view.bed_changed(BedView("more", "", BedState.VACANT), 0.0)
    live_view.bed_changed(BedView("0", "renamed", BedState.VACANT), 0.0)


@pytest.mark.parametrize(
    ("rate_hz", "seconds"), [(None, 2.0), (500, 2.0), (250, 2.0), (125, 2.992)]
)
def test_stale_after_two_seconds_or_two_frames(rate_hz: int | None, seconds: float) -> None:
    assert stale_after_s(rate_hz) == pytest.approx(seconds)


def test_the_summary_hides_what_is_stale(live_view: LiveView, block: MakeBlock) -> None:
    live_view.signal(BED, SESSION, 250, [block(0)], 10.0)
    live_view.vitals(BED, SESSION, vitals(72.0), 10.0)
    live_view.sensor(BED, SensorView(connected=True, battery_percent=80), 10.0)
    (fresh,) = live_view.summary(12.0)
    (stale,) = live_view.summary(12.1)
    assert (fresh["stale"], fresh["heart_rate_bpm"], fresh["battery_percent"]) == (False, 72.0, 80)
    assert (stale["stale"], stale["heart_rate_bpm"], stale["last_signal_s"]) == (True, None, 10.0)


def test_a_bed_without_a_signal_is_stale_and_unknown(live_view: LiveView) -> None:
    (summary,) = live_view.summary(0.0)
    assert summary["stale"] is True
    assert summary["heart_rate_bpm"] is summary["connected"] is summary["last_signal_s"] is None
    assert summary["alarms"] == []


def test_recent_signal_is_the_newest_unbroken_one(live_view: LiveView, block: MakeBlock) -> None:
    for second in range(9):
        live_view.signal(BED, SESSION, 250, [block(250 * second, uv=5.0 * second)], float(second))
        live_view.beats(BED, SESSION, [beat(250 * second)], float(second))
    recent = live_view.recent_signal(BED, 7.5)
    assert recent is not None
    assert recent.steps.size == 1875
    assert (recent.steps[0], recent.steps[125], recent.steps[-1]) == (1, 2, 8)
    assert live_view.recent_signal(BED, 9.1) is None


def test_there_is_no_recent_signal_across_a_gap(live_view: LiveView, block: MakeBlock) -> None:
    assert live_view.recent_signal(BED, 0.5) is None
    live_view.signal(BED, SESSION, 250, [block(0), Gap(SampleIndex(250), 10), block(260)], 1.0)
    assert live_view.recent_signal(BED, 1.0) is not None
    assert live_view.recent_signal(BED, 1.1) is None
    assert live_view.recent_signal("9", 1.0) is None


def test_a_waiting_reader_wakes_on_a_change_and_at_the_end(live_view: LiveView) -> None:
    for wake in (lambda: live_view.alarms(BED, [ALARM], 1.0), live_view.close):
        cursor = live_view.read(None).cursor
        reader = threading.Thread(target=live_view.wait, args=(cursor, 60.0))
        reader.start()
        wake()
        reader.join(timeout=10)
        assert not reader.is_alive()
    assert live_view.closed


def test_a_reader_that_waits_in_vain_returns(live_view: LiveView) -> None:
    live_view.wait(live_view.read(None).cursor, timeout_s=0.001)
