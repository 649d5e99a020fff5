"""Records of a failover: every attempt, and the decision with its numbers.

Integers and strings only: these records end in digested events, where a float has no canonical form.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ModelRole = Literal["primary", "fallback"]

FailoverReason = Literal[
    "primary",  # the primary answered; no failover
    "ttft",  # no first token within the limit
    "projected",  # the stream was too slow, or stalled
    "error",
    "throttled",
    "truncated",  # the primary reached a token limit
    "filtered",  # a content filter or guardrail stopped the primary
    "breaker",  # the primary's breaker was open
    "hedge_win",  # the extra call was first
    "budget",  # the primary's P95 did not fit
    "policy",  # the primary may not see this data
]
"""Why this model answered (or, without an answer, why it was called last)."""

AttemptOutcome = Literal[
    "won",
    "abandoned",  # cut because it was too slow
    "lost",  # cut because the other model was first
    "throttled",
    "error",
    "truncated",  # the answer reached a token limit
    "filtered",  # a content filter or guardrail stopped the answer
    "rejected",  # the vendor rejected the request itself, or the call failed on our side
    "cancelled",  # the caller gave up
]

TokensSource = Literal["reported", "estimated", "none"]
"""`reported` by the vendor; `estimated` from characters sent and streamed; `none` when the vendor did no work."""

CallResult = Literal["answered", "failed", "cancelled"]

Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class ModelAttempt(_Record):
    """One call to one model."""

    vendor: str
    model_id: str
    role: ModelRole
    started_ms: Count = Field(description="After the start of the whole call.")
    ttft_ms: Count | None = Field(default=None, description="From this attempt's start to its first token.")
    ended_ms: Count = Field(description="After the start of the whole call.")
    outcome: AttemptOutcome
    error_code: str | None = Field(default=None, description="Class, status and vendor code; never payload text.")
    input_tokens: Count = 0
    output_tokens: Count = 0
    tokens_source: TokensSource = "none"


class FailoverDecision(_Record):
    """One call of a `FailoverModel`: which model answered, why, and the numbers of the decision.

    `None` for a quantile means too few observations. Times are in milliseconds from the start of the call.
    """

    result: CallResult = "answered"
    reason: FailoverReason
    role: ModelRole
    vendor: str
    model_id: str
    latency_ms: Count
    ttft_ms: Count | None = Field(default=None, description="The caller's wait for the answering model's first token.")
    attempts: tuple[ModelAttempt, ...] = ()
    input_tokens: Count = 0
    output_tokens: Count = 0
    loser_tokens: Count = Field(default=0, description="Tokens in and out of every attempt that did not answer.")

    total_ms: Count = Field(default=0, description="Remaining budget of the caller at the start.")
    budget_ms: Count = Field(description="The primary's share: the total less later steps and the reserve.")
    reserve_ms: Count = Field(default=0, description="Reserve for the fallback.")
    prompt_tokens: Count = Field(default=0, description="Estimated; chooses the bucket of the statistics.")
    primary_p50_ms: Count | None = None
    primary_p95_ms: Count | None = None
    fallback_p95_ms: Count | None = None
    ttft_limit_ms: Count | None = Field(default=None, description="When the silent primary would be abandoned.")
    hedge_after_ms: Count | None = Field(default=None, description="When a second call was to be started.")
    primary_breaker: Literal["closed", "half_open", "open"] = "closed"
    later_ms: Count = Field(default=0, description="Share of the total for the steps after this one.")
    earlier: tuple[ModelAttempt, ...] = Field(
        default=(), description="Attempts of earlier deliveries of the same work."
    )
    model_policy: str = Field(default="", description="Name of the model policy that applied.")
    not_permitted: tuple[str, ...] = Field(default=(), description="Models that the policy does not permit.")
    policy_version: str
