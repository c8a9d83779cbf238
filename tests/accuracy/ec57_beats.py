"""Beat by beat: QRS, ventricular (VEB) and supraventricular (SVEB) ectopic beats, as EC57 has it.

The counts are those of WFDB's `bxb -L`, the reference implementation of EC57 (Moody, WFDB
Applications Guide), on the beats of `ecg-gateway analyse`:

- Scored is from 5:00 on. What lies within annotated ventricular flutter is left out on both sides.
- A beat without a label, as its signal was poor, is one of unknown class Q: detected, but a miss
  where it is ectopic. A missed beat is a miss of its class too. Beats that search-back added count.
- A VEB label on a fusion beat (F) or an unknown one (Q) is no false positive; neither is an SVEB
  label on Q. On no beat at all it is one.
- FPR is the false positives' share of all labels that are not on a VEB (SVEB), but for the labels
  that the rule above spares.

Escape beats (e, j) are class N, as in de Chazal 2004 and in training; bxb counts them as SVEB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.messages import BeatClass
from tests.accuracy.ec57 import LEARNING_S, match_beats, outside
from tests.accuracy.figures import Figure, Share
from tests.accuracy.gateway_run import GatewayRun
from tests.accuracy.reference import Reference

NO_BEAT = "O"
ROWS = (*(beat_class.value for beat_class in BeatClass), NO_BEAT)
NOT_FALSE = {"V": "FQ", "S": "Q"}  # annotations on which a label of the key is no false positive
ECTOPIC = {"V": "VEB", "S": "SVEB"}


def score_beats(reference: Reference, run: GatewayRun) -> dict[str, Figure]:
    """The figures of one record."""
    table = pair_table(reference, run)
    return {**_qrs(table), **_ectopic(table, "V"), **_ectopic(table, "S")}


def pair_table(reference: Reference, run: GatewayRun) -> NDArray[np.int64]:
    """Beats from 5:00 on: rows the annotation N S V F Q or none, columns the label or none."""
    flutter = [(stretch.start_s, stretch.end_s) for stretch in reference.fibrillation]
    matches = match_beats(outside(reference.beats_s, flutter), outside(run.beats_s, flutter))
    annotated = dict(zip(reference.beats_s.tolist(), reference.classes.tolist(), strict=True))
    labelled = dict(zip(run.beats_s.tolist(), run.labels.tolist(), strict=True))
    pairs = [
        *((beat, annotated[beat], labelled[found]) for beat, found in matches.pairs),
        *((beat, annotated[beat], NO_BEAT) for beat in matches.missed),
        *((found, NO_BEAT, labelled[found]) for found in matches.extra),
    ]
    table = np.zeros((len(ROWS), len(ROWS)), dtype=np.int64)
    for time_s, annotation, label in pairs:
        if time_s >= LEARNING_S:
            table[ROWS.index(annotation), ROWS.index(label)] += 1
    return table


def _qrs(table: NDArray[np.int64]) -> dict[str, Figure]:
    found = table[:-1, :-1].sum()
    return {
        "QRS Se": Share(found, table[:-1].sum()),
        "QRS +P": Share(found, table[:, :-1].sum()),
    }


def _ectopic(table: NDArray[np.int64], kind: str) -> dict[str, Figure]:
    """`kind` is V or S."""
    own = ROWS.index(kind)
    others = [row for row in range(len(ROWS)) if row != own]
    right = table[own, own]
    false = sum(table[row, own] for row in others if ROWS[row] not in NOT_FALSE[kind])
    not_called = np.delete(table[others, :-1], own, axis=1).sum()
    name = ECTOPIC[kind]
    return {
        f"{name} Se": Share(right, table[own].sum()),
        f"{name} +P": Share(right, right + false),
        f"{name} FPR": Share(false, not_called + false),
    }
