"""Which model serves after an installation, a way back, damage and a power cut."""

from __future__ import annotations

import fcntl
import itertools
import os
from pathlib import Path

import pytest

from gateway.beat_classifier import ModelRefused
from gateway.served_model.store import INCOMING, PACKAGED, ModelStore


def install(store: ModelStore, bundle) -> str:
    with store.locked():
        store.receive(bundle)
        name = store.keep(bundle)
        store.put_in_service(name, store.current)
    return name


def serving(store: ModelStore) -> str:
    return store.load_in_service().classifier.card.name


def folders(store_folder: Path) -> set[str]:
    return {path.name for path in (store_folder / "models").iterdir() if not path.is_symlink()}


def test_the_packaged_model_serves_where_nothing_is_installed(model_store, tmp_path):
    loaded = model_store.load_in_service()
    assert (loaded.folder, loaded.refused) == (PACKAGED, None)
    assert list(tmp_path.iterdir()) == []


def test_an_installed_model_serves(model_store, bundle_of):
    name = install(model_store, bundle_of("beat_next"))
    loaded = model_store.load_in_service()
    assert (loaded.classifier.card.name, loaded.folder) == ("beat_next", name)
    assert name.startswith(loaded.classifier.card.short_hash)


def test_one_model_back_is_kept_and_no_more(model_store, bundle_of, tmp_path):
    names = [install(model_store, bundle_of(f"beat_{number}")) for number in range(4)]
    assert folders(tmp_path) == set(names[2:])
    assert (model_store.current, model_store.previous) == (names[3], names[2])


def test_another_threshold_is_another_model(model_store, bundle_of, tmp_path):
    install(model_store, bundle_of("beat_next"))
    install(model_store, bundle_of("beat_next", abnormal_threshold=0.5))
    assert len(folders(tmp_path)) == 2
    assert model_store.load_in_service().classifier.card.abnormal_threshold == 0.5


def test_what_was_only_received_does_not_serve_and_is_removed(model_store, bundle_of, tmp_path):
    with model_store.locked():
        assert model_store.receive(bundle_of("beat_next")).card.name == "beat_next"
        assert folders(tmp_path) == {INCOMING}
        assert serving(model_store) == "beat_cnn"
    assert folders(tmp_path) == set()


class PowerCut(BaseException):
    """Nothing after it happens."""


STEPS = 10  # three files, their folder; the rename and its folder; two links, renamed and synced


@pytest.mark.parametrize("step", range(STEPS))
def test_a_power_cut_leaves_the_old_model_in_service_or_the_new_one(
    model_store, bundle_of, monkeypatch, step
):
    """At each step that makes something durable."""
    install(model_store, bundle_of("beat_old"))
    left = itertools.count(step, -1)

    def cut_before(act):
        def act_or_end(*arguments):
            if next(left) <= 0:
                raise PowerCut
            return act(*arguments)

        return act_or_end

    with monkeypatch.context() as patched:
        patched.setattr(model_store, "_prune", lambda: None)
        patched.setattr(os, "fsync", cut_before(os.fsync))
        for name in ("rename", "replace"):
            patched.setattr(Path, name, cut_before(getattr(Path, name)))
        with pytest.raises(PowerCut):
            install(model_store, bundle_of("beat_next"))
    switched = step == STEPS - 1
    assert serving(model_store) == ("beat_next" if switched else "beat_old")
    assert model_store.load_in_service().refused is None
    install(model_store, bundle_of("beat_next"))
    assert serving(model_store) == "beat_next"


def test_what_a_power_cut_left_behind_is_removed(model_store, tmp_path):
    (tmp_path / "models" / INCOMING).mkdir(parents=True)
    (tmp_path / "models/current.new").symlink_to("01234567-89abcdef")
    with model_store.locked():
        pass
    assert list((tmp_path / "models").iterdir()) == []


def test_after_a_power_cut_in_a_switch_the_way_back_is_the_packaged_model(model_store, bundle_of):
    name = install(model_store, bundle_of("beat_next"))
    model_store.put_in_service(name, name)
    assert model_store.previous is PACKAGED


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("model.tflite", "/model.tflite is damaged: its sha256 begins with "),
        ("model.json", "/model.json is damaged: its sha256 begins with "),
        ("model.signature", "the signature is by none of model.public_keys"),
    ],
)
def test_a_damaged_model_gives_way_to_the_one_before_it(
    model_store, bundle_of, tmp_path, file, reason
):
    install(model_store, bundle_of("beat_old"))
    name = install(model_store, bundle_of("beat_next"))
    path = tmp_path / "models" / name / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    loaded = model_store.load_in_service()
    assert loaded.classifier.card.name == "beat_old"
    assert loaded.refused is not None
    assert loaded.refused.startswith("current: ")
    assert reason in loaded.refused


def test_where_both_are_gone_the_packaged_model_serves(model_store, bundle_of, tmp_path):
    for name in (
        install(model_store, bundle_of("beat_old")),
        install(model_store, bundle_of("beat_next")),
    ):
        (tmp_path / "models" / name / "model.json").unlink()
    loaded = model_store.load_in_service()
    assert (loaded.classifier.card.name, loaded.folder) == ("beat_cnn", PACKAGED)


def test_a_link_that_is_none_does_not_stop_monitoring(model_store, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/current").write_text("not a link")
    loaded = model_store.load_in_service()
    assert loaded.folder is PACKAGED
    assert loaded.refused is not None


def test_a_signer_who_is_trusted_no_more_serves_no_more(model_store, bundle_of, tmp_path):
    install(model_store, bundle_of("beat_next"))
    loaded = ModelStore(tmp_path, ()).load_in_service()
    assert loaded.classifier.card.name == "beat_cnn"
    assert loaded.refused is not None


def test_installing_again_mends_a_damaged_model(model_store, bundle_of, tmp_path):
    name = install(model_store, bundle_of("beat_next"))
    (tmp_path / "models" / name / "model.tflite").write_bytes(b"")
    install(model_store, bundle_of("beat_next"))
    assert serving(model_store) == "beat_next"


def test_installing_again_leaves_a_whole_model_in_its_place(model_store, bundle_of, tmp_path):
    folder = tmp_path / "models" / install(model_store, bundle_of("beat_next"))
    before = folder.stat().st_ino
    install(model_store, bundle_of("beat_next"))
    assert folder.stat().st_ino == before


def test_two_installations_at_once_are_one_too_many(model_store, tmp_path):
    (tmp_path / "models").mkdir()
    descriptor = os.open(tmp_path / "models", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(ModelRefused, match="another model is being installed"):
        model_store.locked().__enter__()
    os.close(descriptor)
