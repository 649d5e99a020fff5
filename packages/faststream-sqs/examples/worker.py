"""A worker: a message whose handler fails is retried with back-off, and ends in a dead-letter queue.

python worker.py
"""

import asyncio

from faststream import FastStream
from pydantic import BaseModel

from faststream_sqs import RetryPolicy, SQSBroker, SQSMessage

broker = SQSBroker(declare="create")  # "verify", the default, creates nothing and fails when a queue is missing
app = FastStream(broker)


class Order(BaseModel):
    id: int
    item: str


@broker.subscriber(
    "example-orders",
    dead_letter_queue="example-orders-dlq",
    max_receives=5,
    retry=RetryPolicy(base=1, cap=60),
    wait_time=1,
)
async def ship(order: Order, message: SQSMessage) -> None:
    if message.receive_count == 1:
        raise ConnectionError("no carrier")  # tried again, after the fifth time in the dead-letter queue
    print(f"attempt {message.receive_count}: shipping {order.item}")  # returning deletes the message
    app.exit()


@app.after_startup
async def place_an_order() -> None:
    await broker.publish(Order(id=7, item="a kettle"), queue="example-orders")


if __name__ == "__main__":
    asyncio.run(app.run())
