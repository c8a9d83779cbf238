"""What can't be taken goes aside with its reason, for a person to look at."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from cloud_sync.aws.functions.message import MessageRefused

MAX_REFUSED_CHARACTERS = 180_000  # of an event; SQS takes 256 KB, and 100 KB in base64 are 134 KB

_log = logging.getLogger(__name__)


def set_aside(queue: Any, event: Mapping[str, Any], refused: MessageRefused) -> None:
    _log.warning("refused topic=%s: %s", event.get("topic"), refused)
    words = {"reason": str(refused), "event": json.dumps(event)[:MAX_REFUSED_CHARACTERS]}
    queue.send_message(MessageBody=json.dumps(words))
