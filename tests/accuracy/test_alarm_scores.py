"""Which alarms are true, on constructed annotations, and what the scores make of them."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.alarm_policy import ALARM_OF, PRIORITY
from gateway.messages import Alarm, AlarmKind, AlarmState, RhythmKind
from tests.accuracy.alarm_truth import is_true, true_episodes
from tests.accuracy.challenge2015 import KINDS, Answer, MonitorAlarm, score_answer
from tests.accuracy.false_alarms import URGENT, false_alarm_lines, judge
from tests.accuracy.figures import Hourly, Share, gross
from tests.accuracy.gateway_run import Event, GatewayRun
from tests.accuracy.lethal_rhythms import FIBRILLATION_KINDS, LETHAL_KINDS, found
from tests.accuracy.reference import Reference, Stretch


def reference(beats_s, classes="N", rhythms=(), fibrillation=()):
    """`classes` is one letter for all beats, or one for each."""
    letters = list(classes) if len(classes) > 1 else [classes] * len(beats_s)
    beats = np.asarray(beats_s, dtype=float)
    return Reference(beats, np.array(letters, str), list(rhythms), list(fibrillation), 3600.0)


def regular(bpm, count, from_s=0.0):
    return from_s + np.arange(count) * 60.0 / bpm


def has(kind, annotated):
    return bool(true_episodes(kind, annotated))


def alarm(kind, onset_s=100.0, ended_s=110.0):
    return Alarm(kind, PRIORITY[kind], onset_s, onset_s, AlarmState.ENDED, ended_s=ended_s)


@pytest.mark.parametrize(
    ("kind", "interval_s", "expected"),
    [
        (AlarmKind.ASYSTOLE, 3.71, True),
        (AlarmKind.ASYSTOLE, 3.69, False),
        (AlarmKind.PAUSE, 2.71, True),
        (AlarmKind.PAUSE, 2.69, False),
    ],
)
def test_a_pause_lasts_as_long_as_its_limit_less_the_match_windows(kind, interval_s, expected):
    assert has(kind, reference([0.0, 1.0, 1.0 + interval_s])) is expected


def test_flutter_without_annotated_beats_is_no_asystole():
    flutter = [Stretch(2.0, 9.0)]
    assert not has(AlarmKind.ASYSTOLE, reference([0.0, 1.0, 10.0], fibrillation=flutter))


@pytest.mark.parametrize(
    ("kind", "bpm", "beats", "expected"),
    [
        (AlarmKind.EXTREME_BRADYCARDIA, 44.0, 5, True),
        (AlarmKind.EXTREME_BRADYCARDIA, 46.0, 5, False),
        (AlarmKind.EXTREME_BRADYCARDIA, 44.0, 4, False),
        (AlarmKind.EXTREME_BRADYCARDIA, 20.0, 4, True),  # 9 s of slow intervals
        (AlarmKind.EXTREME_TACHYCARDIA, 136.0, 17, True),
        (AlarmKind.EXTREME_TACHYCARDIA, 134.0, 17, False),
        (AlarmKind.EXTREME_TACHYCARDIA, 136.0, 16, False),
    ],
)
def test_a_rate_is_beyond_its_limit_within_5_bpm(kind, bpm, beats, expected):
    assert has(kind, reference(regular(bpm, beats))) is expected


@pytest.mark.parametrize(
    ("classes", "bpm", "expected"),
    [
        ("NVVFVVN", 100.0, True),
        ("NVVNVVN", 100.0, False),
        ("NVVVVVN", 90.0, False),
    ],
)
def test_five_ventricular_beats_above_95_are_a_tachycardia(classes, bpm, expected):
    annotated = reference(regular(bpm, len(classes)), classes)
    assert has(AlarmKind.VENTRICULAR_TACHYCARDIA, annotated) is expected


def test_a_minute_may_lack_a_tenth_of_its_ventricular_beats():
    nine, eight = "NNVNNNVNNN" * 4 + "NV" + "N" * 9, "NNVNNNVNNN" * 4 + "N" * 11
    for classes, expected in ((nine, True), (eight, False)):
        annotated = reference(regular(60.0, len(classes)), classes)
        assert has(AlarmKind.FREQUENT_VENTRICULAR_BEATS, annotated) is expected


def test_a_burden_may_lack_five_points():
    for sixth_or_seventh, expected in (("NNNNNS", True), ("NNNNNNS", False)):
        classes = sixth_or_seventh * 30
        annotated = reference(regular(60.0, len(classes)), classes)
        assert has(AlarmKind.ABNORMAL_BURDEN, annotated) is expected


def test_rhythms_are_those_that_are_annotated():
    annotated = reference([], rhythms=[("AFL", Stretch(5.0, 9.0))])
    assert has(AlarmKind.ATRIAL_FIBRILLATION, annotated)
    assert not has(AlarmKind.VENTRICULAR_TACHYCARDIA, annotated)


def test_an_alarm_is_true_where_it_held_near_an_episode():
    episodes = [Stretch(50.0, 99.9)]
    assert is_true(alarm(AlarmKind.PAUSE), episodes)
    assert not is_true(alarm(AlarmKind.PAUSE, onset_s=100.1), episodes)


def test_each_physiological_alarm_has_a_rule():
    """But that of single beats, a policy that is off unless asked for, and that of pacemakers,
    which says what the gateway can't judge.
    """
    everything = reference(
        [*regular(150.0, 40), *regular(20.0, 8, 60.0)],
        "VVVVVVVVVV" + "SSSSSSSSSS" + "N" * 28,
        rhythms=[("AFIB", Stretch(0.0, 1.0))],
        fibrillation=[Stretch(200.0, 210.0)],
    )
    lacking = {kind for kind in ALARM_OF.values() if not has(kind, everything)}
    assert lacking <= {AlarmKind.ABNORMAL_BEAT, AlarmKind.PACED_RHYTHM}


def test_false_alarms_are_counted_by_kind_and_where_there_is_no_episode():
    quiet = reference(regular(60.0, 3600))
    paused = reference([0.0, 1.0, 6.0, 7.0])
    alarms = [alarm(AlarmKind.ASYSTOLE), alarm(AlarmKind.PAUSE), alarm(AlarmKind.LEAD_OFF)]
    run = GatewayRun(np.array([]), np.array([]), np.array([]), [], alarms)
    lines = false_alarm_lines([judge(quiet, run), judge(paused, run)])
    assert lines["asystole, high"] == {
        "alarms /h": Hourly(2, 2.0),
        "false /h": Hourly(2, 2.0),
        "false where none is /h": Hourly(1, 1.0),
    }
    assert lines["lead off, medium"]["false /h"] == Hourly(0, 2.0)
    assert lines[URGENT]["alarms /h"] == Hourly(2, 2.0)
    assert list(lines) == [URGENT, "asystole, high", "lead off, medium", "pause, low"]


def test_a_missed_true_alarm_weighs_five_times():
    asystole = "Asystole"
    answers = [
        Answer(MonitorAlarm(asystole, true), agrees)
        for true, agrees in ((True, True), (True, False), (False, True), (False, False))
    ]
    assert gross(map(score_answer, answers)) == {
        "true kept": Share(1, 2),
        "false suppressed": Share(1, 2),
        "score": Share(2, 8),
        "score, nothing suppressed": Share(2, 4),
    }


def test_the_names_of_findings_are_those_of_the_gateway():
    kinds = {kind.value for kind in RhythmKind}
    assert {*KINDS.values(), *LETHAL_KINDS} <= kinds


def event(start_s, end_s, decided_s, kind=RhythmKind.VENTRICULAR_TACHYCARDIA):
    return Event(kind, Stretch(start_s, end_s), decided_s)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (event(101.0, 130.0, 110.0), 1),
        (event(101.0, 130.0, 110.1), 0),  # decided too late
        (event(80.0, 101.0, 85.0), 1),  # open at the onset
        (event(80.0, 99.0, 85.0), 0),
    ],
)
def test_a_lethal_rhythm_is_found_within_10_s(finding, expected):
    episodes = [Stretch(100.0, 130.0), Stretch(200.0, 203.9)]  # the second is too short
    assert found(episodes, [finding], LETHAL_KINDS) == Share(expected, 1)
    assert found(episodes, [finding], FIBRILLATION_KINDS) == Share(0, 1)
