"""The gateway's side of pairing against golden vectors and an independent Noise library."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st
from noise.connection import NoiseConnection

from gateway.messages import DeviceId
from gateway.radio.pairing_handshake import (
    HELLO_BYTES,
    SEALED_KEY_BYTES,
    STORED,
    GatewayHandshake,
    HandshakeRefused,
    prologue,
)

DEVICE = DeviceId(42)
SECRET = bytes(range(0xA0, 0xC0))
ROOT_KEY = bytes(range(0x40, 0x60))
VECTORS = Path(__file__).parents[1] / "vectors" / "pairing.txt"


@pytest.fixture(scope="module")
def vectors() -> dict[str, bytes]:
    lines = VECTORS.read_text("ascii").splitlines()
    pairs = (line.split(" = ") for line in lines if line and not line.startswith("#"))
    return {name: bytes.fromhex(value) for name, value in pairs}


def independent_sensor(secret: bytes = SECRET, device_id: DeviceId = DEVICE) -> NoiseConnection:
    noise = NoiseConnection.from_name(b"Noise_NNpsk0_25519_AESGCM_SHA256")
    noise.set_as_responder()
    noise.set_psks(secret)
    noise.set_prologue(prologue(device_id))
    noise.start_handshake()
    return noise


def answers(sensor: NoiseConnection, hello: bytes) -> tuple[bytes, bytes]:
    assert sensor.read_message(hello) == b""
    second = bytes(sensor.write_message())
    return second, sensor.encrypt(ROOT_KEY)


def take_both(handshake: GatewayHandshake, said: bytes) -> bytes:
    handshake.take_hello(said[:HELLO_BYTES])
    return handshake.root_key(said[HELLO_BYTES:])


def from_vectors(vectors: dict[str, bytes]) -> GatewayHandshake:
    return GatewayHandshake(DEVICE, vectors["pairing_secret"], vectors["pairing_gateway_ephemeral"])


def test_the_transcript_is_the_golden_one(vectors: dict[str, bytes]) -> None:
    handshake = from_vectors(vectors)
    assert handshake.hello() == vectors["pairing_first"]
    handshake.take_hello(vectors["pairing_second"])
    assert handshake.root_key(vectors["pairing_key"]) == vectors["pairing_root_key"]
    assert handshake.stored() == vectors["pairing_stored"]


@pytest.mark.parametrize("_", range(20))
def test_an_independent_library_understands_it(_: int) -> None:
    handshake, sensor = GatewayHandshake(DEVICE, SECRET, os.urandom(32)), independent_sensor()
    second, key = answers(sensor, handshake.hello())
    handshake.take_hello(second)
    assert handshake.root_key(key) == ROOT_KEY
    assert sensor.decrypt(handshake.stored()) == STORED


@pytest.mark.parametrize(("secret", "device_id"), [(bytes(32), DEVICE), (SECRET, DeviceId(43))])
def test_a_sensor_of_another_label_does_not_take_the_first_message(secret, device_id) -> None:
    hello = GatewayHandshake(DEVICE, SECRET, os.urandom(32)).hello()
    with pytest.raises(InvalidTag):
        independent_sensor(secret, device_id).read_message(hello)


@settings(max_examples=40)
@given(st.integers(0, 8 * (HELLO_BYTES + SEALED_KEY_BYTES) - 1))
def test_a_flipped_bit_is_refused(bit: int) -> None:
    handshake, sensor = GatewayHandshake(DEVICE, SECRET, os.urandom(32)), independent_sensor()
    said = bytearray(b"".join(answers(sensor, handshake.hello())))
    said[bit // 8] ^= 1 << bit % 8
    with pytest.raises(HandshakeRefused):
        take_both(handshake, bytes(said))


@settings(max_examples=40)
@given(st.binary(max_size=100))
def test_nonsense_is_refused(nonsense: bytes) -> None:
    handshake = GatewayHandshake(DEVICE, SECRET, os.urandom(32))
    handshake.hello()
    with pytest.raises(HandshakeRefused):
        handshake.take_hello(nonsense)


@settings(max_examples=40)
@given(st.binary(max_size=100))
def test_a_key_that_is_none_is_refused(nonsense: bytes) -> None:
    handshake, sensor = GatewayHandshake(DEVICE, SECRET, os.urandom(32)), independent_sensor()
    second, _ = answers(sensor, handshake.hello())
    handshake.take_hello(second)
    with pytest.raises(HandshakeRefused):
        handshake.root_key(nonsense)


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_a_point_of_low_order_is_refused(point: bytes) -> None:
    """Whoever sent it would know the shared secret without a key of its own."""
    handshake = GatewayHandshake(DEVICE, SECRET, os.urandom(32))
    handshake.hello()
    with pytest.raises(HandshakeRefused):
        handshake.take_hello(point + bytes(16))
