"""What one check of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """In the order of their gravity."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was seen; `to_do` mends it, and is empty where all is well."""

    check: str
    verdict: Verdict
    what: str
    to_do: str = ""
