"""Objects in S3: large artefacts and quarantined bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from botocore.exceptions import ClientError

from switchyard.runtime.core.aws_errors import translate_aws_errors
from switchyard.runtime.core.errors import PermanentTaskError


class ObjectStore(Protocol):
    """Bytes under a key."""

    async def put(self, key: str, data: bytes, *, content_type: str) -> str:
        """Store `data` and return its URI. Raises `Unavailable` if the store cannot be reached."""

    async def get(self, uri: str) -> bytes:
        """Fetch the bytes behind a URI. Raises `PermanentTaskError` if they are missing, `Unavailable` if out of
        reach."""


@dataclass(frozen=True)
class ListedObject:
    """A key of the bucket, with the size of its bytes."""

    key: str
    size: int
    modified: datetime


class S3Objects:
    """One bucket, through an aiobotocore S3 client that the composition root owns."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    async def put(self, key: str, data: bytes, *, content_type: str) -> str:
        """See `ObjectStore.put`. Writing the same key again with the same bytes changes nothing."""
        with translate_aws_errors("object_store", "S3"):
            await self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=content_type)
        return f"s3://{self._bucket}/{key}"

    async def list_first(self, prefix: str, most: int) -> list[ListedObject]:
        """At most `most` (up to 1,000) objects below a prefix, in the order of their keys. Raises `Unavailable`."""
        with translate_aws_errors("object_store", "S3"):
            answer = await self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=most)
        found = answer.get("Contents", ())
        return [ListedObject(each["Key"], each["Size"], each["LastModified"]) for each in found]

    async def read(self, key: str, *, first_bytes: int | None = None) -> bytes:
        """An object, or its beginning. Raises as `get` does."""
        return await self._read(key, {} if first_bytes is None else {"Range": f"bytes=0-{first_bytes - 1}"})

    async def get(self, uri: str) -> bytes:
        """See `ObjectStore.get`."""
        prefix = f"s3://{self._bucket}/"
        if not uri.startswith(prefix):
            message = "an artefact outside this deployment's bucket"
            raise PermanentTaskError("foreign_artefact", message, "storage_refs", "write it to the bucket")
        return await self._read(uri.removeprefix(prefix), {})

    async def _read(self, key: str, options: dict[str, str]) -> bytes:
        with translate_aws_errors("object_store", "S3"):
            try:
                answer = await self._client.get_object(Bucket=self._bucket, Key=key, **options)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in {"NoSuchKey", "404"}:
                    raise
                message = "the artefact's bytes are gone from S3"
                raise PermanentTaskError("artefact_missing", message, "storage_refs") from error
            async with answer["Body"] as body:
                return bytes(await body.read())


class ObjectsOnDemand:
    """A store that is opened when it is first used: most processes rarely need S3, and its client costs most."""

    def __init__(self, open_store: Callable[[], Awaitable[ObjectStore]]) -> None:
        self._open = open_store
        self._store: ObjectStore | None = None
        self._opening = asyncio.Lock()

    async def put(self, key: str, data: bytes, *, content_type: str) -> str:
        """See `ObjectStore.put`."""
        return await (await self._opened()).put(key, data, content_type=content_type)

    async def get(self, uri: str) -> bytes:
        """See `ObjectStore.get`."""
        return await (await self._opened()).get(uri)

    async def _opened(self) -> ObjectStore:
        async with self._opening:
            if self._store is None:
                self._store = await self._open()
            return self._store
