from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__
from gateway.__main__ import COMMANDS, CONFIG, OK, main

HEAVY = ["ai_edge_litert", "bleak", "flask", "numpy", "scipy", "sqlalchemy"]
ONLY_THE_DEMO = ["bumble", "matplotlib", "pandas", "scipy", "sleepecg", "wfdb"]


def test_check_config_says_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("[dashboard]\nport = 18080\n")
    assert main(["check-config", str(path)]) == OK
    assert capsys.readouterr().out == "ok\n"


def test_a_wrong_file_exits_with_78_and_teaches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("[dashboard]\nprot = 18080\n")
    assert main(["check-config", str(path)]) == CONFIG
    assert capsys.readouterr().err == (
        f'{path}: dashboard.prot: unknown key; did you mean "port"?\n'
    )


def test_check_config_imports_nothing_heavy(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("")
    script = (
        "import sys; from gateway.__main__ import main; main(sys.argv[1:]);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "check-config", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "ok\n[]\n"


def test_the_daemon_imports_nothing_of_the_demo() -> None:
    script = (
        "import sys, gateway.start;"
        f"print([name for name in {ONLY_THE_DEMO} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"ecg-gateway {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert "usage: ecg-gateway" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["no-such-command"], ["check-config", "a", "b"]])
def test_wrong_arguments_exit_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(argv)
