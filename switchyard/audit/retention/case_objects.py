"""A case's artefacts in S3, deleted after its bodies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from switchyard.runtime.core.errors import Unavailable


class CaseObjects:
    """The artefacts of cases, through an aiobotocore S3 client of the composition root.

    In a bucket with versioning a deletion leaves the bytes as an old version, which a lifecycle rule must expire.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    async def count(self, case_id: str) -> int:
        """The number of the case's artefacts in S3. Raises `Unavailable` if S3 cannot be reached."""
        return sum([len(page) async for page in self._pages(case_id)])

    async def remove(self, case_id: str) -> None:
        """Delete them. Repeating it changes nothing. Raises `Unavailable` like `count`, or if S3 keeps one."""
        async for page in self._pages(case_id):
            try:
                answer = await self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in page], "Quiet": True}
                )
            except (ClientError, BotoCoreError) as error:
                raise Unavailable("object_store", f"S3 cannot delete objects ({type(error).__name__})") from error
            if answer.get("Errors"):
                codes = sorted({error.get("Code", "unknown") for error in answer["Errors"]})
                raise Unavailable("object_store", f"S3 kept {len(answer['Errors'])} objects ({', '.join(codes)})")

    async def _pages(self, case_id: str) -> AsyncIterator[list[str]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"artefacts/{case_id}/"
        )
        try:
            async for page in pages:
                if found := [item["Key"] for item in page.get("Contents", [])]:
                    yield found
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("object_store", f"S3 cannot list objects ({type(error).__name__})") from error
