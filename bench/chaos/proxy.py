"""A TCP proxy before PostgreSQL or the AWS emulator, one per process, that fails as networks and AWS do."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections import Counter
from enum import StrEnum

from switchyard.devstack.supervisor.ports import LOOPBACK

CHUNK = 64 * 1024
DELAY_S = 0.3
"""By how much each piece is late, in seconds."""

_REQUEST = re.compile(rb"(?:GET|HEAD|PUT|POST|DELETE) \S+ HTTP/1\.1\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_JSON = re.compile(rb"\r\nx-amz-target:", re.IGNORECASE)


class Mode(StrEnum):
    """What happens to what goes through."""

    WELL = "well"
    CUT = "cut"  # connections are reset, new ones too
    DELAY = "delay"
    SILENCE = "silence"  # nothing goes through, and no side hears of it: a half-open connection
    ERROR = "error"  # 503 in place of an answer: the request was not carried out
    THROTTLE = "throttle"  # 400 ThrottlingException or 503 SlowDown: not carried out either
    LOST_ANSWER = "lost answer"  # the request is carried out, and the connection reset before its answer


class Proxy:
    """One way to one server. Set `mode` at any time: it counts for connections that are open, too."""

    def __init__(self, upstream_port: int) -> None:
        self.port = 0
        self.harmed: Counter[str] = Counter()
        """Connections that were reset or held up, and requests that were refused, by mode."""
        self._upstream_port = upstream_port
        self._mode = Mode.WELL
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port, which is then `port`."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, limit=CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Reset every connection and accept none any more."""
        if self._server is not None:
            self._server.close()
        self._reset_all()

    @property
    def mode(self) -> Mode:
        """What happens now."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode is Mode.CUT:
            self.harmed[mode] += len(self._open)
            self._reset_all()

    def _reset_all(self) -> None:
        for writer in self._open:
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is Mode.CUT:
            self.harmed[self._mode] += 1
            _reset(writer)
            return
        self._open.add(writer)
        try:
            back, forth = await asyncio.open_connection(LOOPBACK, self._upstream_port, limit=CHUNK)
            self._open.add(forth)
            try:
                with contextlib.suppress(OSError):
                    await _first_of(self._ask(reader, writer, forth), self._answer(back, writer))
            finally:
                self._open.discard(forth)
                forth.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass  # the server is away, or the run is over: so is the proxy
        finally:
            self._open.discard(writer)
            writer.close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forth: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(CHUNK):
            await self._hold()
            if self._mode in {Mode.ERROR, Mode.THROTTLE} and _REQUEST.match(data):
                self.harmed[self._mode] += 1
                await _swallow(reader, data)
                writer.write(_error_answer(self._mode, data))
                await writer.drain()
                return
            forth.write(data)
            await forth.drain()

    async def _answer(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await back.read(CHUNK):
            await self._hold()
            if self._mode is Mode.LOST_ANSWER:
                self.harmed[self._mode] += 1
                _reset(writer)
                return
            writer.write(data)
            await writer.drain()

    async def _hold(self) -> None:
        if self._mode is Mode.DELAY:
            self.harmed[self._mode] += 1
            await asyncio.sleep(DELAY_S)
        while self._mode is Mode.SILENCE:
            self.harmed[self._mode] += 1
            await self._changed.wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a host that is gone does: with a reset, and without what was still to be sent."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _first_of(*ways: object) -> None:
    """Both ways of a connection end with the first of them."""
    tasks = [asyncio.ensure_future(way) for way in ways]  # type: ignore[call-overload]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _swallow(reader: asyncio.StreamReader, data: bytes) -> None:
    """Read the rest of a request: a connection that is closed before would lose its answer."""
    head, _, body = data.partition(b"\r\n\r\n")
    found = _LENGTH.search(head)
    left = (int(found[1]) if found else 0) - len(body)
    while left > 0 and (more := await reader.read(min(left, CHUNK))):
        left -= len(more)


def _error_answer(mode: Mode, request: bytes) -> bytes:
    """As the service would say it: in JSON if it was asked in JSON, else as S3."""
    json = bool(_JSON.search(request))
    code = {
        (Mode.ERROR, True): "InternalFailure",
        (Mode.ERROR, False): "InternalError",
        (Mode.THROTTLE, True): "ThrottlingException",
        (Mode.THROTTLE, False): "SlowDown",
    }[mode, json]
    status = "400 Bad Request" if json and mode is Mode.THROTTLE else "503 Service Unavailable"
    text = f'{{"__type":"{code}","message":"a drill"}}' if json else f"<Error><Code>{code}</Code></Error>"
    kind = "application/x-amz-json-1.0" if json else "application/xml"
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n"
    return (head + text).encode()
