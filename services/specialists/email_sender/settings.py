"""The email sender's environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.specialists.email_sender.ledger import SendRate
from switchyard.runtime.core.settings import ApproverSettings, OperatorSettings, WorkSettings

Rate = Annotated[int, Field(ge=1, le=1_000_000)]


class EmailSenderSettings(OperatorSettings, ApproverSettings, WorkSettings):
    """The email provider, the keys of approvers and operators, and the send rate per recipient domain."""

    ses_endpoint_url: str | None = Field(default=None, description="Endpoint of an emulator; default: SES's own.")
    ses_configuration_set: str | None = Field(
        default=None, description="The configuration set whose event destinations report bounces."
    )
    ses_timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=10.0, description="Time limit of a call, in seconds; without an answer by then the outcome is unknown."
    )
    domain_per_minute: Rate = Field(default=600, description="Emails per minute to one recipient domain, on average.")
    domain_burst: Rate = Field(default=20, description="Emails at once to one recipient domain.")
    domain_limits: dict[str, Rate] = Field(
        default_factory=dict, description='Averages for particular domains, as JSON {"example.com": 60}.'
    )

    def send_rate(self, domain: str) -> SendRate:
        """The send rate of a domain."""
        return SendRate(60.0 / self.domain_limits.get(domain, self.domain_per_minute), self.domain_burst)
