"""The daemon itself, through a broker and the template's rules into the tables, and back."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.database import open_store
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.rule_emulator import RuleEmulator
from tests.cloud_sync.brokers import Authority, Mosquitto, wait_until
from tests.cloud_sync.ward_rows import WardRows

pytestmark = pytest.mark.broker


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[WardRows]:
    """Two beds and four minutes of them; the last minute ends about now."""
    open_store(tmp_path / "gateway.sqlite3")
    with WardRows(tmp_path / "gateway.sqlite3", 2, time.time() - 250) as ward:
        for minute in range(4):
            ward.write_minute(minute, with_frames={0})
        yield ward


@pytest.fixture
def daemon(
    ward: WardRows, broker: Mosquitto, authority: Authority, tmp_path: Path
) -> Iterator[Callable[[], None]]:
    """Starts `ecg-cloud-sync run`."""
    ours = authority.issue("ward-3")
    config = tmp_path / "cloud-sync.toml"
    config.write_text(
        'gateway_id = "ward-3"\nprovider = "aws"\n'
        f'outbox = "{tmp_path}/gateway.sqlite3"\nstate_directory = "{tmp_path}/state"\n'
        f'[mqtt]\nhost = "localhost"\nport = {broker.port}\nca_file = "{ours.ca}"\n'
        f'certificate_file = "{ours.certificate}"\nkey_file = "{ours.key}"\n'
    )
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        command = [sys.executable, "-m", "cloud_sync", "run", "--config", str(config)]
        processes.append(subprocess.Popen(command))

    yield start
    for process in processes:
        process.kill()
        process.wait()


def counted(tmp_path: Path, question: str) -> int:
    """An answer of the database that the daemon keeps for the gateway (docs/cloud.md)."""
    path = tmp_path / "state" / "delivered.sqlite3"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        count: int = database.execute(f"SELECT count(*) FROM {question}").fetchone()[0]
        return count


def delivered(tmp_path: Path, lane: str) -> int:
    return counted(tmp_path, f"settled WHERE lane = '{lane}' AND outcome = 'delivered'")


def test_alarms_and_summaries_reach_the_table_and_alarms_are_answered(
    account: EmulatedAccount,
    rules: RuleEmulator,
    ward: WardRows,
    daemon: Callable[[], None],
    tmp_path: Path,
) -> None:
    ward.raise_alarm(0, 235.0)
    ward.end_alarm(0, 235.0)
    daemon()
    # two alarms, eight summaries, one status; on a slow machine some of them twice
    wait_until(lambda: rules.played >= 11 and len(account.items()) == 11, 60)
    wait_until(lambda: delivered(tmp_path, "alarm") == 2)
    wait_until(lambda: counted(tmp_path, "alarm_road WHERE notified_by = 'cloud'") == 1)
    items = {item["id"]: item for item in account.items()}
    assert len(items) == 11
    assert [notice["Subject"] for notice in account.notices()] == ["asystole, Bed 1"]
    (raised,) = [item for item in items.values() if "notified_ms" in item]
    assert len(json.loads(raised["strip"])["frames"]) > 10
    assert account.refused() == []


def test_without_an_acknowledgement_no_alarm_counts_as_delivered(
    account: EmulatedAccount,
    rules: RuleEmulator,
    ward: WardRows,
    daemon: Callable[[], None],
    tmp_path: Path,
) -> None:
    rules.acknowledging = False
    ward.raise_alarm(0, 235.0)
    daemon()
    wait_until(lambda: rules.played >= 10 and len(account.items()) == 10, 60)
    wait_until(lambda: delivered(tmp_path, "summary") == 8)
    assert len(account.notices()) == 1
    assert delivered(tmp_path, "alarm") == 0


def test_waveforms_become_objects_named_by_their_ids(
    account: EmulatedAccount, rules: RuleEmulator
) -> None:
    for _ in range(2):
        rules.inject("ecg/ward-3/waveform/w1", b"\xa1\x00\xff")
    listed = account.client("s3").list_objects_v2(Bucket="waveforms")["Contents"]
    assert [found["Key"] for found in listed] == ["ward-3/w1.cbor"]
    body = account.client("s3").get_object(Bucket="waveforms", Key="ward-3/w1.cbor")["Body"]
    assert body.read() == b"\xa1\x00\xff"


def test_what_a_function_fails_on_three_times_is_kept(
    account: EmulatedAccount, rules: RuleEmulator
) -> None:
    account.client("dynamodb").delete_table(TableName="messages")
    rules.inject(
        "ecg/ward-3/status",
        b'{"version":1,"gateway":"ward-3","state":"online",'
        b'"reason":"alive","at_s":1.0,"next_within_s":900}',
    )
    (kept,) = account.refused()
    assert kept["requestPayload"]["topic"] == "ecg/ward-3/status"
    assert "ResourceNotFoundException" in kept["responsePayload"]


def test_what_an_action_can_not_do_goes_to_the_error_action(
    account: EmulatedAccount, rules: RuleEmulator
) -> None:
    account.client("s3").delete_bucket(Bucket="waveforms")
    rules.inject("ecg/ward-3/waveform/w1", b"sealed")
    (kept,) = account.refused()
    assert (kept["ruleName"], kept["base64OriginalPayload"]) == ("WaveformRule", "c2VhbGVk")
