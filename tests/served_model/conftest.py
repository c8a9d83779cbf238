"""Models to install: the packaged one with another name, hash and card, and a test's signature."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from Crypto.PublicKey.ECC import EccKey
from Crypto.Signature import eddsa

from gateway.served_model.bundle import ModelBundle, sign_bundle
from gateway.served_model.store import ModelStore
from gateway.tflite_classifier import default_model_path

SIGNER = eddsa.import_private_key(bytes(range(32)))
STRANGER = eddsa.import_private_key(bytes(32))
PACKAGED_MODEL = default_model_path().read_bytes()
PACKAGED_CARD = json.loads(default_model_path().with_suffix(".json").read_text())


def public_key_of(private_key: EccKey) -> str:
    return private_key.public_key().export_key(format="raw").hex()


def signed(
    name: str, signer: EccKey = SIGNER, model: bytes | None = None, **card: object
) -> ModelBundle:
    """The packaged model by that name; a FlatBuffer's reader does not see what is behind it."""
    model = PACKAGED_MODEL + name.encode() if model is None else model
    content = {**PACKAGED_CARD, "name": name, "sha256": hashlib.sha256(model).hexdigest(), **card}
    return sign_bundle(json.dumps(content).encode(), model, signer)


@pytest.fixture(scope="session")
def bundle_of() -> Callable[..., ModelBundle]:
    return signed


@pytest.fixture(scope="session")
def trusted() -> tuple[str, ...]:
    return (public_key_of(SIGNER),)


@pytest.fixture(scope="session")
def signer() -> EccKey:
    return SIGNER


@pytest.fixture(scope="session")
def stranger() -> EccKey:
    return STRANGER


@pytest.fixture
def model_store(tmp_path: Path, trusted: tuple[str, ...]) -> ModelStore:
    return ModelStore(tmp_path, trusted)
