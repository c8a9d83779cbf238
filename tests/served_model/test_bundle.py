"""What a bundle's bytes must be, and whose."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from Crypto.Signature import eddsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.beat_classifier import MAX_CARD_BYTES, ModelRefused
from gateway.served_model.bundle import (
    MAGIC,
    MAX_BUNDLE_BYTES,
    ModelBundle,
    decode_bundle,
    read_bundle,
)
from gateway.tflite_classifier import MAX_MODEL_BYTES

PARTS = ModelBundle(b'{"name": "card"}', b"model", bytes(64))


def test_a_bundle_comes_back_as_it_was_written():
    assert decode_bundle(PARTS.encode()) == PARTS


def test_the_largest_card_and_model_fit_and_nothing_larger(tmp_path):
    largest = ModelBundle(bytes(MAX_CARD_BYTES), bytes(MAX_MODEL_BYTES), bytes(64))
    path = tmp_path / "bundle"
    path.write_bytes(largest.encode())
    assert read_bundle(path) == largest
    path.write_bytes(largest.encode() + b"\0")
    with pytest.raises(ModelRefused, match=f"exceeds {MAX_BUNDLE_BYTES} bytes"):
        read_bundle(path)
    with pytest.raises(ModelRefused, match="too long"):
        decode_bundle(ModelBundle(bytes(MAX_CARD_BYTES + 1), b"", bytes(64)).encode())
    with pytest.raises(ModelRefused, match="too long"):
        decode_bundle(ModelBundle(b"", bytes(MAX_MODEL_BYTES + 1), bytes(64)).encode())


@given(st.integers(0, len(PARTS.encode()) - 1))
def test_a_truncated_bundle_is_refused(length):
    with pytest.raises(ModelRefused, match=r"not a model bundle|its header says"):
        decode_bundle(PARTS.encode()[:length])


def test_what_comes_behind_a_bundle_is_refused():
    with pytest.raises(ModelRefused, match="its header says"):
        decode_bundle(PARTS.encode() + b"\0")


@given(st.binary(max_size=200))
def test_noise_is_refused(noise):
    for content in (noise, MAGIC + noise):
        with pytest.raises(ModelRefused):
            decode_bundle(content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelRefused, match=r"none can't be read: No such file"):
        read_bundle(tmp_path / "none")


def test_the_signers_bundle_is_trusted(bundle_of, trusted, stranger):
    decode_bundle(bundle_of("beat_next").encode()).check_signature(trusted)
    another = stranger.public_key().export_key(format="raw").hex()
    bundle_of("beat_next").check_signature((another, *trusted))


def test_a_strangers_bundle_is_not(bundle_of, trusted, stranger):
    with pytest.raises(ModelRefused, match=r"none of model\.public_keys"):
        bundle_of("beat_next", stranger).check_signature(trusted)


def test_a_signature_that_was_made_for_something_else_does_not_fit(bundle_of, trusted, signer):
    bundle = bundle_of("beat_next")
    hashes = hashlib.sha256(bundle.card).digest() + hashlib.sha256(bundle.model).digest()
    signature = eddsa.new(signer, "rfc8032").sign(hashes)
    with pytest.raises(ModelRefused, match="the signature is by none"):
        replace(bundle, signature=signature).check_signature(trusted)


def test_without_a_trusted_key_the_refusal_names_the_one_to_set(bundle_of):
    with pytest.raises(ModelRefused, match=r"set public_keys in \[model\]"):
        bundle_of("beat_next").check_signature(())


def test_a_key_that_is_none_is_named(bundle_of):
    with pytest.raises(ModelRefused, match=r"model\.public_keys: f{64} is no Ed25519 key"):
        bundle_of("beat_next").check_signature(("f" * 64,))


@given(drawn=st.data())
def test_no_single_bit_can_change(drawn, bundle_of, trusted):
    content = bytearray(bundle_of("beat_next", model=b"a model").encode())
    at = drawn.draw(st.integers(0, 8 * len(content) - 1))
    content[at // 8] ^= 1 << at % 8
    with pytest.raises(ModelRefused):
        decode_bundle(bytes(content)).check_signature(trusted)


def test_card_and_model_cannot_be_put_together_anew(bundle_of, trusted):
    one, other = bundle_of("one"), bundle_of("other")
    for mixed in (
        ModelBundle(one.card, other.model, one.signature),
        ModelBundle(other.card, one.model, one.signature),
        ModelBundle(one.model, one.card, one.signature),
    ):
        with pytest.raises(ModelRefused):
            mixed.check_signature(trusted)
