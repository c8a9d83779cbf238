"""Named counts of what was refused, lost or done, and their text for /metrics."""

from __future__ import annotations

import re
import threading

MAX_SERIES = 1000  # every enum of reasons, times the sensors of a ward, is far below
OVERFLOW = "ecg_counters_overflow_total"  # counts that found no series left

_NAME = re.compile(r"[a-z][a-z0-9_]*_total")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Series = tuple[str, tuple[tuple[str, str], ...]]


class Counters:
    """Counts by name and labels, safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Series, int] = {}

    def add(self, name: str, count: int = 1, **labels: str) -> None:
        """Add `count` ≥ 0 to the series; `name` is lower case and ends in `_total`."""
        if count < 0 or not _NAME.fullmatch(name):
            raise ValueError(f"not a counter: {name} + {count}")
        series: Series = (name, tuple(sorted(labels.items())))
        with self._lock:
            if series not in self._counts and len(self._counts) >= MAX_SERIES:
                series = (OVERFLOW, ())
            self._counts[series] = self._counts.get(series, 0) + count

    def value(self, name: str, **labels: str) -> int:
        """The series' count; with fewer labels than it has, the sum of all that fit."""
        wanted = set(labels.items())
        with self._lock:
            return sum(
                count
                for (counted, of), count in self._counts.items()
                if counted == name and wanted <= set(of)
            )

    def render(self) -> str:
        """Prometheus' text format 0.0.4, sorted by name."""
        with self._lock:
            counts = sorted(self._counts.items())
        lines = []
        typed = None
        for (name, labels), count in counts:
            if name != typed:
                lines.append(f"# TYPE {name} counter")
                typed = name
            text = ",".join(f'{key}="{value.translate(_ESCAPES)}"' for key, value in labels)
            lines.append(f"{name}{{{text}}} {count}" if text else f"{name} {count}")
        return "".join(f"{line}\n" for line in lines)
