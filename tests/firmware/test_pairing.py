"""The pairing handshake of the C core with an independent Noise library as the gateway."""

from __future__ import annotations

from pathlib import Path

import pytest
from noise.connection import Keypair, NoiseConnection

from gateway.messages import DeviceId
from gateway.simulator.c_core import CCore
from gateway.simulator.outbox import LEAST_HELD_FRAMES
from gateway.simulator.sensor_core import SensorIdentity

VECTORS = Path(__file__).parents[1] / "vectors" / "pairing.txt"
NOT_AUTHENTIC = 5  # ecg_types.h
STORED = b"\x01"
DEVICE_ID = DeviceId(42)
PROLOGUE = b"ECGPROV1" + DEVICE_ID.to_bytes(4, "little")
SECRET = bytes(range(0xA0, 0xC0))
ROOT_KEY = bytes(range(0x40, 0x60))
GATEWAY_EPHEMERAL = bytes(range(1, 33))
SENSOR_EPHEMERAL = bytes(range(0x21, 0x41))


def gateway(secret: bytes = SECRET, ephemeral: bytes | None = None) -> NoiseConnection:
    noise = NoiseConnection.from_name(b"Noise_NNpsk0_25519_AESGCM_SHA256")
    noise.set_as_initiator()
    noise.set_psks(secret)
    noise.set_prologue(PROLOGUE)
    if ephemeral is not None:
        noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, ephemeral)
    noise.start_handshake()
    return noise


class Sensor:
    """The C core's side of one handshake."""

    def __init__(self) -> None:
        self._core = CCore(LEAST_HELD_FRAMES)
        self._core.boot(SensorIdentity(DEVICE_ID, 1, ROOT_KEY), 250, 10.0)
        self._core.lib.ecg_host_open_pairing(self._core.host, SECRET)

    def pair(self, first: bytes, ephemeral: bytes = SENSOR_EPHEMERAL) -> tuple[int, bytes, bytes]:
        answers = self._core.ffi.new("uint8_t[]", 96)
        result = self._core.lib.ecg_host_pair(
            self._core.host, first, len(first), ephemeral, answers
        )
        return result, bytes(answers)[:48], bytes(answers)[48:]

    def confirm(self, message: bytes) -> int:
        return int(self._core.lib.ecg_host_pair_confirm(self._core.host, message, len(message)))


@pytest.mark.parametrize("run", range(20))
def test_the_root_key_arrives_and_its_storing_is_confirmed(run: int) -> None:
    noise, sensor = gateway(), Sensor()
    ephemeral = bytes([run + 1]) * 32
    result, second, key = sensor.pair(bytes(noise.write_message()), ephemeral)
    assert result == 0
    assert noise.read_message(second) == b""
    assert noise.handshake_finished
    assert noise.decrypt(key) == ROOT_KEY
    assert sensor.confirm(noise.encrypt(STORED)) == 0


def test_another_label_gets_no_key() -> None:
    noise = gateway(secret=bytes(32))
    result, _, key = Sensor().pair(bytes(noise.write_message()))
    assert (result, key) == (NOT_AUTHENTIC, bytes(48))


def test_a_point_of_low_order_gets_no_key() -> None:
    """The shared secret would be zero, whatever the sensor draws."""
    noise = gateway()
    state = noise.noise_protocol.handshake_state.symmetric_state
    state.mix_key_and_hash(SECRET)
    state.mix_hash(bytes(32))
    state.mix_key(bytes(32))
    first = bytes(32) + state.encrypt_and_hash(b"")
    result, _, key = Sensor().pair(first)
    assert result != 0
    assert key == bytes(48)


def transcript() -> dict[str, bytes]:
    """What both sides say when both draw the ephemeral keys of the vectors."""
    stored, not_stored = (gateway(ephemeral=GATEWAY_EPHEMERAL) for _ in range(2))
    first = bytes(stored.write_message())
    assert bytes(not_stored.write_message()) == first
    _, second, key = Sensor().pair(first)
    for noise in (stored, not_stored):
        noise.read_message(second)
        assert noise.decrypt(key) == ROOT_KEY
    return {
        "pairing_secret": SECRET,
        "pairing_root_key": ROOT_KEY,
        "pairing_gateway_ephemeral": GATEWAY_EPHEMERAL,
        "pairing_sensor_ephemeral": SENSOR_EPHEMERAL,
        "pairing_first": first,
        "pairing_second": second,
        "pairing_key": key,
        "pairing_stored": stored.encrypt(STORED),
        "pairing_not_stored": not_stored.encrypt(b"\x02"),
    }


@pytest.mark.filterwarnings("ignore:One of ephemeral keypairs is already set")
def test_the_transcript_is_the_golden_one() -> None:
    lines = VECTORS.read_text("ascii").splitlines()
    pairs = (line.split(" = ") for line in lines if line and not line.startswith("#"))
    golden = {name: bytes.fromhex(value) for name, value in pairs}
    assert transcript() == golden
