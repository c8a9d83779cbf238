from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.backoff import LONGEST_S, delays


def test_doubles_up_to_a_minute() -> None:
    longest = list(islice(delays(lambda: 1.0), 9))
    assert longest == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_jitter_takes_at_most_half() -> None:
    assert list(islice(delays(lambda: 0.0), 4)) == [0.5, 1, 2, 4]


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=30))
def test_never_at_once_and_never_beyond_a_minute(draws: list[float]) -> None:
    given_out = iter(draws)
    waits = list(islice(delays(lambda: next(given_out)), len(draws)))
    assert all(0.5 <= wait <= LONGEST_S for wait in waits)
