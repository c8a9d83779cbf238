"""`ecg-gateway model`: which model serves, whether it is whole, another one, the one before."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.beat_classifier import BeatClassifier, ModelCard, ModelRefused, Score
from gateway.commands.model_self_test import (
    LEAST_AGREEMENT,
    LEAST_BEATS,
    check_labels,
    compare,
    drawn_beats,
    stored_beats,
)
from gateway.commands.text_table import text_table
from gateway.config import GatewayConfig
from gateway.config_file import DEFAULT_PATH, load_config
from gateway.control.model import RELOAD
from gateway.control.socket import ControlRefused, NoAnswer, NoGateway, ask
from gateway.messages import BeatInContext
from gateway.radio.keyring import KeyringError, open_keyring
from gateway.radio.session_keys import SessionKeys
from gateway.served_model.bundle import read_bundle
from gateway.served_model.store import PACKAGED, ModelStore
from gateway.store.database import StoreUnreadable
from gateway.store.reader import Reader

SHOWN_SCORES = ("f1", "auc", "V_se", "V_ppv", "S_se", "S_ppv", "false_positives_per_hour", "n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help="of the gateway")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="the model that serves, its scores, the one before it")
    show.add_argument("--json", action="store_true", help="all of the card's scores, as JSON")
    actions.add_parser("verify", help="check its signature, hash and card, and its labels")
    install = actions.add_parser("install", help="check a signed model and put it in service")
    install.add_argument("bundle", type=Path, metavar="BUNDLE")
    install.add_argument(
        "--force", action="store_true", help="even if it labels beats unlike the model in service"
    )
    actions.add_parser("rollback", help="put the model before it in service again")


def run(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    store = ModelStore(config.state_directory, config.model.public_keys)
    actions: dict[str, Callable[[], str]] = {
        "show": lambda: _show(store, arguments.json),
        "verify": lambda: _verify(store),
        "install": lambda: _install(store, config, arguments.bundle, arguments.force),
        "rollback": lambda: _roll_back(store, config),
    }
    try:
        print(actions[arguments.action]())
    except (ModelRefused, OSError) as error:
        print(f"ecg-gateway model {arguments.action}: {error}", file=sys.stderr)
        return 1
    return 0


def _show(store: ModelStore, as_json: bool) -> str:
    loaded = store.load_in_service()
    card = loaded.classifier.card
    facts: dict[str, Any] = {
        "name": card.name,
        "hash": card.short_hash,
        "from": _origin(loaded.folder),
        "refused": loaded.refused,
        "before_it": _model_before(store),
        "scores": [asdict(score) for score in card.scores],
    }
    if as_json:
        return json.dumps(facts)
    lines = [f"{_title(card)}, {facts['from']}", f"before it: {facts['before_it'] or 'none'}"]
    if loaded.refused is not None:
        lines.insert(1, f"instead of one that is refused: {loaded.refused}")
    return "\n".join([*lines, text_table([_SCORE_HEAD, *map(_score_line, card.scores)])])


def _verify(store: ModelStore) -> str:
    classifier = store.load(store.current)
    check_labels(classifier, drawn_beats(classifier))
    return f"ok: {_title(classifier.card)}, {_origin(store.current)}"


def _install(store: ModelStore, config: GatewayConfig, path: Path, force: bool) -> str:
    bundle = read_bundle(path)
    with store.locked():
        serving = store.load_in_service()
        new = store.receive(bundle)
        tested = _self_test(new, serving.classifier, config, force)
        name = store.keep(bundle)
        previous = store.previous if name == store.current else serving.folder
        taken = _switch(store, config, name, previous)
    return f"{tested}\n{_title(new.card)} {taken}"


def _roll_back(store: ModelStore, config: GatewayConfig) -> str:
    with store.locked():
        if store.current is PACKAGED:
            raise ModelRefused("the packaged model serves; there is none before it")
        folder, classifier = _fit_before(store)
        taken = _switch(store, config, folder, PACKAGED)
    return f"{_title(classifier.card)} {taken}"


def _fit_before(store: ModelStore) -> tuple[str | None, BeatClassifier]:
    """The previous model where it is whole, otherwise the packaged one."""
    try:
        return store.previous, store.load(store.previous)
    except ModelRefused:  # `show` says why
        return PACKAGED, store.load(PACKAGED)


def _switch(
    store: ModelStore, config: GatewayConfig, current: str | None, previous: str | None
) -> str:
    """Put it in service, now where a gateway runs; raises ModelRefused where that refuses it."""
    before = store.current, store.previous
    store.put_in_service(current, previous)
    try:
        ask(config.state_directory, RELOAD)
    except NoGateway:
        return "serves from the next start on: no gateway is running"
    except NoAnswer as unanswered:  # it may have taken the model all the same
        store.put_in_service(*before)
        back = _title(store.load_in_service().classifier.card)
        raise ModelRefused(
            f"{unanswered}; the files are back to {back}, which serves from the next start on;"
            " /healthz says which model serves until then"
        ) from unanswered
    except ControlRefused as refused:
        store.put_in_service(*before)
        raise ModelRefused(
            f"the running gateway says: {refused}"
            " (it reads model.public_keys when it starts; nothing was changed)"
        ) from refused
    return "serves now: the running gateway has taken it"


def _self_test(
    new: BeatClassifier, serving: BeatClassifier, config: GatewayConfig, force: bool
) -> str:
    """One line on how the labels compare; raises ModelRefused where they do not."""
    drawn = drawn_beats(serving)
    check_labels(new, drawn)
    stored = _stored_beats(serving, config)
    enough = len(stored) >= LEAST_BEATS
    agreement = compare(new, serving, stored if enough else drawn)
    found = (
        f"self-test: {100 * agreement.share:.1f} % of {agreement.beats}"
        f" {'stored' if enough else 'drawn'} beats are N or not N as {serving.card.short_hash} says"
    )
    if agreement.share < LEAST_AGREEMENT and not force:
        raise ModelRefused(f"{found}; {100 * LEAST_AGREEMENT:.0f} % is the least without --force")
    return found


def _stored_beats(serving: BeatClassifier, config: GatewayConfig) -> list[BeatInContext]:
    """Empty where there are none, or no key that opens them."""
    path = config.state_directory / config.store.path
    if not path.exists():
        return []
    reader = Reader(path)
    try:
        keyring = open_keyring(config.state_directory, config.keyring)
        return stored_beats(serving, reader, SessionKeys(keyring))
    except (KeyringError, StoreUnreadable) as error:
        print(f"stored beats are left out of the self-test: {error}", file=sys.stderr)
        return []
    finally:
        reader.close()


def _model_before(store: ModelStore) -> str | None:
    if store.current is PACKAGED:
        return None
    try:
        return f"{_title(store.load(store.previous).card)}, {_origin(store.previous)}"
    except ModelRefused as refused:
        return f"refused: {refused}"


def _origin(folder: str | None) -> str:
    return "packaged" if folder is PACKAGED else "installed"


def _title(card: ModelCard) -> str:
    return f"{card.name} {card.short_hash}"


_SCORE_HEAD = ["data", "split", "arithmetic", *SHOWN_SCORES]


def _score_line(score: Score) -> list[str]:
    values = (score.percent.get(name) for name in SHOWN_SCORES)
    shown = ["—" if value is None else f"{value:g}" for value in values]
    return [score.data, score.split, score.arithmetic, *shown]
