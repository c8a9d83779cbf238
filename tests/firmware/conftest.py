"""These tests build the firmware's C core: without a compiler and Mbed TLS they are not collected.

`make firmware-test` installs both, and runs them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

_TOOLS = shutil.which("cc") and shutil.which("make") and Path("/usr/include/psa/crypto.h").exists()
collect_ignore_glob = [] if _TOOLS else ["test_*.py"]
