"""The outbox's lanes."""

from __future__ import annotations

import enum


class Lane(enum.StrEnum):
    """In the order in which they are served."""

    ALARM = "alarm"
    SUMMARY = "summary"
    WAVEFORM = "waveform"
