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

from gateway.beat_classifier import scale_waveforms
from gateway.dsp.beat_context import RRContext
from gateway.dsp.beat_windows import R_POSITION
from gateway.messages import BEAT_WINDOW_RATE_HZ, BEAT_WINDOW_SAMPLES
from model.experiments import served

GOLDEN = Path("tests/model/golden.json")
USUAL_RR_MS = 800.0
EARLY_RR_MS = 480.0
STEADY_BEATS = 40
P_WAVE = (-0.16, 0.020, 120.0)  # seconds from R, width in seconds, µV
QRS = [(-0.03, 0.010, -150.0), (0.0, 0.011, 1200.0), (0.03, 0.010, -250.0)]
WIDE_QRS = [(0.0, 0.045, 1500.0), (0.13, 0.050, -700.0)]
T_WAVE = (0.28, 0.045, 300.0)
USUAL = [P_WAVE, *QRS, T_WAVE]
DRAWN_BEATS = {  # waves, and the interval before
    "usual": (USUAL, USUAL_RR_MS),
    "tall T wave": ([P_WAVE, *QRS, (0.28, 0.050, 700.0)], USUAL_RR_MS),
    "no P wave": ([*QRS, T_WAVE], USUAL_RR_MS),
    "early": ([*QRS, T_WAVE, (-0.48, 0.011, 1200.0), (-0.20, 0.045, 300.0)], EARLY_RR_MS),
    "wide": (WIDE_QRS, USUAL_RR_MS),
    "wide and early": (WIDE_QRS, EARLY_RR_MS),
    "wide and upside down": ([(at, width, -height) for at, width, height in WIDE_QRS], EARLY_RR_MS),
    "flat": ([], USUAL_RR_MS),
}


def drawn_beat(waves: list[tuple[float, float, float]]) -> NDArray[np.float32]:
    """(187,) in µV, to a tenth of a microvolt."""
    seconds = (np.arange(BEAT_WINDOW_SAMPLES) - R_POSITION) / BEAT_WINDOW_RATE_HZ
    heights = [uv * np.exp(-0.5 * ((seconds - at) / width) ** 2) for at, width, uv in waves]
    return np.round(np.sum([np.zeros_like(seconds), *heights], axis=0), 1).astype(np.float32)


def rr_features(rr_ms: float) -> NDArray[np.float32]:
    """After half a minute of a steady 75 bpm."""
    context = RRContext()
    for _ in range(STEADY_BEATS):
        context.push(USUAL_RR_MS)
    return context.push(rr_ms)


def main() -> None:
    windows = np.stack([drawn_beat(waves) for waves, _ in DRAWN_BEATS.values()])
    usual = np.broadcast_to(drawn_beat(USUAL), windows.shape)
    features = np.stack([rr_features(rr_ms) for _, rr_ms in DRAWN_BEATS.values()])
    model = keras.models.load_model(served().keras_path)
    logits = model.predict([scale_waveforms(windows, usual, usual), features], verbose=0)
    golden = [
        {"beat": beat, "logits": of_beat, "rr_features": rr, "window_uv": window_uv}
        for beat, of_beat, rr, window_uv in zip(
            DRAWN_BEATS,
            logits.astype(float).round(4).tolist(),
            features.astype(float).round(6).tolist(),
            windows.astype(float).round(1).tolist(),
            strict=True,
        )
    ]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in golden)
    GOLDEN.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
