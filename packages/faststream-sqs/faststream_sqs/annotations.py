"""Annotations for the arguments of a handler."""

from typing import Annotated, Any

from faststream._internal.context.context_type import Context
from faststream.annotations import ContextRepo, Logger
from faststream.params import NoCast

from .broker import SQSBroker as _SQSBroker
from .message import SQSBatchMessage as _SQSBatchMessage
from .message import SQSMessage as _SQSMessage

__all__ = ("ContextRepo", "Logger", "NoCast", "SQSBatchMessage", "SQSBroker", "SQSMessage")


class _Direct(Context):
    """A context value that is read in the event loop; FastDepends reads a plain one in a worker thread."""

    async def use(self, /, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override] # FastDepends awaits it
        return super().use(**kwargs)


SQSMessage = Annotated[_SQSMessage, _Direct("message")]
SQSBatchMessage = Annotated[_SQSBatchMessage, _Direct("message")]
SQSBroker = Annotated[_SQSBroker, _Direct("broker")]
