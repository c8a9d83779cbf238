"""These tests build the firmware's C core: without a compiler and Mbed TLS they are not collected.

`make firmware-test` installs both, and runs them.
"""

from __future__ import annotations

import gc
import shutil
from pathlib import Path

import pytest

_TOOLS = shutil.which("cc") and shutil.which("make") and Path("/usr/include/psa/crypto.h").exists()
collect_ignore_glob = [] if _TOOLS else ["test_*.py"]


@pytest.fixture(autouse=True)
def _free_slots() -> None:
    """Free the cores of earlier tests, each of which holds three of PSA's 32 key slots.

    A board refers to itself, so that its core would wait for a collection, and a key rotation
    that finds no slot is refused.
    """
    gc.collect()
