"""A batch that fails in part: only that part is retried.

python batch.py
"""

import asyncio

from faststream import FastStream

from faststream_sqs import BatchItemFailed, RetryPolicy, SQSBatchMessage, SQSBroker

broker = SQSBroker(declare="create")
app = FastStream(broker)


@broker.subscriber(
    "example-readings",
    batch=True,
    max_batch=100,
    max_wait=0.5,
    wait_time=1,
    retry=RetryPolicy(base=1, cap=30),
)
async def store(readings: list[dict[str, int]], message: SQSBatchMessage) -> None:
    failed = [
        each.message_id
        for each, reading in zip(message.messages, readings, strict=True)
        if reading["value"] < 0 and each.receive_count == 1
    ]
    print(f"stored {len(readings) - len(failed)} of {len(readings)}")
    if failed:
        raise BatchItemFailed(*failed)  # these are retried, the others are deleted
    app.exit()


@app.after_startup
async def measure() -> None:
    await broker.publish_batch(*({"value": value} for value in (3, -1, 5)), queue="example-readings")


if __name__ == "__main__":
    asyncio.run(app.run())
