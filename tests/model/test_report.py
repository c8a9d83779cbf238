from pathlib import Path

import pytest

from model.cards import card
from model.experiments import served
from model.report import REPORT, compared_models

PICTURES = sorted(REPORT.iterdir())
README = REPORT.with_name("README.md").read_text()


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_the_readme_shows_pictures_of_the_models_that_are_here(picture: Path):
    assert f"(report/{picture.name})" in README
    models = compared_models() if picture.name == "curves.svg" else [served()]
    for model in models:
        assert card(model)["sha256"][:8].encode() in picture.read_bytes(), "run make report"


def test_the_pictures_are_small():
    assert len(PICTURES) == README.count("(report/")
    assert sum(picture.stat().st_size for picture in PICTURES) < 1_000_000
