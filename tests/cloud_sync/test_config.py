from __future__ import annotations

from pathlib import Path

import pytest

from cloud_sync.__main__ import main
from cloud_sync.config import (
    MqttConfig,
    NoticeConfig,
    Provider,
    Proxy,
    TlsFiles,
    WaveformPolicy,
    load_config,
)
from cloud_sync.link_policy import LinkPolicy, Window
from cloud_sync.toml_section import ConfigError


def written(directory: Path, text: str) -> Path:
    path = directory / "cloud-sync.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_broker_on_this_machine(tmp_path: Path) -> None:
    config = load_config(
        written(tmp_path, 'gateway_id = "ward-3"\n[mqtt]\nhost = "127.0.0.1"\ntls = false\n')
    )
    assert config.gateway_id == "ward-3"
    assert config.mqtt == MqttConfig("127.0.0.1", 1883, 60, None)
    assert config.outbox == Path("/var/lib/ecg-gateway/gateway.sqlite3")


def test_a_broker_elsewhere_needs_all_three_files(tmp_path: Path) -> None:
    for name in ("ca", "crt", "key"):
        (tmp_path / name).touch()
    config = load_config(
        written(
            tmp_path,
            'gateway_id = "ward-3"\n[mqtt]\nhost = "broker.example"\n'
            f'ca_file = "{tmp_path}/ca"\ncertificate_file = "{tmp_path}/crt"\n'
            f'key_file = "{tmp_path}/key"\n',
        )
    )
    assert config.mqtt.port == 8883
    assert config.mqtt.tls == TlsFiles(tmp_path / "ca", tmp_path / "crt", tmp_path / "key")


MQTT = '[mqtt]\nhost = "localhost"\ntls = false\n'


GOOD = 'gateway_id = "a"\n' + MQTT
AWS = 'provider = "aws"\n' + GOOD
WINDOWS = '[link]\npolicy = "windows"\n'
NOTICES = (
    '[notices]\ntopic_arn = "arn:aws:sns:eu-central-1:123456789012:alarms"\n'
    'credentials_endpoint = "c.example"\n'
)


def test_the_road_to_aws(tmp_path: Path) -> None:
    config = load_config(
        written(
            tmp_path,
            AWS
            + 'proxy = "http://proxy.clinic:3128"\n'
            + NOTICES
            + 'role_alias = "ecg-gateway"\n'
            + WINDOWS
            + 'windows = ["22:00-05:00", "12:00-13:00"]\nbytes_a_day = 50_000_000\n'
            + '[waveforms]\npolicy = "alarms"\n',
        )
    )
    assert config.provider is Provider.AWS
    assert config.mqtt.proxy == Proxy("proxy.clinic", 3128)
    assert config.mqtt.needs_subscriber
    assert config.notices == NoticeConfig(
        "eu-central-1",
        "arn:aws:sns:eu-central-1:123456789012:alarms",
        "https://sns.eu-central-1.amazonaws.com",
        "c.example",
        "ecg-gateway",
    )
    assert config.link == LinkPolicy((Window(1320, 300), Window(720, 780)), 50_000_000)
    assert config.waveforms is WaveformPolicy.ALARMS


@pytest.mark.parametrize(
    ("text", "lesson"),
    [
        ("", "gateway_id is missing"),
        ('gateway = "a"\n', "gateway is not known; did you mean gateway_id?"),
        ("qqq = 1\n", "qqq is not known; known: gateway_id, provider, outbox"),
        ("gateway_id = 3\n", 'gateway_id = 3 must be a text in "quotes"'),
        ('gateway_id = "a/b"\n' + MQTT, 'gateway_id = "a/b" must be 1 to 64 of'),
        ('gateway_id = "a#"\n' + MQTT, "must be 1 to 64 of"),
        ('gateway_id = "a"\nmqtt = 1\n', r"mqtt = 1 must be a table: \[mqtt\]"),
        ('gateway_id = "a"\n[mqtt]\n', "mqtt.host is missing"),
        ('gateway_id = "a"\n' + MQTT + "prot = 1\n", "mqtt.prot is not known; did you mean port"),
        ('gateway_id = "a"\n' + MQTT + "port = 0\n", "mqtt.port = 0 must be a number from 1 to"),
        ('gateway_id = "a"\n' + MQTT + "port = true\n", "mqtt.port = True must be a number"),
        ('gateway_id = "a"\n' + MQTT + "keep_alive_s = 29\n", "from 30 to 1200"),
        ('gateway_id = "a"\n[mqtt]\nhost = "h"\ntls = 0\n', "mqtt.tls = 0 must be true or false"),
        ('gateway_id = "a"\n[mqtt]\nhost = "10.0.0.1"\ntls = false\n', "only for a broker on this"),
        ('gateway_id = "a"\n[mqtt]\nhost = "127.evil.net"\ntls = false\n', "only for a broker on"),
        ('gateway_id = "a"\n[mqtt]\nhost = "h"\n', "mqtt.ca_file is missing"),
        (
            'gateway_id = "a"\n[mqtt]\nhost = "h"\nca_file = "/no/ca"\n',
            'mqtt.ca_file = "/no/ca": there is no such file',
        ),
        ("gateway_id = \n", "line 1"),
        ('gateway_id = "a"\nprovider = "azure"\n', 'provider = "azure" must be one of aws, mqtt'),
        (GOOD + 'proxy = "proxy:3128"\n', 'mqtt.proxy = "proxy:3128" must be http://HOST:PORT'),
        (GOOD + 'proxy = "http://u:p@proxy:1"\n', "must be http://HOST:PORT"),
        (GOOD + '[link]\npolicy = "windows"\n', 'belongs to link.policy = "windows"'),
        (GOOD + '[link]\nwindows = ["22:00-05:00"]\n', 'belongs to link.policy = "windows"'),
        (GOOD + WINDOWS + 'windows = ["5-6"]\n', 'link.windows: "5-6" must be like "22:00-05:00"'),
        (GOOD + WINDOWS + "windows = [5]\n", "must be a list of texts"),
        (GOOD + "[link]\nbytes_a_day = 5\n", "link.bytes_a_day = 5 must be a number from 1000000"),
        (GOOD + '[waveforms]\npolicy = "some"\n', "must be one of request, alarms, all"),
        (GOOD + NOTICES, r"\[notices\] go through SNS and need provider"),
        (AWS + '[notices]\ntopic_arn = "alarms"\n', "must be arn:aws:sns:REGION:ID:NAME"),
        (AWS + NOTICES + 'endpoint = "http://sns.example"\n', "must begin with https://"),
        (AWS + NOTICES, "notices.role_alias is missing"),
        (AWS + '[escrow]\nkey_arn = "mine"\n', "must be arn:aws:kms:REGION:ID:key/UUID"),
        (AWS + '[escrow]\nendpoint = "http://ssm"\n', "escrow.key_arn is missing"),
    ],
)
def test_an_error_teaches(tmp_path: Path, text: str, lesson: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=lesson) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", str(tmp_path / "none.toml")]) == 78
    assert "No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["fly"])
    assert caught.value.code == 2


def test_the_example_names_each_key(tmp_path: Path) -> None:
    """Uncommented, with files that are there."""
    example = (Path(__file__).parents[2] / "packaging" / "cloud-sync.toml").read_text("utf-8")
    lines = [line.removeprefix("#") for line in example.splitlines() if not line.startswith("# ")]
    text = "\n".join(line for line in lines if not line.startswith(("gateway_id", "provider")))
    for name in ("broker-ca.pem", "cloud-sync.crt", "cloud-sync.key"):
        (tmp_path / name).touch()
    text = text.replace("/etc/ecg-gateway", str(tmp_path)).replace('"always"', '"windows"')
    config = load_config(written(tmp_path, f'gateway_id = "a"\nprovider = "aws"\n{text}\n'))
    assert config.notices is not None
    assert config.link.bytes_a_day == 50_000_000
