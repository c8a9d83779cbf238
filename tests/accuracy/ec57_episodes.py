"""Episode by episode: atrial fibrillation and ventricular fibrillation, by the rules of EC57.

As WFDB's `epicmp` counts, EC57's reference implementation: from 5:00 on, an annotated episode is
found where any finding of its kind overlaps it (episode Se), a finding is right where it overlaps
any annotated episode (episode +P); duration Se and +P are the shares of time. A finding of atrial
fibrillation within annotated atrial flutter counts nowhere. Ventricular flutter is fibrillation.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.accuracy.ec57 import LEARNING_S
from tests.accuracy.ec57_runs import FIBRILLATION
from tests.accuracy.figures import Figure, Share
from tests.accuracy.gateway_run import GatewayRun
from tests.accuracy.reference import Reference, Stretch, joined, within

ATRIAL_FIBRILLATION = "atrial fibrillation"


def score_episodes(reference: Reference, run: GatewayRun) -> dict[str, Figure]:
    """The figures of one record."""
    scored = Stretch(LEARNING_S, reference.end_s)

    def compared(
        name: str, annotated: list[Stretch], kind: str, excluded: list[Stretch]
    ) -> dict[str, Figure]:
        found = within(joined(run.episodes(kind)), scored)
        return compare(name, within(annotated, scored), found, excluded)

    return {
        **compared("AF", reference.rhythm("AFIB"), ATRIAL_FIBRILLATION, reference.rhythm("AFL")),
        **compared("VF", reference.fibrillation, FIBRILLATION, []),
    }


def compare(
    name: str,
    annotated: Sequence[Stretch],
    found: Sequence[Stretch],
    excluded: Sequence[Stretch] = (),
) -> dict[str, Figure]:
    """Neither list overlaps itself; what is found within `excluded` counts nowhere."""
    left = {episode: _outside(episode, excluded) for episode in found}
    counted = [episode for episode, parts in left.items() if parts]
    parts = [part for parts in left.values() for part in parts]
    shared_s = sum(one.overlap_s(part) for one in annotated for part in parts)
    return {
        f"{name} Se": Share(_met(annotated, counted), len(annotated)),
        f"{name} +P": Share(_met(counted, annotated), len(counted)),
        f"{name} duration Se": Share(shared_s, sum(one.duration_s for one in annotated)),
        f"{name} duration +P": Share(shared_s, sum(part.duration_s for part in parts)),
    }


def _outside(episode: Stretch, excluded: Sequence[Stretch]) -> list[Stretch]:
    """The parts of the episode that lie in no excluded stretch."""
    holes = within(excluded, episode)
    edges_s = [episode.start_s, *(t for hole in holes for t in (hole.start_s, hole.end_s))]
    edges_s.append(episode.end_s)
    parts = [Stretch(start, end) for start, end in zip(edges_s[::2], edges_s[1::2], strict=True)]
    return [part for part in parts if part.duration_s > 0.0]


def _met(stretches: Sequence[Stretch], others: Sequence[Stretch]) -> int:
    return sum(any(one.overlap_s(other) > 0.0 for other in others) for one in stretches)
