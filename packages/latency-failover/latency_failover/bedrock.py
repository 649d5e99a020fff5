"""Bedrock through boto3: connections that can be cut, and one owner of retries.

pydantic-ai 2.68 shuts the socket down when a read is cancelled mid-stream. A call that is cancelled while botocore
waits for the response's headers, though, leaves its thread behind until `read_timeout` (300 s by default). With the
connections installed here, the wait for headers is cut at once as well, and connecting and reading never outlast the
attempt's own limit, even if cutting fails.
"""

import contextlib
import socket
from typing import Any

import botocore.awsrequest
import botocore.client

from latency_failover.connections import AttemptConnections, current_connections
from latency_failover.errors import RetryOwnerConflict


class _CuttableConnection:
    """Mixed into botocore's connection classes; changes nothing when no attempt is running."""

    timeout: Any
    sock: Any
    _connections: AttemptConnections | None = None

    def connect(self) -> None:
        self._limit()
        super().connect()  # type: ignore[misc]
        connections = current_connections.get()
        if connections is not None:
            connections.check()  # the attempt may have been cut before there was a socket

    def request(self, *args: Any, **kwargs: Any) -> Any:
        self._connections = connections = current_connections.get()
        if connections is not None:
            connections.attach(lambda: self._cut(connections))
        return super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        self._limit()
        response = super().getresponse()  # type: ignore[misc]
        if self._connections is not None:
            self._connections.answered = True
        return response

    def _limit(self) -> None:
        connections = current_connections.get()
        if connections is not None:
            remaining = connections.remaining_s()
            self.timeout = min(self.timeout, remaining) if isinstance(self.timeout, int | float) else remaining

    def _cut(self, connections: AttemptConnections) -> None:
        # A pooled connection may belong to another call by now: only the attempt that holds it may cut it.
        if self._connections is connections and self.sock is not None:
            with contextlib.suppress(OSError):  # closed already
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
        RetryOwnerConflict: the client retries by itself.
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
            "this botocore keeps its connection pools elsewhere: adapt latency_failover.bedrock to it"
        ) from error
    if pools["https"] is not _HTTPSPool:
        pools.update(http=_HTTPPool, https=_HTTPSPool)
        session._manager.clear()


def region_of(client: botocore.client.BaseClient, model_id: str) -> str:
    """The region of a request: the geography of an inference profile's name, otherwise the client's region."""
    geography, dot, _ = model_id.partition(".")
    # Vendor prefixes (anthropic., amazon., meta. ...) are longer than any geography but `apac` and `global`.
    if dot and geography in _GEOGRAPHIES:
        return geography
    return str(client.meta.region_name or "")


_GEOGRAPHIES = frozenset({"apac", "au", "ca", "eu", "global", "jp", "us", "us-gov"})
"""https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html"""
