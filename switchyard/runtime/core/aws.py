"""The factory of AWS clients, for processes, commands and the local stack."""

from __future__ import annotations

from functools import cache
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.loaders import create_loader
from botocore.session import Session

_CONFIG = AioConfig(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=30)
# An emulator behind a host name has no DNS entry for each bucket.
_EMULATOR_CONFIG = _CONFIG.merge(AioConfig(s3={"addressing_style": "path"}))


_shared_loader = cache(create_loader)
"""What is read of the SDK's own files, once per process: each session would hold its own 7 MB of endpoints."""


def open_aws_session() -> AioSession:
    """A session for `create_aws_client`. Clients share it: reading a service's model costs more than the client."""
    session = get_session()
    session.register_component("data_loader", _shared_loader())
    return session


def open_blocking_session() -> Session:
    """The same for boto3, whose clients block: `boto3.Session(botocore_session=...)`."""
    session = Session()
    session.register_component("data_loader", _shared_loader())
    return session


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
