"""One table of a TOML file, taken value by value; an error names the key and what would do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class ConfigError(Exception):
    """The configuration can't be used; the text says where, and what to write instead."""


class Section:
    """One table of the file; each value is taken once, and what is left over is unknown."""

    def __init__(self, name: str, values: dict[str, object]) -> None:
        self._name = name
        self._values = values

    def at(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def only(self, keys: Iterable[str]) -> None:
        known = list(keys)
        for key in self._values:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise ConfigError(f"{self.at(key)} is not known; {hint}")

    def section(self, key: str) -> Section:
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            raise ConfigError(f"{key} = {value!r} must be a table: [{key}]")
        return Section(self.at(key), value)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._values.get(key, default)
        if value is None:
            raise ConfigError(f"{self.at(key)} is missing")
        if not isinstance(value, str) or not value:
            raise ConfigError(f'{self.at(key)} = {value!r} must be a text in "quotes"')
        return value

    def number(self, key: str, default: int, allowed: tuple[int, int]) -> int:
        value = self._values.get(key, default)
        low, high = allowed
        if type(value) is not int or not low <= value <= high:
            raise ConfigError(f"{self.at(key)} = {value!r} must be a number from {low} to {high}")
        return value

    def switch(self, key: str, default: bool) -> bool:
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise ConfigError(f"{self.at(key)} = {value!r} must be true or false")
        return value

    def one_of(self, key: str, default: str, allowed: Iterable[str]) -> str:
        value = self.text(key, default)
        if value not in (known := list(allowed)):
            raise ConfigError(f'{self.at(key)} = "{value}" must be one of {", ".join(known)}')
        return value

    def texts(self, key: str) -> list[str]:
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f'{self.at(key)} = {value!r} must be a list of texts in "quotes"')
        return value

    def given(self, key: str) -> bool:
        return key in self._values

    def file(self, key: str) -> Path:
        path = Path(self.text(key))
        if not path.is_file():
            raise ConfigError(f'{self.at(key)} = "{path}": there is no such file')
        return path
