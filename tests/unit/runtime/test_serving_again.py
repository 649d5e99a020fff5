from __future__ import annotations

import asyncio
import socket
from functools import partial

from switchyard.runtime.core.periodic import run_periodically
from switchyard.runtime.process.process import RUN_AGAIN_S
from switchyard.runtime.process.web import Readiness, build_health_app, serve_web_app


async def test_server_that_could_not_listen_serves_once_it_can() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    serve = partial(serve_web_app, build_health_app(Readiness({})), "127.0.0.1", port)
    serving = asyncio.create_task(run_periodically("pages", serve, every_s=RUN_AGAIN_S))
    await asyncio.sleep(0.2)
    assert not serving.done()
    taken.close()
    async with asyncio.timeout(30):
        answer = await _ask(port)
    assert answer.startswith(b"HTTP/1.1 200")
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def _ask(port: int) -> bytes:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.2)
        return await _ask(port)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer
