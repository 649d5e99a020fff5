"""Answers of AWS and of both model vendors, as bytes on the wire: each is an answer or the reader's own error.

The server answers every request with the example's bytes. Clients are the real ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import boto3
import openai
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.config import Config
from faststream._internal.configs import BrokerConfig
from hypothesis import currently_in_test_context, event, given
from hypothesis import strategies as st
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider

from faststream_sqs.connection import Connection
from faststream_sqs.errors import RequestFailed
from faststream_sqs.producer import EventBridgeProducer
from faststream_sqs.settlement import Settlement
from latency_failover import AllModelsFailed, FailoverModel, LatencyBudget
from latency_failover.breaker import CircuitBreaker
from switchyard.devstack.simulators.models.bedrock import frame_event
from switchyard.runtime.core.aws import create_aws_client
from switchyard.runtime.core.errors import PermanentTaskError, Unavailable
from switchyard.runtime.storage.objects import S3Objects
from tests.fuzz.hostile import BOMBS, bounded, documents
from tests.unit.latency_failover.scripted import PROMPT

ONE_ATTEMPT = AioConfig(
    retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, connector_args={"force_close": True}
)
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@dataclass
class Replies:
    """A server with one answer at a time."""

    reply: bytes = b""
    port: int = 0
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, answer it, and close."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
            await reader.readexactly(int(length.partition(b":")[2]))
            writer.write(self.reply)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def replies() -> Iterator[Replies]:
    served = Replies()
    with served.runner as runner:
        server = runner.run(asyncio.start_server(served.serve, "127.0.0.1", 0))
        served.port = server.sockets[0].getsockname()[1]
        yield served
        server.close()


def http(body: bytes, *, kind: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """A response; `length` is what its head says."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


near = st.integers(0, len(BOMBS) - 1).map(lambda index: _bytes(BOMBS[index]))
statuses = st.sampled_from(["200 OK", "200 OK", "200 OK", "400 Bad Request", "403 Forbidden", "503 Slow Down"])


def responses(body: st.SearchStrategy[bytes], kind: str) -> st.SearchStrategy[bytes]:
    """Responses with such bodies, whole or cut, and no responses at all."""
    whole = st.builds(http, body, kind=st.sampled_from([kind, kind, "text/html"]), status=statuses)
    cut = st.builds(lambda data, more: http(data, kind=kind, length=len(data) + more), body, st.integers(1, 5_000))
    return st.one_of(whole, whole, cut, st.tuples(whole, st.integers(0, 200)).map(lambda p: p[0][: p[1]]), st.binary())


ACCEPTED = {"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}
SETTLED = {"Successful": [{"Id": "0", "MessageId": "m"}], "Failed": [{"Id": "0", "Code": "c", "SenderFault": True}]}
JSON = "application/x-amz-json-1.1"


@pytest.fixture(scope="module")
def aws(replies: Replies) -> Iterator[dict[str, Any]]:
    """Clients of the services, and the broker's connection over them."""

    async def clients() -> dict[str, Any]:
        session = get_session()
        made = {}
        for service in ("events", "sqs", "s3"):
            client = create_aws_client(
                session, service, region="us-east-1", endpoint_url=replies.url, config=ONE_ATTEMPT, **KEYS
            )
            made[service] = await client.__aenter__()
        return made

    made = replies.runner.run(clients())
    yield made
    for client in made.values():
        replies.runner.run(client.close())


@given(reply=responses(st.one_of(documents(ACCEPTED).map(_bytes), near), JSON))
def test_answer_of_put_events_is_a_result_or_a_failure(replies: Replies, aws: dict[str, Any], reply: bytes) -> None:
    connection = Connection(region="us-east-1", endpoint_url=replies.url, credentials=None, session=None)
    connection._clients = {"events": aws["events"]}
    producer = EventBridgeProducer(connection)
    replies.reply = reply

    async def put() -> Any:
        producer.connect(BrokerConfig())
        assert producer._events is not None
        return await producer._events._send_batch([({"Source": "s", "DetailType": "d", "Detail": "{}"}, 10)])

    with bounded(len(reply)):
        [result] = replies.runner.run(put())
    assert isinstance(result, str | RequestFailed)


@given(reply=responses(st.one_of(documents(SETTLED).map(_bytes), near), "application/x-amz-json-1.0"))
def test_answer_of_an_sqs_batch_is_a_result_or_a_failure(replies: Replies, aws: dict[str, Any], reply: bytes) -> None:
    settlement = Settlement(aws["sqs"], queue="q", url=f"{replies.url}/q", copy=None, on_no_dead_letter_queue=_ignore)
    replies.reply = reply
    with bounded(len(reply)):
        [result] = replies.runner.run(settlement._deletes._send_batch(["receipt"]))
    assert result is None or isinstance(result, RequestFailed)


def _ignore(*_: object) -> None: ...


@given(reply=responses(st.one_of(st.binary(max_size=300), near), "application/octet-stream"))
def test_body_of_an_object_is_whole_or_unavailable(replies: Replies, aws: dict[str, Any], reply: bytes) -> None:
    replies.reply = reply
    objects = S3Objects(aws["s3"], "b")
    with bounded(len(reply)):
        try:
            data = replies.runner.run(objects.get("s3://b/k"))
        except (Unavailable, PermanentTaskError):
            return
    assert isinstance(data, bytes)


BEDROCK: list[tuple[str, dict[str, Any]]] = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "look"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Once there was a pump."}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"reasoningContent": {"text": "Hm."}}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 1}}),
]
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test"}
CALL = {"index": 0, "id": "t", "type": "function", "function": {"name": "look", "arguments": "{}"}}
OPENAI = [
    CHUNK | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    CHUNK | {"choices": [{"index": 0, "delta": {"content": "Once there was a pump."}, "finish_reason": None}]},
    CHUNK | {"choices": [{"index": 0, "delta": {"tool_calls": [CALL]}, "finish_reason": None}]},
    CHUNK | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    CHUNK | {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
]


def _frame(named: tuple[str, dict[str, Any]]) -> st.SearchStrategy[bytes]:
    kind, payload = named
    spoilt = st.one_of(documents(payload).map(_bytes), near)
    return st.one_of(st.just(frame_event(kind, _json(payload))), spoilt.map(lambda body: frame_event(kind, body)))


def _line(chunk: dict[str, Any]) -> st.SearchStrategy[bytes]:
    spoilt = st.one_of(documents(chunk).map(_bytes), near)
    return st.one_of(st.just(_json(chunk)), spoilt).map(lambda body: b"data: " + body + b"\n\n")


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _streams(events: list[st.SearchStrategy[bytes]], end: bytes = b"") -> st.SearchStrategy[bytes]:
    """The events in order, each left out, spoilt or doubled now and then; then the end mark, or not."""
    maybe = [st.one_of(each, each, each, st.just(b""), each.map(lambda data: data * 2)) for each in events]
    return st.tuples(*maybe, st.sampled_from([end, end, b""])).map(b"".join)


bedrock_streams = responses(_streams([_frame(each) for each in BEDROCK]), "application/vnd.amazon.eventstream")
openai_streams = responses(_streams([_line(chunk) for chunk in OPENAI], b"data: [DONE]\n\n"), "text/event-stream")


@pytest.fixture(scope="module")
def bedrock(replies: Replies) -> Iterator[FailoverModel]:
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=replies.url,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
        **KEYS,
    )
    yield FailoverModel(BedrockConverseModel("m", provider=BedrockProvider(bedrock_client=client)), None)
    client.close()


@pytest.fixture(scope="module")
def gpt(replies: Replies) -> Iterator[FailoverModel]:
    async def connect() -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{replies.url}/v1", api_key="test", timeout=5)

    client = replies.runner.run(connect())
    yield FailoverModel(OpenAIChatModel("gpt-test", provider=OpenAIProvider(openai_client=client)), None)
    replies.runner.run(client.close())


def ask(replies: Replies, model: FailoverModel, reply: bytes) -> None:
    """Ask: an answer, or a failed attempt that is the vendor's."""
    with bounded(len(reply)):
        outcome(replies, model, reply)


def outcome(replies: Replies, model: FailoverModel, reply: bytes) -> str:
    """What became of the one attempt."""
    replies.reply = reply
    model.breakers["primary"] = CircuitBreaker(model.policy.breaker)  # or the failures of before would keep it shut

    async def call() -> str:
        with model.budget(LatencyBudget(total_ms=20_000)) as record, suppress(AllModelsFailed, ModelAPIError):
            await model.request(PROMPT, None, ModelRequestParameters())
        [decision] = record.decisions
        [attempt] = decision.attempts
        if currently_in_test_context():
            event(f"{attempt.outcome} {attempt.error_code}")
        rejected = attempt.outcome == "rejected" and not (attempt.error_code or "").startswith("Model")
        assert not rejected, f"blamed on the caller: {attempt.error_code}"
        return str(attempt.outcome)

    return replies.runner.run(call())


@given(reply=bedrock_streams)
def test_stream_of_bedrock_is_an_answer_or_its_own_failure(
    replies: Replies, bedrock: FailoverModel, reply: bytes
) -> None:
    ask(replies, bedrock, reply)


@given(reply=openai_streams)
def test_stream_of_openai_is_an_answer_or_its_own_failure(replies: Replies, gpt: FailoverModel, reply: bytes) -> None:
    ask(replies, gpt, reply)


def _ended(reason: Any) -> dict[str, Any]:
    return CHUNK | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


START, TEXT, _, STOP, USAGE = OPENAI
TALKS_OF_THE_MARK = CHUNK | {"choices": [{"index": 0, "delta": {"content": "\ndata: [DONE]\n"}, "finish_reason": None}]}
HALF_OF_OPENAI: dict[str, list[Any]] = {
    "no end mark": [START, TEXT, STOP],
    "no reason": [START, TEXT, "[DONE]"],
    "an unknown reason": [START, TEXT, _ended("recitation"), "[DONE]"],
    "a token limit": [START, TEXT, _ended("length"), "[DONE]"],
    "a filter": [START, TEXT, _ended("content_filter"), "[DONE]"],
    "a reason that is a number": [START, TEXT, _ended(1), "[DONE]"],
    "an empty reason": [START, TEXT, _ended(""), "[DONE]"],
    "a text that talks of the mark": [START, TALKS_OF_THE_MARK, STOP],
    "a mark within a chunk": [START, TEXT, STOP, '{"x": "data: [DONE]"}'],
    "a comment for a mark": [START, TEXT, STOP, ": data: [DONE]"],
    "an error in the stream": [START, TEXT, {"error": {"message": "overloaded", "code": 500}}, "[DONE]"],
    "a mark before the reason": [START, TEXT, "[DONE]", STOP],
    "nothing": [],
    "the mark alone": ["[DONE]"],
}


@pytest.mark.parametrize("name", HALF_OF_OPENAI)
def test_half_an_answer_of_openai_is_no_answer(replies: Replies, gpt: FailoverModel, name: str) -> None:
    lines = [each if isinstance(each, str) else json.dumps(each) for each in HALF_OF_OPENAI[name]]
    body = "".join(line + "\n\n" if line.startswith(":") else f"data: {line}\n\n" for line in lines)
    assert outcome(replies, gpt, http(body.encode(), kind="text/event-stream")) != "won"


def _bedrock_end(reason: Any) -> list[tuple[str, dict[str, Any]]]:
    return [BEDROCK[0], BEDROCK[3], BEDROCK[5], ("messageStop", {"stopReason": reason}), BEDROCK[7]]


HALF_OF_BEDROCK: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "no stop": [BEDROCK[0], BEDROCK[3], BEDROCK[5], BEDROCK[7]],
    "a stop without a reason": [*_bedrock_end("end_turn")[:3], ("messageStop", {}), BEDROCK[7]],
    "a token limit": _bedrock_end("max_tokens"),
    "a filter": _bedrock_end("content_filtered"),
    "a guardrail": _bedrock_end("guardrail_intervened"),
    "a full context": _bedrock_end("model_context_window_exceeded"),
    "an unknown reason": _bedrock_end("tired"),
    "an empty reason": _bedrock_end(""),
    "a tool without its start": [BEDROCK[0], BEDROCK[2]],
    "a stream that throws": [BEDROCK[0], BEDROCK[3], ("modelStreamErrorException", {"message": "x"})],
}


@pytest.mark.parametrize("name", HALF_OF_BEDROCK)
def test_half_an_answer_of_bedrock_is_no_answer(replies: Replies, bedrock: FailoverModel, name: str) -> None:
    body = b"".join(frame_event(kind, _json(payload)) for kind, payload in HALF_OF_BEDROCK[name])
    assert outcome(replies, bedrock, http(body, kind="application/vnd.amazon.eventstream")) != "won"


def test_whole_answers_are_answers(replies: Replies, gpt: FailoverModel, bedrock: FailoverModel) -> None:
    body = "".join(f"data: {json.dumps(each)}\n\n" for each in (START, TEXT, STOP, USAGE)) + "data: [DONE]\n\n"
    assert outcome(replies, gpt, http(body.encode(), kind="text/event-stream")) == "won"
    whole = b"".join(frame_event(kind, _json(payload)) for kind, payload in _bedrock_end("end_turn"))
    assert outcome(replies, bedrock, http(whole, kind="application/vnd.amazon.eventstream")) == "won"


MALFORMED_RESULTS = [
    b'{"Entries": "x"}', b'{"Entries": [1]}', b'{"Entries": [[]]}', b'{"Entries": [null]}', b'{"Entries": [{}]}',
    b'{"Entries": [{"EventId": ""}]}', b'{"Entries": [{"EventId": 1}]}', b'{"Entries": [{"EventId": []}]}',
    b'{"Entries": {"0": {"EventId": "e"}}}', b'{"Entries": [{"ErrorCode": {}}]}', b'{"Entries": [{"ErrorCode": ["a"]}]}',
    b'{"Entries": [{"ErrorCode": null, "EventId": null}]}', b'{"FailedEntryCount": "NaN"}', b"[]", b"1", b'"x"', b"null",
    b'{"Entries": [{"ErrorCode": ""}]}', b'\xff\xfe{"Entries": []}', b'{"Entries": [{"EventId": "e"}, {"EventId": "f"}]}',
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED_RESULTS)
def test_malformed_answer_of_put_events_is_a_result_or_a_failure(
    replies: Replies, aws: dict[str, Any], body: bytes
) -> None:
    connection = Connection(region="us-east-1", endpoint_url=replies.url, credentials=None, session=None)
    connection._clients = {"events": aws["events"]}
    producer = EventBridgeProducer(connection)
    replies.reply = http(body, kind=JSON)

    async def put() -> Any:
        producer.connect(BrokerConfig())
        assert producer._events is not None
        return await producer._events._send_batch([({"Source": "s", "DetailType": "d", "Detail": "{}"}, 10)])

    [result] = replies.runner.run(put())
    assert isinstance(result, str | RequestFailed)
    assert result not in {"", "None", "[]"}
