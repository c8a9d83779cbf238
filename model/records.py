"""The MIT-BIH Arrhythmia Database (Moody & Mark 2001, PhysioNet mitdb 1.0.0), record by record."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray
from tqdm import tqdm

from gateway.messages import BeatClass

DATABASE = "mitdb"
FILE_SUFFIXES = {"mitdb": ("hea", "dat", "atr"), "nstdb": ("hea", "dat")}
PREFERRED_LEAD = "MLII"  # in 46 of 48 records; 102 and 104 have V5 first
_AAMI_SYMBOLS = {  # ANSI/AAMI EC57 table: WFDB symbols of each class
    BeatClass.NORMAL: "NLRej",
    BeatClass.SUPRAVENTRICULAR: "AaJS",
    BeatClass.VENTRICULAR: "VE",
    BeatClass.FUSION: "F",
    BeatClass.UNKNOWN: "/fQ",
}
AAMI_CLASS = {symbol: aami for aami, symbols in _AAMI_SYMBOLS.items() for symbol in symbols}


@dataclass(frozen=True, slots=True)
class AnnotatedRecord:
    """A lead in µV and its annotated beats (arrays of equal length, in order of time).

    `other_lead_uv` is the record's second lead, which only augments training.
    """

    name: str
    sample_rate_hz: int
    amplitude_uv: NDArray[np.float64]
    beat_samples: NDArray[np.int64]
    beat_classes: NDArray[np.str_]
    other_lead_uv: NDArray[np.float64]


def database_path(database: str = DATABASE) -> Path:
    """The folder of a database under ECG_DATA; downloaded from PhysioNet where it is missing."""
    folder = Path(os.environ.get("ECG_DATA", "../shared/data")) / database
    if not any(folder.glob("*.hea")):
        _download(database, folder)
    return folder


def _download(database: str, folder: Path) -> None:
    """Into a folder of another name first, so that half a database is never taken for a whole."""
    partial = folder.with_name(f"{database}.part")
    for name in tqdm(wfdb.get_record_list(database), desc=f"download {database}"):
        files = [f"{name}.{suffix}" for suffix in FILE_SUFFIXES[database]]
        wfdb.dl_files(database, str(partial), files)
    partial.rename(folder)


def record_names() -> list[str]:
    return sorted(header.stem for header in database_path().glob("*.hea"))


def read_record(name: str) -> AnnotatedRecord:
    path = str(database_path() / name)
    signals = wfdb.rdrecord(path)
    lead = signals.sig_name.index(PREFERRED_LEAD) if PREFERRED_LEAD in signals.sig_name else 0
    annotations = wfdb.rdann(path, "atr")
    is_beat = np.array([symbol in AAMI_CLASS for symbol in annotations.symbol])
    symbols = np.array(annotations.symbol)[is_beat]
    return AnnotatedRecord(
        name=name,
        sample_rate_hz=int(signals.fs),
        amplitude_uv=_microvolts(signals, lead),
        beat_samples=annotations.sample[is_beat].astype(np.int64),
        beat_classes=np.array([AAMI_CLASS[symbol].value for symbol in symbols]),
        other_lead_uv=_microvolts(signals, 1 - lead),
    )


def _microvolts(signals: wfdb.Record, lead: int) -> NDArray[np.float64]:
    millivolts: NDArray[np.float64] = signals.p_signal[:, lead]
    return np.round(millivolts * 1000.0, 3)
