"""What the caller may set: how much time there is, how to spend it, and who may see the data."""

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from failover.records import Attempt

Milliseconds = Annotated[int, Field(ge=0)]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]


class _Setting(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Budget(_Setting):
    """The time for everything done inside one `FailoverModel.budget` scope, counted from entering it.

    `total_ms` is a hard limit: at its end whatever still runs is cut. Of it, `remaining_nodes_p95_ms` is wanted by the
    steps after this one, and a reserve is held back for the fallback; the primary gets the rest.
    """

    total_ms: Annotated[int, Field(gt=0)]
    remaining_nodes_p95_ms: Milliseconds = 0
    reserve_ms: Milliseconds | None = Field(default=None, description="None: the fallback's learned P95.")
    expected_output_tokens: Annotated[int, Field(gt=0)] | None = Field(default=None, description="None: learned.")
    earlier: tuple[Attempt, ...] = Field(
        default=(),
        description="Attempts an earlier delivery of the same work made; a model that failed there is not asked first.",
    )


class BreakerPolicy(_Setting):
    """When a model is left alone for a while. A slow success is as bad as a failure: the objective is latency."""

    window_ms: Milliseconds = 60_000
    min_calls: Annotated[int, Field(ge=1)] = 10
    bad_share_bp: BasisPoints = 3_000
    slow_ms: Milliseconds | None = Field(default=None, description="None: the time the model had in that call.")
    cool_ms: Milliseconds = 10_000
    cool_max_ms: Milliseconds = 300_000
    probes_to_close: Annotated[int, Field(ge=1)] = 2


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

    check_every_ms: Annotated[int, Field(ge=1)] = Field(default=100, description="How often a stream is judged.")
    rate_window_ms: Annotated[int, Field(ge=1)] = Field(default=2_000, description="Pace is measured over this.")
    min_stream_ms: Milliseconds = Field(default=500, description="No pace is measured over less than this.")
    stall_ms: Annotated[int, Field(ge=1)] = Field(default=3_000, description="Silence that counts as standing still.")

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
