"""Ventricular tachycardia and fibrillation of `vfdb`: found within 10 s of their onset?

Scored is each annotated stretch of VT, VF or flutter of 4 s and more, from the record's start on;
stretches that follow one another are one. It is found where a finding of VT or VF is open at some
moment of its first 10 s and is decided by then. Of fibrillation alone, VF findings alone count.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.accuracy.figures import Figure, Share
from tests.accuracy.gateway_run import Event, run_gateway
from tests.accuracy.reference import FIBRILLATION, Stretch, read_reference

LEAST_S, WITHIN_S = 4.0, 10.0
FIBRILLATION_KINDS = frozenset({"ventricular fibrillation"})
LETHAL_KINDS = FIBRILLATION_KINDS | {"ventricular tachycardia"}


def score_lethal(record: str, folder: Path) -> dict[str, Figure]:
    """The figures of one record."""
    reference, run = read_reference(folder / record), run_gateway(folder / record)
    return {
        "VT or VF Se": found(reference.rhythm("VT", *FIBRILLATION), run.events, LETHAL_KINDS),
        "VF Se": found(reference.rhythm(*FIBRILLATION), run.events, FIBRILLATION_KINDS),
    }


def found(episodes: Iterable[Stretch], events: list[Event], kinds: frozenset[str]) -> Share:
    scored = [episode for episode in episodes if episode.duration_s >= LEAST_S]
    of_kind = [event for event in events if event.kind.value in kinds]
    hits = sum(any(_is_in_time(event, episode) for event in of_kind) for episode in scored)
    return Share(hits, len(scored))


def _is_in_time(event: Event, episode: Stretch) -> bool:
    deadline_s = episode.start_s + WITHIN_S
    first = Stretch(episode.start_s, min(deadline_s, episode.end_s))
    return event.stretch.overlap_s(first) > 0.0 and event.decided_s <= deadline_s
