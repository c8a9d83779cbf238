"""Tests without their recordings: skipped with the cure, and a failure where CI asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recordings import DATABASES

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    shutil.copy(PROJECT / "tests/conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {PROJECT}\n")
    (tmp_path / "test_it.py").write_text("def test_beats(ecg_data):\n    pass\n")
    return tmp_path


def run(suite: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", *flags],
        cwd=suite,
        env=os.environ | {"ECG_DATA": str(suite / "none"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_skip_names_the_command_that_mends_it(suite: Path) -> None:
    done = run(suite)
    assert done.returncode == 0
    assert f"make recordings ECG_DATA={suite / 'none'}" in done.stdout


def test_a_skip_fails_where_ci_asks(suite: Path) -> None:
    done = run(suite, "--fail-on-skip")
    assert done.returncode == 1
    assert "1 skipped" in done.stdout


def give(suite: Path, *databases: str) -> None:
    for name in databases:
        (suite / "none" / name).mkdir(parents=True)
        (suite / "none" / name / "1.hea").touch()


def test_recordings_that_are_there_are_used(suite: Path) -> None:
    give(suite, *DATABASES)
    done = run(suite, "--fail-on-skip")
    assert done.returncode == 0
    assert "1 passed" in done.stdout


def test_a_skip_names_what_is_missing(suite: Path) -> None:
    give(suite, *DATABASES[:-1])
    assert f"no recordings of {DATABASES[-1]} in" in run(suite).stdout
