"""Where pairings begin, one at a time, and where links go that they may use."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from gateway.messages import DeviceId, SessionId, device_name
from gateway.radio.keyring import Keyring
from gateway.radio.sensor_label import SensorLabel
from gateway.radio.source import SensorLink
from gateway.ward.pairing import Pairing, PairingFailed, PairingFailure

PAIRING_S = 60.0  # to be heard, connected and done; the sensor's button gives it 120
ANSWER_S = 5.0  # two X25519 operations of an ESP32, and three pieces each at the least MTU


class PairingDesk:
    """Knows the pairing under way, or the last one, as `current`."""

    def __init__(
        self,
        keyring: Keyring,
        on_paired: Callable[[SensorLink, SessionId], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._keyring = keyring
        self._on_paired = on_paired
        self._spawn = spawn
        self.patience_s = PAIRING_S
        self.answer_s = ANSWER_S
        self.current: Pairing | None = None

    def begin(self, label: SensorLabel, again: bool) -> Pairing:
        """Raises PairingFailed, as where the sensor is paired and not to be so `again`."""
        name = device_name(label.device_id)
        if self.current is not None and not self.current.over:
            busy = f"{device_name(self.current.device_id)} is being paired; wait for it"
            raise PairingFailed(PairingFailure.BUSY, busy)
        self._keyring.refresh()
        if self._keyring.root_keys(label.device_id) and not again:
            raise PairingFailed(
                PairingFailure.ALREADY_PAIRED,
                f"{name} is paired; after a reset of the sensor, pair it --again",
            )
        self.current = Pairing(
            label, self._keyring, self._on_paired, self.patience_s, self.answer_s
        )
        self._spawn(self.current.run())
        return self.current

    def stop(self) -> None:
        """Give the pairing under way up."""
        if self.current is not None:
            self.current.stop()

    def offer(self, link: SensorLink, device_id: DeviceId, guest: bool) -> bool:
        """A sensor has connected that claims to be this one; True where it is awaited."""
        pairing = self.current
        if pairing is None or pairing.over or pairing.device_id != device_id:
            return False
        pairing.use(link, guest)
        return True

    def received(self, link: SensorLink, message: bytes) -> None:
        if self.current is not None:
            self.current.received(link, message)

    def disconnected(self, link: SensorLink) -> None:
        if self.current is not None:
            self.current.disconnected(link)
