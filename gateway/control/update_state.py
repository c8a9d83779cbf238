"""What the gateway and its command line say to each other of firmware updates."""

from __future__ import annotations

import enum

IMAGE_NAME = "sensor-firmware"  # in the state directory


class UpdateState(enum.StrEnum):
    """Of one sensor's update."""

    WAITS = "waits"
    SENDS = "sends"
    ALARM = "waits for an alarm to be acknowledged"
    CHECKS = "checks"
    RESTARTS = "restarts"
    DONE = "done"
    FAILED = "failed"
