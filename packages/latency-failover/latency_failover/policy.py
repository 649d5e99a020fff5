"""The caller's settings: the time budget, how it is spent, and which models may see the data."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from latency_failover.records import ModelAttempt

Milliseconds = Annotated[int, Field(ge=0)]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]


class _Setting(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LatencyBudget(_Setting):
    """The time for all calls inside one `FailoverModel.budget` scope, counted from entering it.

    `total_ms` is a hard limit: at its end, running attempts are cut. `remaining_nodes_p95_ms` of it is kept for the
    steps after this one, and a reserve for the fallback; the primary gets the rest.
    """

    total_ms: Annotated[int, Field(gt=0)]
    remaining_nodes_p95_ms: Milliseconds = 0
    reserve_ms: Milliseconds | None = Field(default=None, description="None: the fallback's learned P95.")
    expected_output_tokens: Annotated[int, Field(gt=0)] | None = Field(default=None, description="None: learned.")
    earlier: tuple[ModelAttempt, ...] = Field(
        default=(),
        description="Attempts of an earlier delivery of the same work; a model that failed there is not called first.",
    )


class BreakerPolicy(_Setting):
    """When a model is not called for a while. A slow success counts as a failure: the objective is latency.

    Two windows measure the burn rate of the error budget (https://sre.google/workbook/alerting-on-slos/): the fast one
    catches an outage within seconds, the slow one a model that has failed one call in ten for minutes and still does.
    """

    window_ms: Milliseconds = Field(default=60_000, description="The fast window.")
    min_calls: Annotated[int, Field(ge=1)] = Field(
        default=10, description="Minimum of calls in the fast window before the breaker opens."
    )
    bad_share_bp: BasisPoints = Field(default=3_000, description="Of the fast window.")
    slow_window_ms: Milliseconds = Field(default=600_000, description="The slow window; 0 turns it off.")
    slow_min_calls: Annotated[int, Field(ge=1)] = 30
    slow_bad_share_bp: BasisPoints = Field(
        default=750, description="Share of bad calls in the slow window, and in the fast one too."
    )
    slow_ms: Milliseconds | None = Field(
        default=None, description="Limit of slow; None: late for its call, and beyond the model's own P95."
    )
    cool_ms: Milliseconds = Field(default=10_000, description="First pause after the fast window opened the breaker.")
    slow_cool_ms: Milliseconds = Field(
        default=60_000, description="First pause after the slow window opened the breaker."
    )
    cool_max_ms: Milliseconds = 300_000
    probes_to_close: Annotated[int, Field(ge=1)] = Field(
        default=2, description="Good probes to close the breaker after the fast window opened it."
    )
    slow_probes_to_close: Annotated[int, Field(ge=1)] = Field(
        default=20,
        description="Good probes after the slow window opened it: one bad call in ten needs more proof.",
    )


class FailoverPolicy(_Setting):
    """Settings of the failover. The defaults suit drafting: answers take seconds, and calls have no side effects."""

    version: str = "1"
    default_total_ms: Annotated[int, Field(gt=0)] = Field(default=60_000, description="Outside any budget scope.")

    ttft_limit_ms: Milliseconds | None = Field(default=None, description="Maximum wait for the first token.")
    ttft_patience: Annotated[int, Field(ge=1)] = Field(
        default=3,
        description="A silent model is abandoned after this many times its P95, or twice its median if that is less.",
    )
    ttft_floor_ms: Milliseconds = Field(default=750, description="Minimum wait for the first token.")
    cold_ttft_ms: Milliseconds = Field(default=5_000, description="The limit without enough statistics.")
    cold_reserve_ms: Milliseconds = Field(default=8_000, description="The reserve without statistics of the fallback.")
    cold_us_per_token: Annotated[int, Field(ge=1)] = Field(
        default=100_000, description="A stream slower than this trickles, while answer lengths are unknown."
    )
    cold_output_tokens: Annotated[int, Field(ge=1)] = Field(default=200, description="What it is then taken to have.")

    check_every_ms: Annotated[int, Field(ge=1)] = Field(default=100, description="How often a stream is judged.")
    rate_window_ms: Annotated[int, Field(ge=1)] = Field(default=2_000, description="Pace is measured over this.")
    min_stream_ms: Milliseconds = Field(default=500, description="Minimum window for measuring a pace.")
    stall_ms: Annotated[int, Field(ge=1)] = Field(
        default=3_000, description="Maximum silence before a stream counts as stalled; usually it is learned."
    )
    stall_floor_ms: Annotated[int, Field(ge=1)] = Field(default=500, description="Minimum of the learned value.")

    hedge: bool = Field(default=True, description="False if a call has side effects and must not be made twice.")
    hedge_share_bp: BasisPoints = Field(default=500, description="Permitted extra calls, as a share of all calls.")
    hedge_burst: Annotated[int, Field(ge=1)] = Field(default=10, description="Maximum of saved extra calls.")
    hedge_min_ms: Milliseconds = Field(default=200, description="Minimum delay of a hedge.")

    breaker: BreakerPolicy = BreakerPolicy()
    probe_every_ms: Milliseconds = Field(
        default=30_000,
        description="A primary that did not fit is tried again after this time, so that its statistics are renewed.",
    )
    close_grace_ms: Milliseconds = Field(default=1_000, description="How long a cancelled caller waits for sockets.")


class ModelPolicy(_Setting):
    """Which models may see the data. Empty means any; a model that cannot be shown to match is not permitted.

    `models` are shell patterns over `vendor:model_id`. A region is the one the request is sent to, or the geography of
    a Bedrock inference profile (`eu`, `us`, `apac`, `global`), which may use any region of that geography:
    https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
    """

    name: Annotated[str, Field(max_length=100)] = Field(default="", description="Recorded with every decision.")
    vendors: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    never_fail_over: bool = False

    def permits(self, *, vendor: str, model_id: str, region: str) -> bool:
        """Whether a model of this vendor, name and region ("" when unknown) may be sent the data."""
        if self.vendors and vendor not in self.vendors:
            return False
        if self.regions and region not in self.regions:
            return False
        name = f"{vendor}:{model_id}"
        return not self.models or any(fnmatchcase(name, pattern) for pattern in self.models)


class PolicyRule(_Setting):
    """A policy for data with all of these labels, for example `{"tenant": "acme", "data": "personal"}`."""

    when: dict[str, str]
    policy: ModelPolicy


class ModelPolicies(_Setting):
    """Model policies by labels of the data. The first matching rule applies; rules are not merged."""

    rules: tuple[PolicyRule, ...] = ()
    default: ModelPolicy = ModelPolicy(name="default")

    @model_validator(mode="after")
    def _named(self) -> Self:
        names = [rule.policy.name for rule in self.rules]
        if "" in names or len(set(names)) < len(names):
            raise ValueError("rules: give each policy its own name, because the record shows it")
        return self

    def applying(self, labels: Mapping[str, str]) -> ModelPolicy:
        """The policy for data with these labels."""
        for rule in self.rules:
            if all(labels.get(name) == value for name, value in rule.when.items()):
                return rule.policy
        return self.default
