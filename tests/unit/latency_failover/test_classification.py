import socket

import pytest
from pydantic_ai.exceptions import (
    ConcurrencyLimitExceeded,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    UnexpectedModelBehavior,
    UserError,
)

from latency_failover import IncompleteAnswer, MalformedAnswer
from latency_failover.classify import FailureKind, classify, error_code


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModelHTTPError.for_category(ModelRateLimitError, status_code=429, model_name="m"), "throttled"),
        (ModelHTTPError.for_category(ModelQuotaExceededError, status_code=402, model_name="m"), "throttled"),
        (ModelHTTPError(429, "m"), "throttled"),
        (ConcurrencyLimitExceeded("full"), "throttled"),
        (ModelHTTPError.for_category(ModelServerError, status_code=500, model_name="m"), "error"),
        (ModelHTTPError.for_category(ModelAuthenticationError, status_code=403, model_name="m"), "error"),
        (ModelHTTPError.for_category(ModelNotFoundError, status_code=404, model_name="m"), "error"),
        (ModelHTTPError(503, "m"), "error"),
        (ModelHTTPError(408, "m"), "error"),
        (ModelConnectionError("m", "reset"), "error"),
        (ModelAPIError("m", "unknown"), "error"),
        (UnexpectedModelBehavior("not JSON"), "error"),
        (IncompleteAnswer("max_tokens", "truncated"), "truncated"),
        (IncompleteAnswer("guardrail_intervened", "filtered"), "filtered"),
        (IncompleteAnswer("no_reason", "error"), "error"),
        (MalformedAnswer("KeyError"), "error"),
        (ConnectionResetError(), "error"),
        (socket.gaierror(), "error"),
        (TimeoutError(), "error"),
        (ModelHTTPError.for_category(ModelRequestRejectedError, status_code=400, model_name="m"), "rejected"),
        (ModelHTTPError.for_category(ModelContextWindowExceededError, status_code=400, model_name="m"), "rejected"),
        (ModelHTTPError(422, "m"), "rejected"),
        (UserError("wrong setting"), "rejected"),
        (TypeError("a defect"), "rejected"),
    ],
    ids=lambda value: value if isinstance(value, str) else error_code(value),
)
def test_failure_is_classified_by_kind(error: Exception, kind: FailureKind) -> None:
    assert classify(error).kind == kind


def test_transport_error_from_adapter_counts_as_vendor_error() -> None:
    httpx2 = pytest.importorskip("httpx2")
    assert classify(httpx2.ReadError("broken")).kind == "error"


def test_error_code_has_class_status_and_vendor_code() -> None:
    error = ModelHTTPError.for_category(
        ModelRateLimitError, status_code=429, model_name="m", provider_error_code="ThrottlingException"
    )
    assert error_code(error) == "ModelRateLimitError/429/ThrottlingException"
    assert error_code(ConnectionResetError("secret")) == "ConnectionResetError"


def test_vendor_code_like_prose_is_omitted() -> None:
    error = ModelHTTPError(500, "m", provider_error_code="Dear Ms Miller, your debt of 300 EUR")
    assert error_code(error) == "ModelHTTPError/500"


def test_retry_after_is_kept_in_milliseconds() -> None:
    error = ModelHTTPError(429, "m", headers={"retry-after-ms": "1500"})
    assert classify(error).retry_after_ms == 1_500
    assert classify(TimeoutError()).retry_after_ms is None
