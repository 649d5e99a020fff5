"""What a handler may ask for by annotation."""

from typing import Annotated

from faststream import Context
from faststream.annotations import ContextRepo, Logger
from faststream.params import NoCast

from .broker import SQSBroker as _SQSBroker
from .message import SQSBatchMessage as _SQSBatchMessage
from .message import SQSMessage as _SQSMessage

__all__ = ("ContextRepo", "Logger", "NoCast", "SQSBatchMessage", "SQSBroker", "SQSMessage")

SQSMessage = Annotated[_SQSMessage, Context("message")]
SQSBatchMessage = Annotated[_SQSBatchMessage, Context("message")]
SQSBroker = Annotated[_SQSBroker, Context("broker")]
