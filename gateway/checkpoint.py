"""A pipeline's state as bytes, so that a restarted daemon goes on to the bit where it stopped.

The state is walked attribute by attribute: plain values, containers, numpy arrays, enums, and
objects of the gateway's own classes. It is written as a JSON header with the arrays' bytes behind
it, zlib-compressed (several stages keep the same last seconds of signal). Nothing is executed on
reading but the construction of these. A fingerprint covers the analysis code itself, notch and
numpy: bit-exactness can be promised for the same arithmetic only, so what differs refuses the
checkpoint. The model and the limits are no part of it: a state goes on under others without losing
a beat, after a restart as when they are changed while beds are monitored.
"""

from __future__ import annotations

import enum
import hashlib
import importlib
import json
import math
import struct
import zlib
from collections import deque
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gateway.pipeline import Pipeline

FORMAT = 1
MAX_STATE_BYTES = 4 * 1024 * 1024  # some 40 times the state at 500 Hz; a larger one is damaged
OUTSIDE = frozenset({"classifier", "limits", "notch_mode"})  # given to the constructor, not state
ANALYSIS_CODE = ("messages.py", "rhythm/*.py", "pipeline.py", "minutes.py", "dsp/*.py")
_OWN_MODULES = ("gateway.messages", "gateway.rhythm.", "gateway.minutes", "gateway.dsp.")
_HEADER_LENGTH = struct.Struct("<I")
# what a header raises that JSON can hold and `save` never writes
_UNFIT = (AttributeError, ArithmeticError, ImportError, KeyError, TypeError, ValueError)
_TAG = "$"  # marks a JSON object that stands for something other than a dict


class CheckpointRefusal(enum.StrEnum):
    DAMAGED = "damaged"  # not what `save` wrote
    FORMAT = "format"  # written by a version that lays it out otherwise
    FINGERPRINT = "fingerprint"  # other code, policy, notch or sample rate


class CheckpointRefused(Exception):
    """The checkpoint does not fit; the pipeline is unchanged."""

    def __init__(self, reason: CheckpointRefusal) -> None:
        super().__init__(f"checkpoint refused: {reason}")
        self.reason = reason


def save(pipeline: Pipeline) -> bytes:
    """The whole state of `pipeline` between two pushes.

    Raises TypeError where a stage keeps what a checkpoint can't hold.
    """
    arrays = bytearray()
    state = {name: _encode(value, arrays) for name, value in _state(pipeline).items()}
    content = {"format": FORMAT, "fingerprint": _fingerprint(pipeline), "state": state}
    header = json.dumps(content, separators=(",", ":")).encode()
    return zlib.compress(_HEADER_LENGTH.pack(len(header)) + header + arrays)


def load(pipeline: Pipeline, checkpoint: bytes) -> None:
    """Put `pipeline`, new and built with the same rate and notch, into the saved state.

    Its own limits hold from there on. Raises CheckpointRefused.
    """
    content, arrays = _unpack(checkpoint)
    if content.get("format") != FORMAT:
        raise CheckpointRefused(CheckpointRefusal.FORMAT)
    if content.get("fingerprint") != _fingerprint(pipeline):
        raise CheckpointRefused(CheckpointRefusal.FINGERPRINT)
    try:
        state = {name: _decode(value, arrays) for name, value in content["state"].items()}
        state["_rhythm"].change_limits(pipeline.limits)
    except _UNFIT as error:
        raise CheckpointRefused(CheckpointRefusal.DAMAGED) from error
    if state.keys() != _state(pipeline).keys():
        raise CheckpointRefused(CheckpointRefusal.DAMAGED)
    vars(pipeline).update(state)


def _state(pipeline: Pipeline) -> dict[str, Any]:
    return {name: value for name, value in vars(pipeline).items() if name not in OUTSIDE}


def _unpack(checkpoint: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON header, and the bytes of all arrays behind it."""
    try:
        inflate = zlib.decompressobj()
        plain = inflate.decompress(checkpoint, MAX_STATE_BYTES)
        (length,) = _HEADER_LENGTH.unpack_from(plain)
        arrays_at = _HEADER_LENGTH.size + length
        content = json.loads(plain[_HEADER_LENGTH.size : arrays_at])
    except (zlib.error, struct.error, ValueError) as error:
        raise CheckpointRefused(CheckpointRefusal.DAMAGED) from error
    if not isinstance(content, dict) or not inflate.eof:
        raise CheckpointRefused(CheckpointRefusal.DAMAGED)
    return content, plain[arrays_at:]


def _fingerprint(pipeline: Pipeline) -> str:
    parts = (
        _code_sha256(),
        np.__version__,
        pipeline.limits.abnormal_beat,  # which chooses a rule; the others are numbers
        pipeline.notch_mode,
        str(pipeline.sample_rate_hz),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def _code_sha256() -> str:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for pattern in ANALYSIS_CODE:
        for path in sorted(here.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _encode(value: Any, arrays: bytearray) -> Any:
    """JSON for `value`; what derives from a plain type (an enum, a numpy float) is not taken
    for one. The bytes of an array go to the end of `arrays`."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [_encode(item, arrays) for item in value]
    if isinstance(value, enum.Enum):
        return {_TAG: "enum", "class": _class_name(value), "value": value.value}
    if isinstance(value, np.ndarray | np.generic):
        return _encode_array(value, arrays)
    if type(value) is dict:
        items = [[_encode(key, arrays), _encode(item, arrays)] for key, item in value.items()]
        return {_TAG: "dict", "items": items}
    if type(value) in (tuple, deque, frozenset):
        return _encode_sequence(value, arrays)
    names = _attribute_names(value)
    attributes = {name: _encode(getattr(value, name), arrays) for name in names}
    return {_TAG: "object", "class": _class_name(value), "attributes": attributes}


def _encode_array(value: np.ndarray[Any, Any] | np.generic, arrays: bytearray) -> dict[str, Any]:
    if value.dtype.hasobject:
        raise TypeError("a checkpoint can't hold an array of objects")
    stored = _narrowed(np.asarray(value))
    arrays += stored.tobytes()
    return {
        _TAG: "array" if isinstance(value, np.ndarray) else "scalar",
        "dtype": value.dtype.str,
        "stored": stored.dtype.str,
        "shape": list(value.shape),
        "end": len(arrays),
    }


def _narrowed(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Whole numbers in 16 bits, where that gives the same bits back: raw samples are such."""
    if array.dtype != np.float64 or not np.all(np.abs(array) <= np.iinfo(np.int16).max):
        return array
    narrow = array.astype(np.int16)
    return narrow if narrow.astype(np.float64).tobytes() == array.tobytes() else array


def _encode_sequence(items: Any, arrays: bytearray) -> dict[str, Any]:
    ordered = sorted(items) if isinstance(items, frozenset) else items
    encoded = {_TAG: type(items).__name__, "items": [_encode(item, arrays) for item in ordered]}
    return encoded | {"maxlen": items.maxlen} if isinstance(items, deque) else encoded


def _attribute_names(value: object) -> list[str]:
    if is_dataclass(value):
        return [field.name for field in fields(value)]
    return list(vars(value))  # TypeError for what has neither


def _class_name(value: object) -> str:
    kind = type(value)
    if not kind.__module__.startswith(_OWN_MODULES):
        raise TypeError(f"a checkpoint can't hold a {kind.__module__}.{kind.__qualname__}")
    return f"{kind.__module__}:{kind.__qualname__}"


def _decode(value: Any, arrays: bytes) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    match value[_TAG]:
        case "enum":
            return _own_class(value["class"])(value["value"])
        case "array" | "scalar":
            return _decode_array(value, arrays)
        case "dict":
            return {_decode(key, arrays): _decode(item, arrays) for key, item in value["items"]}
        case "object":
            return _decode_object(value, arrays)
        case _:
            return _decode_sequence(value, arrays)


def _decode_sequence(value: dict[str, Any], arrays: bytes) -> Any:
    items = _decode(value["items"], arrays)
    match value[_TAG]:
        case "tuple":
            return tuple(items)
        case "frozenset":
            return frozenset(items)
        case "deque":
            return deque(items, value["maxlen"])
        case tag:
            raise ValueError(f"unknown tag {tag!r}")


def _decode_array(value: dict[str, Any], arrays: bytes) -> Any:
    stored = np.dtype(value["stored"])
    count = math.prod(value["shape"])
    begin = value["end"] - count * stored.itemsize
    flat = np.frombuffer(arrays, stored, count, begin).astype(value["dtype"])
    array = flat.reshape(value["shape"])
    return array if value[_TAG] == "array" else array[()]


def _decode_object(value: dict[str, Any], arrays: bytes) -> Any:
    kind = _own_class(value["class"])
    attributes = {name: _decode(item, arrays) for name, item in value["attributes"].items()}
    if not is_dataclass(kind):
        restored = kind.__new__(kind)
        vars(restored).update(attributes)
        return restored
    construct: Any = kind  # frozen ones take no assignment, and check themselves
    return construct(**attributes)


def _own_class(name: str) -> Any:
    module, _, qualified_name = name.partition(":")
    if not module.startswith(_OWN_MODULES):
        raise ValueError(f"{name} is not a class of the analysis")
    return getattr(importlib.import_module(module), qualified_name)
