"""An old backup is restored: its row numbers come again, and no alarm is taken for another."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

from cloud_sync.__main__ import GatewayOutbox
from cloud_sync.lanes import Lane
from gateway.store.database import open_store
from tests.cloud_sync.fakes import Bench, ScriptedPublisher
from tests.cloud_sync.ward_rows import WardRows


def test_new_alarms_after_a_restored_backup_all_arrive(tmp_path: Path) -> None:
    path, backup = tmp_path / "gateway.sqlite3", tmp_path / "backup.sqlite3"
    open_store(path)
    outbox, publisher = GatewayOutbox(path), ScriptedPublisher()

    async def deliver() -> None:
        bench = Bench(tmp_path, outbox, publisher)  # another life of the daemon
        await bench.turn(5)

    with WardRows(path, beds=1) as ward:
        ward.raise_alarm(bed=0, at_s=60.0)
    with WardRows(path, beds=1) as ward:  # whoever closes last folds the WAL into the file
        shutil.copy(path, backup)
        ward.raise_alarm(bed=0, at_s=120.0)
        asyncio.run(deliver())
    before = {row.id for row in outbox.pending(Lane.ALARM, 0, 9)}
    for side_file in tmp_path.glob("gateway.sqlite3*"):
        side_file.unlink()
    shutil.copy(backup, path)
    with WardRows(path, beds=1) as ward:
        for at_s in (180.0, 240.0):
            ward.raise_alarm(bed=0, at_s=at_s)
        asyncio.run(deliver())
        assert {row.id for row in outbox.pending(Lane.ALARM, 0, 9)} & before
    outbox.close()
    onsets = [json.loads(sent.payload)["onset_s"] - ward.begun_s for sent in publisher.published]
    assert onsets == [60.0, 120.0, 180.0, 240.0]
    assert len(set(publisher.ids)) == 4
