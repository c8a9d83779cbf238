"""How far one runtime's answers lie from another's, and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.runtimes.labelling import Labelling

MAX_OTHER_DECISIONS = 0.001  # of the beats, across runtimes
ROUNDING_P = (
    1e-12  # numpy's exponentials differ in a double's last bit from one processor to another
)


@dataclass(frozen=True, slots=True)
class Difference:
    """Between two labellings of the same beats."""

    beats: int
    input_values: int  # int8 values that differ
    output_values: int
    decisions: int  # beats that got another class
    largest_p: float

    @property
    def is_none(self) -> bool:
        """The network's own bytes and the decisions; a probability but for its rounding."""
        return (
            not (self.input_values or self.output_values or self.decisions)
            and self.largest_p < ROUNDING_P
        )

    @property
    def is_within_limit(self) -> bool:
        return self.decisions <= MAX_OTHER_DECISIONS * self.beats


def difference(reference: Labelling, other: Labelling) -> Difference:
    return Difference(
        beats=len(reference.beat_class),
        input_values=int((reference.network_input != other.network_input).sum()),
        output_values=int((reference.network_output != other.network_output).sum()),
        decisions=int((reference.beat_class != other.beat_class).sum()),
        largest_p=float(np.abs(reference.p_abnormal - other.p_abnormal).max()),
    )
