"""What the caller may set: how much time there is, how to spend it, and who may see the data."""

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
    """The time for everything done inside one `FailoverModel.budget` scope, counted from entering it.

    `total_ms` is a hard limit: at its end whatever still runs is cut. Of it, `remaining_nodes_p95_ms` is wanted by the
    steps after this one, and a reserve is held back for the fallback; the primary gets the rest.
    """

    total_ms: Annotated[int, Field(gt=0)]
    remaining_nodes_p95_ms: Milliseconds = 0
    reserve_ms: Milliseconds | None = Field(default=None, description="None: the fallback's learned P95.")
    expected_output_tokens: Annotated[int, Field(gt=0)] | None = Field(default=None, description="None: learned.")
    earlier: tuple[ModelAttempt, ...] = Field(
        default=(),
        description="Attempts an earlier delivery of the same work made; a model that failed there is not asked first.",
    )


class BreakerPolicy(_Setting):
    """When a model is left alone for a while. A slow success is as bad as a failure: the objective is latency.

    Two windows watch how fast the error budget burns (https://sre.google/workbook/alerting-on-slos/): the fast one
    catches an outage within seconds, the slow one a model that has failed one call in ten for minutes and still does.
    """

    window_ms: Milliseconds = Field(default=60_000, description="The fast window.")
    min_calls: Annotated[int, Field(ge=1)] = Field(default=10, description="Calls in the fast window before it opens.")
    bad_share_bp: BasisPoints = Field(default=3_000, description="Of the fast window.")
    slow_window_ms: Milliseconds = Field(default=600_000, description="The slow window; 0 turns it off.")
    slow_min_calls: Annotated[int, Field(ge=1)] = 30
    slow_bad_share_bp: BasisPoints = Field(default=750, description="Of the slow window, and of the fast one too.")
    slow_ms: Milliseconds | None = Field(
        default=None, description="What counts as slow; None: late for the call it was, and beyond the model's own P95."
    )
    cool_ms: Milliseconds = Field(default=10_000, description="The first pause, after the fast window opened it.")
    slow_cool_ms: Milliseconds = Field(default=60_000, description="The same after the slow window did.")
    cool_max_ms: Milliseconds = 300_000
    probes_to_close: Annotated[int, Field(ge=1)] = Field(default=2, description="After the fast window opened it.")
    slow_probes_to_close: Annotated[int, Field(ge=1)] = Field(
        default=20, description="After the slow window did: one call in ten goes wrong, so two that go well say little."
    )


class FailoverPolicy(_Setting):
    """The knobs. The defaults are for drafting: seconds, not milliseconds, and no effect on the world."""

    version: str = "1"
    default_total_ms: Annotated[int, Field(gt=0)] = Field(default=60_000, description="Outside any budget scope.")

    ttft_limit_ms: Milliseconds | None = Field(default=None, description="A cap on the wait for the first token.")
    ttft_patience: Annotated[int, Field(ge=1)] = Field(
        default=3, description="Give a silent model up after this many times its P95 or twice its median, if less."
    )
    ttft_floor_ms: Milliseconds = Field(default=750, description="Patience never ends sooner than this.")
    cold_ttft_ms: Milliseconds = Field(default=5_000, description="The limit while too little is known.")
    cold_reserve_ms: Milliseconds = Field(default=8_000, description="The reserve while the fallback is unknown.")
    cold_us_per_token: Annotated[int, Field(ge=1)] = Field(
        default=100_000, description="A stream slower than this trickles, while no answer's length is known."
    )
    cold_output_tokens: Annotated[int, Field(ge=1)] = Field(default=200, description="What it is then taken to have.")

    check_every_ms: Annotated[int, Field(ge=1)] = Field(default=100, description="How often a stream is judged.")
    rate_window_ms: Annotated[int, Field(ge=1)] = Field(default=2_000, description="Pace is measured over this.")
    min_stream_ms: Milliseconds = Field(default=500, description="No pace is measured over less than this.")
    stall_ms: Annotated[int, Field(ge=1)] = Field(
        default=3_000, description="Silence that counts as standing still, at most: usually it is learned."
    )
    stall_floor_ms: Annotated[int, Field(ge=1)] = Field(
        default=500, description="What is learned is no less than this."
    )

    hedge: bool = Field(default=True, description="False where a call has an effect and must not be made twice.")
    hedge_share_bp: BasisPoints = Field(default=500, description="Extra calls allowed, of all calls.")
    hedge_burst: Annotated[int, Field(ge=1)] = Field(default=10, description="Unused extra calls that may be saved.")
    hedge_min_ms: Milliseconds = Field(default=200, description="No hedge is started sooner than this.")

    breaker: BreakerPolicy = BreakerPolicy()
    probe_every_ms: Milliseconds = Field(
        default=30_000, description="A primary that did not fit is tried again this often: numbers must not go stale."
    )
    close_grace_ms: Milliseconds = Field(default=1_000, description="How long a cancelled caller waits for sockets.")


class ModelPolicy(_Setting):
    """Which models may see the data. Empty means any; what cannot be shown to match is refused.

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
    """A policy for the data that carries all of these labels, for example `{"tenant": "acme", "data": "personal"}`."""

    when: dict[str, str]
    policy: ModelPolicy


class ModelPolicies(_Setting):
    """Model policies by what the data is. The first rule that applies holds, whole: nothing is merged."""

    rules: tuple[PolicyRule, ...] = ()
    default: ModelPolicy = ModelPolicy(name="default")

    @model_validator(mode="after")
    def _named(self) -> Self:
        names = [rule.policy.name for rule in self.rules]
        if "" in names or len(set(names)) < len(names):
            raise ValueError("rules: give each policy a name of its own: it is what the record shows")
        return self

    def applying(self, labels: Mapping[str, str]) -> ModelPolicy:
        """The policy for data with these labels."""
        for rule in self.rules:
            if all(labels.get(name) == value for name, value in rule.when.items()):
                return rule.policy
        return self.default
