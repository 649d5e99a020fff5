"""A FastStream broker for Amazon SQS and EventBridge."""

from .annotations import SQSBatchMessage, SQSMessage
from .broker import SQSBroker
from .claim_check import ClaimCheck
from .coalescer import Coalescer, CoalescerClosed
from .connection import Credentials
from .delivery import SQSDelivery
from .envelope import EventBridgeEnvelope
from .errors import (
    BatchItemFailed,
    BusMissing,
    MessageLeaseLost,
    PublishFailed,
    QueueMissing,
    RequestFailed,
    SettleFailed,
    UnreadableBody,
)
from .publisher import EventBridgePublisher, SQSPublisher
from .response import SQSResponse
from .retry import RetryPolicy
from .router import SQSRoute, SQSRoutePublisher, SQSRouter
from .testing import TestSQSBroker

__version__ = "0.1.0"

__all__ = (
    "BatchItemFailed",
    "BusMissing",
    "ClaimCheck",
    "Coalescer",
    "CoalescerClosed",
    "Credentials",
    "EventBridgeEnvelope",
    "EventBridgePublisher",
    "MessageLeaseLost",
    "PublishFailed",
    "QueueMissing",
    "RequestFailed",
    "RetryPolicy",
    "SQSBatchMessage",
    "SQSBroker",
    "SQSDelivery",
    "SQSMessage",
    "SQSPublisher",
    "SQSResponse",
    "SQSRoute",
    "SQSRoutePublisher",
    "SQSRouter",
    "SettleFailed",
    "TestSQSBroker",
    "UnreadableBody",
)
