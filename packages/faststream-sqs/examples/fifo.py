"""A FIFO queue: each group in order, also when a message fails.

python fifo.py
"""

import asyncio

from faststream import FastStream

from faststream_sqs import SQSBroker, SQSMessage

broker = SQSBroker(declare="create")
app = FastStream(broker)


@broker.subscriber("example-moves.fifo", dead_letter_queue="example-moves-dlq.fifo", max_receives=5, wait_time=1)
async def move(step: int, message: SQSMessage) -> None:
    if step == 2 and message.receive_count == 1:
        raise ConnectionError("no board")  # step 3 waits for it; other groups do not
    print(f"{message.group_id}: step {step}")
    if step == 3:
        app.exit()


@app.after_startup
async def play() -> None:
    await broker.publish_batch(1, 2, 3, queue="example-moves.fifo", group_id="game-1")


if __name__ == "__main__":
    asyncio.run(app.run())
