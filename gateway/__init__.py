"""A bedside ECG gateway: sealed Bluetooth frames in, heartbeats, rhythm and alarms out."""

__version__ = "0.1.0"
