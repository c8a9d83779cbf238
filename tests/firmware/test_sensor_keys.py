"""Pairing and rotation once more, with the firmware's own core in the sensor."""

from __future__ import annotations

import asyncio

import pytest

from gateway.simulator.cores import open_core
from gateway.ward import rotation
from tests.sensor_keys.house import PATIENCE_S
from tests.sensor_keys.scenarios import SCENARIOS, Scenario, cut_rotation
from tests.sensor_keys.sensor_rules import RULES, Rule


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule: Rule) -> None:
    _, boot_core = open_core("c", 1000)
    rule(lambda identity: boot_core(identity, 250, 10.0))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Scenario, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(rotation, "ANSWER_S", PATIENCE_S)
    asyncio.run(scenario(tmp_path, "c"))


@pytest.mark.parametrize(
    ("after", "offered", "restart"),
    [(True, False, "sensor"), (False, True, "sensor"), (True, True, ""), (True, True, "gateway")],
)
def test_a_cut_rotation_loses_neither_key_nor_frame(
    tmp_path, monkeypatch, after, offered, restart
) -> None:
    monkeypatch.setattr(rotation, "ANSWER_S", PATIENCE_S)
    asyncio.run(cut_rotation(tmp_path, "c", after, offered, restart))
