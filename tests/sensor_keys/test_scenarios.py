"""Pairing and rotation over the virtual radio, with the Python twin as the sensor."""

from __future__ import annotations

import asyncio

import pytest

from gateway.ward import rotation
from tests.sensor_keys.house import PATIENCE_S
from tests.sensor_keys.scenarios import (
    CUTS,
    GATEWAY_SCENARIOS,
    SCENARIOS,
    Scenario,
    cut_rotation,
)


@pytest.fixture(autouse=True)
def patience(monkeypatch) -> None:
    monkeypatch.setattr(rotation, "ANSWER_S", PATIENCE_S)


@pytest.mark.parametrize(
    "scenario", [*SCENARIOS, *GATEWAY_SCENARIOS], ids=lambda scenario: scenario.__name__
)
def test_scenario(scenario: Scenario, tmp_path) -> None:
    asyncio.run(scenario(tmp_path, "python"))


@pytest.mark.parametrize(("after", "offered", "restart"), CUTS)
def test_a_cut_rotation_loses_neither_key_nor_frame(tmp_path, after, offered, restart) -> None:
    asyncio.run(cut_rotation(tmp_path, "python", after, offered, restart))
