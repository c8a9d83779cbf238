"""`ecg-gateway pair` and `sensors` against a running ward with a sensor on its radio."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.control.beds import bed_commands
from gateway.control.sensors import sensor_commands
from gateway.control.socket import SOCKET_NAME, ControlServer
from gateway.messages import DeviceId
from gateway.ward import rotation
from tests.sensor_keys.house import (
    LABEL,
    PATIENCE_S,
    ROOT_KEY,
    SENSOR,
    House,
    new_sensor,
    open_house,
)
from tests.sensor_keys.scenarios import keep_root_key

NAME = "ECG-00000001"
Command = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def command(tmp_path: Path, capsys, monkeypatch) -> Command:
    """Runs a command line in a thread: exit code, what it printed, and its errors."""
    config = tmp_path / "gateway.toml"
    config.write_text(f'state_directory = "{tmp_path}"\n')
    monkeypatch.setattr(rotation, "ANSWER_S", PATIENCE_S)
    monkeypatch.setattr("gateway.control.socket.TIMEOUT_S", PATIENCE_S)

    async def run(*words: str, given: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        capsys.readouterr()
        code = await asyncio.to_thread(main, [words[0], "--config", str(config), *words[1:]])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@asynccontextmanager
async def commanded(folder: Path, paired: bool = False) -> AsyncIterator[House]:
    if paired:
        keep_root_key(folder)
    ward, board = new_sensor("python", paired)
    async with ward.open(), open_house(folder, ward, board) as house:
        ward_ = house.bench.ward
        handlers = {**bed_commands(ward_), **sensor_commands(ward_, house.radio.look_again)}
        server = ControlServer(folder / SOCKET_NAME, handlers)
        await server.start()
        try:
            yield house
        finally:
            await server.stop()


def test_a_sensor_is_paired_by_its_label_and_no_secret_is_told(tmp_path, command, caplog) -> None:
    caplog.set_level(logging.DEBUG, "gateway")

    async def scenario() -> None:
        async with commanded(tmp_path) as house:
            code, out, err = await command("pair", given=LABEL.text + "\n")
            assert (code, err) == (0, "")
            assert out.splitlines() == [
                f"looking for {NAME}",
                "found it; it is asked for its root key",
                "the root key is stored",
                "paired, key generation 1",
            ]
            await house.until_heard()
            again = await command("pair", given=LABEL.text.lower().replace("ecg", "ECG"))
            assert again == (
                6,
                "",
                f"ecg-gateway pair: {NAME} is paired; after a reset of the sensor, pair it"
                " --again\n",
            )
            label = tmp_path / "label"
            label.write_text(LABEL.text)
            house.board.press_button()
            code, out, _ = await command("pair", "--again", "--label-file", str(label))
            assert (code, out.splitlines()[-1]) == (0, "paired, key generation 1")
            told = out + err + caplog.text
            for secret in (LABEL.secret, ROOT_KEY):
                assert secret.hex() not in told.lower()

    asyncio.run(scenario())


def test_what_fails_has_its_reason_and_its_exit_code(tmp_path, command) -> None:
    async def scenario() -> None:
        async with commanded(tmp_path) as house:
            house.desk.answer_s, house.desk.patience_s = 1.0, PATIENCE_S
            wrong = replace(LABEL, secret=bytes(32)).text
            code, _, err = await command("pair", given=wrong)
            assert code == 5
            assert "not its label" in err
            house.board.sensor.close_pairing_window()
            code, _, err = await command("pair", given=LABEL.text)
            assert code == 4
            assert "press its button" in err
            house.desk.patience_s = 0.3
            code, _, err = await command("pair", given=replace(LABEL, device_id=DeviceId(9)).text)
            assert code == 3
            assert "ECG-00000009 was not heard" in err
            assert house.keyring.root_keys(SENSOR) == ()

    asyncio.run(scenario())


@pytest.mark.parametrize("text", ["", "ECG1:ECG-0000002A:00", "http://example.org", "0" * 2000])
def test_what_is_no_label_is_refused_and_not_repeated(tmp_path, command, text) -> None:
    code, out, err = asyncio.run(command("pair", given=text))
    assert (code, out) == (1, "")
    assert err.startswith("ecg-gateway pair: this is not a label's text; ")
    assert not text or text not in err


def test_without_a_gateway_or_a_file_the_reason_is_said(tmp_path, command) -> None:
    code, _, err = asyncio.run(command("pair", given=LABEL.text))
    assert code == 1
    assert "no gateway is running" in err
    code, _, err = asyncio.run(command("pair", "--label-file", str(tmp_path / "none")))
    assert code == 1
    assert "the label can't be read" in err


def test_a_key_is_rotated_and_at_the_end_destroyed(tmp_path, command) -> None:
    async def scenario() -> None:
        async with commanded(tmp_path, paired=True) as house:
            assert (await command("sensors", "rotate-key", "ECG-00000009"))[2] == (
                "ecg-gateway: ECG-00000009: nothing has changed: it is not connected\n"
            )
            await house.until_heard()
            code, out, _ = await command("sensors", "rotate-key", NAME)
            assert (code, out) == (0, f"{NAME} has a new root key, generation 2\n")
            await house.until_heard(generation=2)
            before = len(house.bench.reader.sessions_of(SENSOR))

            await house.until(lambda: house.bench.ward.beds.of(SENSOR) is not None)
            code, _, err = await command("sensors", "retire", NAME, "--yes")
            assert (code, err) == (
                1,
                f"ecg-gateway: {NAME} watches Bed 1; release it first\n",
            )
            assert (await command("beds", "release", NAME))[0] == 0
            code, out, err = await command("sensors", "retire", NAME, given="yes\n")
            assert (code, err) == (1, "ecg-gateway: nothing has changed\n")
            assert "can't be opened any more" in out
            assert house.keyring.root_keys(SENSOR) != ()
            code, out, _ = await command("sensors", "retire", NAME, given=NAME + "\n")
            assert code == 0
            assert out.endswith(f"{NAME} is retired\n")

            assert house.keyring.root_keys(SENSOR) == ()
            await house.until(lambda: not house.bench.ward.is_connected(SENSOR))
            assert (await command("sensors"))[1] == "no sensors\n"
            assert len(house.bench.reader.sessions_of(SENSOR)) == before
            await house.until(lambda: not house.bench.reader.open_sessions())
            code, _, err = await command("sensors", "retire", NAME, "--yes")
            assert (code, err) == (1, f"ecg-gateway: {NAME} is not in the keyring\n")

    asyncio.run(scenario())
