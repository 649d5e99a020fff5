"""The event-stream encoder, read back by botocore's own decoder."""

from __future__ import annotations

import json

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from switchyard.devstack.simulators.models.bedrock import encode_event


@given(st.text(max_size=2000))
def test_botocore_reads_back_the_headers_and_the_payload(text: str) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(encode_event("contentBlockDelta", {"text": text}))
    (message,) = list(buffer)
    assert json.loads(message.payload) == {"text": text}
    assert message.headers == {
        ":event-type": "contentBlockDelta",
        ":content-type": "application/json",
        ":message-type": "event",
    }


def test_messages_in_one_chunk_are_read_one_by_one() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(encode_event("messageStart", 1) + encode_event("throttlingException", 2, message_type="exception"))
    assert [message.headers[":message-type"] for message in buffer] == ["event", "exception"]


def test_flipped_bit_fails_the_checksum() -> None:
    damaged = bytearray(encode_event("messageStart", {"role": "assistant"}))
    damaged[-8] ^= 1
    buffer = EventStreamBuffer()
    buffer.add_data(bytes(damaged))
    with pytest.raises(ChecksumMismatch):
        next(buffer)
