"""Request and reply: a handler's result goes back to who asked.

python request.py
"""

import asyncio

from faststream import FastStream

from faststream_sqs import SQSBroker

broker = SQSBroker(declare="create")  # for the queue of replies; in production name one: SQSBroker(reply_queue="...")
app = FastStream(broker)


@broker.subscriber("example-prices", wait_time=1)
async def price(item: str) -> dict[str, int]:
    return {"kettle": 40} if item == "kettle" else {}


@app.after_startup
async def ask() -> None:
    reply = await broker.request("kettle", "example-prices", timeout=30)
    print(await reply.decode())
    app.exit()


if __name__ == "__main__":
    asyncio.run(app.run())
