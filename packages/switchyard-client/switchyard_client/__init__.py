"""Ask a Switchyard deployment, follow a case as it goes on, and read its answer."""

from switchyard_client.async_client import AsyncClient
from switchyard_client.client import Client
from switchyard_client.errors import (
    ApiError,
    CaseRejected,
    ConsentNeeded,
    EventGap,
    Gone,
    GrantForbidden,
    InvalidRequest,
    LoginRequired,
    NotFound,
    SwitchyardError,
    TemporarilyUnavailable,
    TooLong,
    TooManyRequests,
    Unreachable,
    WaitTimeout,
)
from switchyard_client.models import (
    Artefact,
    Case,
    CaseEvent,
    CasePage,
    Consent,
    Feedback,
    ListedCase,
    Rejection,
    Submitted,
)
from switchyard_client.webhooks import WebhookInvalid, verify_webhook

__all__ = [
    "ApiError",
    "Artefact",
    "AsyncClient",
    "Case",
    "CaseEvent",
    "CasePage",
    "CaseRejected",
    "Client",
    "Consent",
    "ConsentNeeded",
    "EventGap",
    "Feedback",
    "Gone",
    "GrantForbidden",
    "InvalidRequest",
    "ListedCase",
    "LoginRequired",
    "NotFound",
    "Rejection",
    "Submitted",
    "SwitchyardError",
    "TemporarilyUnavailable",
    "TooLong",
    "TooManyRequests",
    "Unreachable",
    "WaitTimeout",
    "WebhookInvalid",
    "verify_webhook",
]
