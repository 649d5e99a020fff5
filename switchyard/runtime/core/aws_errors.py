"""The translation of the AWS clients' errors, without the clients: commands that call no AWS import this, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

from switchyard.runtime.core.errors import TaskError, Unavailable


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
