"""What an error of SES proves."""

from __future__ import annotations

import pytest
from botocore.session import get_session

from services.specialists.email_sender.provider import (
    PermanentSendError,
    SendUnanswered,
    TransientSendError,
    classify_ses_error,
    client_config,
)


@pytest.mark.parametrize("code", ["MessageRejected", "BadRequestException"])
def test_permanent_error_code_is_a_permanent_send_error(code: str) -> None:
    assert isinstance(classify_ses_error(400, code), PermanentSendError)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "TooManyRequestsException"),
        (400, "LimitExceededException"),
        (400, "AccountSuspendedException"),
        (400, "SendingPausedException"),
        (400, "MailFromDomainNotVerifiedException"),
        (404, "NotFoundException"),
        (403, "AccessDeniedException"),
        (403, "ExpiredTokenException"),
        (400, "ThrottlingException"),
    ],
)
def test_account_error_code_is_a_transient_send_error(status: int, code: str) -> None:
    assert isinstance(classify_ses_error(status, code), TransientSendError)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 302, 200])
def test_other_status_is_an_unanswered_send(status: int) -> None:
    # Even a throttling code: behind a 5xx it is a proxy's word, not the provider's.
    assert isinstance(classify_ses_error(status, "TooManyRequestsException"), SendUnanswered)


def test_documented_ses_errors_are_classified() -> None:
    operation = get_session().get_service_model("sesv2").operation_model("SendEmail")
    for shape in operation.error_shapes:
        status = shape.metadata["error"]["httpStatusCode"]
        assert isinstance(classify_ses_error(status, shape.name), PermanentSendError | TransientSendError), shape.name


def test_sdk_calls_once_without_retry() -> None:
    config = client_config(10.0)
    assert config.retries["total_max_attempts"] == 1
    assert config.connector_args["force_close"] is True


@pytest.mark.parametrize(
    "message",
    [
        "Email address is not verified. The following identities failed the check in region US-EAST-1: a@bank.example",
        "Email address not verified: sender@harborline.example",
    ],
)
def test_email_from_the_sandbox_or_an_unverified_identity_waits(message: str) -> None:
    assert classify_ses_error(400, "MessageRejected", message) == TransientSendError("not_verified", 60.0)
    assert isinstance(classify_ses_error(400, "MessageRejected", "Illegal content"), PermanentSendError)
