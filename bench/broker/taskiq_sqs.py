"""taskiq-aio-sqs: receives in tens (its default is one), deletes one by one, sends one by one."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from taskiq.message import TaskiqMessage
from taskiq.receiver import Receiver
from taskiq_aio_sqs import SQSBroker

from .contender import CLIENT_OPTIONS, ContenderQueues, CountingHandler, RequestCounter
from .payload import DETAIL

_CONCURRENCY = 10


class Taskiq:
    """A task that takes the detail, run by taskiq's own receiver.

    It can send in batches, too, but then says nothing about what was accepted and when: that is not the same work.
    """

    def stored(self) -> str:
        """A call of the task as taskiq writes it."""
        return self._stored

    async def start(self, site: ContenderQueues, work: CountingHandler, requests: RequestCounter) -> None:
        """Begin to consume."""
        logging.getLogger("taskiq").setLevel(logging.WARNING)
        options = {**CLIENT_OPTIONS, "endpoint_url": site.endpoint, "max_number_of_messages": 10}
        self._broker = broker = SQSBroker(site.queue, **options)
        self._sink = SQSBroker(site.sink, **options)

        async def task(detail: dict[str, Any]) -> None:
            await work.do(detail)

        self._here = broker.register_task(task, task_name="task")
        self._sink_name = site.sink
        self._there = self._sink.register_task(task, task_name="task")
        message = TaskiqMessage(task_id="1", task_name="task", labels={}, labels_types={}, args=[DETAIL], kwargs={})
        self._stored: str = broker.formatter.dumps(message).message.decode()
        await broker.startup()
        await self._sink.startup()
        for each in (broker, self._sink):
            requests.watch(each._sqs_client.meta.events)
        self._finish = asyncio.Event()
        receiver = Receiver(broker, max_async_tasks=_CONCURRENCY, run_startup=False)
        self._listening = asyncio.create_task(receiver.listen(self._finish))

    async def stop(self) -> None:
        """Consume no more."""
        self._finish.set()
        self._listening.cancel()
        await asyncio.wait([self._listening])
        await self._broker.shutdown()
        await self._sink.shutdown()

    async def publish(self, details: Sequence[Any], queue: str) -> None:
        """Send to a queue."""
        task = self._there if queue == self._sink_name else self._here
        await asyncio.gather(*(task.kiq(detail) for detail in details))

    async def publish_events(self, details: Sequence[Any]) -> None:
        """It has no EventBridge."""
        raise NotImplementedError
