"""The ways in which Bluetooth fails, and how long to wait after each. Pure: no clock, no radio."""

from __future__ import annotations

import enum
from typing import NamedTuple

JITTER = 0.5  # up to half of a delay is added at random: two gateways must not stay in step


class RadioFailure(enum.StrEnum):
    BUSY = "adapter busy"  # another Connect or a discovery is in progress
    RACE = "dropped while connecting"  # 3–40 % of attempts on a real BlueZ end so
    VANISHED = "sensor vanished"  # it was advertising, and is gone
    TIMEOUT = "timed out"
    ADAPTER_DOWN = "adapter down"  # unplugged, off, or bluetoothd is gone
    NOT_A_SENSOR = "characteristic missing"  # not ours, or its GATT table was not read to the end
    OTHER = "other radio error"


class RadioError(Exception):
    """A call to the radio failed; `failure` says of which kind, `detail` what the radio said."""

    def __init__(self, failure: RadioFailure, detail: str) -> None:
        super().__init__(f"{failure.value}: {detail}")
        self.failure = failure
        self.detail = detail


class Backoff(NamedTuple):
    first_s: float
    longest_s: float


BACKOFFS = {
    RadioFailure.BUSY: Backoff(0.25, 4.0),
    RadioFailure.RACE: Backoff(0.5, 8.0),
    RadioFailure.VANISHED: Backoff(1.0, 8.0),
    RadioFailure.TIMEOUT: Backoff(2.0, 30.0),
    RadioFailure.ADAPTER_DOWN: Backoff(2.0, 30.0),
    RadioFailure.NOT_A_SENSOR: Backoff(2.0, 600.0),
    RadioFailure.OTHER: Backoff(2.0, 30.0),
}


def retry_delay_s(failure: RadioFailure, attempt: int, jitter: float) -> float:
    """The wait after failed attempt `attempt` (1, 2, …); `jitter` is drawn from [0, 1).

    The delay doubles from the failure's first to its longest, and grows by up to half.
    """
    backoff = BACKOFFS[failure]
    doublings = min(attempt - 1, 16)  # 2¹⁶ times any first delay is past any longest
    delay_s = min(backoff.longest_s, backoff.first_s * (1 << doublings))
    return delay_s * (1 + JITTER * jitter)
