"""dramatiq-sqs: boto3 and worker threads; receives in tens, deletes one by one, sends one by one."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware
from dramatiq_sqs import SQSBroker

from .contender import CLIENT_OPTIONS, ContenderQueues, CountingHandler, RequestCounter
from .payload import DETAIL


class Dramatiq:
    """An actor that takes the detail, run by dramatiq's own worker with its default number of threads."""

    def stored(self) -> str:
        """A call of the actor as dramatiq writes it."""
        return b64encode(self._here.message(DETAIL).encode()).decode()

    async def start(self, site: ContenderQueues, work: CountingHandler, requests: RequestCounter) -> None:
        """Begin to consume."""
        none: list[Middleware] = []
        broker = SQSBroker(middleware=none, endpoint_url=site.endpoint, **CLIENT_OPTIONS)
        requests.watch(broker.sqs.meta.client.meta.events)

        def call(detail: dict[str, Any]) -> None:
            work.do_in_thread(detail)

        self._names = {site.queue: "here", site.sink: "there"}
        self._here = dramatiq.actor(call, broker=broker, actor_name="here", queue_name=site.queue)
        self._there = dramatiq.actor(call, broker=broker, actor_name="there", queue_name=site.sink)
        self._worker = dramatiq.Worker(broker, queues={site.queue})
        self._worker.start()

    async def stop(self) -> None:
        """Consume no more."""
        self._worker.stop(timeout=1_000)

    async def publish(self, details: Sequence[Any], queue: str) -> None:
        """Send to a queue."""
        actor = self._here if self._names[queue] == "here" else self._there
        for detail in details:
            actor.send(detail)

    async def publish_events(self, details: Sequence[Any]) -> None:
        """It has no EventBridge."""
        raise NotImplementedError
