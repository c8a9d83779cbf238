"""One TOML file in, frozen dataclasses out; an error names file, key, value and what would do."""

from __future__ import annotations

import enum
import ipaddress
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cloud_sync.link_policy import LinkPolicy, Window, parse_window
from cloud_sync.toml_section import ConfigError, Section

GATEWAY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # one level of a topic, and an AWS thing name
KEEP_ALIVE_S = (30, 1200)  # what AWS IoT Core honours; other brokers take it too
PORTS = (1, 65535)
BYTES_A_DAY = (1_000_000, 2**40)  # below a megabyte a day the handshakes alone would not fit
TOPIC_ARN = re.compile(r"arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}")
KEY_ARN = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]{1,64}")
DEFAULT_OUTBOX = "/var/lib/ecg-gateway/gateway.sqlite3"
DEFAULT_STATE_DIRECTORY = "/var/lib/ecg-cloud-sync"


class Provider(enum.StrEnum):
    """AWS IoT Core's rules acknowledge each alarm; for any other broker its PUBACK must do."""

    AWS = "aws"
    MQTT = "mqtt"


class WaveformPolicy(enum.StrEnum):
    """Which sealed frames go to the cloud; a request is always served."""

    REQUEST = "request"
    ALARMS = "alarms"  # and the minutes around each alarm
    ALL = "all"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: whom we believe, and who we are. All three are needed: TLS is mutual."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that opens tunnels (CONNECT)."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """[mqtt]: the broker. `tls` is None only for a broker on this machine."""

    host: str
    port: int = 8883
    keep_alive_s: int = 60
    tls: TlsFiles | None = None
    proxy: Proxy | None = None
    needs_subscriber: bool = False  # PUBACK "no matching subscribers" is no delivery


@dataclass(frozen=True, slots=True)
class NoticeConfig:
    """[notices]: where an alarm goes that the cloud does not acknowledge."""

    region: str
    topic_arn: str
    endpoint: str  # of SNS, an URL
    credentials_endpoint: str  # host, or host:port
    role_alias: str


@dataclass(frozen=True, slots=True)
class EscrowConfig:
    """[escrow]: the KMS key that seals root keys in Parameter Store."""

    key_arn: str
    region: str
    endpoint: str  # of Systems Manager, an URL


@dataclass(frozen=True, slots=True)
class CloudSyncConfig:
    gateway_id: str
    provider: Provider
    mqtt: MqttConfig
    notices: NoticeConfig | None
    escrow: EscrowConfig | None
    link: LinkPolicy
    waveforms: WaveformPolicy
    outbox: Path  # the gateway's database
    state_directory: Path


def load_config(path: Path) -> CloudSyncConfig:
    """Raises ConfigError; every text starts with the file's name."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        return _cloud_sync(Section("", document))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (ConfigError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _cloud_sync(section: Section) -> CloudSyncConfig:
    tables = ["mqtt", "notices", "escrow", "link", "waveforms"]
    section.only(["gateway_id", "provider", "outbox", "state_directory", *tables])
    gateway_id = section.text("gateway_id")
    if not GATEWAY_ID.fullmatch(gateway_id):
        raise ConfigError(f'gateway_id = "{gateway_id}" must be 1 to 64 of A–Z a–z 0–9 _ -')
    provider = Provider(section.one_of("provider", Provider.MQTT, Provider))
    return CloudSyncConfig(
        gateway_id,
        provider,
        _mqtt(section.section("mqtt"), provider),
        _notices(section.section("notices"), provider) if section.given("notices") else None,
        _escrow(section.section("escrow")) if section.given("escrow") else None,
        _link(section.section("link")),
        _waveforms(section.section("waveforms")),
        Path(section.text("outbox", DEFAULT_OUTBOX)),
        Path(section.text("state_directory", DEFAULT_STATE_DIRECTORY)),
    )


def _mqtt(section: Section, provider: Provider) -> MqttConfig:
    files = ["ca_file", "certificate_file", "key_file"]
    section.only(["host", "port", "keep_alive_s", "proxy", "tls", *files])
    host = section.text("host")
    tls = section.switch("tls", True)
    if not tls and not is_loopback(host):
        raise ConfigError(
            f'mqtt.tls = false is only for a broker on this machine, and mqtt.host = "{host}" '
            "is not; give ca_file, certificate_file and key_file"
        )
    return MqttConfig(
        host,
        section.number("port", 8883 if tls else 1883, PORTS),
        section.number("keep_alive_s", 60, KEEP_ALIVE_S),
        _tls_files(section) if tls else None,
        _proxy(section) if section.given("proxy") else None,
        needs_subscriber=provider is Provider.AWS,
    )


def _tls_files(section: Section) -> TlsFiles:
    return TlsFiles(
        section.file("ca_file"), section.file("certificate_file"), section.file("key_file")
    )


def _proxy(section: Section) -> Proxy:
    url = section.text("proxy")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None or url != f"http://{parts.netloc}" or "@" in parts.netloc:
        raise ConfigError(f'{section.at("proxy")} = "{url}" must be http://HOST:PORT')
    return Proxy(host, port)


def _notices(section: Section, provider: Provider) -> NoticeConfig:
    section.only(["region", "topic_arn", "endpoint", "credentials_endpoint", "role_alias"])
    if provider is not Provider.AWS:
        raise ConfigError('[notices] go through SNS and need provider = "aws"')
    topic_arn = section.text("topic_arn")
    if not TOPIC_ARN.fullmatch(topic_arn):
        raise ConfigError(f'notices.topic_arn = "{topic_arn}" must be arn:aws:sns:REGION:ID:NAME')
    region = section.text("region", topic_arn.split(":")[3])
    return NoticeConfig(
        region,
        topic_arn,
        _endpoint(section, f"https://sns.{region}.amazonaws.com"),
        section.text("credentials_endpoint"),
        section.text("role_alias"),
    )


def _escrow(section: Section) -> EscrowConfig:
    section.only(["key_arn", "endpoint"])
    key_arn = section.text("key_arn")
    if not KEY_ARN.fullmatch(key_arn):
        raise ConfigError(f'escrow.key_arn = "{key_arn}" must be arn:aws:kms:REGION:ID:key/UUID')
    region = key_arn.split(":")[3]
    return EscrowConfig(key_arn, region, _endpoint(section, f"https://ssm.{region}.amazonaws.com"))


def _endpoint(section: Section, default: str) -> str:
    endpoint = section.text("endpoint", default)
    url = urlsplit(endpoint)
    if url.scheme != "https" and not is_loopback(url.hostname or ""):
        raise ConfigError(f'{section.at("endpoint")} = "{endpoint}" must begin with https://')
    return endpoint


def _link(section: Section) -> LinkPolicy:
    section.only(["policy", "windows", "bytes_a_day"])
    windows = tuple(_window(section, text) for text in section.texts("windows"))
    metered = section.one_of("policy", "always", ("always", "windows")) == "windows"
    if metered != bool(windows):
        raise ConfigError('link.windows = ["22:00-05:00"] belongs to link.policy = "windows"')
    cap = section.number("bytes_a_day", 0, BYTES_A_DAY) if section.given("bytes_a_day") else None
    return LinkPolicy(windows, cap)


def _window(section: Section, text: str) -> Window:
    window = parse_window(text)
    if window is None:
        raise ConfigError(f'{section.at("windows")}: "{text}" must be like "22:00-05:00"')
    return window


def _waveforms(section: Section) -> WaveformPolicy:
    section.only(["policy"])
    return WaveformPolicy(section.one_of("policy", WaveformPolicy.REQUEST, WaveformPolicy))


def is_loopback(host: str) -> bool:
    """Whether the name or address can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
