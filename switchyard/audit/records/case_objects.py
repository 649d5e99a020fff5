"""A case's artefacts in S3: retired with its bodies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from switchyard.runtime.core.errors import Unavailable


class CaseObjects:
    """The artefacts of cases, through an aiobotocore S3 client that the composition root owns.

    In a bucket with versioning a removal leaves the bytes as an old version: its lifecycle rule must expire those.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    async def count(self, case_id: str) -> int:
        """How many artefacts of the case are in S3. Raises `Unavailable` if S3 cannot be reached."""
        return sum([len(page) async for page in self._pages(case_id)])

    async def remove(self, case_id: str) -> None:
        """Delete them. Repeating it changes nothing. Raises `Unavailable` like `count`, or if S3 keeps one."""
        async for page in self._pages(case_id):
            try:
                answer = await self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in page], "Quiet": True}
                )
            except (ClientError, BotoCoreError) as error:
                raise Unavailable("object_store", f"S3 deletes nothing ({type(error).__name__})") from error
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
            raise Unavailable("object_store", f"S3 lists nothing ({type(error).__name__})") from error
