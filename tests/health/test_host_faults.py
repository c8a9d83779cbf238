from __future__ import annotations

import shutil
from collections import namedtuple

import pytest

from gateway.health import host_faults
from gateway.health.host_faults import LEAST_FREE_BYTES, LOOKED_AT_EACH_S, HostFaults
from gateway.messages import AlarmKind

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def free(monkeypatch):
    """The free bytes of every disk, in a list that the test changes."""
    held = [LEAST_FREE_BYTES]
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2**40, 0, held[0]))
    return held


def test_a_disk_is_nearly_full_below_the_bound(tmp_path, free):
    assert HostFaults(tmp_path, lambda: True)() == set()
    free[0] -= 1
    assert HostFaults(tmp_path, lambda: True)() == {AlarmKind.DISK_NEARLY_FULL}


def test_a_clock_that_nobody_has_set_is_told(tmp_path, free):
    assert HostFaults(tmp_path, lambda: False)() == {AlarmKind.CLOCK_NOT_SET}


def test_the_machine_is_not_asked_each_second(tmp_path, free):
    now = [0.0]
    faults = HostFaults(tmp_path, lambda: True, monotonic=lambda: now[0])
    assert faults() == set()
    free[0] = 0
    now[0] = LOOKED_AT_EACH_S - 1.0
    assert faults() == set()
    now[0] = LOOKED_AT_EACH_S
    assert faults() == {AlarmKind.DISK_NEARLY_FULL}


def test_the_kernel_says_whether_its_clock_is_set():
    assert host_faults.clock_is_synchronised() in (True, False)
