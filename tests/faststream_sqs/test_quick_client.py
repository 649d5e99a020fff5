"""A repeated call is the same call, signed and sent without botocore's work; all that is not plain stays botocore's."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import web
from botocore import UNSIGNED
from botocore.exceptions import BotoCoreError, ClientError

from faststream_sqs import Credentials
from faststream_sqs.connection import Connection

ALL = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"], "MaxNumberOfMessages": 10}
ATTRIBUTES = {
    "text": {"DataType": "String", "StringValue": "grüße"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}


class Wire:
    """An endpoint that keeps what it was sent and answers with what is set."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.status, self.body = 200, "{}"
        self.content_type = "application/x-amz-json-1.0"
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((headers, json.loads(await request.read())))
        return web.Response(text=self.body, status=self.status, content_type=self.content_type)

    def last(self, name: str) -> str:
        """A header of the last request."""
        return self.requests[-1][0].get(name, "")


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    found = Wire()
    app = web.Application()
    app.router.add_post("/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = site.name
    yield found
    await runner.cleanup()


@pytest.fixture
async def connect() -> AsyncIterator[Any]:
    """Opens connections, and counts what goes through botocore."""
    async with AsyncExitStack() as stack:

        async def opened(url: str, region: str = "eu-west-1", **options: Any) -> tuple[Connection, list[str]]:
            session = options.pop("session", None) or get_session()
            by_botocore: list[str] = []
            session.get_component("event_emitter").register(
                "before-call", lambda model, **_: by_botocore.append(model.name)
            )
            options.setdefault("credentials", Credentials("AKIDEXAMPLE", "secret"))
            connection = Connection(region=region, endpoint_url=url, session=session, **options)
            await connection.open()
            stack.push_async_callback(connection.close)
            return connection, by_botocore

        yield opened


async def test_repeated_calls_of_a_queue_do_what_botocores_do(
    connect: Any, endpoint: str, queue: Any, sqs: Any
) -> None:
    connection, by_botocore = await connect(endpoint, "us-east-1")
    sent = {"QueueUrl": queue.url, "Entries": [{"Id": "0", "MessageBody": "b", "MessageAttributes": ATTRIBUTES}]}
    for _ in range(3):
        answer = await connection.sending.send_message_batch(**sent)
        assert answer["Successful"][0]["Id"] == "0"
        theirs = await sqs.receive_message(QueueUrl=queue.url, **ALL)
        (received,) = theirs["Messages"]
        visible = [{"Id": "0", "ReceiptHandle": received["ReceiptHandle"], "VisibilityTimeout": 0}]
        answer = await connection.sending.change_message_visibility_batch(QueueUrl=queue.url, Entries=visible)
        assert [each["Id"] for each in answer["Successful"]] == ["0"]
        ours = await connection.polling.receive_message(QueueUrl=queue.url, **ALL)
        (again,) = ours["Messages"]
        assert again.keys() == received.keys()
        assert again["Body"] == "b"
        assert again["MessageAttributes"] == received["MessageAttributes"] == ATTRIBUTES
        assert again["Attributes"].keys() == received["Attributes"].keys()
        assert ours.keys() == theirs.keys()
        done = [{"Id": "0", "ReceiptHandle": again["ReceiptHandle"]}]
        answer = await connection.sending.delete_message_batch(QueueUrl=queue.url, Entries=done)
        assert [each["Id"] for each in answer["Successful"]] == ["0"]
    assert by_botocore == ["SendMessageBatch", "ChangeMessageVisibilityBatch", "ReceiveMessage", "DeleteMessageBatch"]


async def test_repeated_event_is_published_like_botocores(connect: Any, endpoint: str, bus: str) -> None:
    connection, by_botocore = await connect(endpoint, "us-east-1")
    entry = {"EventBusName": bus, "Source": "shop", "DetailType": "Placed", "Detail": "{}"}
    for _ in range(3):
        answer = await connection.events.put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0
        assert answer["Entries"][0]["EventId"]
    assert by_botocore == ["PutEvents"]


async def test_repeated_call_has_the_headers_and_body_of_botocores(connect: Any, wire: Wire) -> None:
    connection, by_botocore = await connect(wire.url)
    for _ in range(2):
        await connection.polling.receive_message(QueueUrl=f"{wire.url}/0/q", WaitTimeSeconds=0, **ALL)
    assert by_botocore == ["ReceiveMessage"]
    (first, first_body), (second, second_body) = wire.requests
    assert first_body == second_body
    varying = {"amz-sdk-invocation-id", "amz-sdk-request", "authorization", "x-amz-date", "content-length"}
    assert {name: value for name, value in first.items() if name not in varying} == {
        name: value for name, value in second.items() if name not in varying
    }
    signed = "Credential=AKIDEXAMPLE/"
    assert signed in first["authorization"]
    assert signed in second["authorization"]
    assert "/eu-west-1/sqs/aws4_request" in second["authorization"]


async def test_answer_other_than_200_is_botocores_to_read(connect: Any, wire: Wire) -> None:
    connection, _ = await connect(wire.url)
    await connection.polling.receive_message(QueueUrl=f"{wire.url}/0/q")
    wire.status, wire.body = 400, json.dumps({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "gone"})
    with pytest.raises(ClientError) as caught:
        await connection.polling.receive_message(QueueUrl=f"{wire.url}/0/q")
    assert caught.value.response["Error"]["Message"] == "gone"
    assert "QueueDoesNotExist" in caught.value.response["Error"]["Code"]


@pytest.mark.parametrize(
    "body", ["<html>", "[]", '{"Messages": [1]}', '{"Messages": 7}', '{"Messages": [{"MessageAttributes": 1}]}']
)
async def test_answer_that_is_none_of_sqs_is_left_to_botocore(connect: Any, wire: Wire, body: str) -> None:
    connection, by_botocore = await connect(wire.url)
    await connection.polling.receive_message(QueueUrl=f"{wire.url}/0/q")
    wire.body = body
    try:
        await connection.polling.receive_message(QueueUrl=f"{wire.url}/0/q")
    except Exception as ours:  # noqa: BLE001 - any error that botocore raises
        async with get_session().create_client(
            "sqs", region_name="eu-west-1", endpoint_url=wire.url, aws_access_key_id="a", aws_secret_access_key="b"
        ) as client:
            with pytest.raises(type(ours)):
                await client.receive_message(QueueUrl=f"{wire.url}/0/q")
    assert by_botocore[:2] == ["ReceiveMessage", "ReceiveMessage"]


async def test_unreachable_endpoint_is_an_error_of_botocore(connect: Any, wire: Wire) -> None:
    connection, _ = await connect(wire.url)
    await connection.sending.delete_message_batch(QueueUrl=f"{wire.url}/0/q", Entries=[])
    for pattern in connection.sending._patterns.values():
        object.__setattr__(pattern, "url", "http://127.0.0.1:9/")
    with pytest.raises(BotoCoreError):
        await connection.sending.delete_message_batch(QueueUrl=f"{wire.url}/0/q", Entries=[])


async def test_rotated_credentials_sign_the_next_call(
    connect: Any, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FIRST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "one")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-1")
    session = get_session()
    connection, by_botocore = await connect(wire.url, session=session, credentials=None)
    entry = {"EventBusName": "b", "Source": "s", "DetailType": "t", "Detail": "{}"}
    for _ in range(2):
        await connection.events.put_events(Entries=[entry])
    assert by_botocore == ["PutEvents"]
    assert "Credential=FIRST/" in wire.last("authorization")
    assert wire.last("x-amz-security-token") == "token-1"
    held = await session.get_credentials()
    held.access_key, held.secret_key, held.token = "SECOND", "two", "token-2"
    await connection.events.put_events(Entries=[entry])
    assert by_botocore == ["PutEvents"]
    assert "Credential=SECOND/" in wire.last("authorization")
    assert wire.last("x-amz-security-token") == "token-2"


async def test_unsigned_client_stays_unsigned(connect: Any, wire: Wire) -> None:
    connection, by_botocore = await connect(wire.url, config=AioConfig(signature_version=UNSIGNED))
    for _ in range(2):
        await connection.polling.receive_message(QueueUrl=f"{wire.url}/0/q")
        assert not wire.last("authorization")
    assert by_botocore == ["ReceiveMessage"] * 2


async def test_parameter_whose_form_is_the_services_goes_through_botocore(connect: Any, wire: Wire) -> None:
    connection, by_botocore = await connect(wire.url)
    when = datetime(2026, 1, 2, tzinfo=UTC)
    for _ in range(2):
        await connection.events.put_events(Entries=[{"Time": when, "Source": "s", "DetailType": "t", "Detail": "{}"}])
        assert wire.requests[-1][1]["Entries"][0]["Time"] == when.timestamp()
    assert by_botocore == ["PutEvents"] * 2


async def test_bytes_are_sent_in_base64(connect: Any, wire: Wire) -> None:
    connection, by_botocore = await connect(wire.url)
    entries = [{"Id": "0", "MessageBody": "b", "MessageAttributes": ATTRIBUTES}]
    for _ in range(2):
        await connection.sending.send_message_batch(QueueUrl=f"{wire.url}/0/q", Entries=entries)
    assert by_botocore == ["SendMessageBatch"]
    (_, first), (_, second) = wire.requests
    assert first == second
    assert second["Entries"][0]["MessageAttributes"]["bytes"]["BinaryValue"] == b64encode(b"\x00\xff").decode()


async def test_other_operation_goes_through_botocore(connect: Any, wire: Wire) -> None:
    connection, by_botocore = await connect(wire.url)
    for _ in range(2):
        await connection.sending.get_queue_url(QueueName="q")
    assert by_botocore == ["GetQueueUrl"] * 2
