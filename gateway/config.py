"""One frozen dataclass for each part, and the bounds of each value; `config_file` reads them.

The bounds speak to whoever writes the file. Code and tests may build a part with any value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

BURDEN, EVERY_BEAT = "burden", "every_beat"  # policies for abnormal beats
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")


class ListenAddressRefused(ValueError):
    """The page would have been open to the network; `host` is what was asked for."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"[dashboard] host = {host!r} is refused: without sign-in and TLS the page listens on "
            f"this machine alone. Use one of {', '.join(LOOPBACK_HOSTS)}; from another computer "
            "reach it through `ssh -L 8080:127.0.0.1:8080 GATEWAY`."
        )
        self.host = host


def bounded(default: Any, *, low: float, high: float) -> Any:
    """A number that the file may set from `low` to `high`, both included."""
    return field(default=default, metadata={"low": low, "high": high})


def matching(default: Any, *, pattern: str, meaning: str) -> Any:
    """A text, or several, each of which must match `pattern`; `meaning` says so to people."""
    return field(default=default, metadata={"pattern": pattern, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class RadioConfig:
    """[radio]: the adapters, and the sensors that each may carry."""

    adapters: tuple[str, ...] = matching(
        ("hci0",), pattern=r"hci\d+|virtual:[^:]+:\d+(#\d+)?", meaning="hci0 or virtual:HOST:PORT"
    )
    max_sensors_per_adapter: int = bounded(5, low=1, high=7)  # a Pi's own adapter holds 5 to 7
    assignments: dict[str, str] = field(default_factory=dict)  # sensor name -> adapter

    def __post_init__(self) -> None:
        if not self.adapters:
            raise ValueError("adapters must name one at least")
        for sensor, adapter in self.assignments.items():
            if adapter not in self.adapters:
                raise ValueError(f"{sensor} is assigned to {adapter}, which is not in adapters")
        for adapter in self.adapters:
            load = sum(1 for name in self.assignments.values() if name == adapter)
            if load > self.max_sensors_per_adapter:
                raise ValueError(
                    f"{load} sensors are assigned to {adapter}, which carries"
                    f" {self.max_sensors_per_adapter} at most; add an adapter"
                )


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """[session]: how long the live edge waits."""

    grace_s: float = bounded(0.5, low=0.1, high=5.0)  # a later frame opens it for a missing one


@dataclass(frozen=True, slots=True)
class SignalConfig:
    """[signal]: what is done to every sensor's samples before they are analysed."""

    mains_notch: str = matching(
        "off", pattern="off|50|60|auto", meaning='one of "off", "50", "60", "auto"'
    )


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """[store]: the database and its rhythm of commits."""

    path: Path = Path("gateway.sqlite3")  # relative to state_directory
    commit_interval_s: float = bounded(5.0, low=0.1, high=15.0)  # the sensor holds 60 s
    checkpoint_interval_s: float = bounded(60.0, low=5.0, high=600.0)  # of signal, between saves
    waveform_days: int = bounded(30, low=1, high=3650)
    delivered: Path = Path("/var/lib/ecg-cloud-sync/delivered.sqlite3")  # what the cloud has


@dataclass(frozen=True, slots=True)
class KeyringConfig:
    """[keyring]: the sealed file of root keys, and the key that opens it."""

    path: Path = Path("keyring")  # relative to state_directory
    key_file: Path | None = None  # None: systemd's credential "keyring-key"


@dataclass(frozen=True, slots=True)
class DashboardConfig:
    """[dashboard]: the page."""

    host: str = matching(
        "127.0.0.1",
        pattern="|".join(map(re.escape, LOOPBACK_HOSTS)),
        meaning=f"one of {', '.join(LOOPBACK_HOSTS)} until there are sign-in and TLS",
    )
    port: int = bounded(8080, low=1, high=65535)


@dataclass(frozen=True, slots=True)
class AlarmLimits:
    """[alarms]: a bed's limits. Defaults follow bedside monitors for adults."""

    asystole_s: float = bounded(4.0, low=2.0, high=10.0)
    pause_s: float = bounded(3.0, low=1.5, high=10.0)  # ACC/AHA/HRS 2018: 3 s matter
    heart_rate_low_bpm: float = bounded(50.0, low=15.0, high=120.0)
    heart_rate_high_bpm: float = bounded(120.0, low=60.0, high=300.0)
    heart_rate_extreme_low_bpm: float = bounded(40.0, low=15.0, high=120.0)
    heart_rate_extreme_high_bpm: float = bounded(140.0, low=60.0, high=300.0)
    ventricular_beats_per_minute: float = bounded(10.0, low=1.0, high=100.0)
    abnormal_beat: str = matching(
        BURDEN, pattern=f"{BURDEN}|{EVERY_BEAT}", meaning=f'"{BURDEN}" or "{EVERY_BEAT}"'
    )
    abnormal_burden_percent: float = bounded(20.0, low=1.0, high=100.0)  # of the last minute
    poor_signal_s: float = bounded(30.0, low=5.0, high=300.0)
    sensor_silent_s: float = bounded(10.0, low=5.0, high=60.0)
    escalation_s: float = bounded(120.0, low=30.0, high=900.0)  # nobody has acknowledged
    battery_low_percent: int = bounded(15, low=1, high=50)

    def __post_init__(self) -> None:
        rates = (
            ("heart_rate_extreme_low_bpm", self.heart_rate_extreme_low_bpm),
            ("heart_rate_low_bpm", self.heart_rate_low_bpm),
            ("heart_rate_high_bpm", self.heart_rate_high_bpm),
            ("heart_rate_extreme_high_bpm", self.heart_rate_extreme_high_bpm),
        )
        for (lower, low_bpm), (upper, high_bpm) in pairwise(rates):
            if low_bpm > high_bpm:
                raise ValueError(f"{lower} ({low_bpm:g}) must not be above {upper} ({high_bpm:g})")
        if self.heart_rate_low_bpm == self.heart_rate_high_bpm:
            raise ValueError("heart_rate_low_bpm must be below heart_rate_high_bpm")


@dataclass(frozen=True, slots=True)
class BedsConfig:
    """[beds]"""

    auto_admit: bool = False  # a new sensor gets a bed of its own at once (the demo)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """[model]: whose classifiers may be installed."""

    public_keys: tuple[str, ...] = matching(
        (), pattern="[0-9a-f]{64}", meaning="Ed25519 public keys of 64 lower-case hex digits"
    )


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    state_directory: Path = Path("/var/lib/ecg-gateway")
    radio: RadioConfig = RadioConfig()
    session: SessionConfig = SessionConfig()
    signal: SignalConfig = SignalConfig()
    store: StoreConfig = StoreConfig()
    keyring: KeyringConfig = KeyringConfig()
    dashboard: DashboardConfig = DashboardConfig()
    alarms: AlarmLimits = AlarmLimits()
    beds: BedsConfig = BedsConfig()
    model: ModelConfig = ModelConfig()
