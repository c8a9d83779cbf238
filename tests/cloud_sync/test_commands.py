"""`ecg-cloud-sync status` and `quarantine`, on databases as the daemon leaves them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cloud_sync.__main__ import main
from cloud_sync.delivered import DeliveryLog, Outcome, Settlement
from cloud_sync.link_record import LinkRecord
from cloud_sync.schema import open_database
from cloud_sync.status import drain_rate
from gateway.store.database import open_store, writer_engine
from gateway.store.outbox import Lane, outbox_values
from gateway.store.schema import outbox
from tests.cloud_sync.fakes import ManualClock


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "cloud-sync.toml"
    path.write_text(
        f'gateway_id = "ward-3"\noutbox = "{tmp_path}/gateway.sqlite3"\n'
        f'state_directory = "{tmp_path}"\n[mqtt]\nhost = "localhost"\ntls = false\n'
        "[link]\nbytes_a_day = 5_000_000\n"
    )
    return path


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Engine]:
    """Three alarms in the outbox of a gateway that runs."""
    path = tmp_path / "gateway.sqlite3"
    open_store(path)
    engine = writer_engine(path)
    with engine.begin() as transaction:
        for number in range(3):
            facts = {"number": number}
            row = outbox_values(Lane.ALARM, "alarm", "ward-3", 1.0, facts)
            transaction.execute(outbox.insert(), {**row, "message_id": f"m{number}"})
    with engine.connect():
        yield engine
    engine.dispose()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DeliveryLog]:
    """m0 was delivered, m1 refused."""
    engine = open_database(tmp_path / "delivered.sqlite3")
    log = DeliveryLog(engine)
    log.settle([Settlement("m0", "alarm", 1, Outcome.DELIVERED, 5.0)])
    log.settle([Settlement("m1", "alarm", 2, Outcome.REFUSED, 6.0, "too large")])
    record = LinkRecord(engine, lambda: "2026-11-22", ManualClock())
    record.spent(1234)
    record.note("connected")
    yield log
    engine.dispose()


@pytest.mark.usefixtures("gateway", "log")
def test_status_for_a_program(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json", "--config", str(config_file)]) == 0
    told = json.loads(capsys.readouterr().out)
    alarm = told["lanes"][0]
    assert (alarm["lane"], alarm["waiting"]) == ("alarm", 1)
    assert (alarm["delivered"], alarm["refused"]) == (1, 1)
    assert alarm["oldest_s"] > 1e9
    assert told["drain_s"] == pytest.approx(1 / 80)
    assert (told["link"]["state"], told["link"]["bytes_today"]) == ("connected", 1234)
    assert told["bytes_a_day"] == 5_000_000


@pytest.mark.usefixtures("gateway", "log")
def test_status_for_a_person(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--config", str(config_file)]) == 0
    shown = capsys.readouterr().out
    assert "link connected; 1,234 of 5,000,000 bytes today" in shown
    assert "set aside: alarm m1: too large" in shown
    assert "drains in 0 s at 80 messages a second" in shown


def test_status_without_a_gateway(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--config", str(config_file)]) == 0
    assert "it does not run" in capsys.readouterr().out
    assert not (config_file.parent / "delivered.sqlite3").exists()  # whoever asks makes no file


def test_the_quarantine(
    config_file: Path, log: DeliveryLog, capsys: pytest.CaptureFixture[str]
) -> None:
    def quarantine(*words: str) -> int:
        return main(["quarantine", *words, "--config", str(config_file)])

    assert quarantine("list") == 0
    assert capsys.readouterr().out == "m1  alarm     too large\n"
    assert quarantine("retry") == 1
    assert "name messages, or --all" in capsys.readouterr().err
    assert quarantine("drop", "m0") == 1  # it was delivered
    assert log.settled(["m0", "m1"]) == {"m0", "m1"}
    assert quarantine("retry", "m1") == 0
    assert log.settled(["m0", "m1"]) == {"m0"}
    assert quarantine("drop", "--all") == 0


def test_the_rate_is_that_of_the_busy_times() -> None:
    assert drain_rate([]) == 80
    assert drain_rate([0.0, 0.5, 1.0, 3600.0, 3600.5]) == pytest.approx(2.0)
    assert drain_rate([1.0, 1.0]) == 80
    assert drain_rate([0.0, 0.001, 0.002]) == 80
