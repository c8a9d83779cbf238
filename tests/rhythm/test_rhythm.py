from __future__ import annotations

import pytest

from gateway.config import EVERY_BEAT, AlarmLimits
from gateway.messages import (
    Beat,
    BeatClass,
    BeatLabel,
    Gap,
    Quality,
    QualityReason,
    RhythmEvent,
    RhythmKind,
    RPeak,
    SampleIndex,
    VitalSigns,
)
from gateway.rhythm.analyser import RhythmAnalyser

RATE = 100


def sample(seconds: float) -> SampleIndex:
    return SampleIndex(round(seconds * RATE))


class Bedside:
    """Tells an analyser of seconds and beats as a pipeline does, and keeps its events."""

    def __init__(self, **limits: float) -> None:
        self.analyser = RhythmAnalyser(RATE, AlarmLimits(**limits))
        self.events: list[RhythmEvent] = []
        self.now_s = 0

    def beats(self, *at_s: float, until_s: int, abnormal: bool = False, **gates: bool) -> None:
        """Seconds up to `until_s` with R peaks at the given times."""
        label = BeatLabel(BeatClass.VENTRICULAR if abnormal else BeatClass.NORMAL, abnormal)
        for second in range(self.now_s, until_s):
            for beat_s in (at for at in at_s if second <= at < second + 1):
                self.analyser.push_peak(RPeak(sample(beat_s), 1000.0))
                self.analyser.push_beat(Beat(sample(beat_s), 1000.0, None, False, label))
            self.second(second, **gates)
        self.now_s = until_s

    def second(self, start_s: int, rate_usable: bool = True, lethal_usable: bool = True) -> None:
        reasons = frozenset() if rate_usable else frozenset({QualityReason.MUSCLE})
        quality = Quality(sample(start_s), 1.0, reasons, rate_usable, lethal_usable)
        self.analyser.push_second(VitalSigns(sample(start_s), None, quality))
        self.decide(start_s + 1)

    def regular(self, bpm: float, until_s: int, **options: bool) -> None:
        """Beats at `bpm` from the first moment on."""
        count = int((until_s - self.now_s) * bpm / 60.0 + 1e-9)
        at_s = [self.now_s + i * 60.0 / bpm for i in range(count)]
        self.beats(*at_s, until_s=until_s, **options)

    def gap(self, until_s: int) -> None:
        self.analyser.push_gap(Gap(sample(self.now_s), sample(until_s) - sample(self.now_s)))
        self.beats(until_s=until_s, rate_usable=False, lethal_usable=False)

    def decide(self, at_s: float) -> None:
        self.events += self.analyser.decide(sample(at_s))

    def told(self, kind: RhythmKind) -> list[tuple[float, float | None]]:
        """Onset and end in seconds of each event of a kind, as they were given out."""
        return [
            (event.onset / RATE, None if event.end is None else event.end / RATE)
            for event in self.events
            if event.kind is kind
        ]


@pytest.fixture
def bed() -> Bedside:
    return Bedside()


ASYSTOLE = RhythmKind.ASYSTOLE


def test_asystole_begins_at_the_last_beat_and_ends_at_the_next(bed):
    bed.beats(0.5, 1.5, 2.5, 13.2, until_s=15)
    assert bed.told(ASYSTOLE) == [(2.5, None), (2.5, 13.2)]


def test_asystole_is_due_when_4_s_and_the_detectors_delay_are_over(bed):
    bed.beats(0.5, 1.5, 2.5, until_s=6)
    assert bed.analyser.deadline == sample(6.8)
    bed.decide(6.79)
    assert bed.events == []
    bed.decide(6.8)
    assert [event.decided for event in bed.events] == [sample(6.8)]
    assert bed.analyser.deadline is None


@pytest.mark.parametrize(("pause_s", "expected"), [(3.99, 0), (4.0, 2), (4.2, 2)])
def test_a_pause_is_an_asystole_from_4_s_on(bed, pause_s, expected):
    bed.beats(0.5, 1.0, 1.0 + pause_s, until_s=7)
    assert len(bed.told(ASYSTOLE)) == expected


def test_asystole_of_a_signal_that_never_had_a_beat_begins_with_the_signal(bed):
    bed.beats(until_s=5)
    assert bed.told(ASYSTOLE) == [(0.0, None)]


def test_a_gap_restarts_the_count(bed):
    bed.beats(0.5, until_s=4)
    bed.gap(until_s=6)
    bed.beats(until_s=10)
    assert bed.told(ASYSTOLE) == []
    bed.beats(until_s=11)
    assert bed.told(ASYSTOLE) == [(6.0, None)]


def test_a_gap_restarts_the_count_before_its_second_is_judged(bed):
    bed.beats(0.5, until_s=4)
    bed.analyser.push_gap(Gap(sample(4.1), 20))
    bed.decide(4.8)
    assert bed.events == []
    assert bed.analyser.deadline == sample(8.6)


def test_no_asystole_in_signal_that_is_not_lethal_usable(bed):
    bed.beats(0.5, until_s=1)
    bed.beats(until_s=60, rate_usable=False, lethal_usable=False)
    assert bed.told(ASYSTOLE) == []


def test_a_flat_line_with_the_leads_on_is_asystole(bed):
    bed.beats(0.5, until_s=1)
    bed.beats(until_s=6, rate_usable=False)
    assert bed.told(ASYSTOLE) == [(0.5, None)]


@pytest.mark.parametrize("silence", ["gap", "unusable"])
def test_asystole_is_not_over_because_the_signal_is_lost(bed, silence):
    bed.beats(0.5, until_s=6)
    if silence == "gap":
        bed.gap(until_s=90)
    else:
        bed.beats(until_s=90, rate_usable=False, lethal_usable=False)
    assert bed.told(ASYSTOLE) == [(0.5, None)]


def test_two_beats_after_an_asystole_end_it_once(bed):
    bed.beats(0.5, 8.1, 8.6, 9.1, until_s=10)
    assert bed.told(ASYSTOLE) == [(0.5, None), (0.5, 8.1)]


def test_the_limit_of_asystole_is_the_beds():
    bed = Bedside(asystole_s=6.0)
    bed.beats(0.5, 6.0, until_s=12)
    assert bed.told(ASYSTOLE) == []
    bed.beats(until_s=13)
    assert bed.told(ASYSTOLE) == [(6.0, None)]


EXTREME = RhythmKind.EXTREME_BRADYCARDIA


def test_bradycardia_needs_9_slow_beats(bed):
    bed.beats(*(1.3 * beat for beat in range(8)), until_s=10)
    assert bed.events == []
    bed.beats(10.4, until_s=11)
    assert bed.told(RhythmKind.BRADYCARDIA) == [(0.0, None)]


def test_extreme_bradycardia_needs_5_slow_beats(bed):
    bed.beats(0.0, 1.6, 3.2, 4.8, until_s=6)
    assert bed.events == []
    bed.beats(6.4, until_s=7)
    assert bed.told(EXTREME) == [(0.0, None)]
    assert bed.events[0].evidence == tuple(map(sample, (0.0, 1.6, 3.2, 4.8, 6.4)))


def test_extreme_bradycardia_needs_no_fifth_beat_after_8_s(bed):
    bed.beats(0.0, 2.9, 5.8, until_s=8)
    assert bed.told(EXTREME) == []
    bed.decide(8.29)
    assert bed.told(EXTREME) == []
    bed.decide(8.3)
    assert bed.told(EXTREME) == [(0.0, None)]


def test_one_quick_interval_in_8_s_is_no_extreme_bradycardia(bed):
    bed.beats(0.0, 2.9, 4.2, 7.1, until_s=9)
    assert bed.told(EXTREME) == []


def test_40_bpm_is_no_extreme_bradycardia(bed):
    bed.regular(40, until_s=30)
    assert bed.told(EXTREME) == []


def test_what_is_an_asystole_is_no_slow_rate(bed):
    bed.beats(0.5, 1.0, 1.5, 2.0, 2.5, 9.0, 9.5, 10.0, 10.5, until_s=12)
    assert {event.kind for event in bed.events} == {RhythmKind.ASYSTOLE}


def test_an_extreme_rate_is_found_in_noise(bed):
    bed.regular(30, until_s=20, rate_usable=False)
    assert {event.kind for event in bed.events} == {EXTREME}
    assert bed.events[0].confidence < 0.5
    noisy = Bedside()
    noisy.regular(150, until_s=20, rate_usable=False)
    assert {event.kind for event in noisy.events} == {RhythmKind.EXTREME_TACHYCARDIA}


def test_no_extreme_rate_without_a_lethal_signal(bed):
    bed.regular(30, until_s=20, rate_usable=False, lethal_usable=False)
    bed.regular(150, until_s=40, rate_usable=False, lethal_usable=False)
    assert bed.events == []


def test_an_extreme_rate_is_asked_for_between_seconds_while_it_is_near(bed):
    bed.beats(0.0, 0.4, 0.8, until_s=1)
    assert bed.analyser.deadline == sample(1.5)
    bed.beats(1.3, 2.1, 2.9, until_s=3)
    assert bed.analyser.deadline == sample(2.9 + 4.3)  # asystole's alone


def test_140_bpm_is_no_extreme_tachycardia(bed):
    bed.regular(139, until_s=30)
    assert {event.kind for event in bed.events} == {RhythmKind.TACHYCARDIA}


def test_50_bpm_is_no_bradycardia(bed):
    bed.regular(50, until_s=30)
    assert bed.events == []


def test_bradycardia_ends_above_the_hysteresis(bed):
    bed.regular(46, until_s=20)
    bed.regular(52, until_s=60)
    assert len(bed.told(RhythmKind.BRADYCARDIA)) == 1
    bed.regular(60, until_s=80)
    begun, ended = bed.told(RhythmKind.BRADYCARDIA)
    assert begun == (0.0, None)
    assert 60 < ended[1] < 70


def test_tachycardia_needs_17_fast_beats(bed):
    bed.beats(*(0.4 * beat for beat in range(16)), until_s=7)
    assert bed.events == []
    fast = Bedside()
    fast.beats(*(0.4 * beat for beat in range(17)), until_s=7)
    assert fast.told(RhythmKind.TACHYCARDIA) == [(0.0, None)]


def test_119_bpm_is_no_tachycardia(bed):
    bed.regular(119, until_s=30)
    assert bed.events == []


def test_tachycardia_ends_below_the_hysteresis(bed):
    bed.regular(130, until_s=20)
    bed.regular(118, until_s=60)
    assert len(bed.told(RhythmKind.TACHYCARDIA)) == 1
    bed.regular(100, until_s=80)
    assert len(bed.told(RhythmKind.TACHYCARDIA)) == 2


@pytest.mark.parametrize("bpm", [45, 130])
def test_no_rate_finding_without_a_usable_rate(bed, bpm):
    bed.regular(bpm, until_s=60, rate_usable=False)
    assert bed.events == []


@pytest.mark.parametrize(("bpm", "kind"), [(30, "bradycardia"), (160, "tachycardia")])
def test_a_rate_finding_fades_when_the_rate_is_unknown_for_30_s(bed, bpm, kind):
    bed.regular(bpm, until_s=20)
    bed.gap(until_s=49)
    assert len(bed.told(RhythmKind(kind))) == 1
    bed.gap(until_s=50)
    assert bed.told(RhythmKind(kind))[1:] == [(0.0, 20.0)]


def test_a_gap_breaks_the_run_of_slow_beats(bed):
    bed.beats(0.0, 1.6, 3.2, until_s=4)
    bed.gap(until_s=5)
    bed.beats(5.5, 7.1, until_s=8)
    assert bed.events == []


BURDEN = RhythmKind.ABNORMAL_BURDEN


def test_one_bad_beat_is_no_event(bed):
    bed.regular(60, until_s=40)
    bed.regular(60, until_s=41, abnormal=True)
    bed.regular(60, until_s=120)
    assert bed.events == []


def test_burden_begins_at_the_limit_with_its_first_abnormal_beat(bed):
    bed.regular(60, until_s=40)
    bed.regular(60, until_s=49, abnormal=True)
    assert bed.told(BURDEN) == []
    bed.regular(60, until_s=50, abnormal=True)
    assert bed.told(BURDEN) == [(40.0, None)]


def test_burden_needs_20_labelled_beats(bed):
    bed.regular(60, until_s=19, abnormal=True)
    assert bed.told(BURDEN) == []
    bed.regular(60, until_s=20, abnormal=True)
    assert bed.told(BURDEN) == [(0.0, None)]


def test_burden_ends_when_the_last_minute_is_better(bed):
    bed.regular(60, until_s=20, abnormal=True)
    bed.regular(60, until_s=74)
    assert len(bed.told(BURDEN)) == 1
    bed.regular(60, until_s=90)
    assert bed.told(BURDEN)[1:] == [(0.0, 75.0)]


def test_unlabelled_beats_say_nothing(bed):
    for beat_s in range(30):
        bed.analyser.push_beat(Beat(sample(beat_s), 1000.0, None, False, None))
    bed.regular(60, until_s=10, abnormal=True)
    assert bed.told(BURDEN) == []


def test_the_policy_of_every_beat_takes_the_place_of_the_burden():
    bed = Bedside(abnormal_beat=EVERY_BEAT)
    bed.regular(60, until_s=20, abnormal=True)
    kinds = {event.kind for event in bed.events}
    assert RhythmKind.ABNORMAL_BEAT in kinds
    assert BURDEN not in kinds


def test_open_kinds(bed):
    bed.beats(0.5, until_s=6)
    assert bed.analyser.open_kinds == {ASYSTOLE}
    bed.beats(6.5, until_s=7)
    assert bed.analyser.open_kinds == set()


def test_finish_does_not_wait_for_the_detector(bed):
    bed.beats(0.5, until_s=4)
    assert bed.analyser.finish(sample(4.49)) == []
    assert [event.end for event in bed.analyser.finish(sample(4.5))] == [None, sample(4.5)]


def test_finish_ends_what_is_open(bed):
    bed.beats(0.5, until_s=6)
    assert bed.analyser.finish(sample(6)) == [
        RhythmEvent(ASYSTOLE, sample(0.5), sample(6), sample(6))
    ]
