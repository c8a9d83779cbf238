"""Three records in every test run; all of them with `python -m tests.accuracy.fibrillation`."""

from __future__ import annotations

import pytest

from tests.accuracy.fibrillation import SECTION, score_fast
from tests.accuracy.figures import values
from tests.accuracy.ratchet import check


@pytest.mark.recordings
def test_fibrillation_is_found_no_worse_than_it_was(ecg_data):
    assert check(SECTION, {"fast": values(score_fast(ecg_data))}, update=False) == []
