"""Which adapter carries which sensor. Pure: the caller passes the time."""

from __future__ import annotations

import enum
from collections import Counter

from gateway.config import RadioConfig

SETTLING_S = 0.5  # between the first advertisement and the choice, so that each adapter hears it
HEARD_RECENTLY_S = 10.0  # an adapter that did not hear a sensor for so long is out of its range
SHUNNED_S = 60.0  # somebody who pairs the sensor meanwhile sees it come within a minute
MAX_HEARD = 256  # far past a ward; addresses that strangers make up must not fill the memory


class Verdict(enum.Enum):
    GRANTED = "granted"
    WAIT = "wait"  # not settled yet, or another adapter suits better
    TAKEN = "taken"  # the sensor has a link, or is about to
    REFUSED = "refused"  # every adapter that may carry it is at its limit; said once


class Placement:
    """Sensors on adapters: pinned by name, otherwise on the least loaded that hears them."""

    def __init__(self, config: RadioConfig) -> None:
        self._adapters = config.adapters
        self._limit = config.max_sensors_per_adapter
        self._assignments = config.assignments
        self._first_heard_s: dict[str, float] = {}
        self._heard_s: dict[tuple[str, str], float] = {}
        self._placed: dict[str, str] = {}
        self._refused: set[str] = set()
        self._shunned_until_s: dict[str, float] = {}

    def claim(self, address: str, name: str, adapter: str, now_s: float) -> Verdict:
        """May `adapter`, which has just heard the sensor, connect to it now?"""
        if address in self._placed:
            return Verdict.TAKEN
        if now_s < self._shunned_until_s.get(address, now_s):
            return Verdict.WAIT
        self._hear(address, adapter, now_s)
        if not self._may_carry(name, adapter) or not self._settled(address, name, now_s):
            return Verdict.WAIT
        load = Counter(self._placed.values())
        able = [a for a in self._candidates(address, name, now_s) if load[a] < self._limit]
        if not able:
            return self._refuse(address)
        if adapter not in able or load[adapter] > min(load[other] for other in able):
            return Verdict.WAIT
        self._placed[address] = adapter
        self._refused.discard(address)
        return Verdict.GRANTED

    def release(self, address: str) -> None:
        """The sensor's link has ended, or never came to be."""
        del self._placed[address]
        self._first_heard_s.pop(address, None)

    def shun(self, address: str, now_s: float) -> None:
        """Whoever takes the frames has closed this link, as of a sensor that is not paired."""
        if len(self._shunned_until_s) >= MAX_HEARD:
            self._shunned_until_s.clear()
        self._shunned_until_s[address] = now_s + SHUNNED_S

    def look_again(self) -> None:
        """Shun none of them any longer."""
        self._shunned_until_s.clear()

    def _hear(self, address: str, adapter: str, now_s: float) -> None:
        if len(self._first_heard_s) >= MAX_HEARD and address not in self._first_heard_s:
            self._first_heard_s.clear()
            self._heard_s.clear()
            self._refused.clear()
        self._first_heard_s.setdefault(address, now_s)
        self._heard_s[address, adapter] = now_s

    def _refuse(self, address: str) -> Verdict:
        if address in self._refused:
            return Verdict.WAIT
        self._refused.add(address)
        return Verdict.REFUSED

    def _settled(self, address: str, name: str, now_s: float) -> bool:
        if name in self._assignments or len(self._adapters) == 1:
            return True
        return now_s - self._first_heard_s[address] >= SETTLING_S

    def _candidates(self, address: str, name: str, now_s: float) -> list[str]:
        never_s = now_s - HEARD_RECENTLY_S
        return [
            adapter
            for adapter in self._adapters
            if self._may_carry(name, adapter)
            and self._heard_s.get((address, adapter), never_s) > never_s
        ]

    def _may_carry(self, name: str, adapter: str) -> bool:
        return self._assignments.get(name, adapter) == adapter
