"""A candidate model: its names, its region, and its SDK without retries."""

import sys
from dataclasses import dataclass
from typing import Any

from pydantic_ai.models import Model
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from latency_failover.policy import ModelPolicy
from latency_failover.records import ModelRole


@dataclass(frozen=True)
class Candidate:
    """One of the two models. `region` is "" if it is unknown."""

    model: Model[Any]
    role: ModelRole
    vendor: str
    model_id: str
    region: str
    sdk_retries: bool
    own_word: bool
    """Whether its answers must carry the vendor's own finish reason; see `require_whole`."""

    @property
    def name(self) -> str:
        """The key of the statistics: a model at two vendors counts as two models."""
        return f"{self.vendor}:{self.model_id}"

    def denial_reason(self, policy: ModelPolicy) -> str | None:
        """The reason why this model may not see the data; `None` if it may."""
        if self.role == "fallback" and policy.never_fail_over:
            return f"{self.name} (never fail over)"
        permitted = policy.permits(vendor=self.vendor, model_id=self.model_id, region=self.region)
        return None if permitted else f"{self.name} ({self.region or 'region unknown'})"

    def max_tokens(self, given: ModelSettings | None) -> int | None:
        """The longest answer that this model is asked for: the request's, else the model's own; None for no limit."""
        return (given or {}).get("max_tokens") or (self.model.settings or {}).get("max_tokens")

    def settings(self, given: ModelSettings | None) -> ModelSettings | None:
        """The request's settings, with the SDK's own retries turned off."""
        if not self.sdk_retries:
            return given
        settings = ModelSettings(**given) if given else ModelSettings()
        settings["max_retries"] = 0
        return settings


def build_candidate(model: Model[Any], role: ModelRole, *, region: str | None) -> Candidate:
    """Describe a model, make its connections cuttable if it is Bedrock's, and require the end mark of OpenAI's streams.

    Raises:
        RetryOwnerConflict: a boto3 client that retries by itself.
    """
    innermost: Model[Any] = model
    while isinstance(innermost, WrapperModel):
        innermost = innermost.wrapped
    client = getattr(innermost, "client", None)
    found = ""
    if "botocore" in sys.modules and _is_boto(client):
        from latency_failover.bedrock import make_client_cuttable, region_of

        make_client_cuttable(client)
        found = region_of(client, innermost.model_name)
    chat = "openai" in sys.modules and _with_end_mark(client)
    return Candidate(
        model=model,
        role=role,
        vendor=innermost.system,
        model_id=innermost.model_name,
        region=found if region is None else region,
        sdk_retries=getattr(client, "max_retries", 0) > 0,
        own_word=chat,
    )


def _with_end_mark(client: object) -> bool:
    """Require the end mark of an OpenAI client's streams; False for another client."""
    from openai import AsyncOpenAI

    from latency_failover.openai import require_end_mark

    if not isinstance(client, AsyncOpenAI):
        return False
    require_end_mark(client)
    return True


def _is_boto(client: object) -> bool:
    from botocore.client import BaseClient

    return isinstance(client, BaseClient)
