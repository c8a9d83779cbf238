"""A sensor's own rules of keys, asked without a radio, whichever core it runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from gateway.messages import DeviceId
from gateway.radio.key_rotation import KeyExchange
from gateway.radio.message_codec import (
    Answer,
    AnswerCode,
    Command,
    Direction,
    MessageKey,
    MessageType,
)
from gateway.radio.pairing_handshake import GatewayHandshake
from gateway.simulator.sensor_core import SensorCore, SensorIdentity

DEVICE = DeviceId(42)
SECRET = bytes(range(0xA0, 0xC0))
ROOT_KEY = bytes(range(0x40, 0x60))
NEW = SensorIdentity(DEVICE, 1, ROOT_KEY, provisioned=False)
PAIRED = replace(NEW, provisioned=True)

Boot = Callable[[SensorIdentity], SensorCore]
Rule = Callable[[Boot], None]


def waiting(boot: Boot) -> SensorCore:
    sensor = boot(NEW)
    sensor.open_pairing_window(SECRET)
    return sensor


def handshake(secret: bytes = SECRET) -> GatewayHandshake:
    return GatewayHandshake(DEVICE, secret, os.urandom(32))


def root_key_from(sensor: SensorCore, gateway: GatewayHandshake) -> bytes:
    hello, sealed = sensor.provision(gateway.hello())
    gateway.take_hello(hello)
    return gateway.root_key(sealed)


def the_root_key_goes_out_until_it_is_stored(boot: Boot) -> None:
    sensor = waiting(boot)
    assert root_key_from(sensor, handshake()) == ROOT_KEY
    gateway = handshake()  # it may begin anew
    assert root_key_from(sensor, gateway) == ROOT_KEY
    assert not sensor.identity.provisioned
    assert sensor.provision(gateway.stored()) == []
    assert sensor.identity == PAIRED
    assert sensor.provision(handshake().hello()) == []


def without_a_window_nothing_goes_out(boot: Boot) -> None:
    sensor = boot(PAIRED)
    assert sensor.provision(handshake().hello()) == []
    sensor.open_pairing_window(SECRET)
    sensor.close_pairing_window()
    assert sensor.provision(handshake().hello()) == []


def five_failures_close_the_window(boot: Boot) -> None:
    sensor = waiting(boot)
    guesses = [handshake(bytes([guess]) * 32).hello() for guess in range(2)]
    hostile = [*guesses, b"", bytes(48), os.urandom(293)]
    for message in hostile:
        assert sensor.provision(message) == []
    assert sensor.provision(handshake().hello()) == []
    sensor.open_pairing_window(SECRET)
    assert root_key_from(sensor, handshake()) == ROOT_KEY


def another_handshakes_last_word_is_none(boot: Boot) -> None:
    sensor, eavesdropped, gateway = waiting(boot), handshake(), handshake()
    root_key_from(sensor, eavesdropped)
    root_key_from(sensor, gateway)
    sensor.provision(eavesdropped.stored())
    assert not sensor.identity.provisioned


def a_stranger_is_kept_as_long_as_the_window_is_open(boot: Boot) -> None:
    sensor = waiting(boot)
    sensor.connected(0.0)
    assert not sensor.must_drop(99.0)
    sensor.close_pairing_window()
    assert sensor.must_drop(99.0)


class Gateway:
    """Talks to a sensor under one root key in the session that ran when it began."""

    def __init__(self, sensor: SensorCore, root_key: bytes) -> None:
        self._sensor = sensor
        self.session = sensor.session
        self.root_key = root_key
        self._counter = 0

    def say(self, command: Command, counter: int | None = None) -> Answer | None:
        """The answer, where the sensor gives one; the held report is left aside."""
        self._counter = self._counter + 1 if counter is None else counter
        down = MessageKey(self.root_key, self.session, Direction.DOWN)
        up = MessageKey(self.root_key, self.session, Direction.UP)
        message = down.seal(command.type, self._counter, command.argument)
        replies = self._sensor.received(message, 7.0)
        return Answer.decode(up.open(replies[0]).payload) if replies else None

    def order_rotation(self, counter: int | None = None) -> bytes:
        """The key that is to come."""
        exchange = KeyExchange(self.root_key, self.session, os.urandom(32))
        answer = self.say(Command.rotate_key(exchange.public_key), counter)
        assert answer is not None
        assert answer.code is AnswerCode.DONE
        return exchange.next_root_key(answer.body)


STATUS = Command(MessageType.REQUEST_STATUS)


def a_new_key_serves_from_its_first_use_in_a_session_of_its_own(boot: Boot) -> None:
    sensor = boot(PAIRED)
    old = Gateway(sensor, ROOT_KEY)
    new_key = old.order_rotation()
    assert sensor.identity == replace(PAIRED, pending_key=new_key)
    assert old.say(STATUS, counter=2) is not None  # the old one serves until then
    before = sensor.session
    new = Gateway(sensor, new_key)
    assert new.say(STATUS, counter=3) is not None
    assert sensor.identity == replace(PAIRED, root_key=new_key)
    assert sensor.session != before
    assert Gateway(sensor, ROOT_KEY).say(STATUS) is None
    assert Gateway(sensor, new_key).say(STATUS) is not None


def a_second_order_replaces_the_pending_key(boot: Boot) -> None:
    sensor = boot(PAIRED)
    gateway = Gateway(sensor, ROOT_KEY)
    lost, kept = gateway.order_rotation(), gateway.order_rotation()
    assert Gateway(sensor, lost).say(STATUS, counter=9) is None
    assert sensor.identity.pending_key == kept


def a_pending_key_outlives_a_restart(boot: Boot) -> None:
    sensor = boot(PAIRED)
    new_key = Gateway(sensor, ROOT_KEY).order_rotation()
    sensor = boot(replace(sensor.identity, boot_id=2))
    assert Gateway(sensor, ROOT_KEY).say(STATUS) is not None
    assert Gateway(sensor, new_key).say(STATUS, counter=2) is not None
    assert sensor.identity.root_key == new_key


def a_key_of_low_order_is_refused(boot: Boot) -> None:
    sensor = boot(PAIRED)
    answer = Gateway(sensor, ROOT_KEY).say(Command.rotate_key(bytes(32)))
    assert answer is not None
    assert answer.code is AnswerCode.BAD_ARGUMENT
    assert sensor.identity == PAIRED


def a_stopped_sensor_stays_so_when_its_key_changes(boot: Boot) -> None:
    sensor = boot(PAIRED)
    gateway = Gateway(sensor, ROOT_KEY)
    gateway.say(Command(MessageType.STOP))
    new_key = gateway.order_rotation()
    Gateway(sensor, new_key).say(STATUS, counter=3)
    assert not sensor.sampling


RULES: tuple[Rule, ...] = (
    the_root_key_goes_out_until_it_is_stored,
    without_a_window_nothing_goes_out,
    five_failures_close_the_window,
    another_handshakes_last_word_is_none,
    a_stranger_is_kept_as_long_as_the_window_is_open,
    a_new_key_serves_from_its_first_use_in_a_session_of_its_own,
    a_second_order_replaces_the_pending_key,
    a_pending_key_outlives_a_restart,
    a_key_of_low_order_is_refused,
    a_stopped_sensor_stays_so_when_its_key_changes,
)
