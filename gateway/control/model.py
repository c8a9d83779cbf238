"""The running gateway takes the model that is in service by now, without losing a beat."""

from __future__ import annotations

import asyncio
import logging

from gateway.beat_classifier import ModelRefused
from gateway.control.socket import Arguments, ControlRefused, Handler, Json
from gateway.served_model.in_service import ModelInService
from gateway.served_model.store import ModelStore
from gateway.ward.ward import Ward

RELOAD = "model reload"  # the control socket's word for it

log = logging.getLogger(__name__)


def model_reload(store: ModelStore, model: ModelInService, ward: Ward) -> Handler:
    """The handler of `RELOAD`: between two pushes all beds change over, and save their state.

    A restart then replays nothing that the model before has labelled.
    """

    async def reload(_: Arguments) -> Json:
        try:
            classifier = await asyncio.to_thread(store.load, store.current)
        except (ModelRefused, OSError) as error:
            raise ControlRefused(str(error)) from error
        model.replace(classifier)
        ward.save()
        card = classifier.card
        log.info("another model serves", extra={"model": card.name, "hash": card.short_hash})
        return card.short_hash

    return reload
