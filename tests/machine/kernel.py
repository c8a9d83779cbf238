"""Where tests/machine/kernel.sh leaves the user-mode kernel and its modules."""

from pathlib import Path

PROJECT = Path(__file__).parents[2]
KERNEL = PROJECT / "build/machine"
