"""Each way in which the proxy of `make chaos` fails, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.chaos.proxy import Mode, Proxy

LOOPBACK = "127.0.0.1"
SQS = b"POST / HTTP/1.1\r\nX-Amz-Target: AmazonSQS.SendMessage\r\nContent-Length: 4\r\n\r\nbody"
S3 = b"PUT /bucket/key HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Server:
    """Answers every piece that it gets, and keeps it."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.got.append(data)
            writer.write(ANSWER)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def _proxied() -> AsyncIterator[tuple[Proxy, Server]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, LOOPBACK, 0)
    proxy = Proxy(listening.sockets[0].getsockname()[1])
    await proxy.start()
    try:
        yield proxy, server
    finally:
        proxy.stop()
        listening.close()


async def _ask(proxy: Proxy, request: bytes = SQS) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(65536), timeout=10)
    finally:
        writer.close()


async def test_proxy_well_passes_everything() -> None:
    async with _proxied() as (proxy, server):
        assert await _ask(proxy) == ANSWER
        assert server.got == [SQS]


async def test_proxy_cut_resets_open_and_new_connections() -> None:
    async with _proxied() as (proxy, server):
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        writer.write(SQS)
        assert await reader.read(65536) == ANSWER
        proxy.mode = Mode.CUT
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
        with pytest.raises(ConnectionResetError):
            await _ask(proxy)
        proxy.mode = Mode.WELL
        assert await _ask(proxy) == ANSWER
        assert len(server.got) == 2


async def test_proxy_silence_holds_everything_until_it_is_well() -> None:
    async with _proxied() as (proxy, server):
        proxy.mode = Mode.SILENCE
        asking = asyncio.create_task(_ask(proxy))
        while not proxy.harmed[Mode.SILENCE]:  # noqa: ASYNC110 - the proxy says when it holds something
            await asyncio.sleep(0.01)
        assert server.got == []
        proxy.mode = Mode.WELL
        assert await asking == ANSWER


async def test_proxy_delay_is_late_and_complete() -> None:
    async with _proxied() as (proxy, server):
        proxy.mode = Mode.DELAY
        assert await _ask(proxy) == ANSWER
        assert (server.got, proxy.harmed[Mode.DELAY]) == ([SQS], 2)


@pytest.mark.parametrize(
    ("mode", "request_bytes", "status", "code"),
    [
        (Mode.ERROR, SQS, b"503", b"InternalFailure"),
        (Mode.ERROR, S3, b"503", b"InternalError"),
        (Mode.THROTTLE, SQS, b"400", b"ThrottlingException"),
        (Mode.THROTTLE, S3, b"503", b"SlowDown"),
    ],
)
async def test_proxy_error_in_place_of_an_answer_is_not_carried_out(
    mode: Mode, request_bytes: bytes, status: bytes, code: bytes
) -> None:
    async with _proxied() as (proxy, server):
        proxy.mode = mode
        answer = await _ask(proxy, request_bytes)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert code in answer
        assert server.got == []


async def test_proxy_lost_answer_is_carried_out() -> None:
    async with _proxied() as (proxy, server):
        proxy.mode = Mode.LOST_ANSWER
        with pytest.raises(ConnectionResetError):
            await _ask(proxy)
        assert server.got == [SQS]
