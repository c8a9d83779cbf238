from __future__ import annotations

import pytest

from gateway.alarm_policy import (
    AGGREGATED_S,
    ALARM_OF,
    LATCHING,
    LATE_NOTICES,
    LETHAL,
    MARKS,
    PRIORITY,
)
from gateway.alarms import LEAD_OFF_S, MAX_PAUSE_S, AlarmBook
from gateway.config import AlarmLimits
from gateway.messages import (
    Alarm,
    AlarmKind,
    AlarmPriority,
    AlarmState,
    Quality,
    QualityReason,
    RhythmKind,
    SampleIndex,
)

GOOD = Quality(SampleIndex(0), 1.0, frozenset(), True, True)
POOR = Quality(SampleIndex(0), 0.2, frozenset({QualityReason.MUSCLE}), False, True)
LEAD_OFF = Quality(SampleIndex(0), 0.0, frozenset({QualityReason.LEAD_OFF}), False, False)
ASYSTOLE = AlarmKind.ASYSTOLE
BRADYCARDIA = AlarmKind.BRADYCARDIA


@pytest.fixture
def book() -> AlarmBook:
    return AlarmBook(AlarmLimits())


def begin(book, kind=RhythmKind.ASYSTOLE, onset_s=10.0, decided_s=14.3):
    return book.push_event(kind, onset_s, decided_s)


def end(book, kind=RhythmKind.ASYSTOLE, onset_s=10.0, end_s=30.0):
    return book.push_event(kind, onset_s, end_s + 1.0, end_s)


def seconds(book, quality, start_s, until_s):
    """Push a quality for each second; the alarms that changed."""
    return [a for s in range(start_s, until_s) for a in book.push_quality(quality, float(s))]


def states(alarms):
    return [(alarm.kind, alarm.state) for alarm in alarms]


def test_every_kind_has_a_priority():
    assert PRIORITY.keys() == {*AlarmKind}


def test_a_rhythm_is_an_alarm_or_a_mark():
    assert {*RhythmKind} == ALARM_OF.keys() | MARKS
    assert all(kind.value == alarm.value for kind, alarm in ALARM_OF.items())


def test_what_kills_latches_and_leaves_a_notice_when_it_comes_late():
    assert {ALARM_OF[kind] for kind in LETHAL} == LATCHING - {AlarmKind.DATABASE_DAMAGED}
    assert LATE_NOTICES.keys() == LETHAL


def test_asystole_is_raised_high(book):
    raised = Alarm(ASYSTOLE, AlarmPriority.HIGH, 10.0, 14.3, AlarmState.ACTIVE)
    assert begin(book) == [raised]
    assert book.open_alarms == (raised,)


def test_asystole_latches_until_acknowledged(book):
    begin(book)
    (latched,) = end(book)
    assert (latched.state, latched.ended_s) == (AlarmState.LATCHED, 30.0)
    (ended,) = book.acknowledge(ASYSTOLE, 45.0)
    assert (ended.state, ended.ended_s, ended.acknowledged_s) == (AlarmState.ENDED, 30.0, 45.0)
    assert book.open_alarms == ()


def test_acknowledged_asystole_ends_with_its_condition(book):
    begin(book)
    (acknowledged,) = book.acknowledge(ASYSTOLE, 20.0)
    assert (acknowledged.state, acknowledged.ended_s) == (AlarmState.ACKNOWLEDGED, None)
    assert book.acknowledge(ASYSTOLE, 21.0) == []
    (ended,) = end(book)
    assert (ended.state, ended.ended_s, ended.acknowledged_s) == (AlarmState.ENDED, 30.0, 20.0)


def test_an_abnormal_burden_does_not_latch(book):
    begin(book, RhythmKind.ABNORMAL_BURDEN)
    assert states(end(book, RhythmKind.ABNORMAL_BURDEN)) == [
        (AlarmKind.ABNORMAL_BURDEN, AlarmState.ENDED)
    ]
    assert book.open_alarms == ()


@pytest.mark.parametrize("quality", [POOR, LEAD_OFF])
def test_no_technical_condition_touches_a_lethal_alarm(book, quality):
    begin(book)
    end(book)
    seconds(book, quality, 30, 600)
    book.tick(700.0)
    assert (ASYSTOLE, AlarmState.LATCHED) in states(book.open_alarms)


def test_a_new_asystole_takes_the_place_of_a_latched_one(book):
    begin(book)
    end(book)
    ended, raised = begin(book, onset_s=50.0, decided_s=54.3)
    assert (ended.onset_s, ended.ended_s, ended.state) == (10.0, 30.0, AlarmState.ENDED)
    assert (raised.onset_s, raised.state) == (50.0, AlarmState.ACTIVE)


def test_an_event_told_again_changes_nothing(book):
    begin(book)
    book.acknowledge(ASYSTOLE, 15.0)
    assert begin(book, onset_s=10.1) == []
    assert states(book.open_alarms) == [(ASYSTOLE, AlarmState.ACKNOWLEDGED)]


def test_nothing_to_acknowledge_or_to_end(book):
    assert book.acknowledge(ASYSTOLE, 1.0) == []
    assert end(book) == []


def test_lead_off_is_raised_once_it_lasts_and_ends_when_it_stays_on(book):
    assert seconds(book, LEAD_OFF, 0, int(LEAD_OFF_S) - 1) == []
    (raised,) = seconds(book, LEAD_OFF, int(LEAD_OFF_S) - 1, 60)
    assert (raised.kind, raised.onset_s, raised.raised_s) == (AlarmKind.LEAD_OFF, 0.0, LEAD_OFF_S)
    assert seconds(book, GOOD, 60, 62) == []
    (ended,) = seconds(book, GOOD, 62, 70)
    assert (ended.state, ended.ended_s) == (AlarmState.ENDED, 63.0)


def test_a_lead_that_bounces_stays_one_alarm(book):
    seconds(book, LEAD_OFF, 0, 5)
    for second in range(5, 50, 2):
        assert seconds(book, GOOD, second, second + 1) == []
        assert seconds(book, LEAD_OFF, second + 1, second + 2) == []


def test_poor_signal_calls_after_30_s(book):
    assert seconds(book, POOR, 5, 34) == []
    (raised,) = seconds(book, POOR, 34, 90)
    assert (raised.kind, raised.onset_s, raised.raised_s) == (AlarmKind.POOR_SIGNAL, 5.0, 35.0)
    assert raised.priority is AlarmPriority.LOW


def test_lead_off_is_not_a_poor_signal_as_well(book):
    changed = seconds(book, POOR, 0, 40) + seconds(book, LEAD_OFF, 40, 90)
    assert states(changed) == [
        (AlarmKind.POOR_SIGNAL, AlarmState.ACTIVE),
        (AlarmKind.LEAD_OFF, AlarmState.ACTIVE),
        (AlarmKind.POOR_SIGNAL, AlarmState.ENDED),
    ]


def test_a_good_spell_restarts_the_count_of_poor_signal(book):
    assert seconds(book, POOR, 0, 29) + seconds(book, GOOD, 29, 32) == []
    assert seconds(book, POOR, 32, 61) == []
    assert len(seconds(book, POOR, 61, 62)) == 1


def test_a_silent_sensor_calls_after_10_s(book):
    book.hear(100.0)
    assert book.tick(109.9) == []
    (raised,) = book.tick(110.0)
    assert (raised.kind, raised.onset_s) == (AlarmKind.SENSOR_SILENT, 100.0)
    assert book.tick(111.0) == []
    assert states(book.hear(120.0)) == [(AlarmKind.SENSOR_SILENT, AlarmState.ENDED)]


def test_a_sensor_that_was_never_heard_is_silent_too(book):
    assert book.tick(1000.0) == []
    assert states(book.tick(1010.0)) == [(AlarmKind.SENSOR_SILENT, AlarmState.ACTIVE)]


def test_standby_ends_all_and_raises_nothing(book):
    begin(book)
    end(book)
    begin(book, RhythmKind.TACHYCARDIA)
    closed = book.stand_by(40.0)
    assert [(alarm.state, alarm.ended_s) for alarm in closed] == [
        (AlarmState.ENDED, 30.0),
        (AlarmState.ENDED, 40.0),
    ]
    assert begin(book) + seconds(book, LEAD_OFF, 40, 90) + book.tick(500.0) == []
    assert book.open_alarms == ()


def test_monitoring_after_standby_counts_from_there(book):
    book.hear(0.0)
    seconds(book, LEAD_OFF, 0, 1)
    book.stand_by(1.0)
    book.monitor(1000.0)
    assert book.tick(1009.0) == []
    assert seconds(book, LEAD_OFF, 1000, 1001) == []
    assert len(book.tick(1010.0)) == 1


def test_pause_silences_what_sounds(book):
    begin(book, RhythmKind.BRADYCARDIA)
    assert book.sounding(20.0) is AlarmPriority.MEDIUM
    assert book.pause_audio(20.0, 60.0) == 80.0
    assert book.sounding(79.9) is None
    assert book.sounding(80.0) is AlarmPriority.MEDIUM
    assert states(book.open_alarms) == [(BRADYCARDIA, AlarmState.ACTIVE)]


def test_pause_has_a_bound_and_can_be_ended(book):
    begin(book)
    assert book.pause_audio(20.0, 1e9) == 20.0 + MAX_PAUSE_S
    book.pause_audio(30.0, 0.0)
    assert book.sounding(30.0) is AlarmPriority.HIGH


def test_a_new_lethal_alarm_breaks_through_the_pause(book):
    begin(book, RhythmKind.BRADYCARDIA)
    book.pause_audio(20.0)
    begin(book, RhythmKind.TACHYCARDIA, 21.0, 30.0)
    assert book.sounding(31.0) is None
    begin(book, RhythmKind.ASYSTOLE, 31.0, 35.3)
    assert book.sounding(35.3) is AlarmPriority.HIGH


def test_the_most_urgent_sounds_until_it_is_acknowledged(book):
    begin(book, RhythmKind.BRADYCARDIA)
    begin(book)
    end(book)
    assert book.sounding(31.0) is AlarmPriority.HIGH
    book.acknowledge(ASYSTOLE, 32.0)
    assert book.sounding(32.0) is AlarmPriority.MEDIUM
    book.acknowledge(BRADYCARDIA, 33.0)
    assert book.sounding(33.0) is None


def test_open_alarms_are_taken_up_after_a_restart(book):
    begin(book)
    restarted = AlarmBook(AlarmLimits(), book.open_alarms)
    assert begin(restarted) == []
    assert states(end(restarted)) == [(ASYSTOLE, AlarmState.LATCHED)]


def test_after_a_restart_what_the_analysis_has_not_open_is_over(book):
    begin(book, RhythmKind.BRADYCARDIA)
    begin(book, RhythmKind.ABNORMAL_BURDEN)
    begin(book)
    seconds(book, LEAD_OFF, 0, 5)
    assert states(book.settle({RhythmKind.BRADYCARDIA}, 50.0)) == [
        (ASYSTOLE, AlarmState.LATCHED),
        (AlarmKind.ABNORMAL_BURDEN, AlarmState.ENDED),
    ]
    assert states(book.open_alarms) == [
        (ASYSTOLE, AlarmState.LATCHED),
        (AlarmKind.LEAD_OFF, AlarmState.ACTIVE),
        (BRADYCARDIA, AlarmState.ACTIVE),
    ]


def test_a_late_asystole_is_one_notice_that_waits_to_be_seen(book):
    (notice,) = book.notice_late(RhythmKind.ASYSTOLE, 100.0, 900.0)
    assert (notice.kind, notice.state) == (AlarmKind.LATE_ASYSTOLE, AlarmState.LATCHED)
    assert (notice.onset_s, notice.raised_s) == (100.0, 900.0)
    older, newer = book.notice_late(RhythmKind.ASYSTOLE, 200.0, 901.0)
    assert states([older, newer]) == [
        (AlarmKind.LATE_ASYSTOLE, AlarmState.ENDED),
        (AlarmKind.LATE_ASYSTOLE, AlarmState.LATCHED),
    ]
    assert states(book.acknowledge(AlarmKind.LATE_ASYSTOLE, 950.0)) == [
        (AlarmKind.LATE_ASYSTOLE, AlarmState.ENDED)
    ]


def test_a_late_tachycardia_calls_nobody(book):
    assert book.notice_late(RhythmKind.TACHYCARDIA, 100.0, 900.0) == []


def test_open_alarms_are_ranked_by_urgency_then_onset(book):
    begin(book, RhythmKind.ABNORMAL_BURDEN, 1.0)
    begin(book, RhythmKind.TACHYCARDIA, 9.0)
    begin(book, RhythmKind.BRADYCARDIA, 5.0)
    begin(book, RhythmKind.ASYSTOLE, 20.0)
    assert [alarm.onset_s for alarm in book.open_alarms] == [20.0, 5.0, 9.0, 1.0]


PAUSE = RhythmKind.PAUSE


def pause(book, onset_s):
    """Told when it is over, as the rule does."""
    return begin(book, PAUSE, onset_s, onset_s + 4.0) + end(book, PAUSE, onset_s, onset_s + 3.2)


def test_a_brief_finding_stays_to_be_seen_for_a_minute(book):
    (raised,) = pause(book, 100.0)
    assert (raised.kind, raised.priority) == (AlarmKind.PAUSE, AlarmPriority.LOW)
    book.hear(160.0)
    assert book.tick(103.2 + AGGREGATED_S - 0.1) == []
    (ended,) = book.tick(103.3 + AGGREGATED_S)
    assert (ended.state, ended.ended_s) == (AlarmState.ENDED, 103.2)


def test_findings_of_a_minute_are_one_alarm(book):
    pause(book, 100.0)
    assert pause(book, 150.0) == []
    assert seconds(book, GOOD, 160, 212) == []
    (ended,) = seconds(book, GOOD, 212, 220)
    assert (ended.onset_s, ended.ended_s) == (100.0, 153.2)


def test_an_acknowledged_pause_is_quiet_while_pauses_go_on(book):
    pause(book, 100.0)
    book.acknowledge(AlarmKind.PAUSE, 110.0)
    assert pause(book, 150.0) == []
    assert book.sounding(160.0) is None


def test_every_abnormal_beat_is_an_alarm_of_its_own(book):
    kind = RhythmKind.ABNORMAL_BEAT
    book.push_event(kind, 100.0, 101.0, confidence=0.7)
    book.push_event(kind, 100.0, 101.0, 100.0)
    ended, raised = book.push_event(kind, 105.0, 106.0, confidence=0.9)
    assert (ended.onset_s, ended.state, ended.confidence) == (100.0, AlarmState.ENDED, 0.7)
    assert (raised.onset_s, raised.state, raised.confidence) == (105.0, AlarmState.ACTIVE, 0.9)


def test_the_graver_finding_of_the_same_beats_is_called_alone(book):
    begin(book)
    assert begin(book, RhythmKind.EXTREME_BRADYCARDIA) == []
    assert begin(book, RhythmKind.BRADYCARDIA) == []
    assert states(end(book)) == [
        (ASYSTOLE, AlarmState.LATCHED),
        (AlarmKind.EXTREME_BRADYCARDIA, AlarmState.ACTIVE),
    ]
    assert states(end(book, RhythmKind.EXTREME_BRADYCARDIA)) == [
        (AlarmKind.EXTREME_BRADYCARDIA, AlarmState.LATCHED),
        (BRADYCARDIA, AlarmState.ACTIVE),
    ]


def test_what_was_covered_and_is_over_is_never_called(book):
    begin(book)
    begin(book, RhythmKind.BRADYCARDIA)
    assert end(book, RhythmKind.BRADYCARDIA) == []
    assert states(end(book)) == [(ASYSTOLE, AlarmState.LATCHED)]


def test_what_was_called_before_the_graver_one_stays(book):
    begin(book, RhythmKind.TACHYCARDIA)
    begin(book, RhythmKind.VENTRICULAR_TACHYCARDIA)
    assert len(book.open_alarms) == 2


def test_a_covered_finding_is_still_covered_after_a_restart(book):
    begin(book, RhythmKind.VENTRICULAR_TACHYCARDIA)
    restarted = AlarmBook(AlarmLimits(), book.open_alarms)
    restarted.settle({RhythmKind.VENTRICULAR_TACHYCARDIA}, 50.0)
    assert begin(restarted, RhythmKind.TACHYCARDIA) == []


@pytest.mark.parametrize("kind", [RhythmKind.COUPLET, RhythmKind.BIGEMINY, RhythmKind.MISSED_BEAT])
def test_a_mark_calls_nobody(book, kind):
    assert begin(book, kind) + end(book, kind) == []


def test_an_alarm_to_which_nobody_comes_escalates_once(book):
    begin(book, RhythmKind.TACHYCARDIA, 5.0, 10.0)
    book.hear(129.0)
    assert book.tick(129.9) == []
    (escalated,) = book.tick(130.0)
    assert (escalated.priority, escalated.escalated_s) == (AlarmPriority.HIGH, 130.0)
    assert book.tick(131.0) == []


def test_a_latched_alarm_escalates_too(book):
    begin(book, decided_s=14.0)
    end(book)
    book.hear(134.0)
    (escalated,) = book.tick(134.0)
    assert (escalated.state, escalated.escalated_s) == (AlarmState.LATCHED, 134.0)


def test_an_escalated_alarm_breaks_through_the_pause(book):
    begin(book, RhythmKind.TACHYCARDIA, 5.0, 10.0)
    book.pause_audio(100.0)
    book.hear(130.0)
    assert book.sounding(129.0) is None
    book.tick(130.0)
    assert book.sounding(130.0) is AlarmPriority.HIGH


def test_neither_a_low_nor_an_acknowledged_alarm_escalates(book):
    begin(book, RhythmKind.ABNORMAL_BURDEN)
    begin(book, RhythmKind.TACHYCARDIA)
    book.acknowledge(AlarmKind.TACHYCARDIA, 20.0)
    book.hear(1000.0)
    assert book.tick(1000.0) == []


def test_a_low_battery_is_low_until_it_is_charged(book):
    assert book.push_battery(16, 0.0) == []
    assert states(book.push_battery(15, 1.0)) == [(AlarmKind.BATTERY_LOW, AlarmState.ACTIVE)]
    assert book.push_battery(16, 2.0) + book.push_battery(19, 3.0) == []
    assert states(book.push_battery(20, 4.0)) == [(AlarmKind.BATTERY_LOW, AlarmState.ENDED)]


@pytest.mark.parametrize("kind", [AlarmKind.DISK_NEARLY_FULL, AlarmKind.CLOCK_NOT_SET])
def test_a_fault_of_the_gateway_is_an_alarm_while_it_lasts(book, kind):
    assert states(book.push_condition(kind, True, 10.0)) == [(kind, AlarmState.ACTIVE)]
    assert book.push_condition(kind, True, 11.0) == []
    assert states(book.push_condition(kind, False, 12.0)) == [(kind, AlarmState.ENDED)]
    book.stand_by(13.0)
    assert book.push_condition(kind, True, 14.0) == []


@pytest.mark.parametrize("kind", sorted(LETHAL))
def test_every_lethal_event_in_late_signal_leaves_one_notice(book, kind):
    (notice,) = book.notice_late(kind, 100.0, 900.0)
    assert notice.kind is LATE_NOTICES[kind]
    assert notice.state is AlarmState.LATCHED


def test_a_book_whose_axis_is_moved_says_the_same_that_much_later(book):
    moved = AlarmBook(AlarmLimits())
    for each in (book, moved):
        each.hear(9.0)
        begin(each)
        seconds(each, LEAD_OFF, 10, 13)
        each.pause_audio(14.0)
    moved.shift(1000.0)
    for each, by_s in ((book, 0.0), (moved, 1000.0)):
        each.tick(20.0 + by_s)
        end(each, onset_s=10.0 + by_s, end_s=30.0 + by_s)
        each.acknowledge(ASYSTOLE, 40.0 + by_s)
        each.tick(140.0 + by_s)
    assert book.sounding(133.0) == moved.sounding(1133.0)
    book.shift(1000.0)
    assert book.open_alarms == moved.open_alarms
    assert len(book.open_alarms) > 1
