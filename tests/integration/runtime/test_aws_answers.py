"""Answers of AWS that are cut, foreign or refused for a passing reason: nothing but `Unavailable` comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from services.specialists.email_sender.outbound_email import OutboundEmail
from services.specialists.email_sender.provider import SendUnanswered, SesProvider, TransientSendError, client_config
from switchyard.runtime.core.aws import create_aws_client
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.crypto.signing import KmsSigner
from switchyard.runtime.crypto.vault import KmsKeyWrapper
from switchyard.runtime.storage.locked_objects import LockedObjects, ObjectKey
from switchyard.runtime.storage.objects import S3Objects

pytestmark = pytest.mark.integration
SESSION = get_session()  # shared: loading the service models costs more than a test
PAGE = b"<html><body>Service Unavailable</body></html>"


def answer(body: bytes, *, status: str = "200 OK", length: int | None = None, kind: str = "text/html") -> bytes:
    length = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def error_in_xml(code: str) -> bytes:
    xml = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>"
    return answer(xml.encode(), status="400 Bad Request", kind="application/xml")


def error_in_json(code: str) -> bytes:
    return answer(f'{{"__type":"{code}"}}'.encode(), status="400 Bad Request", kind="application/x-amz-json-1.1")


CUT = {
    "cut midway": answer(b"half", length=4_000),
    "cut chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff0\r\nhalf",
    "cut head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
}
CREDENTIALS = (
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestTimeTooSkewed",
    "InvalidSignatureException",
    "InvalidToken",
)
ANSWERS = CUT | {code: error_in_xml(code) for code in CREDENTIALS}
KMS_ANSWERS = (
    CUT
    | {code: error_in_json(code) for code in CREDENTIALS}
    | {"page": answer(PAGE), "nested": answer(b"[" * 5_000, kind="application/x-amz-json-1.1")}
)


@asynccontextmanager
async def serving(reply: bytes, service: str, config: AioConfig | None = None) -> AsyncIterator[Any]:
    """A client of a server that gives one answer to every request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = config or AioConfig(
        retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, connector_args={"force_close": True}
    )
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    async with (
        server,
        create_aws_client(
            SESSION, service, region="us-east-1", endpoint_url=f"http://127.0.0.1:{port}", config=config, **keys
        ) as client,
    ):
        yield client


Use = Callable[[Any], Awaitable[object]]
S3_USES: dict[str, Use] = {
    "get": lambda client: S3Objects(client, "b").get("s3://b/k"),
    "read locked": lambda client: LockedObjects(client, "b").read(ObjectKey("k", "v", 1)),
}
S3_WRITES: dict[str, Use] = {
    "put": lambda client: S3Objects(client, "b").put("k", b"1", content_type="text/plain"),
    "put locked": lambda client: LockedObjects(client, "b").put_new(
        "k", b"1", keep_until=datetime(2030, 1, 1, tzinfo=UTC), content_type="text/plain"
    ),
    "list locked": lambda client: LockedObjects(client, "b").get("k"),
}
KMS_USES: dict[str, Use] = {
    "wrap": lambda client: KmsKeyWrapper(client, "k").wrap(b"1", subject="s"),
    "unwrap": lambda client: KmsKeyWrapper(client, "k").unwrap(b"1", subject="s"),
    "sign": lambda client: KmsSigner(client, "k", b"", "ECDSA_SHA_256").sign(b"1"),
    "public key": lambda client: KmsSigner.open(client, "k"),
}


@pytest.mark.parametrize("use", S3_USES)
@pytest.mark.parametrize("reply", ANSWERS)
async def test_s3_read_without_a_whole_answer_is_unavailable(use: str, reply: str) -> None:
    async with serving(ANSWERS[reply], "s3") as client:
        with pytest.raises(Unavailable, match="object_store"):
            await S3_USES[use](client)


@pytest.mark.parametrize("use", S3_WRITES)
@pytest.mark.parametrize("reply", ["cut head", "nothing", "no HTTP", *CREDENTIALS])
async def test_s3_write_without_an_answer_is_unavailable(use: str, reply: str) -> None:
    async with serving(ANSWERS[reply], "s3") as client:
        with pytest.raises(Unavailable, match="object_store"):
            await S3_WRITES[use](client)


@pytest.mark.parametrize("use", KMS_USES)
@pytest.mark.parametrize("reply", KMS_ANSWERS)
async def test_kms_request_without_a_whole_answer_is_unavailable(use: str, reply: str) -> None:
    async with serving(KMS_ANSWERS[reply], "kms") as client:
        with pytest.raises(Unavailable):
            await KMS_USES[use](client)


EMAIL = OutboundEmail(b"Subject: x\r\n\r\nx", "a@b.example", "c@d.example")


@pytest.mark.parametrize("reply", KMS_ANSWERS)
async def test_ses_answer_without_a_clear_result_is_returned_and_not_raised(reply: str) -> None:
    async with serving(KMS_ANSWERS[reply], "sesv2", client_config(2)) as client:
        result = await SesProvider(client, configuration_set=None).send(EMAIL, {})
    assert isinstance(result, TransientSendError if reply in CREDENTIALS else SendUnanswered)
