"""Mutual TLS; there is no switch that turns a check off."""

from __future__ import annotations

import ssl

from cloud_sync.config import TlsFiles
from cloud_sync.toml_section import ConfigError

ALPN_PORT = 443  # where AWS IoT Core tells MQTT from HTTPS by ALPN
ALPN_MQTT = "x-amzn-mqtt-ca"  # MQTT with a client certificate


def mqtt_tls_context(files: TlsFiles, port: int) -> ssl.SSLContext:
    """As `tls_context`, and with AWS's name for MQTT where the port does not say it."""
    context = tls_context(files)
    if port == ALPN_PORT:
        context.set_alpn_protocols([ALPN_MQTT])
    return context


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.2 or newer, host name and chain checked against `ca` alone, our own certificate shown.

    Raises ConfigError for a file that can't be read or does not fit its pair.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks host name and chain from the start
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(files.ca)
    except OSError as error:
        raise ConfigError(f'mqtt.ca_file = "{files.ca}": {_plain(error)}') from error
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_prompt)
    except OSError as error:
        raise ConfigError(
            f'mqtt.certificate_file = "{files.certificate}", mqtt.key_file = "{files.key}": '
            f"{_plain(error)}"
        ) from error
    return context


def _no_prompt() -> str:
    """OpenSSL would ask a terminal for a locked key's passphrase; a daemon has none."""
    return ""


def _plain(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not the PEM that is needed here, or the pair does not fit ({error.reason})"
    return error.strerror or str(error)
