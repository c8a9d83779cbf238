from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _recordings_of_the_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """`model` reads ECG_DATA itself; give it the folder that the tests found."""
    if request.node.get_closest_marker("recordings"):
        folder: Path = request.getfixturevalue("ecg_data")
        monkeypatch.setenv("ECG_DATA", str(folder))
