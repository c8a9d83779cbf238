"""Four records with much ventricular ectopy in every test run, as they are and in noise.

All of DS1 and DS2 with `python -m tests.accuracy.quality_gates`.
"""

from __future__ import annotations

import numpy as np
import pytest

from gateway.messages import Beat, BeatClass, BeatLabel, Quality, SampleIndex, VitalSigns
from tests.accuracy import quality_gates
from tests.accuracy.figures import values
from tests.accuracy.ratchet import check
from tests.accuracy.reference import Reference


@pytest.mark.recordings
def test_the_gates_are_no_worse_than_they_were(ecg_data):
    reached = quality_gates.quick_figures(ecg_data)
    assert check(quality_gates.SECTION, reached, update=False) == []


def second(rate_bpm: float | None, usable: bool = True) -> VitalSigns:
    quality = Quality(SampleIndex(0), 1.0, frozenset(), usable, True)
    return VitalSigns(SampleIndex(0), rate_bpm, quality)


def test_a_rate_is_right_within_a_tenth_or_5_bpm():
    seconds = [second(b) for b in (44.9, 45.1, 134.0, 136.0, 100.0)] + [second(None, usable=False)]
    true_bpm = np.array([40.0, 40.0, 123.0, 123.0, np.nan, 60.0])
    counted = values(quality_gates.score_rates(seconds, true_bpm))
    assert counted == {"good": pytest.approx(500 / 6), "right": 50.0}


def test_beats_that_the_gate_left_without_a_label_are_counted():
    reference = Reference(
        np.array([299.0, 301.0, 302.0, 303.0]), np.array([*"NNVV"]), [], [], 310.0
    )
    label = BeatLabel(BeatClass.NORMAL, 0.0)
    beats = [
        Beat(SampleIndex(250 * s), 1.0, None, False, lab) for s, lab in ((301, label), (302, None))
    ]
    counted = values(quality_gates.score_labels(reference, beats, 310.0))
    assert counted == {"N labelled": 100.0, "V labelled": 0.0}  # the beat at 303 s was missed
