"""The one factory of AWS clients, for processes, commands and the local stack."""

from __future__ import annotations

from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

_CONFIG = AioConfig(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=30)
# An emulator behind a host name has no DNS entry for each bucket.
_EMULATOR_CONFIG = _CONFIG.merge(AioConfig(s3={"addressing_style": "path"}))


def create_aws_client(
    session: AioSession,
    service: str,
    *,
    region: str,
    endpoint_url: str | None = None,
    config: AioConfig | None = None,
    **credentials: str | None,
) -> Any:
    """An aiobotocore client, as an async context manager. The AWS SDK finds the credentials that are not given."""
    usual = _EMULATOR_CONFIG if endpoint_url else _CONFIG
    return session.create_client(
        service, region_name=region, endpoint_url=endpoint_url, config=config or usual, **credentials
    )
