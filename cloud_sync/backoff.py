"""How long to wait before the next attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterator

FIRST_S = 1.0
LONGEST_S = 60.0  # a link that is back is used within a minute


def delays(
    random: Callable[[], float], first_s: float = FIRST_S, longest_s: float = LONGEST_S
) -> Iterator[float]:
    """Endless seconds to wait: doubling from first to longest, each drawn from its upper half.

    `random` gives numbers in [0, 1). The jitter keeps the boxes of a ward from coming back in
    step after a power cut; the fixed half keeps two attempts from following at once.
    """
    ceiling = first_s
    while True:
        yield ceiling * (0.5 + 0.5 * random())
        ceiling = min(2 * ceiling, longest_s)
