"""The one classifier of all beds, which can be replaced while they are monitored."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.beat_classifier import BeatClassifier, ModelCard
from gateway.messages import BeatInContext, BeatLabel


class ModelInService:
    """A BeatClassifier that every pipeline holds; `replace` changes it between two pushes.

    Who needs one model's word throughout, across pushes, takes `classifier` and keeps it.
    """

    def __init__(self, classifier: BeatClassifier, refused: str | None = None) -> None:
        """`refused` says why the model that was to serve does not, where that is so."""
        self.classifier = classifier
        self.refused = refused

    @property
    def card(self) -> ModelCard:
        return self.classifier.card

    def classify(self, beats: Sequence[BeatInContext]) -> list[BeatLabel]:
        return self.classifier.classify(beats)

    def replace(self, classifier: BeatClassifier) -> None:
        """It labels from the next push on."""
        self.classifier = classifier
        self.refused = None
