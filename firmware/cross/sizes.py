"""Code, data and the deepest single stack frame of each part of the core, held to its budget."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Bytes of code and constants, and of one function's stack frame; a third above what was measured.
BUDGETS = {
    "ecg_crypto": (2050, 240),
    "ecg_flash_ring": (1750, 1250),
    "ecg_frame": (880, 640),
    "ecg_keys": (730, 130),
    "ecg_link": (1430, 1170),
    "ecg_message": (1530, 170),
    "ecg_outbox": (4100, 680),
    "ecg_pairing": (2500, 430),
    "ecg_pieces": (680, 70),
    "ecg_rotation": (600, 340),
    "ecg_sensor": (3850, 900),
    "ecg_signal": (660, 90),
    "ecg_types": (150, 30),
    "ecg_update": (2150, 450),
}
SIZE = {"xtensa": "xtensa-lx106-elf-size", "riscv": "riscv64-unknown-elf-size"}


def code_bytes(tool: str, part: Path) -> int:
    """.text and .rodata of an object file."""
    line = subprocess.check_output([tool, str(part)], text=True).splitlines()[1]
    return int(line.split()[0])


def stack_bytes(part: Path) -> int:
    rows = part.with_suffix(".su").read_text().splitlines()
    return max((int(row.split("\t")[1]) for row in rows), default=0)


def main(build: Path) -> int:
    over = 0
    print(f"{'part':16}{'xtensa code':>12}{'stack':>7}{'riscv code':>12}{'stack':>7}")
    totals = dict.fromkeys(SIZE, 0)
    for part, (code_budget, stack_budget) in BUDGETS.items():
        cells = []
        for processor, tool in SIZE.items():
            compiled = build / processor / f"{part}.o"
            code, stack = code_bytes(tool, compiled), stack_bytes(compiled)
            over += code > code_budget or stack > stack_budget
            totals[processor] += code
            cells.append(f"{code:12}{stack:7}")
        print(f"{part:16}{''.join(cells)}   budget {code_budget}, {stack_budget}")
    print(f"{'all':16}{totals['xtensa']:12}{totals['riscv']:19}")
    if over:
        print(f"{over} over budget", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
