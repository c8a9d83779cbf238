"""Whether a box may have the certificate that it asks for (AWS IoT's pre-provisioning hook).

Every box of a kind may carry the same claim certificate, so it opens nothing by itself: beside it
a new box gives a code that an administrator has opened for this one gateway and that passes once.
A box that asks with the gateway's own certificate renews it and needs no code.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from cloud_sync.aws.functions.account import Account, account
from cloud_sync.aws.functions.ledger import Ledger
from cloud_sync.aws.functions.message import is_gateway_id

RESERVED = ("claim-", "rotate-")  # client ids that every claim or gateway may connect with

_log = logging.getLogger(__name__)


def may_enrol(event: Mapping[str, Any], parts: Account, unix_time: Callable[[], float]) -> bool:
    parameters = event.get("parameters", {})
    gateway = parameters.get("GatewayId")
    if not is_gateway_id(gateway) or gateway.startswith(RESERVED):
        return False
    if _owns(event["claimCertificateId"], gateway, parts.things):
        return True
    digest = code_digest(str(parameters.get("EnrolmentCode", "")))
    return Ledger(parts.table).use_enrolment(gateway, digest, round(1000 * unix_time()))


def code_digest(code: str) -> str:
    """What the table keeps of a code; it holds 128 random bits, so it needs no salt."""
    return hashlib.sha256(code.encode()).hexdigest()


def _owns(certificate_id: str, gateway: str, things: Any) -> bool:
    try:
        answer = things.list_thing_principals(thingName=gateway)
    except things.exceptions.ResourceNotFoundException:
        return False
    return any(arn.endswith(f":cert/{certificate_id}") for arn in answer["principals"])


def handler(event: Mapping[str, Any], _context: object) -> dict[str, bool]:
    allowed = may_enrol(event, account(os.environ), time.time)
    if not allowed:
        _log.warning("no enrolment for %s", event.get("clientId"))
    return {"allowProvisioning": allowed}
