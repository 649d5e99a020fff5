"""Services of ours that run inside the test's own process."""

from __future__ import annotations

import asyncio
import socket

from switchyard.app.application import load_app
from tests.integration.cloud import Cloud


def queues_of(node: str) -> tuple[str, ...]:
    """Every queue of a node: its own, its lanes and its dead-letter queue."""
    [consumer] = [each for each in load_app().consumers if each.node == node]
    return consumer.queue, *consumer.lanes, consumer.dead_letter_queue


async def stop_serving(cloud: Cloud, node: str, *serving: asyncio.Task[None]) -> None:
    """Drain and stop the processes that serve a node, and leave its queues empty."""
    for process in serving:
        process.cancel()
    await asyncio.sleep(0)
    queues = queues_of(node)
    # They end when their long polls return, so let these return. Who is stopping takes on nothing that they bring.
    await asyncio.gather(*(cloud.send(queue, "wake up") for queue in queues for _ in serving))
    ends = await asyncio.gather(*serving, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
    await cloud.purge(*queues)


def free_port() -> int:
    """A port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
