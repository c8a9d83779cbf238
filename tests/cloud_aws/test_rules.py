"""The daemon itself, through a broker and the template's rules into the tables, and back."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.store.database import open_store, writer_engine
from gateway.store.outbox import Lane, outbox_values
from gateway.store.schema import outbox
from tests.cloud_aws.emulated_account import EmulatedAccount
from tests.cloud_aws.messages import SESSION
from tests.cloud_aws.rule_emulator import RuleEmulator
from tests.cloud_sync.brokers import Authority, Mosquitto, wait_until

pytestmark = pytest.mark.broker

ALARM = {
    "version": 1,
    "alarm_id": 32 * "c",
    "bed": "Bed 4",
    "stay_admitted_s": None,
    **SESSION,
    "alarm": "asystole",
    "priority": "high",
    "state": "active",
    "confidence": None,
    "model": None,
    "raised_s": 1.0,
    "ended_s": None,
    "acknowledged_s": None,
    "escalated_s": None,
    "notify": True,
    "strip": None,
}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Engine]:
    """A gateway's database, open for writing as in a running gateway."""
    path = tmp_path / "gateway.sqlite3"
    open_store(path)
    engine = writer_engine(path)
    with engine.connect():
        yield engine
    engine.dispose()


@pytest.fixture
def daemon(
    gateway: Engine, broker: Mosquitto, authority: Authority, tmp_path: Path
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


def commit(gateway: Engine, lane: Lane, count: int) -> None:
    """Rows of this moment, each its own fact."""
    now_s = time.time()
    with gateway.begin() as transaction:
        for number in range(count):
            facts = {**ALARM, "onset_s": now_s - number, "minute_s": int(now_s) - 60 * number}
            facts["strip"] = None
            row = outbox_values(lane, lane.value, "store", now_s, facts)
            transaction.execute(outbox.insert(), row)


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
    gateway: Engine,
    daemon: Callable[[], None],
    tmp_path: Path,
) -> None:
    commit(gateway, Lane.ALARM, 3)
    commit(gateway, Lane.SUMMARY, 20)
    daemon()
    wait_until(lambda: len(account.items()) == 24, 60)  # and the gateway's own row
    wait_until(lambda: delivered(tmp_path, "alarm") == 3, 60)
    wait_until(lambda: counted(tmp_path, "alarm_road WHERE notified_by = 'cloud'") == 3)
    assert len(account.notices()) == 3
    assert account.refused() == []


def test_without_an_acknowledgement_no_alarm_counts_as_delivered(
    account: EmulatedAccount,
    rules: RuleEmulator,
    gateway: Engine,
    daemon: Callable[[], None],
    tmp_path: Path,
) -> None:
    rules.acknowledging = False
    commit(gateway, Lane.ALARM, 1)
    commit(gateway, Lane.SUMMARY, 1)
    daemon()
    wait_until(lambda: len(account.items()) == 3, 60)
    wait_until(lambda: delivered(tmp_path, "summary") == 1)
    rules.settle()
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
