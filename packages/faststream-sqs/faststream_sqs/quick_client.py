"""The calls that a broker makes for every batch, without the work that botocore repeats for each.

The first call goes through botocore. What it sent (address, headers, body) is the pattern of the later ones, which are
only signed and sent: a third of the CPU. The rest stays botocore's: each answer other than 200, every call that has no
pattern, and every other operation.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest

QUICK_CALLS = frozenset(
    {
        "change_message_visibility_batch",
        "delete_message_batch",
        "put_events",
        "receive_message",
        "send_message_batch",
    }
)
_SENT_ANEW = frozenset({"amz-sdk-invocation-id", "amz-sdk-request", "authorization", "content-length", "x-amz-date"})
_TOKEN = "x-amz-security-token"  # noqa: S105 - the name of a header

Answer: TypeAlias = dict[str, Any]
_sent: ContextVar["list[tuple[AIOHTTPSession, AWSPreparedRequest]] | None"] = ContextVar("sent", default=None)


class ObservedSession(AIOHTTPSession):  # type: ignore[misc] # aiobotocore has no types
    """aiobotocore's HTTP session, which notes the requests that were answered."""

    async def send(self, request: AWSPreparedRequest) -> Any:
        """Send a request."""
        answer = await super().send(request)
        if (sent := _sent.get()) is not None:
            sent.append((self, request))
        return answer


@dataclass(frozen=True, slots=True)
class _Pattern:
    session: AIOHTTPSession
    url: str
    headers: Mapping[str, str]


class QuickClient:
    """A client of SQS or EventBridge, used like the one that it is made of.

    Args:
        client: the client of aiobotocore; its configuration names `ObservedSession`, or no pattern is learned.
        credentials: what signs the calls; None leaves all to the client.
    """

    def __init__(self, client: Any, credentials: AioCredentials | None) -> None:
        self._client = client
        self._credentials = credentials
        self._patterns: dict[tuple[str, str | None], _Pattern] = {}

    def __getattr__(self, name: str) -> Any:
        if name in QUICK_CALLS and self._credentials is not None:
            return partial(self._call, name, self._credentials)
        return getattr(self._client, name)

    async def _call(self, name: str, credentials: AioCredentials, **parameters: Any) -> Answer:
        try:
            body = _body(parameters)
        except TypeError:  # a time, for example, whose form is the service's
            return await self._ask_client(name, parameters)
        queue = parameters.get("QueueUrl")
        pattern = self._patterns.get((name, queue))
        if pattern is None:
            sent: list[tuple[AIOHTTPSession, AWSPreparedRequest]] = []
            token = _sent.set(sent)
            try:
                answer = await self._ask_client(name, parameters)
            finally:
                _sent.reset(token)
            if sent and self._is_pattern(sent[-1][1], body):
                self._patterns[name, queue] = _pattern_of(*sent[-1])
            return answer
        request = AWSRequest("POST", pattern.url, headers=dict(pattern.headers), data=body)
        meta = self._client.meta
        SigV4Auth(
            await credentials.get_frozen_credentials(), meta.service_model.signing_name, meta.region_name
        ).add_auth(request)
        response = await pattern.session.send(request.prepare())
        if response.status_code == 200:
            try:
                return _read(await response.content, response.headers)
            except (AttributeError, TypeError, ValueError):
                pass  # botocore says what is wrong with it
        return await self._ask_client(name, parameters)

    def _is_pattern(self, request: AWSPreparedRequest, body: bytes) -> bool:
        """Whether botocore sent these parameters as JSON, as they are, and signed them as we do."""
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        meta = self._client.meta
        scope = f"/{meta.region_name}/{meta.service_model.signing_name}/aws4_request, SignedHeaders"
        if "json" not in headers.get("content-type", "") or scope not in headers.get("authorization", ""):
            return False
        try:
            return request.method == "POST" and bool(json.loads(request.body) == json.loads(body))
        except (TypeError, ValueError):
            return False

    async def _ask_client(self, name: str, parameters: Mapping[str, Any]) -> Answer:
        answer: Answer = await getattr(self._client, name)(**parameters)
        return answer


def _body(parameters: Mapping[str, Any]) -> bytes:
    return json.dumps(parameters, default=_binary).encode()


def _binary(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(type(value).__name__)


def _pattern_of(session: AIOHTTPSession, request: AWSPreparedRequest) -> _Pattern:
    kept = {
        name: _text(value)
        for name, value in request.headers.items()
        if name.lower() not in _SENT_ANEW and name.lower() != _TOKEN
    }
    return _Pattern(session, request.url, kept)


def _text(value: "str | bytes") -> str:
    return value.decode() if isinstance(value, bytes) else value


def _read(content: bytes, headers: Mapping[str, str]) -> Answer:
    """The answer as botocore reads it. Raises `ValueError` if it is not a JSON object."""
    answer = json.loads(content)
    if not isinstance(answer, dict):
        raise ValueError(type(answer).__name__)  # noqa: TRY004 - an answer, not an argument
    for message in answer.get("Messages") or ():
        for attribute in (message.get("MessageAttributes") or {}).values():
            if isinstance(binary := attribute.get("BinaryValue"), str):
                attribute["BinaryValue"] = b64decode(binary)
    return {**answer, "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": dict(headers)}}
