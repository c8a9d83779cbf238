"""Where installed models lie, and which of them serves.

`models` in the state directory holds a folder for each model, named by the hashes of its .tflite
and its card. The link `current` names the one that serves, `previous` the one before it; without
a link that is the packaged model. A link is replaced by renaming, so a power cut leaves the old
model in service or the new one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.beat_classifier import MAX_CARD_BYTES, ModelRefused, read_bounded
from gateway.served_model.bundle import SIGNATURE_BYTES, ModelBundle
from gateway.tflite_classifier import MAX_MODEL_BYTES, TfliteClassifier, default_model_path

PACKAGED = None  # in place of a folder's name
INCOMING = "incoming"  # the folder of a model that is being looked at
NAME_HEX_DIGITS = 8  # of each hash
_MODEL, _CARD, _SIGNATURE = "model.tflite", "model.json", "model.signature"
_CURRENT, _PREVIOUS = "current", "previous"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that may serve; `refused` says why the one that was to serve does not."""

    classifier: TfliteClassifier
    folder: str | None
    refused: str | None = None


class ModelStore:
    """The installed models of one gateway, and the keys whose signatures it trusts."""

    def __init__(self, state_directory: Path, public_keys: Sequence[str]) -> None:
        self._folder = state_directory / "models"
        self._public_keys = public_keys

    @property
    def current(self) -> str | None:
        return self._linked(_CURRENT)

    @property
    def previous(self) -> str | None:
        """The way back from `current`: the packaged model, where a power cut left no other."""
        previous = self._linked(_PREVIOUS)
        return PACKAGED if previous == self.current else previous

    @contextmanager
    def locked(self) -> Iterator[None]:
        """For one change at a time; raises `ModelRefused` while another one is made.

        At its end what no link names is removed.
        """
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            _lock(descriptor)
            try:
                yield
            finally:
                self._prune()
        finally:
            os.close(descriptor)

    def load(self, folder: str | None) -> TfliteClassifier:
        """That model, once it has proved whole and signed; raises `ModelRefused`."""
        if folder is PACKAGED:
            return TfliteClassifier(default_model_path())
        stored = self._stored(folder)
        _require_whole(folder, stored)
        stored.check_signature(self._public_keys)
        return TfliteClassifier(self._folder / folder / _MODEL)

    def load_in_service(self) -> LoadedModel:
        """The current model, or the previous one, or the packaged one: the first that is fit.

        Raises `ModelRefused` only where not even the packaged one can serve.
        """
        refused = None
        for link in (_CURRENT, _PREVIOUS):
            try:
                folder = self._linked(link)
                return LoadedModel(self.load(folder), folder, refused)
            except (ModelRefused, OSError) as error:
                refused = refused or f"{link}: {error}"
        return LoadedModel(self.load(PACKAGED), PACKAGED, refused)

    def receive(self, bundle: ModelBundle) -> TfliteClassifier:
        """Write the bundle down and load it from there; raises `ModelRefused`.

        Nothing serves from it until it was kept and put in service.
        """
        bundle.check_signature(self._public_keys)
        incoming = self._folder / INCOMING
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir(mode=0o755)
        _write_durably(incoming / _MODEL, bundle.model)
        _write_durably(incoming / _CARD, bundle.card)
        _write_durably(incoming / _SIGNATURE, bundle.signature)
        _sync_folder(incoming)
        return TfliteClassifier(incoming / _MODEL)

    def keep(self, bundle: ModelBundle) -> str:
        """Give the model that was received a folder of its own; gives the folder's name."""
        name = _folder_name(bundle)
        if not self._holds(name, bundle):
            shutil.rmtree(self._folder / name, ignore_errors=True)  # a damaged one
            (self._folder / INCOMING).rename(self._folder / name)
            _sync_folder(self._folder)
        return name

    def put_in_service(self, current: str | None, previous: str | None) -> None:
        """The switch: `current` serves from now on, and `previous` is the way back."""
        self._link(_PREVIOUS, previous)
        self._link(_CURRENT, current)

    def _prune(self) -> None:
        kept = {_CURRENT, _PREVIOUS, self.current, self.previous}
        for path in self._folder.iterdir():
            if path.name in kept:
                continue
            if path.is_symlink():  # a switch that a power cut ended
                path.unlink()
            else:
                shutil.rmtree(path)

    def _holds(self, name: str, bundle: ModelBundle) -> bool:
        try:
            return self._stored(name) == bundle
        except ModelRefused:
            return False

    def _stored(self, folder: str) -> ModelBundle:
        parts = ((_CARD, MAX_CARD_BYTES), (_MODEL, MAX_MODEL_BYTES), (_SIGNATURE, SIGNATURE_BYTES))
        return ModelBundle(
            *(read_bounded(self._folder / folder / name, most) for name, most in parts)
        )

    def _linked(self, link: str) -> str | None:
        try:
            return os.readlink(self._folder / link)
        except FileNotFoundError:
            return PACKAGED

    def _link(self, link: str, folder: str | None) -> None:
        path = self._folder / link
        if folder is PACKAGED:
            path.unlink(missing_ok=True)
        else:
            fresh = path.with_name(f"{link}.new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(folder)
            fresh.replace(path)
        _sync_folder(self._folder)


def _folder_name(bundle: ModelBundle) -> str:
    """The model's short hash, and the card's: another threshold makes another model."""
    return f"{_short_hash(bundle.model)}-{_short_hash(bundle.card)}"


def _require_whole(folder: str, stored: ModelBundle) -> None:
    """The folder's name tells a damaged file from an untrusted signature."""
    model_hash, _, card_hash = folder.partition("-")
    parts = ((_MODEL, stored.model, model_hash), (_CARD, stored.card, card_hash))
    for name, content, expected in parts:
        if (found := _short_hash(content)) != expected:
            raise ModelRefused(
                f"{folder}/{name} is damaged: its sha256 begins with {found}, not {expected}"
            )


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:NAME_HEX_DIGITS]


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ModelRefused("another model is being installed") from error


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
