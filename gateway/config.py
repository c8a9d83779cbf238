"""One frozen dataclass for each part, read from one TOML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RadioConfig:
    """[radio]: the adapters, and the sensors that each may carry."""

    adapters: tuple[str, ...] = ("hci0",)  # BlueZ names, or virtual:HOST:PORT of a simulator
    max_sensors_per_adapter: int = 5  # a Pi's own adapter holds 5 to 7 links
    assignments: dict[str, str] = field(default_factory=dict)  # sensor name -> adapter


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """[session]: how long the live edge waits."""

    grace_s: float = 0.5  # a later frame opens this grace for a missing one


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """[store]: the database and its rhythm of commits."""

    path: Path = Path("gateway.sqlite3")  # relative to state_directory
    commit_interval_s: float = 5.0  # the sensor holds 60 s; 15 s at most
    checkpoint_interval_s: float = 60.0  # seconds of signal between two saved analysis states
    waveform_days: int = 30


@dataclass(frozen=True, slots=True)
class KeyringConfig:
    """[keyring]: the sealed file of root keys, and the key that opens it."""

    path: Path = Path("keyring")  # relative to state_directory
    key_file: Path | None = None  # None: systemd's credential "keyring-key"


@dataclass(frozen=True, slots=True)
class DashboardConfig:
    """[dashboard]: the page."""

    host: str = "127.0.0.1"
    port: int = 8080


@dataclass(frozen=True, slots=True)
class AlarmLimits:
    """[alarms]: a bed's limits. Defaults follow bedside monitors for adults."""

    asystole_s: float = 4.0
    heart_rate_low_bpm: float = 40.0
    heart_rate_high_bpm: float = 140.0
    abnormal_burden_percent: float = 20.0  # abnormal beats among the last minute's


@dataclass(frozen=True, slots=True)
class BedsConfig:
    """[beds]"""

    auto_admit: bool = False  # a new sensor gets a bed of its own at once (the demo)


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    state_directory: Path = Path("/var/lib/ecg-gateway")
    radio: RadioConfig = RadioConfig()
    session: SessionConfig = SessionConfig()
    store: StoreConfig = StoreConfig()
    keyring: KeyringConfig = KeyringConfig()
    dashboard: DashboardConfig = DashboardConfig()
    alarms: AlarmLimits = AlarmLimits()
    beds: BedsConfig = BedsConfig()
