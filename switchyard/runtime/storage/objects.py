"""Objects in S3: large artefacts and quarantined bytes."""

from __future__ import annotations

from typing import Any, Protocol

from botocore.exceptions import ClientError

from switchyard.runtime.core.aws import translate_aws_errors
from switchyard.runtime.core.errors import PermanentTaskError


class ObjectStore(Protocol):
    """Bytes under a key."""

    async def put(self, key: str, data: bytes, *, content_type: str) -> str:
        """Store `data` and return its URI. Raises `Unavailable` if the store cannot be reached."""

    async def get(self, uri: str) -> bytes:
        """Fetch the bytes behind a URI. Raises `PermanentTaskError` if they are missing, `Unavailable` if out of
        reach."""


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

    async def get(self, uri: str) -> bytes:
        prefix = f"s3://{self._bucket}/"
        if not uri.startswith(prefix):
            message = "an artefact outside this deployment's bucket"
            raise PermanentTaskError("foreign_artefact", message, "storage_refs", "write it to the bucket")
        with translate_aws_errors("object_store", "S3"):
            try:
                answer = await self._client.get_object(Bucket=self._bucket, Key=uri.removeprefix(prefix))
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in {"NoSuchKey", "404"}:
                    raise
                message = "the artefact's bytes are gone from S3"
                raise PermanentTaskError("artefact_missing", message, "storage_refs") from error
            async with answer["Body"] as body:
                return bytes(await body.read())
