"""An administrator opens the enrolment of one gateway, and gets the code that its box is given.

python -m cloud_sync.aws.open_enrolment TABLE GATEWAY, with the administrator's own credentials.
"""

from __future__ import annotations

import argparse
import secrets
import time

import boto3

from cloud_sync.aws.functions.enrolment import code_digest
from cloud_sync.aws.functions.ledger import Ledger

VALID_S = 86_400
CODE_BYTES = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("gateway")
    arguments = parser.parse_args()
    code = secrets.token_hex(CODE_BYTES)
    until_ms = round(1000 * (time.time() + VALID_S))
    table = boto3.resource("dynamodb").Table(arguments.table)
    Ledger(table).open_enrolment(arguments.gateway, code_digest(code), until_ms)
    print(code)


if __name__ == "__main__":
    main()
