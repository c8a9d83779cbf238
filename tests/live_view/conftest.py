from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gateway.bed_screen import BedView
from gateway.live_view import LiveView
from gateway.messages import BedState, SampleBlock, SampleIndex

BED = "1"


@pytest.fixture
def live_view() -> LiveView:
    """One monitored bed named "1"."""
    view = LiveView()
    view.bed_changed(BedView(BED, "Bed 1", BedState.MONITORING, "ECG-0000000A", stay=1), at_s=0.0)
    return view


@pytest.fixture
def block() -> Callable[..., SampleBlock]:
    def make(start: int, length: int = 250, rate_hz: int = 250, uv: float = 0.0) -> SampleBlock:
        return SampleBlock(SampleIndex(start), rate_hz, np.full(length, uv))

    return make
