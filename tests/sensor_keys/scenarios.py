"""What must hold of pairing and rotation, whichever core the sensor runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from gateway.messages import DeviceId
from gateway.radio.gatt import LEAST_MTU
from gateway.radio.keyring import Keyring
from gateway.radio.message_codec import SensorStatus, StatusFlags
from gateway.radio.pairing_handshake import HELLO_BYTES, SEALED_KEY_BYTES
from gateway.ward.pairing import PairingFailure
from gateway.ward.rotation import RotationFailed
from tests.sensor_keys.house import (
    LABEL,
    PATIENCE_S,
    ROOT_KEY,
    SENSOR,
    Cut,
    House,
    new_sensor,
    offer,
    open_house,
    rotate_order,
)

WRONG_LABEL = replace(LABEL, secret=bytes(32))
Scenario = Callable[[Path, str], Awaitable[None]]


def keep_root_key(folder: Path) -> None:
    """The sensor was paired some day."""
    Keyring(folder / "keyring", bytes(32)).add(SENSOR, ROOT_KEY)


def flags(house: House) -> StatusFlags:
    return SensorStatus.decode(house.board.status()).flags


async def a_new_sensor_is_paired_and_watched_at_once(folder: Path, core: str) -> None:
    ward, board = new_sensor(core)
    async with ward.open(), open_house(folder, ward, board) as house:
        assert StatusFlags.PAIRING_WINDOW in flags(house)
        pairing = await house.pair()
        assert pairing.failed is None, (pairing.failed.failure, pairing.steps)
        assert pairing.steps == [
            "looking for ECG-00000001",
            "found it; it is asked for its root key",
            "the root key is stored",
            "paired, key generation 1",
        ]
        assert house.keyring.root_keys(SENSOR) == (ROOT_KEY,)
        await house.until_heard()
        assert flags(house) & (StatusFlags.PAIRING_WINDOW | StatusFlags.PROVISIONED) == (
            StatusFlags.PROVISIONED
        )
        assert await house.until_all_is_stored() > 0


async def a_wrong_label_brings_nothing_and_the_right_one_goes(folder: Path, core: str) -> None:
    ward, board = new_sensor(core)
    async with ward.open(), open_house(folder, ward, board) as house:
        house.desk.answer_s = 1.0
        pairing = await house.pair(WRONG_LABEL)
        assert pairing.failed is not None
        assert pairing.failed.failure is PairingFailure.WRONG_SECRET
        assert house.keyring.root_keys(SENSOR) == ()
        assert StatusFlags.PROVISIONED not in flags(house)
        house.desk.answer_s = PATIENCE_S
        assert (await house.pair()).generation == 1


async def without_the_button_there_is_no_pairing(folder: Path, core: str) -> None:
    ward, board = new_sensor(core)
    async with ward.open(), open_house(folder, ward, board) as house:
        board.sensor.close_pairing_window()
        pairing = await house.pair()
        assert pairing.failed is not None
        assert pairing.failed.failure is PairingFailure.NOT_IN_PAIRING_MODE
        assert "press its button" in str(pairing.failed)
        board.press_button()
        assert (await house.pair()).generation == 1


async def the_least_mtu_will_do(folder: Path, core: str) -> None:
    ward, board = new_sensor(core, mtu=LEAST_MTU)
    async with ward.open(), open_house(folder, ward, board) as house:
        assert (await house.pair()).generation == 1
        await house.until_heard()


async def an_impostor_is_found_out(folder: Path, core: str) -> None:
    """Something that goes by the sensor's name, says more than it may, and knows no secret."""
    ward, board = new_sensor(core)
    async with ward.open(), open_house(folder, ward, board) as house:
        nonsense = [bytes(HELLO_BYTES), *[bytes(SEALED_KEY_BYTES)] * 20]
        board.on_provision = lambda _: board._answer(  # type: ignore[method-assign]  # its own ear
            board.radio.indicate_provision, nonsense
        )
        pairing = await house.pair()
        assert pairing.failed is not None
        assert pairing.failed.failure is PairingFailure.WRONG_SECRET
        assert "does not know the secret" in str(pairing.failed)
        assert house.keyring.root_keys(SENSOR) == ()


async def a_stopped_pairing_leaves_the_sensor_free(folder: Path, core: str) -> None:
    ward, board = new_sensor(core)
    async with ward.open(), open_house(folder, ward, board) as house:
        board.on_provision = lambda _: house.desk.stop()  # type: ignore[method-assign]  # deaf
        pairing = await house.pair()
        assert pairing.failed is not None
        assert pairing.failed.failure is PairingFailure.STOPPED
        await house.until(lambda: board.stat()["connected"] is False)
        del board.on_provision
        assert (await house.pair()).generation == 1


async def a_cut_handshake_begins_anew(folder: Path, core: str) -> None:
    """After the sensor's answer, and before it hears that its key is stored."""
    ward, board = new_sensor(core)
    async with ward.open(), open_house(folder, ward, board) as house:
        heard, messages = board.on_provision, 0

        def hear(message: bytes) -> None:
            nonlocal messages
            messages += 1
            if messages in (1, 3):  # the first hello, and the first "stored"
                board.radio.lose_link()
            else:
                heard(message)

        board.on_provision = hear  # type: ignore[method-assign]  # the sensor's ear
        pairing = await house.pair()
        assert pairing.failed is None, (pairing.failed.failure, pairing.steps)
        assert sum(step.startswith("the link was lost") for step in pairing.steps) == 2
        assert messages == 5
        assert house.keyring.root_keys(SENSOR) == (ROOT_KEY,)
        await house.until_heard()
        assert StatusFlags.PROVISIONED in flags(house)


async def a_sensor_that_was_reset_is_paired_again(folder: Path, core: str) -> None:
    Keyring(folder / "keyring", bytes(32)).add(SENSOR, bytes(32))  # what it had before the reset
    ward, board = new_sensor(core)
    async with ward.open(), open_house(folder, ward, board) as house:
        pairing = await house.pair(again=True)
        assert pairing.generation == 2
        assert house.keyring.root_keys(SENSOR) == (ROOT_KEY, bytes(32))
        await house.until_heard(generation=2)


async def a_rotation_loses_no_frame(folder: Path, core: str) -> None:
    keep_root_key(folder)
    ward, board = new_sensor(core, paired=True)
    async with ward.open(), open_house(folder, ward, board) as house:
        await house.until_heard()
        assert await house.bench.ward.rotate_key(SENSOR) == 2
        await house.until_heard(generation=2)
        assert await house.bench.ward.rotate_key(SENSOR) == 3
        await house.until_heard(generation=3)
        assert house.keyring.root_keys(SENSOR)[0] == board.sensor.identity.root_key
        assert house.keyring.pending_key(SENSOR) is None
        assert await house.until_all_is_stored() == board.produced


async def rotated(house: House) -> str:
    """What the command line would say; "" where it is done."""
    try:
        await house.bench.ward.rotate_key(SENSOR)
    except RotationFailed as failed:
        return str(failed)
    return ""


async def cut_rotation(folder: Path, core: str, after: bool, offered: bool, restart: str) -> None:
    """The link is cut at the order or at the offer; sensor or gateway may restart then."""
    keep_root_key(folder)
    ward, board = new_sensor(core, paired=True)
    async with ward.open():
        async with open_house(folder, ward, board) as house:
            await house.until_heard()
            cut = Cut(board, after, offer(board) if offered else rotate_order)
            said = await rotated(house)
            assert said.startswith("the new key is stored" if offered else "nothing has changed")
            assert cut.done.is_set()
            if restart == "sensor":
                board.reboot()
            if restart != "gateway":
                await finish(house, board, offered)
        if restart == "gateway":
            async with open_house(folder, ward, board) as house:
                await finish(house, board, offered)


async def finish(house: House, board, offered: bool) -> None:
    """What was offered is taken without a new order; and another rotation goes."""
    await house.until_connected()
    if offered:
        await house.until_heard(generation=2)
        assert house.keyring.pending_key(SENSOR) is None
    before = len(house.keyring.root_keys(SENSOR))
    await house.until_heard(generation=before)
    while await rotated(house):
        await house.until_connected()
    await house.until_heard(generation=before + 1)
    assert house.keyring.root_keys(SENSOR)[0] == board.sensor.identity.root_key
    assert await house.until_all_is_stored() == board.produced


async def an_unknown_sensor_is_not_found(folder: Path, core: str) -> None:
    ward, board = new_sensor(core)
    async with ward.open(), open_house(folder, ward, board) as house:
        house.desk.patience_s = 0.5
        pairing = await house.pair(replace(LABEL, device_id=DeviceId(9)))
        assert pairing.failed is not None
        assert pairing.failed.failure is PairingFailure.NOT_FOUND


# These the sensor's core has a part in; those are the gateway's own affair.
SCENARIOS: tuple[Scenario, ...] = (
    a_new_sensor_is_paired_and_watched_at_once,
    a_wrong_label_brings_nothing_and_the_right_one_goes,
    without_the_button_there_is_no_pairing,
    the_least_mtu_will_do,
    a_cut_handshake_begins_anew,
    a_rotation_loses_no_frame,
)
GATEWAY_SCENARIOS: tuple[Scenario, ...] = (
    an_unknown_sensor_is_not_found,
    an_impostor_is_found_out,
    a_stopped_pairing_leaves_the_sensor_free,
    a_sensor_that_was_reset_is_paired_again,
)
# After the message was heard, or before; at the offer of the key, or at the order; who restarts.
CUTS = [
    (False, False, ""),
    (True, False, "sensor"),
    (True, False, "gateway"),
    (False, True, ""),
    (False, True, "sensor"),
    (False, True, "gateway"),
    (True, True, ""),
    (True, True, "sensor"),
    (True, True, "gateway"),
]
