"""The event-stream encoder, read back by botocore's own decoder."""

from __future__ import annotations

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from switchyard.devstack.simulators.models import eventstream


@given(st.binary(max_size=2000))
def test_botocore_reads_back_the_headers_and_the_payload(payload: bytes) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(eventstream.encode_event("contentBlockDelta", payload))
    (message,) = list(buffer)
    assert message.payload == payload
    assert message.headers == {
        ":event-type": "contentBlockDelta",
        ":content-type": "application/json",
        ":message-type": "event",
    }


def test_several_messages_in_one_piece_are_read_one_by_one() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(
        eventstream.encode_event("messageStart", b"1") + eventstream.encode_exception("throttlingException", b"2")
    )
    assert [message.headers[":message-type"] for message in buffer] == ["event", "exception"]


def test_a_flipped_bit_is_noticed_by_the_checksum() -> None:
    damaged = bytearray(eventstream.encode_event("messageStart", b'{"role":"assistant"}'))
    damaged[-8] ^= 1
    buffer = EventStreamBuffer()
    buffer.add_data(bytes(damaged))
    with pytest.raises(ChecksumMismatch):
        next(buffer)
