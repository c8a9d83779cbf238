"""Fixtures and rules that every test shares."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from tests.recordings import missing

# A busy machine makes any example slow once; pytest's timeout bounds the whole test.
hypothesis.settings.register_profile("gateway", deadline=None)
hypothesis.settings.load_profile("gateway")

PROJECT = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fail-on-skip", action="store_true", help="a skipped test fails the run")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    forbidden = session.config.getoption("--fail-on-skip") and reporter.stats.get("skipped")
    if forbidden and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def ecg_data() -> Path:
    """The folder of real recordings; the test is skipped where some are missing."""
    folder = Path(os.environ.get("ECG_DATA", PROJECT / "../shared/data")).resolve()
    if absent := missing(folder):
        fetch = f"make recordings ECG_DATA={folder}"
        pytest.skip(f"no recordings of {', '.join(absent)} in {folder}; fetch them: {fetch}")
    return folder
