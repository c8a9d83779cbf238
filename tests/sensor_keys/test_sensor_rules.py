"""The Python twin keeps the rules; tests/firmware asks the C core the same."""

from __future__ import annotations

import pytest

from gateway.simulator.cores import open_core
from tests.sensor_keys.sensor_rules import RULES, Rule


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule: Rule) -> None:
    _, boot_core = open_core("python", 1000)
    rule(lambda identity: boot_core(identity, 250, 10.0))
