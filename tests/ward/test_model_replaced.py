"""Another model while beds are monitored: every beat is found, labelled once, by one of the two."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.beat_classifier import ModelRefused
from gateway.control.model import model_reload
from gateway.control.socket import ControlRefused
from gateway.radio.gatt import GattCharacteristic
from gateway.served_model.store import ModelStore
from gateway.store.entries import Checkpoint, Found
from gateway.ward.late_stretch import LateFindings, analyse_late_stretch
from tests.fakes import FAKE_CARD, FakeClassifier
from tests.ward.bench import RATE_HZ, SESSION, ChannelBench, heart, seal
from tests.ward.links import FakeLink, status

ECG = heart(40.0)
FRAMES = GattCharacteristic.FRAMES
OLD = FAKE_CARD.short_hash
NEW = "0" * 8
NEXT_MODEL = FakeClassifier(replace(FAKE_CARD, sha256="0" * 64))


@pytest.fixture
def bench(tmp_path):
    bench = ChannelBench(tmp_path, ECG)
    yield bench
    bench.close()


@pytest.fixture
def untouched(tmp_path_factory):
    bench = ChannelBench(tmp_path_factory.mktemp("untouched"), ECG)
    bench.send(range(50))
    bench.commit()
    yield bench
    bench.close()


def models_of(bench: ChannelBench) -> list[str | None]:
    return [stored.model for stored in bench.stored_beats() if stored.beat.label is not None]


@pytest.mark.parametrize("at", [1, 7, 25, 49])
def test_no_beat_is_lost_and_each_says_whose_label_it_has(bench, untouched, at):
    bench.send(range(at))
    bench.parts.model.replace(NEXT_MODEL)
    bench.channel.save()
    bench.send(range(at, 50))
    bench.commit()
    assert bench.beats() == untouched.beats()
    models = models_of(bench)
    assert models == sorted(models, reverse=True)  # "f…" gives way to "0…" once
    assert NEW in models


def test_a_restart_after_it_goes_on_from_the_state_that_was_saved_then(bench, untouched):
    bench.send(range(25))
    bench.parts.model.replace(NEXT_MODEL)
    bench.channel.save()
    assert isinstance(bench.recorded[-1], Checkpoint)
    bench.commit()
    bench.restart()
    assert not [entry for entry in bench.recorded if isinstance(entry, Found)]
    bench.send(range(25, 50))
    bench.commit()
    assert bench.beats() == untouched.beats()
    assert set(models_of(bench)) == {OLD, NEW}
    assert bench.counters.value("ecg_checkpoints_refused_total") == 0


def test_a_model_that_came_between_stop_and_start_costs_no_beat(bench, untouched):
    bench.send(range(25))
    bench.channel.save()
    bench.commit()
    bench.parts.model.replace(NEXT_MODEL)
    bench.restart()
    bench.send(range(25, 50))
    bench.commit()
    assert bench.beats() == untouched.beats()


def test_a_late_stretch_says_which_model_labelled_it(bench):
    bench.send([*range(20), *range(25, 40)])
    bench.wait(1.0)
    bench.parts.model.replace(NEXT_MODEL)
    bench.send(range(20, 25))
    bench.commit()
    before = {stored.beat.r_sample for stored in bench.stored_beats()}
    bench.analyse_late()
    late = [each for each in bench.stored_beats() if each.beat.r_sample not in before]
    assert {stored.model for stored in late if stored.beat.label is not None} == {NEW}


def test_a_late_stretch_keeps_to_one_model(bench):
    """It gives way to the event loop in between, where the model may be replaced."""
    bench.send([*range(20), *range(25, 45)])
    bench.wait(1.0)
    bench.send(range(20, 25))
    bench.commit()
    (gap,) = bench.channel.gaps_filled(SESSION)

    async def replaced_meanwhile() -> LateFindings:
        work = asyncio.ensure_future(
            analyse_late_stretch(bench.parts, SESSION, RATE_HZ, gap, bench.parts.limits)
        )
        await asyncio.sleep(0)
        assert not work.done()
        bench.parts.model.replace(NEXT_MODEL)
        return await work

    found = asyncio.run(replaced_meanwhile())
    assert found.model == OLD
    assert found.beats


class OneModel(ModelStore):
    """A store whose current model is the test's."""

    def __init__(self, folder, model: FakeClassifier | ModelRefused) -> None:
        super().__init__(folder, ())
        self._model = model

    def load(self, folder):
        if isinstance(self._model, ModelRefused):
            raise self._model
        return self._model


def test_the_ward_takes_it_and_saves_every_state(with_ward, tmp_path):
    async def scenario(bench):
        link = FakeLink(SESSION)
        bench.ward.connected(link, status(SESSION).encode())
        for sequence in range(20):
            bench.ward.received(link, FRAMES, seal(ECG[sequence], sequence))
        reload = model_reload(OneModel(tmp_path, NEXT_MODEL), bench.model, bench.ward)
        assert await reload({}) == NEW
        assert bench.model.card.short_hash == NEW
        await bench.until(lambda: bench.reader.checkpoint(SESSION) is not None)

    with_ward(scenario)


def test_what_is_refused_leaves_the_old_model_in_service(with_ward, tmp_path):
    async def scenario(bench):
        reload = model_reload(OneModel(tmp_path, ModelRefused("damaged")), bench.model, bench.ward)
        with pytest.raises(ControlRefused, match="damaged"):
            await reload({})
        assert bench.model.card.short_hash == OLD

    with_ward(scenario)
