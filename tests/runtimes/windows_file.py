"""Beat windows as lines of JSON, to hand the same ones to every runtime's environment.

Field by field, so that a window may gain fields; arrays keep their bytes and their dtype. Pickle
would not do: environments with numpy 1 and with numpy 2 don't read each other's.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from gateway.messages import BeatInContext


def save_windows(windows: Iterable[BeatInContext], path: Path) -> None:
    with path.open("w") as lines:
        for window in windows:
            values = {field.name: getattr(window, field.name) for field in fields(BeatInContext)}
            lines.write(json.dumps(values, default=_array_as_json) + "\n")


def load_windows(path: Path) -> list[BeatInContext]:
    with path.open() as lines:
        return [_window(json.loads(line, object_hook=_array_of_json)) for line in lines]


def _array_as_json(value: object) -> dict[str, str]:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a beat window holds {value!r}, which has no place in JSON")
    return {"dtype": value.dtype.str, "base64": base64.b64encode(value.tobytes()).decode()}


def _array_of_json(coded: dict[str, Any]) -> Any:
    if coded.keys() != {"dtype", "base64"}:
        return coded
    return np.frombuffer(base64.b64decode(coded["base64"]), coded["dtype"]).copy()


def _window(values: dict[str, Any]) -> BeatInContext:
    """JSON knows no tuples; no field of a window is a list."""
    frozen = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return BeatInContext(**frozen)
