"""`python -m model.bundle keygen | sign`: a model as one signed file that gateways install.

The private key lies in a file of 64 hex digits that its owner alone can read; it is never shown.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from Crypto.PublicKey.ECC import EccKey
from Crypto.Random import get_random_bytes
from Crypto.Signature import eddsa

from gateway.beat_classifier import ModelCard, ModelRefused
from gateway.radio.keyring import write_new_secret
from gateway.served_model.bundle import sign_bundle
from gateway.tflite_classifier import TfliteClassifier, default_model_path

PRIVATE_KEY_BYTES = 32  # the seed of RFC 8032


class KeyRefused(Exception):
    """A private key file can't be made or read; the message says why."""


def make_key(path: Path) -> EccKey:
    """A new private key in a new file, readable by its owner alone; raises KeyRefused."""
    seed = get_random_bytes(PRIVATE_KEY_BYTES)
    try:
        write_new_secret(path, seed)
    except OSError as error:
        raise KeyRefused(f"{path} can't be made: {error.strerror}") from error
    return eddsa.import_private_key(seed)


def read_key(path: Path) -> EccKey:
    """Raises KeyRefused, which tells nothing of the file's content."""
    try:
        return eddsa.import_private_key(bytes.fromhex(path.read_text("ascii").strip()))
    except OSError as error:
        raise KeyRefused(f"{path} can't be read: {error.strerror}") from error
    except ValueError:
        raise KeyRefused(f"{path} does not hold {2 * PRIVATE_KEY_BYTES} hex digits") from None


def public_key(private_key: EccKey) -> str:
    """As model.public_keys in gateway.toml wants it."""
    return private_key.public_key().export_key(format="raw").hex()


def sign(model_path: Path, private_key: EccKey, bundle_path: Path) -> ModelCard:
    """Bundle the model with the card beside it; raises ModelRefused where they do not fit."""
    checked = TfliteClassifier(model_path).card
    card = model_path.with_suffix(".json").read_bytes()
    bundle = sign_bundle(card, model_path.read_bytes(), private_key)
    bundle_path.write_bytes(bundle.encode())
    return checked


def main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    try:
        if arguments.action == "keygen":
            key = make_key(arguments.key)
        else:
            key = read_key(arguments.key)
            card = sign(arguments.model, key, arguments.out)
            print(f"{arguments.out}: {card.name} {card.short_hash}")
    except (KeyRefused, ModelRefused, OSError) as error:
        print(f"model.bundle: {error}", file=sys.stderr)
        return 1
    print(f"its signer, for gateway.toml:\n[model]\npublic_keys = [{public_key(key)!r}]")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model.bundle", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    keygen = actions.add_parser("keygen", help="make a private key, and show its public one")
    signing = actions.add_parser("sign", help="bundle a model with its card")
    for action in (keygen, signing):
        action.add_argument("--key", type=Path, required=True, metavar="FILE", help="private key")
    signing.add_argument("--out", type=Path, required=True, metavar="BUNDLE")
    signing.add_argument(
        "model", type=Path, nargs="?", default=default_model_path(), help="default: the packaged"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
