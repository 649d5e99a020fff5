"""A test of `worker.py` without AWS.

pip install pytest pytest-asyncio
pytest test_worker.py
"""

import pytest
from faststream.message import AckStatus
from worker import broker, ship

from faststream_sqs import TestSQSBroker


@pytest.mark.asyncio
async def test_order_is_shipped_at_the_second_attempt() -> None:
    test = TestSQSBroker(broker)
    async with test:
        with pytest.raises(ConnectionError):  # what a handler raises is raised where its message was published
            await broker.publish({"id": 7, "item": "a kettle"}, "example-orders")
        assert await test.redeliver() == 1  # nothing is retried by itself, so a test decides when
        ship.mock.assert_called_with({"id": 7, "item": "a kettle"})
        assert [each.status for each in test.settled] == [AckStatus.NACKED, AckStatus.ACKED]
