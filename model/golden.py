"""`python -m model.golden`: what the served model's float original says of a few drawn beats.

The beats are sums of Gaussian waves, so that no patient's ECG lies in the repository. The test of
the int8 model holds it to these probabilities.
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from gateway.beat_classifier import scale_min_max
from gateway.dsp.beat_windows import R_POSITION
from gateway.messages import BEAT_WINDOW_RATE_HZ, BEAT_WINDOW_SAMPLES
from model.experiments import EXPERIMENTS, SHIPPED
from model.network import AAMI_CLASS, LABELS, P_ABNORMAL

GOLDEN = Path("tests/model/golden.json")
P_WAVE = (-0.16, 0.020, 120.0)  # seconds from R, width in seconds, µV
QRS = [(-0.03, 0.010, -150.0), (0.0, 0.011, 1200.0), (0.03, 0.010, -250.0)]
WIDE_QRS = [(0.0, 0.045, 1500.0), (0.13, 0.050, -700.0)]
T_WAVE = (0.28, 0.045, 300.0)
DRAWN_BEATS = {
    "normal": [P_WAVE, *QRS, T_WAVE],
    "normal with its neighbour before": [P_WAVE, *QRS, T_WAVE, (-0.70, 0.011, 1200.0)],
    "tall T wave": [P_WAVE, *QRS, (0.28, 0.050, 700.0)],
    "no P wave": [*QRS, T_WAVE],
    "early": [*QRS, T_WAVE, (-0.42, 0.011, 1200.0), (-0.14, 0.045, 300.0)],
    "wide": WIDE_QRS,
    "wide and upside down": [(at, width, -height) for at, width, height in WIDE_QRS],
    "flat": [],
}


def drawn_beat(waves: list[tuple[float, float, float]]) -> NDArray[np.float32]:
    """(187,) in µV, to a tenth of a microvolt."""
    seconds = (np.arange(BEAT_WINDOW_SAMPLES) - R_POSITION) / BEAT_WINDOW_RATE_HZ
    heights = [uv * np.exp(-0.5 * ((seconds - at) / width) ** 2) for at, width, uv in waves]
    return np.round(np.sum([np.zeros_like(seconds), *heights], axis=0), 1).astype(np.float32)


def main() -> None:
    experiment = next(e for e in EXPERIMENTS if e.name == SHIPPED)
    windows = np.stack([drawn_beat(waves) for waves in DRAWN_BEATS.values()])
    model = keras.models.load_model(experiment.keras_path)
    outputs = model.predict(scale_min_max(windows)[:, :, np.newaxis], verbose=0)
    p_abnormal = outputs[P_ABNORMAL][:, 0].astype(float)
    classes = [LABELS[1 + likeliest] for likeliest in outputs[AAMI_CLASS][:, 1:].argmax(axis=1)]
    windows_uv = np.round(windows.astype(float), 1).tolist()
    golden = [
        {"beat": beat, "p": p, "if_abnormal": name, "window_uv": window_uv}
        for beat, p, name, window_uv in zip(
            DRAWN_BEATS, p_abnormal.round(6), classes, windows_uv, strict=True
        )
    ]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in golden)
    GOLDEN.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
