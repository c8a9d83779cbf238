"""EC57's counts on constructed annotations; the numbers are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.accuracy.ec57_beats import score_beats
from tests.accuracy.ec57_episodes import compare, score_episodes
from tests.accuracy.ec57_rates import score_rates
from tests.accuracy.ec57_runs import score_runs
from tests.accuracy.figures import (
    Hourly,
    RootMeanSquare,
    Share,
    average,
    gross,
    markdown,
    values,
)
from tests.accuracy.gateway_run import Event, GatewayRun
from tests.accuracy.reference import Reference, Stretch, joined, rows, within

START_S = 310.0  # well behind the learning period


def beats_at(letters, start_s=START_S, spacing_s=1.0):
    """Times and letters; a blank is no beat."""
    pairs = [(start_s + i * spacing_s, x) for i, x in enumerate(letters) if x != " "]
    return np.array([t for t, _ in pairs]), np.array([x for _, x in pairs], dtype=str)


def reference(letters="", rhythms=(), fibrillation=(), end_s=400.0, **timing):
    return Reference(*beats_at(letters, **timing), list(rhythms), list(fibrillation), end_s)


def run(letters="", rates=(), events=(), **timing):
    return GatewayRun(*beats_at(letters, **timing), np.array(rates), list(events), [])


def event(kind, start_s, end_s):
    class Kind:
        value = kind

    return Event(Kind(), Stretch(start_s, end_s), start_s)


def test_beats_are_counted_by_class_as_bxb_does():
    scored = score_beats(reference("NNVVVSSFQN "), run("NVVNQSNVVS V"))
    assert scored["QRS Se"] == Share(10, 10)
    assert scored["QRS +P"] == Share(10, 11)
    assert scored["VEB Se"] == Share(1, 3)  # one called N, one without a label
    assert scored["VEB +P"] == Share(1, 3)  # false on N and on no beat, not on F and Q
    assert scored["VEB FPR"] == Share(2, 6)  # 8 labels not on V, less those on F and Q
    assert scored["SVEB Se"] == Share(1, 2)
    assert scored["SVEB +P"] == Share(1, 2)


def test_a_missed_beat_is_a_miss_of_its_class():
    scored = score_beats(reference("NVN"), run("N N"))
    assert (scored["QRS Se"], scored["VEB Se"]) == (Share(2, 3), Share(0, 1))


def test_the_first_five_minutes_are_apart():
    scored = score_beats(reference("VVV", start_s=298.5), run("NVV", start_s=298.5))
    assert scored["VEB Se"] == Share(1, 1)


def test_beats_within_flutter_are_left_out():
    flutter = [Stretch(START_S + 1.5, START_S + 4.5)]
    scored = score_beats(reference("NN   N", fibrillation=flutter), run("NNVVVN"))
    assert (scored["QRS +P"], scored["VEB +P"]) == (Share(3, 3), Share(0, 0))


@pytest.mark.parametrize(
    ("annotated", "found", "figure", "expected"),
    [
        ("NVVN", "NVVN", "couplet Se", Share(1, 1)),
        ("NVVN", "NVNN", "couplet Se", Share(0, 1)),
        ("NVVN", "NVFN", "couplet Se", Share(1, 1)),  # a fusion beat goes on with the run
        ("NVVVN", "NVVNN", "short run Se", Share(0, 1)),
        ("NVVVN", "NVVNN", "couplet +P", Share(1, 1)),  # part of a longer one
        ("NVVNN", "NVVVN", "short run +P", Share(0, 1)),
        ("NVVVVVN", "NVVQVVN", "short run Se", Share(0, 1)),  # a beat without a label breaks it
        ("NVVVVVN", "NVVVVNN", "short run Se", Share(1, 1)),  # four are of the same class of length
        ("NVVVVVVN", "NVVVVVNN", "long run Se", Share(0, 1)),
        ("NVVVVVVVVN", "NVVVVVVVNN", "long run Se", Share(1, 1)),
        ("NSSN", "NVVN", "couplet +P", Share(0, 1)),
    ],
)
def test_runs_are_counted_as_rxr_does(annotated, found, figure, expected):
    assert score_runs(reference(annotated), run(found))[figure] == expected


def test_fibrillation_is_a_long_run():
    flutter = Stretch(START_S + 1.0, START_S + 6.0)
    annotated = reference("N      N", fibrillation=[flutter])
    assert score_runs(annotated, run("NVVVVVVN"))["long run Se"] == Share(1, 1)
    called = run("N      N", events=[event("ventricular fibrillation", 312.0, 315.0)])
    assert score_runs(annotated, called)["long run Se"] == Share(1, 1)
    assert score_runs(reference("NNNNNNNN"), called)["long run +P"] == Share(0, 1)


def test_episodes_and_their_time_are_counted_as_epicmp_does():
    rhythms = [("AFIB", Stretch(290.0, 320.0)), ("N", Stretch(320.0, 350.0))]
    rhythms += [("AFIB", Stretch(350.0, 360.0)), ("AFL", Stretch(360.0, 400.0))]
    found = [("atrial fibrillation", 310.0, 330.0), ("atrial fibrillation", 370.0, 380.0)]
    found.append(("atrial fibrillation", 335.0, 345.0))
    scored = score_episodes(reference(rhythms=rhythms), run(events=[event(*e) for e in found]))
    assert scored["AF Se"] == Share(1, 2)
    assert scored["AF +P"] == Share(1, 2)  # the one within flutter counts nowhere
    assert scored["AF duration Se"] == Share(10.0, 30.0)  # from 5:00 on
    assert scored["AF duration +P"] == Share(10.0, 30.0)


def test_only_the_part_outside_of_an_excluded_stretch_counts():
    scored = compare("AF", [Stretch(0, 10)], [Stretch(5, 25)], [Stretch(10, 20)])
    assert scored["AF +P"] == Share(1, 1)
    assert scored["AF duration +P"] == Share(5, 10)


def test_the_rate_is_compared_where_both_know_it():
    annotated = reference("N" * 800, start_s=0.0, spacing_s=0.5)
    rates = np.full(400, 123.0)
    rates[350:] = np.nan
    scored = score_rates(annotated, run(rates=rates))
    assert scored["rate error bpm"].value == pytest.approx(3.0)
    assert scored["rate shown"].value == pytest.approx(50.0)


def test_gross_adds_up_and_average_is_a_mean_of_records():
    records = [
        {"Se": Share(1, 2), "/h": Hourly(1, 0.5), "bpm": RootMeanSquare(9.0, 1)},
        {"Se": Share(8, 8), "/h": Hourly(0, 1.5), "bpm": RootMeanSquare(0.0, 0)},
    ]
    assert values(gross(records)) == {"Se": 90.0, "/h": 0.5, "bpm": 3.0}
    assert average(records) == {"Se": 75.0, "/h": 1.0, "bpm": 3.0}


def test_a_table_shows_counts_and_what_was_not_measured():
    table = markdown("T", {"100": {"Se": Share(1, 4), "+P": Share(0, 0), "/h": Hourly(1, 2.0)}})
    assert "| 100 | 25.00 (1/4) | — | 0.50 |" in table.splitlines()


def test_stretches():
    assert joined([Stretch(5, 6), Stretch(0, 2), Stretch(1, 3)]) == [Stretch(0, 3), Stretch(5, 6)]
    assert within([Stretch(0, 2), Stretch(3, 9)], Stretch(1, 4)) == [Stretch(1, 2), Stretch(3, 4)]
    assert rows(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
