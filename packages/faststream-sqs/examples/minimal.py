"""One queue, one handler.

AWS_DEFAULT_REGION=eu-central-1 python minimal.py
"""

import asyncio

from faststream import FastStream
from pydantic import BaseModel

from faststream_sqs import SQSBroker

broker = SQSBroker(declare="create")  # "verify", the default, creates nothing and fails when a queue is missing
app = FastStream(broker)


class Order(BaseModel):
    id: int
    item: str


@broker.subscriber("example-orders", dead_letter_queue="example-orders-dlq", wait_time=1)
async def ship(order: Order) -> None:
    print(f"shipping {order.item}")  # returning deletes the message; an error would retry it with back-off
    app.exit()


@app.after_startup
async def place_an_order() -> None:
    await broker.publish(Order(id=7, item="a kettle"), queue="example-orders")


if __name__ == "__main__":
    asyncio.run(app.run())
