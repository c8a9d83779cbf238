"""`python -m tests.recordings FOLDER`: download the real ECG that tests want, from PhysioNet."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.accuracy.halves import read_halves

WHOLE = ("mitdb", "nstdb", "vfdb")
CHALLENGE = "challenge2015"  # 107 of its 750 training records: those of the halves
DATABASES = (*WHOLE, CHALLENGE)


def missing(folder: Path) -> list[str]:
    """The databases of which `folder` holds nothing."""
    return [name for name in DATABASES if not any((folder / name).glob("*.hea"))]


def download(folder: Path) -> None:
    import wfdb  # half a second, and asking what is missing needs none of it

    for name in WHOLE:
        wfdb.dl_database(name, str(folder / name))
    halves = read_halves()
    records = [*halves[f"{CHALLENGE}_tune"], *halves[f"{CHALLENGE}_report"]]
    folder_there = "challenge-2015/training"
    wfdb.dl_database(folder_there, str(folder / CHALLENGE), records, annotators=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    download(parser.parse_args().folder)


if __name__ == "__main__":
    main()
