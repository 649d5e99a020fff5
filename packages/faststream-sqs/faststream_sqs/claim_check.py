"""Bodies too long for SQS, kept in S3, with a pointer in the message as Amazon's extended client libraries write it."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import PublishFailed, UnreadableBody
from .json_text import UnreadableJson, read_json
from .limits import FORBIDDEN

POINTER = "software.amazon.payloadoffloading.PayloadS3Pointer"
SIZE_ATTRIBUTE = "ExtendedPayloadSize"
_OLD_SIZE_ATTRIBUTE = "SQSLargePayloadSize"

_MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "AccessDenied", "404", "403"})


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """Where long bodies are kept. Objects are not deleted here: give the bucket a lifecycle rule.

    Attributes:
        bucket: the S3 bucket. A pointer into another bucket is refused.
        prefix: what the keys begin with; a pointer to a key without it is refused.
        threshold: bytes of a body above which it is kept in S3.
        max_bytes: bytes of the longest body that is fetched.
    """

    bucket: str
    prefix: str = ""
    threshold: int = 256 * 1024
    max_bytes: int = 64 * 1024 * 1024


class ClaimStore:
    """Puts bodies into S3 and fetches them.

    Args:
        settings: where.
        client: returns the S3 client.
    """

    def __init__(self, settings: ClaimCheck, client: Callable[[], Any]) -> None:
        self.settings = settings
        self._client = client

    async def shorten(self, entry: dict[str, Any]) -> None:
        """Replace the body of an entry of SendMessageBatch by a pointer, if it is long.

        Raises:
            PublishFailed: S3 did not take it.
        """
        body = entry["MessageBody"]
        # A character has at most four bytes; what SQS refuses is left to be refused.
        if len(body) * 4 <= self.settings.threshold or FORBIDDEN.search(body):
            return
        content = body.encode()
        if len(content) <= self.settings.threshold:
            return
        key = f"{self.settings.prefix}{uuid.uuid4()}"
        await self._put(key, content)
        pointer = [POINTER, {"s3BucketName": self.settings.bucket, "s3Key": key}]
        entry["MessageBody"] = json.dumps(pointer, separators=(",", ":"))
        size = {"DataType": "Number", "StringValue": str(len(content))}
        entry["MessageAttributes"] = {**entry.get("MessageAttributes", {}), SIZE_ATTRIBUTE: size}

    async def fetch(self, raw: Mapping[str, Any]) -> str:
        """The body that a received message points to.

        Raises:
            UnreadableBody: there is no such body, or it is not for this reader.
            Exception: S3 could not be asked.
        """
        content = await self._get(self._key(raw["Body"]))
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise UnreadableBody("the body in S3 is not text") from error

    def _key(self, body: str) -> str:
        try:
            pointer = read_json(body)
        except UnreadableJson:
            pointer = None
        match pointer:
            case [str(), {"s3BucketName": self.settings.bucket, "s3Key": str(key)}] if key.startswith(
                self.settings.prefix
            ):
                return key
        raise UnreadableBody("the message is not a pointer into the bucket of this claim check")

    async def _put(self, key: str, content: bytes) -> None:
        try:
            await self._client().put_object(Bucket=self.settings.bucket, Key=key, Body=content)
        except Exception as error:
            code = _code(error)
            raise PublishFailed(code, "the body could not be put into S3", permanent=code in _MISSING) from error

    async def _get(self, key: str) -> bytes:
        try:
            answer = await self._client().get_object(Bucket=self.settings.bucket, Key=key)
        except Exception as error:
            if _code(error) in _MISSING:
                raise UnreadableBody(f"the body is not in S3 ({_code(error)})") from error
            raise
        async with answer["Body"] as stream:
            if answer["ContentLength"] > self.settings.max_bytes:
                raise UnreadableBody(f"the body in S3 has more than {self.settings.max_bytes} bytes")
            content: bytes = await stream.read()
            return content


class MemoryClaimStore(ClaimStore):
    """Keeps bodies in memory, for tests without AWS."""

    def __init__(self, settings: ClaimCheck) -> None:
        super().__init__(settings, lambda: None)
        self._objects: dict[str, bytes] = {}

    async def _put(self, key: str, content: bytes) -> None:
        self._objects[key] = content

    async def _get(self, key: str) -> bytes:
        if key not in self._objects:
            raise UnreadableBody("the body is not in S3 (NoSuchKey)")
        return self._objects[key]


def is_claim(raw: Mapping[str, Any]) -> bool:
    """Whether the body of a received message is a pointer."""
    attributes: Mapping[str, Any] = raw.get("MessageAttributes") or {}
    return bool(attributes) and (SIZE_ATTRIBUTE in attributes or _OLD_SIZE_ATTRIBUTE in attributes)


def _code(error: Exception) -> str:
    response: Mapping[str, Any] = getattr(error, "response", {})
    code: str = response.get("Error", {}).get("Code", type(error).__name__)
    return code
