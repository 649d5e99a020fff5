"""Bedrock through boto3: connections that can be cut, and one owner of retries.

What pydantic-ai 2.68 does already: a cancelled read mid-stream shuts the socket down. A call cancelled while botocore
waits for the response's headers, though, leaves its thread behind until `read_timeout` (300 s by default). The
connections installed here close that gap: the wait for headers is cut at once as well, and connecting and reading never
outlast the attempt's own limit, should cutting fail.
"""

import contextlib
import socket
from typing import Any

import botocore.awsrequest
import botocore.client

from latency_failover.connections import AttemptConnections, current_connections
from latency_failover.errors import RetryOwnerConflict


class _CuttableConnection:
    """Mixed into botocore's connection classes; behaves as they do when no attempt is running."""

    timeout: Any
    sock: Any
    _wire: AttemptConnections | None = None

    def connect(self) -> None:
        self._limit()
        super().connect()  # type: ignore[misc]
        wire = current_connections.get()
        if wire is not None:
            wire.check()  # cut while there was no socket yet to shut down

    def request(self, *args: Any, **kwargs: Any) -> Any:
        self._wire = wire = current_connections.get()
        if wire is not None:
            wire.attach(lambda: self._cut(wire))
        return super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        self._limit()
        return super().getresponse()  # type: ignore[misc]

    def _limit(self) -> None:
        wire = current_connections.get()
        if wire is not None:
            remaining = wire.remaining_s()
            self.timeout = min(self.timeout, remaining) if isinstance(self.timeout, int | float) else remaining

    def _cut(self, wire: AttemptConnections) -> None:
        # A pooled connection may have gone to another call since: only the attempt that holds it may cut it.
        if self._wire is wire and self.sock is not None:
            with contextlib.suppress(OSError):  # closed already, which is what is wanted
                self.sock.shutdown(socket.SHUT_RDWR)


class _HTTPConnection(_CuttableConnection, botocore.awsrequest.AWSHTTPConnection):  # type: ignore[misc]
    pass


class _HTTPSConnection(_CuttableConnection, botocore.awsrequest.AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _HTTPPool(botocore.awsrequest.AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _HTTPConnection


class _HTTPSPool(botocore.awsrequest.AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _HTTPSConnection


def make_client_cuttable(client: botocore.client.BaseClient) -> None:
    """Make a boto3 client's calls cuttable; they are otherwise unchanged. Safe to repeat.

    Raises:
        RetryOwnerConflict: the client would retry by itself.
        TypeError: this botocore keeps its connection pools elsewhere; `latency_failover.bedrock` must be adapted to it.
    """
    retries = client.meta.config.retries or {}
    if retries.get("total_max_attempts") != 1 and retries.get("max_attempts") != 0:
        raise RetryOwnerConflict(
            'the Bedrock client retries by itself; build it with Config(retries={"total_max_attempts": 1})'
        )
    try:
        session = client._endpoint.http_session
        pools = session._pool_classes_by_scheme  # one dict, shared with the session's pool managers
    except AttributeError as error:
        raise TypeError(
            "this botocore has no connection pools where latency_failover.bedrock looks for them"
        ) from error
    if pools["https"] is not _HTTPSPool:
        pools.update(http=_HTTPPool, https=_HTTPSPool)
        session._manager.clear()


def region_of(client: botocore.client.BaseClient, model_id: str) -> str:
    """Where a request goes: the geography of an inference profile's name, otherwise the client's region."""
    geography, dot, _ = model_id.partition(".")
    # Vendor prefixes (anthropic., amazon., meta. ...) are longer than any geography but `apac` and `global`.
    if dot and geography in _GEOGRAPHIES:
        return geography
    return str(client.meta.region_name or "")


_GEOGRAPHIES = frozenset({"apac", "au", "ca", "eu", "global", "jp", "us", "us-gov"})
"""https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html"""
