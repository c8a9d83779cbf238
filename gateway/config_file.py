"""TOML in, a `GatewayConfig` or an error that teaches out."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_type_hints

from gateway.config import GatewayConfig

DEFAULT_PATH = Path("/etc/ecg-gateway/gateway.toml")
MAX_FILE_BYTES = 64 * 1024  # every key at its longest is far below
MAX_SHOWN_VALUE = 40  # characters of a wrong value in an error line

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """`key` is dotted as in TOML, empty where the file itself is at fault."""

    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}" if self.key else self.reason


class ConfigError(Exception):
    """Everything that is wrong with one file, a line for each problem."""

    def __init__(self, path: Path, problems: list[ConfigProblem]) -> None:
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))
        self.path = path
        self.problems = tuple(problems)


def load_config(path: Path) -> GatewayConfig:
    """The file's values over the defaults. Raises ConfigError with all that is wrong."""
    problems: list[ConfigProblem] = []
    config: GatewayConfig = _build(GatewayConfig, _read_toml(path), "", problems)
    if problems:
        raise ConfigError(path, problems)
    return config


def read_part(part: type[Part], table: Mapping[str, Any]) -> tuple[Part, list[ConfigProblem]]:
    """One part of the configuration from its table, and all that is wrong with it."""
    problems: list[ConfigProblem] = []
    made: Part = _build(part, table, "", problems)
    return made, problems


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"longer than {MAX_FILE_BYTES} bytes")
        return tomllib.loads(content.decode())
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError as error:  # not UTF-8, not TOML, too long
        reason = str(error)
    raise ConfigError(path, [ConfigProblem("", reason)])


def _build(part: Any, table: Mapping[str, Any], prefix: str, problems: list[ConfigProblem]) -> Any:
    """A `part` from its table; its defaults where a value is wrong, so that reading goes on."""
    kinds = get_type_hints(part)
    known = {field.name: field.metadata for field in fields(part)}
    values = {}
    problems_before = len(problems)
    for name, value in table.items():
        key = prefix + name
        if name not in known:
            problems.append(ConfigProblem(key, _unknown(name, list(known))))
        elif is_dataclass(kinds[name]) and isinstance(value, dict):
            values[name] = _build(kinds[name], value, f"{key}.", problems)
        else:
            try:
                values[name] = _read_value(kinds[name], value, known[name])
            except ValueError as error:
                problems.append(ConfigProblem(key, f"{_shown(value)} {error}"))
    if len(problems) > problems_before:
        return part()
    try:
        return part(**values)
    except ValueError as error:  # the values do not go together
        problems.append(ConfigProblem(prefix.rstrip("."), str(error)))
        return part()


def _read_value(kind: Any, value: object, limits: Mapping[str, Any]) -> object:
    """Raises ValueError with what the value must be, worded to follow the value."""
    if is_dataclass(kind):
        raise ValueError("must be a table of its own")
    expected, fits, make = _KINDS[kind]
    if "low" in limits:
        expected += f" from {limits['low']} to {limits['high']}"
    if not fits(value):
        raise ValueError(f"must be {expected}")
    made = make(value)
    if "low" in limits and not limits["low"] <= made <= limits["high"]:
        raise ValueError(f"must be {expected}")
    if "pattern" in limits:
        texts = made if isinstance(made, tuple) else (made,)
        if not all(re.fullmatch(limits["pattern"], text) for text in texts):
            raise ValueError(f"must be {limits['meaning']}")
    return made


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f'unknown key; did you mean "{near[0]}"?'
    return f"unknown key; known here: {', '.join(known)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_VALUE else text[: MAX_SHOWN_VALUE - 1] + "…"


def _is_number(value: object) -> bool:
    return type(value) in (int, float)  # True is no number here


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


class _Kind(NamedTuple):
    """How a field's type looks in TOML: in words, as a test, and its making."""

    expected: str
    fits: Callable[[Any], bool]
    make: Callable[[Any], object]


_KINDS: dict[Any, _Kind] = {
    bool: _Kind("true or false", lambda value: isinstance(value, bool), bool),
    int: _Kind("an integer", lambda value: type(value) is int, int),
    float: _Kind("a number", _is_number, float),
    str: _Kind("a text", lambda value: isinstance(value, str), str),
    Path: _Kind("a path", _is_path, Path),
    Path | None: _Kind("a path", _is_path, Path),
    tuple[str, ...]: _Kind(
        "a list of texts", lambda value: isinstance(value, list) and _are_texts(value), tuple
    ),
    dict[str, str]: _Kind(
        "a table of texts",
        lambda value: isinstance(value, dict) and _are_texts(value.values()),
        dict,
    ),
}
