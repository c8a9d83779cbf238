from __future__ import annotations

import re
import tomllib
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import AlarmLimits, GatewayConfig, RadioConfig
from gateway.config_file import MAX_FILE_BYTES, ConfigError, load_config

EXAMPLE = Path(__file__).parents[1] / "packaging" / "gateway.toml"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def _write(content: str | bytes) -> Path:
        path = tmp_path / "gateway.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return _write


def problems_of(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_file_gives_the_defaults(write: Any) -> None:
    assert load_config(write("")) == GatewayConfig()


def test_every_kind_of_value_is_read(write: Any) -> None:
    config = load_config(
        write(
            """
            state_directory = "/srv/ecg"
            [radio]
            adapters = ["hci0", "virtual:127.0.0.1:7300"]
            assignments = { ECG-00000001 = "hci0" }
            [store]
            commit_interval_s = 10
            [keyring]
            key_file = "/run/key"
            [dashboard]
            port = 65535
            [beds]
            auto_admit = true
            """
        )
    )
    assert config.state_directory == Path("/srv/ecg")
    assert config.radio.adapters == ("hci0", "virtual:127.0.0.1:7300")
    assert config.radio.assignments == {"ECG-00000001": "hci0"}
    assert config.store.commit_interval_s == 10.0
    assert type(config.store.commit_interval_s) is float
    assert config.keyring.key_file == Path("/run/key")
    assert config.dashboard.port == 65535
    assert config.beds.auto_admit is True


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[dashbord]", 'dashbord: unknown key; did you mean "dashboard"?'),
        ("[beds]\ncolour = 1", "beds.colour: unknown key; known here: auto_admit"),
        ("radio = 3", "radio: 3 must be a table of its own"),
        (
            "[dashboard]\nport = 65536",
            "dashboard.port: 65536 must be an integer from 1 to 65535",
        ),
        ("[dashboard]\nport = 0", "dashboard.port: 0 must be an integer from 1 to 65535"),
        ("[dashboard]\nport = true", "dashboard.port: True must be an integer from 1 to 65535"),
        (
            '[dashboard]\nhost = "0.0.0.0"',
            "dashboard.host: '0.0.0.0' must be one of 127.0.0.1, ::1, localhost"
            " until there are sign-in and TLS",
        ),
        (
            "[alarms]\nasystole_s = nan",
            "alarms.asystole_s: nan must be a number from 2.0 to 10.0",
        ),
        (
            "[alarms]\nheart_rate_low_bpm = 90\nheart_rate_high_bpm = 90",
            "alarms: heart_rate_low_bpm must be below heart_rate_high_bpm",
        ),
        (
            "[alarms]\nheart_rate_extreme_low_bpm = 60",
            "alarms: heart_rate_extreme_low_bpm (60) must not be above heart_rate_low_bpm (50)",
        ),
        (
            '[alarms]\nabnormal_beat = "never"',
            'alarms.abnormal_beat: \'never\' must be "burden" or "every_beat"',
        ),
        (
            '[radio]\nadapters = ["hci0", "wlan0"]',
            "radio.adapters: ['hci0', 'wlan0'] must be hci0 or virtual:HOST:PORT",
        ),
        ("[radio]\nadapters = []", "radio: adapters must name one at least"),
        (
            '[model]\npublic_keys = ["abc"]',
            "model.public_keys: ['abc'] must be Ed25519 public keys of 64 lower-case hex digits",
        ),
        (
            '[radio]\nassignments = { ECG-00000001 = "hci1" }',
            "radio: ECG-00000001 is assigned to hci1, which is not in adapters",
        ),
        ('state_directory = ""', "state_directory: '' must be a path"),
        (
            f'[beds]\nauto_admit = "{"x" * 100}"',
            f"beds.auto_admit: '{'x' * 38}… must be true or false",
        ),
    ],
)
def test_errors_teach(write: Any, content: str, problem: str) -> None:
    assert problems_of(write(content)) == [problem]


def test_all_problems_are_told_at_once(write: Any) -> None:
    path = write('[session]\ngrace_s = 9\n[dashboard]\nport = "a"\nhots = 1\n')
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path}: ") for line in lines)


def test_more_sensors_than_an_adapter_carries() -> None:
    six = {f"ECG-{number:08X}": "hci0" for number in range(6)}
    with pytest.raises(ValueError, match="6 sensors are assigned to hci0, which carries 5 at most"):
        RadioConfig(assignments=six)


@pytest.mark.parametrize("content", [b"[radio", b"\xff", b"#" * (MAX_FILE_BYTES + 1)])
def test_a_file_that_is_no_config_is_one_problem(write: Any, content: bytes) -> None:
    assert len(problems_of(write(content))) == 1


def test_the_longest_file_is_read(write: Any) -> None:
    assert load_config(write("#" * MAX_FILE_BYTES)) == GatewayConfig()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        load_config(tmp_path / "none.toml")


def numbers(part: Any) -> list[tuple[str, Any]]:
    kinds = get_type_hints(part)
    nested = [found for kind in kinds.values() if is_dataclass(kind) for found in numbers(kind)]
    own = [(f"{part.__name__}.{f.name}", f) for f in fields(part) if kinds[f.name] in (int, float)]
    return own + nested


@pytest.mark.parametrize(("name", "field"), numbers(GatewayConfig))
def test_every_number_is_bounded_and_its_default_lies_within(name: str, field: Any) -> None:
    assert field.metadata["low"] <= field.default <= field.metadata["high"], name


@given(asystole_s=st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_read_lies_within_the_bounds(
    tmp_path_factory: pytest.TempPathFactory, asystole_s: float
) -> None:
    path = tmp_path_factory.mktemp("config") / "gateway.toml"
    path.write_text(f"[alarms]\nasystole_s = {asystole_s}\n")
    try:
        limits = load_config(path).alarms
    except ConfigError:
        assert not 2.0 <= asystole_s <= 10.0
    else:
        assert limits == AlarmLimits(asystole_s=asystole_s)


def test_the_example_file_shows_every_key_with_its_default(write: Any) -> None:
    assert load_config(EXAMPLE) == GatewayConfig()
    shown = re.sub(r"^#(?! )", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    assert keys_of(tomllib.loads(shown)) == keys_of(asdict(GatewayConfig()))
    config = load_config(write(shown))
    without_default = {
        "radio": replace(config.radio, assignments={}),
        "keyring": replace(config.keyring, key_file=None),
    }
    assert replace(config, **without_default) == GatewayConfig()


def keys_of(parts: dict[str, Any]) -> dict[str, set[str]]:
    return {name: set(part) if isinstance(part, dict) else set() for name, part in parts.items()}
