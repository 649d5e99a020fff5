"""A FastAPI application that publishes orders and handles them, with FastAPI's dependencies in both.

pip install faststream-fastapi uvicorn
uvicorn fastapi_application:app
"""

from typing import Annotated

from fastapi import Depends, FastAPI
from faststream_fastapi import FastStreamAPI
from pydantic import BaseModel

from faststream_sqs import SQSBroker

broker = SQSBroker(declare="create")
api = FastAPI()


class Order(BaseModel):
    id: int


def carrier() -> str:
    return "by train"


@broker.subscriber("example-api-orders", wait_time=1)
async def ship(order: Order, how: Annotated[str, Depends(carrier)]) -> str:
    return f"order {order.id} shipped {how}"


@api.post("/orders")
async def place(order: Order) -> str:
    reply = await broker.request(order, "example-api-orders")
    return str(await reply.decode())


# The application starts and stops the broker. Without `safe_connection` it would start without its queues, too.
app = FastStreamAPI(broker, application=api, asyncapi_path="/asyncapi", safe_connection=True)
