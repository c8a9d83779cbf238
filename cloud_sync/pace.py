"""How fast messages may leave: AWS IoT Core takes 100 a second and 512 KB/s of a connection."""

from __future__ import annotations

from collections.abc import Callable

MESSAGES_PER_S = 80
BURST = 20
BYTES_PER_TOKEN = 5_000  # a larger message costs more tokens: 80 a second are 400 KB/s


class Pace:
    """A token bucket. A message may overdraw it, and the next waits the longer."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._tokens = float(BURST)
        self._at_s = monotonic()

    def room(self) -> int:
        """How many small messages may go now."""
        now_s = self._monotonic()
        self._tokens = min(BURST, self._tokens + MESSAGES_PER_S * (now_s - self._at_s))
        self._at_s = now_s
        return max(0, int(self._tokens))

    def take(self, size: int) -> None:
        """A message of so many bytes goes."""
        self._tokens -= max(1.0, size / BYTES_PER_TOKEN)

    def wait_s(self) -> float:
        """Until there is room."""
        return max(0.0, (1.0 - self._tokens) / MESSAGES_PER_S)
