"""Model clients for every agent: Bedrock Converse and OpenAI, and the record that a call leaves behind. Which of them
an agent uses is the application's to decide, in its `pick_primary()` and `pick_fallback()`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from latency_failover import AllModelsFailed, FailoverDecision, FailoverModel, FailoverPolicy, ModelPolicies
from latency_failover.errors import ModelNotPermitted
from switchyard.protocol.fields import Contract, ModelCall
from switchyard.runtime.budget.ledger import MoneyLedger, TaskMeter
from switchyard.runtime.budget.prices import Prices
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError, TaskError
from switchyard.runtime.core.settings import EnvironmentSettings, TokenPrice
from switchyard.runtime.core.task import Task
from switchyard.runtime.models.budget import data_labels, task_model_budget
from switchyard.runtime.models.model_spans import TracedDecisions, agent_span
from switchyard.runtime.models.secret_key import SecretKey

if TYPE_CHECKING:
    from pydantic_ai.models import Model

NOT_SCRIPTED = "not_scripted"
"""The error code of a simulator that has no answer to a prompt."""
NOT_SCRIPTED_REMEDY = (
    "use a real model (`switchyard stack up --model-url URL --model NAME`), or add a rule to the script"
)

MODEL_READ_TIMEOUT_S = 60
"""A backstop: how long a stream may stay silent is the failover policy's decision."""


Vendor = Literal["bedrock", "openai"]
BEDROCK_RUNTIME = "bedrock-runtime"
"""Bedrock's service that answers, as the AWS SDKs name it."""


class ModelSettings(EnvironmentSettings):
    """Read from `SWITCHYARD_MODEL_*`. The defaults are what the demo is scripted for; set them for your account."""

    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_MODEL_")

    primary: Vendor = Field(default="bedrock", description="Whose model is called first: `bedrock` or `openai`.")
    fallback: Vendor | Literal["none"] = Field(
        default="openai", description="Whose model is called when the first is late or fails; `none` for no other one."
    )
    bedrock_id: str = Field(
        default="us.anthropic.claude-sonnet-4-5-20250929-v1:0", description="Bedrock's model or inference profile."
    )
    bedrock_region: str = Field(default="us-east-1", description="The region of Bedrock.")
    bedrock_endpoint_url: str | None = Field(default=None, description="A simulator in place of Bedrock.")
    bedrock_access_key_id: str | None = Field(
        default=None, description="Credentials for Bedrock alone, where the SDK's own are for another endpoint."
    )
    bedrock_secret_access_key: SecretStr | None = Field(default=None, description="The same: the secret key.")
    bedrock_session_token: SecretStr | None = Field(default=None, description="The same: the session token.")
    bedrock_guardrail_id: str | None = Field(default=None, description="The guardrail of every call to Bedrock.")
    bedrock_guardrail_version: str = Field(default="DRAFT", description="The guardrail's version.")
    bedrock_service_tier: str | None = Field(default=None, description="Bedrock's service tier.")
    openai_id: str = Field(default="gpt-5.2", description="OpenAI's model.")
    openai_base_url: str | None = Field(default=None, description="Another server that speaks OpenAI's API.")
    openai_api_key: SecretStr | None = Field(default=None, description="OpenAI's key; in AWS, use the secret instead.")
    openai_secret_arn: str | None = Field(default=None, description="The secret in Secrets Manager with OpenAI's key.")
    ttft_limit_ms: Annotated[int, Field(gt=0)] | None = Field(
        default=None, description="The longest wait for the first token; the failover policy's if unset."
    )
    primary_region: str | None = Field(default=None, description="Region of the primary, if its client has none.")
    fallback_region: str | None = Field(default=None, description="The same for the fallback: OpenAI's has none.")
    policies: ModelPolicies = Field(
        default=ModelPolicies(), description="Which vendors and regions may see which data, as JSON."
    )
    max_output_tokens: Annotated[int, Field(gt=0)] = Field(
        default=8_192, description="The longest answer of a model: so much is reserved before each call."
    )
    prices: dict[str, TokenPrice] = Field(
        default_factory=dict,
        description="What a million tokens cost in dollars, where the list price is unknown or not yours, as JSON "
        '{"model id": {"input": 3, "output": 15}}.',
    )
    quotas: dict[str, Annotated[int, Field(gt=0)]] = Field(
        default_factory=dict,
        description='Tokens per minute that all tenants share, as JSON {"model id": 200000}; none if it is not named.',
    )


class MeteredModel(FailoverModel):
    """An agent's models, with their prices. Without a `ledger`, as in evals, nothing is reserved."""

    ledger: MoneyLedger | None = None

    def __init__(
        self, primary: Model[Any], fallback: Model[Any] | None, settings: ModelSettings, *, version: str
    ) -> None:
        """The two models, or one alone, under the failover policy, whose `version` every decision records."""
        super().__init__(
            primary,
            fallback,
            policy=FailoverPolicy(version=version, ttft_limit_ms=settings.ttft_limit_ms),
            models=settings.policies,
            primary_region=settings.primary_region,
            fallback_region=settings.fallback_region,
        )
        self.prices = Prices(settings.prices)
        self.quotas = settings.quotas


def configured_model(vendor: Vendor, settings: ModelSettings) -> Model[Any]:
    """The model of a vendor as the settings describe it: the default choice of every agent."""
    return bedrock_model(settings) if vendor == "bedrock" else openai_model(settings)


def build_failover_model(
    primary: Model[Any], fallback: Model[Any] | None, settings: ModelSettings, *, version: str
) -> MeteredModel:
    """Two models, or one alone, under the failover policy, whose `version` every decision records."""
    settings.log_unknown_variables()
    return MeteredModel(primary, fallback, settings, version=version)


def bedrock_credentials(settings: ModelSettings) -> dict[str, str | None]:
    """Bedrock's own credentials, by the names that the AWS SDKs take; the SDK finds those that are not set."""
    return {
        "aws_access_key_id": settings.bedrock_access_key_id,
        "aws_secret_access_key": _shown(settings.bedrock_secret_access_key),
        "aws_session_token": _shown(settings.bedrock_session_token),
    }


def bedrock_model(settings: ModelSettings) -> Model[Any]:
    """Bedrock's Converse API through boto3. Retries are off: the failover policy owns them."""
    import boto3
    from botocore.config import Config
    from pydantic_ai.models.bedrock import BedrockConverseModel, BedrockModelSettings
    from pydantic_ai.providers.bedrock import BedrockProvider

    from switchyard.runtime.core.aws import open_blocking_session

    client = boto3.Session(botocore_session=open_blocking_session()).client(
        BEDROCK_RUNTIME,
        region_name=settings.bedrock_region,
        endpoint_url=settings.bedrock_endpoint_url,
        **bedrock_credentials(settings),
        config=Config(
            retries={"total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=MODEL_READ_TIMEOUT_S,
            max_pool_connections=64,
        ),
    )
    wanted = BedrockModelSettings(max_tokens=settings.max_output_tokens)
    if settings.bedrock_guardrail_id is not None:
        wanted["bedrock_guardrail_config"] = {
            "guardrailIdentifier": settings.bedrock_guardrail_id,
            "guardrailVersion": settings.bedrock_guardrail_version,
        }
    if settings.bedrock_service_tier is not None:
        wanted["bedrock_service_tier"] = {"type": settings.bedrock_service_tier}
    return BedrockConverseModel(settings.bedrock_id, provider=BedrockProvider(bedrock_client=client), settings=wanted)


def openai_model(settings: ModelSettings) -> Model[Any]:
    """OpenAI's chat completions, or any server that speaks them. Raises `ValueError` without a key."""
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
    from pydantic_ai.providers.openai import OpenAIProvider

    client = AsyncOpenAI(
        api_key=_openai_key(settings), base_url=settings.openai_base_url, max_retries=0, timeout=MODEL_READ_TIMEOUT_S
    )
    wanted = OpenAIChatModelSettings(max_tokens=settings.max_output_tokens)
    return OpenAIChatModel(settings.openai_id, provider=OpenAIProvider(openai_client=client), settings=wanted)


def _shown(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _openai_key(settings: ModelSettings) -> str | SecretKey:
    if settings.openai_api_key is not None:
        return settings.openai_api_key.get_secret_value()
    if settings.openai_secret_arn is None:
        raise ValueError("set SWITCHYARD_MODEL_OPENAI_SECRET_ARN, or SWITCHYARD_MODEL_OPENAI_API_KEY on a laptop")
    arn = settings.openai_secret_arn.split(":")
    if len(arn) < 7 or arn[2] != "secretsmanager":
        raise ValueError("SWITCHYARD_MODEL_OPENAI_SECRET_ARN must be the ARN of a secret, with its region")
    return SecretKey(settings.openai_secret_arn, partial(_secrets_client, arn[3]))


@cache
def _secrets_client(region: str) -> Any:
    import boto3

    return boto3.client("secretsmanager", region_name=region)


@asynccontextmanager
async def model_budget(
    model: FailoverModel, task: Task[Contract], *, margin_ms: int
) -> AsyncIterator[list[FailoverDecision]]:
    """Run an agent within the task's time less `margin_ms`, which is kept for storing the result.

    The list holds a decision for each model call once it is over. Each call is reserved in the money ledger, and raises
    what `MoneyLedger.reserve` raises.
    Raises `RetryableTaskError` when no model answered, and `PermanentTaskError` when the model policy permits none or a
    vendor refused the request itself, which the other one would refuse alike.
    """
    from pydantic_ai.exceptions import ModelAPIError

    time = task_model_budget(task, margin_ms=margin_ms)
    ledger = model.ledger if isinstance(model, MeteredModel) else None
    used = sum(each.input_tokens + each.output_tokens for each in time.earlier)
    meter = None if ledger is None else TaskMeter(ledger, task, time.total_ms, used)
    # The command goes to the agent that asks.
    agent, session = task.envelope.node_to, task.envelope.session_id
    with agent_span(agent, session), model.budget(time, labels=data_labels(task), meter=meter) as record:
        record.decisions = TracedDecisions(agent, session)
        try:
            yield record.decisions
        except AllModelsFailed as error:
            causes = [
                f"{attempt.role} {attempt.model_id}: {attempt.error_code or attempt.outcome}"
                for attempt in error.decision.attempts
            ]
            message = f"no model answered: {'; '.join(causes) or 'no time was left to ask any'}"
            failed = RetryableTaskError(
                "models_failed", message, remedy="see the vendors' status; the case was retried"
            )
            raise _with_model_attempts(failed, record.decisions) from error
        except ModelAPIError as error:
            if error.provider_error_code == NOT_SCRIPTED:
                message = "the scripted simulator has no answer to this prompt"
                failed_plainly = PermanentTaskError(NOT_SCRIPTED, message, remedy=NOT_SCRIPTED_REMEDY)
                raise _with_model_attempts(failed_plainly, record.decisions) from error
            # The vendor's text may quote the prompt: only its class goes on.
            message = f"the vendor refused the request ({type(error).__name__})"
            refused = PermanentTaskError("model_refused_request", message, remedy="see the agent's log")
            raise _with_model_attempts(refused, record.decisions) from error
        except ModelNotPermitted as error:
            remedy = "allow a vendor, model and region for this data in SWITCHYARD_MODEL_POLICIES"
            raise PermanentTaskError("model_not_permitted", str(error), "model_policy", remedy) from error
        except TaskError as error:
            # A draft that does not pass its check was paid for all the same.
            _with_model_attempts(error, record.decisions)
            raise


def _with_model_attempts(error: TaskError, decisions: Sequence[FailoverDecision]) -> TaskError:
    if error.model_call is None:
        error.model_call = model_call(decisions, prompt_version="")
    return error


def model_call(decisions: Sequence[FailoverDecision], *, prompt_version: str) -> ModelCall | None:
    """The record for the audit row: sums over an agent run's calls, and the decision of the one that says most. That is
    the first that left the primary, else the last."""
    if not decisions:
        return None
    decisive = next((decision for decision in decisions if decision.reason != "primary"), decisions[-1])
    return ModelCall(
        vendor=decisive.vendor,
        model_id=decisive.model_id,
        role=decisive.role,
        reason=decisive.reason,
        latency_ms=sum(decision.latency_ms for decision in decisions),
        ttft_ms=decisive.ttft_ms,
        calls=len(decisions),
        input_tokens=sum(decision.input_tokens for decision in decisions),
        output_tokens=sum(decision.output_tokens for decision in decisions),
        loser_tokens=sum(decision.loser_tokens for decision in decisions),
        prompt_version=prompt_version,
        policy_version=decisive.policy_version,
        decision=json.loads(decisive.model_dump_json(exclude_none=True)),
    )
