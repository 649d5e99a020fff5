"""The factory of AWS clients, for processes, commands and the local stack; and the translation of their errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from switchyard.runtime.core.errors import TaskError, Unavailable

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


@contextmanager
def translate_aws_errors(code: str, service: str) -> Iterator[None]:
    """Turn every way of getting no answer from AWS into `Unavailable`: refused (expired credentials included), out of
    reach, cut off, or no answer of that service at all, which the SDK's parsers raise errors of any kind for.

    Nothing but requests and reads of their answers belongs inside. A `TaskError` passes.
    """
    try:
        yield
    except TaskError:
        raise
    except ClientError as error:
        named = error.response.get("Error", {}).get("Code", "unknown")
        raise Unavailable(code, f"{service} refused a request ({named})") from error
    except Exception as error:
        raise Unavailable(code, f"{service} gave no answer ({type(error).__name__})") from error
