"""Tests without their recordings: skipped with the cure, and a failure where CI asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
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


def test_recordings_that_are_there_are_used(suite: Path) -> None:
    (suite / "none" / "mitdb").mkdir(parents=True)
    done = run(suite, "--fail-on-skip")
    assert done.returncode == 0
    assert "1 passed" in done.stdout
