"""What the command line may ask about sensors' keys: pair, rotate, retire."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from gateway.control.beds import sensor_of
from gateway.control.socket import Arguments, ControlRefused, Handler, Json
from gateway.messages import device_name
from gateway.radio.keyring import KeyringError
from gateway.radio.sensor_label import LabelError, parse_label
from gateway.ward.pairing import Pairing, PairingFailed
from gateway.ward.rotation import RotationFailed
from gateway.ward.ward import RetirementRefused, Ward

NEWS_S = 5.0  # how long one question about a pairing waits for something new to say


def sensor_commands(ward: Ward, look_again: Callable[[], None]) -> Mapping[str, Handler]:
    """The handlers of the control socket; `look_again` has the radio shun no sensor."""
    commands = _Commands(ward, look_again)
    return {
        "pair": commands.pair,
        "pair news": commands.news,
        "pair stop": commands.stop,
        "sensors rotate-key": commands.rotate_key,
        "sensors retire": commands.retire,
    }


class _Commands:
    """Each gives back JSON or raises ControlRefused."""

    def __init__(self, ward: Ward, look_again: Callable[[], None]) -> None:
        self._ward = ward
        self._look_again = look_again

    async def pair(self, asked: Arguments) -> Json:
        """Begin; gives the news."""
        try:
            label = parse_label(str(asked.get("label")))
            pairing = self._ward.pair(label, asked.get("again") is True)
        except LabelError as error:
            raise ControlRefused(str(error)) from error
        except PairingFailed as failed:
            return _failed(failed)
        self._look_again()
        return _news(pairing, 0)

    async def news(self, asked: Arguments) -> Json:
        """Steps after the first `seen`, once there are any, and how it ended."""
        pairing, seen = self._ward.pairings.current, asked.get("seen")
        if pairing is None or not isinstance(seen, int) or seen < 0:
            raise ControlRefused("no sensor is being paired")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEWS_S):
                await pairing.change_after(seen)
        return _news(pairing, seen)

    async def stop(self, _: Arguments) -> Json:
        self._ward.pairings.stop()
        return None

    async def rotate_key(self, asked: Arguments) -> Json:
        device_id = sensor_of(asked)
        try:
            generation = await self._ward.rotate_key(device_id)
        except RotationFailed as failed:
            raise ControlRefused(f"{device_name(device_id)}: {failed}") from failed
        return f"{device_name(device_id)} has a new root key, generation {generation}"

    async def retire(self, asked: Arguments) -> Json:
        device_id = sensor_of(asked)
        try:
            await self._ward.retire(device_id)
        except (RetirementRefused, KeyringError) as refused:
            raise ControlRefused(str(refused)) from refused
        except OSError as error:
            raise ControlRefused(f"the keyring can't be written: {error}") from error
        return f"{device_name(device_id)} is retired"


def _news(pairing: Pairing, seen: int) -> Json:
    if pairing.failed is not None:
        return {"steps": [*pairing.steps[seen:]], **_failed(pairing.failed)}
    return {"steps": [*pairing.steps[seen:]], "paired": pairing.generation is not None}


def _failed(failed: PairingFailed) -> dict[str, Json]:
    return {"failure": failed.failure.value, "message": str(failed)}
