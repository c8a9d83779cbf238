"""One log line is one event with fields: `log.info("link lost", extra={"sensor": name})`.

On a terminal a line is for people. Otherwise it is JSON, or goes into the journal field by field
where systemd-python is installed.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

MAX_LINE = 8192  # characters; well below journald's LineMax of 48 KiB
MAX_FIELD = 512  # characters of one field's text
MAX_TRACEBACK = 4096  # characters, the last ones: they hold the cause

_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}  # syslog(3)

Field = str | int | float | bool | None


def fields_of(record: logging.LogRecord) -> dict[str, Field]:
    """What the caller gave as `extra`, and the traceback if there is one; every text bounded."""
    fields = {
        name: _field(value) for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES
    }
    if record.exc_info:
        fields["traceback"] = logging.Formatter().formatException(record.exc_info)[-MAX_TRACEBACK:]
    return fields


def _field(value: object) -> Field:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    return value if value is None or isinstance(value, (int, float)) else _text(value)


def _text(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= MAX_FIELD else text[: MAX_FIELD - 1] + "…"


class JsonFormatter(logging.Formatter):
    """One JSON object a line; `prefixed` with the priority that journald takes off again."""

    def __init__(self, prefixed: bool = False) -> None:
        super().__init__()
        self._prefixed = prefixed

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Field] = {
            "event": _text(record.getMessage()),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        prefix = f"<{_PRIORITIES[record.levelname]}>" if self._prefixed else ""
        line = prefix + json.dumps(event | fields_of(record), ensure_ascii=False)
        if len(line) > MAX_LINE:
            return prefix + json.dumps(event | {"fields_dropped": True}, ensure_ascii=False)
        return line


class PlainFormatter(logging.Formatter):
    """`12:00:00 WARNING link lost sensor=ECG-00000001`, the traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        traceback = fields.pop("traceback", None)
        words = [self.formatTime(record, "%H:%M:%S"), f"{record.levelname:<7}", record.getMessage()]
        words += [f"{name}={_one_word(value)}" for name, value in fields.items()]
        line = " ".join(words)[:MAX_LINE]
        return f"{line}\n{traceback}" if traceback else line


def _one_word(value: Field) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text else json.dumps(text)


class JournalHandler(logging.Handler):
    """Fields become the journal's own: `sensor` is searched for as ECG_SENSOR."""

    def __init__(self, send: Callable[..., object]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        fields = {f"ECG_{name.upper()}": str(value) for name, value in fields_of(record).items()}
        self._send(
            _text(record.getMessage()),
            PRIORITY=str(_PRIORITIES[record.levelname]),
            LOGGER=record.name,
            **fields,
        )


def configure(
    level: int = logging.INFO,
    stream: TextIO = sys.stderr,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Let every logger of the process speak through one handler on `stream`, or the journal.

    `level` is the gateway's own; of the libraries only warnings are heard.
    """
    logging.basicConfig(level=logging.WARNING, handlers=[_handler(stream, environ)], force=True)
    logging.getLogger("gateway").setLevel(level)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each of its plugins


def _handler(stream: TextIO, environ: Mapping[str, str]) -> logging.Handler:
    in_journal = "JOURNAL_STREAM" in environ  # systemd.exec(5): stderr leads to the journal
    if in_journal:
        try:
            from systemd.journal import send
        except ImportError:
            pass
        else:
            return JournalHandler(send)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter() if stream.isatty() else JsonFormatter(in_journal))
    return handler
