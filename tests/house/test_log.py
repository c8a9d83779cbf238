from __future__ import annotations

import io
import json
import logging
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.log import MAX_FIELD, MAX_LINE, JournalHandler, configure

JOURNAL = {"JOURNAL_STREAM": "8:1234"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def loggers_restored() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("gateway")
    handlers, level, own_level = list(root.handlers), root.level, own.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    own.setLevel(own_level)


def written(stream: io.StringIO, environ: dict[str, str], event: str, **fields: Any) -> str:
    configure(stream=stream, environ=environ)
    logging.getLogger("gateway.session").warning(event, extra=fields)
    return stream.getvalue()


def test_a_line_is_one_json_object_with_the_fields() -> None:
    line = written(io.StringIO(), {}, "link lost", sensor="ECG-00000001", after_s=2.5)
    assert json.loads(line) == {
        "event": "link lost",
        "level": "warning",
        "logger": "gateway.session",
        "sensor": "ECG-00000001",
        "after_s": 2.5,
    }


def test_towards_the_journal_a_line_carries_its_priority() -> None:
    assert written(io.StringIO(), JOURNAL, "link lost").startswith('<4>{"event": "link lost"')


def test_on_a_terminal_a_line_is_for_people() -> None:
    line = written(Terminal(), {}, "link lost", sensor="ECG-00000001", reason="out of\nrange")
    assert line.endswith(' WARNING link lost sensor=ECG-00000001 reason="out of\\nrange"\n')


def test_debug_lines_and_what_libraries_tell_stay_out() -> None:
    stream = io.StringIO()
    configure(stream=stream, environ={})
    logging.getLogger("gateway").debug("frame opened")
    logging.getLogger("alembic").info("context made")
    assert stream.getvalue() == ""
    logging.getLogger("alembic").warning("table missing")
    assert "table missing" in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_a_traceback_is_kept_and_bounded(stream: io.StringIO) -> None:
    configure(stream=stream, environ={})
    try:
        raise RuntimeError("x" * MAX_LINE + "the cause")
    except RuntimeError:
        logging.getLogger("gateway").exception("stopped")
    assert "the cause" in stream.getvalue()
    assert len(stream.getvalue()) < MAX_LINE


def test_a_line_too_long_keeps_its_event() -> None:
    many = {f"field_{number}": "x" * MAX_FIELD for number in range(20)}
    event = json.loads(written(io.StringIO(), {}, "link lost", **many))
    assert event["event"] == "link lost"
    assert event["fields_dropped"] is True


@given(
    event=st.text(), value=st.text() | st.floats() | st.integers() | st.none() | st.lists(st.text())
)
def test_any_text_is_one_bounded_line_of_json(event: str, value: object) -> None:
    line = written(io.StringIO(), {}, event.replace("%", ""), value=value)
    assert line.count("\n") == 1
    assert len(line) <= MAX_LINE + 1
    json.loads(line, parse_constant=pytest.fail)


def test_with_systemd_python_fields_become_the_journals_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[tuple[str, dict[str, str]]] = []
    journal = types.ModuleType("systemd.journal")
    journal.send = lambda message, **fields: sent.append((message, fields))  # type: ignore[attr-defined]  # a module made here
    monkeypatch.setitem(sys.modules, "systemd", types.ModuleType("systemd"))
    monkeypatch.setitem(sys.modules, "systemd.journal", journal)
    assert written(io.StringIO(), JOURNAL, "link lost", sensor="ECG-00000001") == ""
    assert isinstance(logging.getLogger().handlers[0], JournalHandler)
    fields = {"PRIORITY": "4", "LOGGER": "gateway.session", "ECG_SENSOR": "ECG-00000001"}
    assert sent == [("link lost", fields)]
