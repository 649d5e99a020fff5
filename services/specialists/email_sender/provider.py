"""The email provider, SES v2, and what its answers prove about acceptance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from botocore import exceptions as aws

from services.specialists.email_sender.outbound_email import OutboundEmail


@dataclass(frozen=True)
class SendAccepted:
    """The provider accepted the email."""

    message_id: str


@dataclass(frozen=True)
class PermanentSendError:
    """The provider rejects this email permanently. Nothing was sent."""

    code: str


@dataclass(frozen=True)
class TransientSendError:
    """Certainly not accepted, for a reason outside the email: the same email may be sent in `seconds`."""

    code: str
    seconds: float


@dataclass(frozen=True)
class SendUnanswered:
    """The provider was called, and its answer proves nothing."""

    code: str


SendResult = SendAccepted | PermanentSendError | TransientSendError | SendUnanswered


_SLOW_DOWN_S, _OPERATOR_S = 5.0, 60.0

# Meaning of a 4xx (SES v2 API reference, SendEmail): the message was not accepted.
_REFUSED = {"MessageRejected": "message_rejected", "BadRequestException": "bad_request"}
# SES's answer in its sandbox, and before it has seen an identity's DNS records: the account's fault, not the email's.
_NOT_VERIFIED = "not verified"
_THROTTLED = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "RequestThrottled"})

# Raised before a byte of the request is sent.
_BEFORE_SENDING = (
    aws.ConnectTimeoutError, aws.CredentialRetrievalError, aws.NoCredentialsError, aws.ParamValidationError,
    aws.PartialCredentialsError, aws.SSLError,
)  # fmt: skip


def client_config(timeout_s: float) -> AioConfig:
    """One attempt per call, because a second one could be a second email.

    No kept-alive connections: one that the server has just closed fails like a lost answer, and would leave an
    unknown outcome.
    """
    return AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=min(5.0, timeout_s),
        read_timeout=timeout_s,
        connector_args={"force_close": True, "keepalive_timeout": None},
    )


class SesProvider:
    """SES v2 through an aiobotocore client made with `client_config`."""

    def __init__(self, client: Any, *, configuration_set: str | None) -> None:
        self._client = client
        self._options = {} if configuration_set is None else {"ConfigurationSetName": configuration_set}

    async def send(self, email: OutboundEmail, tags: Mapping[str, str]) -> SendResult:
        """Hand the email over once. Provider errors are returned, never raised.

        The bytes are sent unchanged; SES sets its own Date and Message-ID on delivery.
        """
        try:
            answer = await self._client.send_email(
                FromEmailAddress=email.sender,
                Destination={"ToAddresses": [email.recipient]},
                Content={"Raw": {"Data": email.raw}},
                EmailTags=[{"Name": name, "Value": value} for name, value in tags.items()],
                **self._options,
            )
        except aws.ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            answered = error.response.get("Error", {})
            return classify_ses_error(status, answered.get("Code", ""), answered.get("Message", ""))
        except _BEFORE_SENDING as error:
            return TransientSendError(f"not_asked_{type(error).__name__.lower()}", _SLOW_DOWN_S)
        except aws.EndpointConnectionError as error:
            # aiobotocore also uses this class for a connection that was reset after the request.
            if isinstance(error.kwargs.get("error"), aiohttp.ClientConnectorError):
                return TransientSendError("not_reachable", _SLOW_DOWN_S)
            return SendUnanswered("connection_lost")
        except Exception as error:  # noqa: BLE001 (a page instead of an answer raises what the SDK's parser makes of it)
            return SendUnanswered(type(error).__name__.lower())
        message_id = answer.get("MessageId")
        return SendAccepted(message_id) if message_id else SendUnanswered("no_message_id")


def classify_ses_error(status: int, code: str, message: str = "") -> SendResult:
    """The result that an error of SES stands for. Pure."""
    if not 400 <= status < 500:
        return SendUnanswered(f"status_{status}")
    if code == "MessageRejected" and _NOT_VERIFIED in message.lower():
        return TransientSendError("not_verified", _OPERATOR_S)
    if code in _REFUSED:
        return PermanentSendError(_REFUSED[code])
    if code in _THROTTLED or status == 429:
        return TransientSendError("throttled", _SLOW_DOWN_S)
    # The account, its quota, its identities or our permissions: an operator must correct it, not the case.
    return TransientSendError("provider_account", _OPERATOR_S)
