"""AWS clients of a target, for commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from switchyard.cli.app.target import Target


@asynccontextmanager
async def open_aws_client(target: Target, service: str) -> AsyncIterator[Any]:
    """An aiobotocore client. What the target does not name (endpoint, credentials), the AWS SDK looks for itself."""
    endpoint = target.get("AWS_ENDPOINT_URL")
    config = AioConfig(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "max_attempts": 3},
        s3={"addressing_style": "path"} if endpoint else None,
    )
    async with get_session().create_client(
        service,
        region_name=target.get("AWS_REGION") or "us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=target.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=target.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=target.get("AWS_SESSION_TOKEN"),
        config=config,
    ) as made:
        yield made
