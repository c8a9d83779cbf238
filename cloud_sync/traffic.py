"""How many bytes a connection has cost, as the network's operator counts them."""

from __future__ import annotations

import socket
import struct
from typing import Any

FAILED_HANDSHAKE_BYTES = 6_000  # two chains of certificates; that socket is gone before it is asked
HEADER_BYTES = 40  # of IPv4 and TCP, without options; IPv6 has 20 more

# struct tcp_info of Linux: bytes_acked, bytes_received (RFC 4898), segs_out, segs_in
_COUNTS = struct.Struct("<QQII")
_COUNTS_AT = 120


def wire_bytes(connection: Any) -> int:
    """Both ways, with TLS and headers, so far. Linux counts them for each TCP socket."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _COUNTS_AT + _COUNTS.size)
    if len(info) < _COUNTS_AT + _COUNTS.size:
        return 0  # a kernel before 4.2 does not count
    acknowledged, received, segments_out, segments_in = _COUNTS.unpack_from(info, _COUNTS_AT)
    return int(acknowledged + received + HEADER_BYTES * (segments_out + segments_in))
