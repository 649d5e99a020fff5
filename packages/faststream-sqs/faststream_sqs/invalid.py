"""Tells a message that its handler cannot take from a handler that failed: only the second is worth a retry."""

import contextlib
import sys
from typing import Any

from fast_depends.core import CallModel

from .errors import UnreadableBody

_MARK = "_faststream_sqs_invalid"


def is_invalid(error: BaseException) -> bool:
    """Whether the body could not be read, or cast to what the handler takes, so that the handler has not run."""
    return isinstance(error, UnreadableBody) or getattr(error, _MARK, False) or _is_invalid_in_fastapi(error)


def _is_invalid_in_fastapi(error: BaseException) -> bool:
    # FastAPI casts arguments itself, and raises this for nothing else.
    fastapi = sys.modules.get("fastapi.exceptions")
    return fastapi is not None and isinstance(error, fastapi.RequestValidationError)


def mark_invalid_arguments(model: CallModel) -> None:
    """Make this call model mark the errors of casting its arguments. FastAPI's has no serializer."""
    serializer = getattr(model, "serializer", None)
    if serializer is not None and not isinstance(serializer, _MarkingSerializer):
        model.serializer = _MarkingSerializer(serializer)  # type: ignore[assignment] # answers like one


class _MarkingSerializer:
    """A serializer of FastDepends. The error keeps its type: applications and FastStream look at it."""

    def __init__(self, serializer: Any) -> None:
        self._serializer = serializer

    def __call__(self, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            cast: dict[str, Any] = self._serializer(arguments)
        except Exception as error:
            with contextlib.suppress(AttributeError):
                setattr(error, _MARK, True)
            raise
        return cast

    def __getattr__(self, name: str) -> Any:
        return getattr(self._serializer, name)
