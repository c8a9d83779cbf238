"""The composition root: every part is built here, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.config import GatewayConfig
from gateway.control.beds import bed_commands
from gateway.control.model import RELOAD, model_reload
from gateway.control.sensors import sensor_commands
from gateway.control.socket import SOCKET_NAME, ControlServer
from gateway.control.update_state import IMAGE_NAME
from gateway.control.updates import SensorUpdates, update_commands
from gateway.counters import Counters
from gateway.dsp.notch import NotchMode
from gateway.health.host_faults import HostFaults
from gateway.live_view import LiveView
from gateway.messages import AlarmKind, device_name
from gateway.radio.ble import BleSource
from gateway.radio.keyring import open_keyring
from gateway.radio.message_codec import LEAST_RESEND_S
from gateway.radio.session_keys import SessionKeys
from gateway.served_model.in_service import ModelInService
from gateway.served_model.store import LoadedModel, ModelStore
from gateway.store.cloud_progress import cloud_progress
from gateway.store.database import OpenedStore, open_store
from gateway.store.reader import Reader
from gateway.store.recorder import Recorder
from gateway.store.transactions import Commit
from gateway.ward.sensor_channel import ChannelParts
from gateway.ward.ward import Ward
from gateway.watchdog import (
    READY,
    STOPPING,
    Heartbeats,
    keep_alive,
    sd_notify,
    watchdog_interval_s,
)

if TYPE_CHECKING:
    from gateway.dashboard.context import Health
    from gateway.dashboard.server import DashboardServer

log = logging.getLogger(__name__)


async def serve(config: GatewayConfig, on_ready: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT; `on_ready` is told the page's address.

    Where it can't start it raises KeyringError, ModelRefused, StoreTooNew, ListenAddressRefused
    or OSError, each with what is wrong.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    keyring = open_keyring(config.state_directory, config.keyring)
    models = ModelStore(config.state_directory, config.model.public_keys)
    loaded = models.load_in_service()
    _report_model(loaded)
    model = ModelInService(loaded.classifier, loaded.refused)
    opened = open_store(config.state_directory / config.store.path)
    _report(opened)
    live_view, counters, heartbeats = LiveView(), Counters(), Heartbeats()

    async with AsyncExitStack() as stack:
        reader = Reader(opened.path)
        stack.callback(reader.close)

        def committed(commit: Commit) -> None:
            loop.call_soon_threadsafe(ward.settle, commit)

        recorder = Recorder(opened.path, config.store, committed)
        host_faults = HostFaults(config.state_directory)
        parts = ChannelParts(
            model=model,
            limits=config.alarms,
            session=config.session,
            checkpoint_interval_s=config.store.checkpoint_interval_s,
            resend_after_s=LEAST_RESEND_S + math.ceil(2 * config.store.commit_interval_s),
            keys=SessionKeys(keyring),
            reader=reader,
            record=recorder.record,
            counters=counters,
            notch_mode=NotchMode(config.signal.mains_notch),
            clock_is_set=lambda: AlarmKind.CLOCK_NOT_SET not in host_faults(),
        )
        ward = Ward(parts, recorder, live_view, heartbeats, config.beds.auto_admit, host_faults)
        recorder.start()
        stack.callback(recorder.close)
        ward.resume()
        stack.callback(ward.stop)

        dashboard = _open_dashboard(config, live_view, reader, ward, recorder, model, counters)
        dashboard.start()
        stack.callback(dashboard.stop)
        stack.callback(live_view.close)

        radio = BleSource(config.radio, counters)
        updates = SensorUpdates(ward, config.state_directory / IMAGE_NAME)
        stack.push_async_callback(updates.stop)
        commands = {
            **bed_commands(ward),
            **sensor_commands(ward, radio.look_again),
            **update_commands(updates),
            RELOAD: model_reload(models, model, ward),
        }
        control = ControlServer(config.state_directory / SOCKET_NAME, commands)
        await control.start()
        stack.push_async_callback(control.stop)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ward.run()), group.create_task(radio.run(ward))]
            if (interval_s := watchdog_interval_s()) is not None:
                tasks.append(group.create_task(keep_alive(heartbeats, interval_s)))
            sd_notify(READY)
            log.info("gateway is ready", extra={"version": __version__, "page": dashboard.url})
            on_ready(dashboard.url)
            await stop.wait()
            sd_notify(STOPPING)
            for task in tasks:
                task.cancel()
    log.info("gateway has stopped")


def _report(opened: OpenedStore) -> None:
    if opened.set_aside is not None:
        log.error(
            "the database was damaged; it is set aside and a new one begun",
            extra={"damage": opened.damage, "set_aside": str(opened.set_aside)},
        )


def _report_model(loaded: LoadedModel) -> None:
    if loaded.refused is not None:
        log.error(
            "the installed model is refused; another one serves",
            extra={"reason": loaded.refused, "hash": loaded.classifier.card.short_hash},
        )


def _open_dashboard(
    config: GatewayConfig,
    live_view: LiveView,
    reader: Reader,
    ward: Ward,
    recorder: Recorder,
    model: ModelInService,
    counters: Counters,
) -> DashboardServer:
    """Bind the page's address. Flask is imported here: it takes a Pi seconds."""
    from gateway.dashboard.app import create_app
    from gateway.dashboard.server import DashboardServer

    command = f"{_own_command()} alarms --state-directory {config.state_directory} acknowledge"
    health = _health_report(ward, recorder, model)
    delivered = config.state_directory / config.store.delivered
    app = create_app(
        live_view,
        reader,
        health,
        counters.render,
        cloud_progress=lambda: cloud_progress(delivered),
        acknowledge_command=command,
    )
    return DashboardServer(config.dashboard, app)


def _own_command() -> str:
    """How this gateway was called, for people to call it again."""
    program = Path(sys.argv[0])
    return f"{sys.executable} -m gateway" if program.name == "__main__.py" else sys.argv[0]


def _health_report(ward: Ward, recorder: Recorder, model: ModelInService) -> Callable[[], Health]:
    from gateway.dashboard.context import Health, ModelHealth, SensorHealth

    started_s = time.monotonic()

    def report() -> Health:
        now_s = time.time()
        sensors = {
            device_name(channel.device_id): SensorHealth(
                frames=channel.frames,
                gaps=channel.gaps,
                beats=channel.beats,
                last_frame_age_s=(
                    None if channel.last_frame_s is None else now_s - channel.last_frame_s
                ),
            )
            for channel in ward.channels
        }
        card = model.card
        failing = recorder.health.failing_because is not None or model.refused is not None
        return Health(
            "degraded" if failing else "ok",
            time.monotonic() - started_s,
            ModelHealth(card.name, card.short_hash, model.refused),
            sensors,
        )

    return report
