"""Objects that cannot be changed or removed for a time: S3 Object Lock, written once each.

A later version over the same key, or a delete marker, hides an object but does not remove it: readers get the oldest
version, and the number of versions.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Literal

from botocore.exceptions import ClientError

from switchyard.runtime.core.aws_errors import translate_aws_errors
from switchyard.runtime.core.errors import PermanentTaskError

LockMode = Literal["COMPLIANCE", "GOVERNANCE"]


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """A key of the bucket. `versions` counts what was written over it, delete markers included."""

    key: str
    oldest: str
    versions: int


@dataclass(frozen=True, slots=True)
class ObjectLock:
    """What keeps an object from being removed. In GOVERNANCE, an account's administrator may remove it all the same."""

    mode: str
    until: datetime


@dataclass(frozen=True, slots=True)
class LockedObject:
    """An object's first version. Without a `lock`, it can be removed."""

    data: bytes
    lock: ObjectLock | None


_Version = tuple[str, datetime, str]
"""Key, time and version id; the id is empty for a delete marker."""


class LockedObjects:
    """One bucket with versions and Object Lock, through an aiobotocore S3 client that the composition root owns."""

    def __init__(self, client: Any, bucket: str, *, mode: LockMode = "COMPLIANCE", page: int = 1_000) -> None:
        self._client = client
        self._bucket = bucket
        self._mode = mode
        self._page = page

    async def put_new(self, key: str, data: bytes, *, keep_until: datetime, content_type: str) -> bool:
        """Write an object that is locked until `keep_until`; False if the key is taken. Raises `PermanentTaskError` if
        the bucket has no Object Lock, `Unavailable` if it cannot be reached."""
        with translate_aws_errors("object_store", "S3"):
            try:
                await self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=data,
                    ContentType=content_type,
                    IfNoneMatch="*",
                    ObjectLockMode=self._mode,
                    ObjectLockRetainUntilDate=keep_until,
                )
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code")
                if code in {"PreconditionFailed", "ConditionalRequestConflict"}:
                    return False
                if code == "InvalidRequest":
                    message = f"the bucket {self._bucket} takes no locked objects"
                    remedy = "create it with Object Lock enabled"
                    raise PermanentTaskError("bucket_not_locked", message, remedy=remedy) from error
                raise
        return True

    async def get(self, key: str) -> LockedObject | None:
        """The oldest version under a key, or None. Raises `Unavailable`."""
        async with aclosing(self.kept(key)) as listed:
            async for found in listed:
                if found.key == key:
                    return await self.read(found)
        return None

    async def read(self, kept: ObjectKey) -> LockedObject | None:
        """The oldest version of a listed key; None if only delete markers are left. Raises `Unavailable`."""
        if not kept.oldest:
            return None
        with translate_aws_errors("object_store", "S3"):
            answer = await self._client.get_object(Bucket=self._bucket, Key=kept.key, VersionId=kept.oldest)
            async with answer["Body"] as body:
                mode, until = answer.get("ObjectLockMode"), answer.get("ObjectLockRetainUntilDate")
                return LockedObject(await body.read(), ObjectLock(mode or "", until) if until else None)

    async def kept(self, prefix: str, *, after: str = "") -> AsyncGenerator[ObjectKey, None]:
        """Every key under a prefix that sorts after `after`, in order. Raises `Unavailable`."""
        held: list[_Version] = []
        async with aclosing(self._pages(prefix, after)) as pages:
            async for page in pages:
                held += page
                # A page may end in the middle of a key's versions: the last key waits for the next one.
                last = max((key for key, _, _ in held), default="")
                for found in _grouped(each for each in held if each[0] != last):
                    yield found
                held = [each for each in held if each[0] == last]
        for found in _grouped(held):
            yield found

    async def _pages(self, prefix: str, after: str) -> AsyncGenerator[list[_Version], None]:
        paginator = self._client.get_paginator("list_object_versions")
        start = {"KeyMarker": after} if after else {}
        with translate_aws_errors("object_store", "S3"):
            async for page in paginator.paginate(
                Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": self._page}, **start
            ):
                yield [
                    (each["Key"], each["LastModified"], "" if marker else each["VersionId"])
                    for name, marker in (("Versions", False), ("DeleteMarkers", True))
                    for each in page.get(name, ())
                ]


def _grouped(versions: Iterable[_Version]) -> list[ObjectKey]:
    # S3 lists a key's latest version first, and its times are in whole seconds.
    earliest_first = list(versions)[::-1]
    ordered = sorted(earliest_first, key=lambda each: each[:2])
    found = []
    for key, group in groupby(ordered, key=lambda each: each[0]):
        each = list(group)
        real = [version for _, _, version in each if version]
        found.append(ObjectKey(key, real[0] if real else "", len(each)))
    return found
