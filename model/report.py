"""`python -m model.report`: draw the pictures of `model/README.md` into `model/report`.

From the committed int8 artefacts and the raw records; a second run gives the same bytes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tqdm import tqdm

from model.cards import card
from model.experiments import EXPERIMENTS, Experiment, served
from model.figures import confusion_matrix, curves, patients, reliability, worst_beats
from model.figures.style import save_png, save_svg, styled
from model.partition import patient_records
from model.predictions import Predictions, int8_predictions
from model.records import read_record
from model.scores import NO_LABEL

REPORT = Path(__file__).with_name("report")


def main() -> None:
    REPORT.mkdir(exist_ok=True)
    with styled():
        _draw_served_model()
        _draw_curves()


def compared_models() -> list[Experiment]:
    """Both networks on both splits; of several seeds the one that is served."""
    return [model for model in EXPERIMENTS if model.is_served or not model.is_shipped_ds2]


def source(*models: Experiment) -> str:
    """What a picture's metadata say it was drawn from."""
    return ", ".join(f"{model.name} {card(model)['sha256'][:8]}" for model in models)


def _draw_served_model() -> None:
    model = served()
    beats, of_served = model.beats(), source(model)
    ds2 = int8_predictions(model, model.final(beats).test)
    paced = int8_predictions(model, beats.of_records(patient_records()["paced"]))
    matrices = confusion_matrix.draw({"DS2": ds2, "Paced records": paced})
    strips = worst_beats.draw(worst_beats.worst(ds2), cache(read_record))
    save_svg(matrices, REPORT / "confusion.svg", of_served)
    save_svg(patients.draw(ds2), REPORT / "patients.svg", of_served)
    save_svg(reliability.draw({"DS2": _reliability(ds2)}), REPORT / "reliability.svg", of_served)
    save_png(strips, REPORT / "worst_beats.png", of_served)


def _reliability(predictions: Predictions) -> reliability.Reliability:
    """Of every detection that was given a p."""
    given = predictions[predictions.labels != NO_LABEL]
    return reliability.reliability(given.p_abnormal, given.beats.is_abnormal)


def _draw_curves() -> None:
    drawn = {}
    for model in tqdm(compared_models(), desc="curves", disable=None):
        test = model.final(model.beats()).test
        drawn[model.network, model.split] = curves.curve(int8_predictions(model, test))
    save_svg(curves.draw(drawn), REPORT / "curves.svg", source(*compared_models()))


if __name__ == "__main__":
    main()
