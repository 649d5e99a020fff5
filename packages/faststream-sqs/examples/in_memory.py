"""Testing an application without AWS.

    python in_memory.py

With pytest and pytest-asyncio, the functions are found and run as tests.
"""

import asyncio

from faststream.message import AckStatus

from faststream_sqs import RetryPolicy, SQSBroker, SQSMessage, TestSQSBroker

broker = SQSBroker("eu-central-1")
shipped = broker.event_publisher(bus="shop", source="shop.shipping", detail_type="OrderShipped")
weak = {"carrier is down"}


@broker.subscriber("orders", dead_letter_queue="orders-dlq", retry=RetryPolicy(base=2, cap=60))
async def ship(order: dict[str, int], message: SQSMessage) -> None:
    if order["id"] < 0:
        await message.reject("no such order")
    elif weak:
        raise ConnectionError(weak.pop())
    else:
        await shipped.publish({"order": order["id"]})


@broker.subscriber("loyalty", detail_type="OrderShipped")
async def reward(event: dict[str, int]) -> None: ...


async def test_order_is_shipped_at_the_second_attempt() -> None:
    test = TestSQSBroker(broker)
    async with test:
        try:
            await broker.publish({"id": 7}, queue="orders")
        except ConnectionError as error:  # what a handler raises is raised where it was published
            print(f"first attempt: {error}")
        assert await test.redeliver() == 1  # nothing is retried by itself, so a test decides when
        ship.mock.assert_called_with({"id": 7})
        shipped.mock.assert_called_once_with({"order": 7})
        reward.mock.assert_called_once_with({"order": 7})
        statuses = [each.status for each in test.settled if each.queue == "orders"]
        assert statuses == [AckStatus.NACKED, AckStatus.ACKED]
        print("second attempt: shipped")


async def test_impossible_order_is_rejected() -> None:
    test = TestSQSBroker(broker)
    async with test:
        await broker.publish({"id": -1}, queue="orders")
        [settled] = test.settled
        assert (settled.status, settled.reason) == (AckStatus.REJECTED, "no such order")
        shipped.mock.assert_not_called()
        print(f"rejected: {settled.reason}")


async def main() -> None:
    await test_order_is_shipped_at_the_second_attempt()
    await test_impossible_order_is_rejected()


if __name__ == "__main__":
    asyncio.run(main())
