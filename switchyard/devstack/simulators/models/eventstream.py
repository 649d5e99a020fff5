"""Writes AWS event-stream messages: the framing of `application/vnd.amazon.eventstream`.

A message is a prelude (total length, headers' length, CRC-32 of both), the headers, the payload, and the CRC-32 of all
before. Source: the AWS SDKs' event-stream specification; botocore/eventstream.py reads it and writes none.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from zlib import crc32

EVENTSTREAM_CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7
_OVERHEAD = 16
"""Bytes of prelude and CRCs around headers and payload."""


def encode_event(kind: str, payload: bytes) -> bytes:
    """A message that carries one JSON event."""
    return encode_message(
        _headers(((":event-type", kind), (":content-type", "application/json"), (":message-type", "event"))), payload
    )


def encode_exception(kind: str, payload: bytes) -> bytes:
    """A message that ends the stream with a modelled error."""
    headers = ((":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception"))
    return encode_message(_headers(headers), payload)


def encode_message(headers: bytes, payload: bytes) -> bytes:
    """Frame encoded headers and a payload."""
    prelude = struct.pack("!II", _OVERHEAD + len(headers) + len(payload), len(headers))
    framed = b"".join((prelude, struct.pack("!I", crc32(prelude)), headers, payload))
    return framed + struct.pack("!I", crc32(framed))


@lru_cache(maxsize=64)
def _headers(pairs: tuple[tuple[str, str], ...]) -> bytes:
    encoded = bytearray()
    for name, value in pairs:
        raw_name, raw_value = name.encode(), value.encode()
        encoded += struct.pack(f"!B{len(raw_name)}sBH", len(raw_name), raw_name, _STRING, len(raw_value)) + raw_value
    return bytes(encoded)
