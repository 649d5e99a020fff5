"""What a deployment needs, asked of AWS and its databases by reading only: each answer is ok, or has a remedy."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from switchyard.cli.app.connections import open_aws_client, select_database_login
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target

if TYPE_CHECKING:
    from switchyard.protocol.topology import BusRule, ConsumerQueues

MODEL_PREFIX = "SWITCHYARD_MODEL_"
APPLY = "apply terraform, and compare the account and the region with those of this shell"
RIGHTS = "give this shell's AWS identity the right to read it, or run the command as one that has it"
CONNECT_TIMEOUT_S = 5


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. Without a `problem` it is as it should be."""

    what: str
    problem: str | None = None
    remedy: str | None = None
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return self.problem is None

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        return {"ok": self.ok, **asdict(self)}


async def check_deployment(target: Target, *, ask_models: bool) -> AsyncIterator[Check]:
    """Everything, in the order in which it depends on each other. Raises `CommandFailed` for an invalid variable."""
    yield await _checked("credentials", _identity(target))
    async with open_aws_client(target, "events") as events, open_aws_client(target, "sqs") as sqs:
        async for check in _messaging(target, events, sqs):
            yield check
    async with open_aws_client(target, "s3") as s3:
        yield await _checked(f"bucket {target.settings.objects_bucket}", _bucket(s3, target.settings.objects_bucket))
        if bucket := target.environment.get("SWITCHYARD_CHECKPOINT_BUCKET"):
            locked = target.settings.checkpoint_require_lock
            yield await _checked(f"bucket {bucket}", _bucket(s3, bucket, locked=locked))
    for name, value in sorted(target.environment.items()):
        if name.startswith("SWITCHYARD_") and value:
            if name.endswith("_SECRET_ARN"):
                yield await _checked(f"secret {name}", _secret(target, value))
            elif name.endswith("_KMS_KEY_ID"):
                yield await _checked(f"key {name}", _key(target, value))
            elif name.endswith(("_DB_URL", "_DB_OWNER_URL")):
                yield await _checked(f"database {name}", _database(target, value))
    if ask_models:
        yield await _checked("model of bedrock", _bedrock(target))


async def _messaging(target: Target, events: Any, sqs: Any) -> AsyncIterator[Check]:
    from switchyard.app.application import load_app

    bus = target.settings.bus
    yield await _checked(f"bus {bus}", events.describe_event_bus(Name=bus))
    for consumer in load_app().consumers:
        dead: dict[str, str] = {}
        yield await _checked(f"queue {consumer.dead_letter_queue}", _dead_letters(sqs, consumer, dead))
        for queue in (consumer.queue, *consumer.lanes):
            arn: dict[str, str] = {}
            yield await _checked(f"queue {queue}", _queue(sqs, queue, dead, arn))
            for rule in (each for each in consumer.rules if each.queue == queue):
                yield await _checked(f"rule {rule.name}", _rule(events, rule, arn))


class _Wrong(Exception):
    """What was found is not as it should be."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


async def _checked(what: str, look: Awaitable[Any]) -> Check:
    """A look, as a line. What AWS or a database refuses is a finding, and so is what cannot be reached."""
    import asyncpg
    from botocore.exceptions import BotoCoreError, ClientError

    from switchyard.runtime.core.errors import TaskError

    database_errors = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    try:
        detail = await look
    except _Wrong as error:
        return Check(what, str(error), error.remedy)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "refused"))
        missing = any(word in code for word in ("NotFound", "NonExistent", "NoSuch", "404"))
        return Check(what, "missing" if missing else f"AWS refused: {code}", APPLY if missing else RIGHTS)
    except BotoCoreError as error:
        return Check(what, f"AWS cannot be asked: {error}", "check credentials, region and network of this shell")
    except (OSError, ValueError, TaskError, *database_errors) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Check(what, f"no answer: {why[:200]}", "check the address, the network to it, and the role's rights")
    return Check(what, detail=detail if isinstance(detail, str) else "")


async def _identity(target: Target) -> str:
    async with open_aws_client(target, "sts") as sts:
        return str((await sts.get_caller_identity())["Arn"])


async def _dead_letters(sqs: Any, consumer: ConsumerQueues, found: dict[str, str]) -> str:
    attributes = await _attributes(sqs, consumer.dead_letter_queue)
    found["arn"] = attributes["QueueArn"]
    if waiting := int(attributes.get("ApproximateNumberOfMessages", 0)):
        remedy = f"see that {consumer.node} is running: it drains its dead letters itself, and ends their cases"
        raise _Wrong(f"{waiting} dead letters wait", remedy)
    return "empty"


async def _queue(sqs: Any, name: str, dead: dict[str, str], found: dict[str, str]) -> str:
    attributes = await _attributes(sqs, name)
    found["arn"] = attributes["QueueArn"]
    redrive = json.loads(attributes.get("RedrivePolicy") or "{}")
    if "arn" in dead and redrive.get("deadLetterTargetArn") != dead["arn"]:
        raise _Wrong("its dead letters go elsewhere", APPLY)
    if "Policy" not in attributes:
        raise _Wrong("no rule may send to it: it has no policy", APPLY)
    return f"{attributes.get('ApproximateNumberOfMessages', '0')} messages"


async def _attributes(sqs: Any, name: str) -> dict[str, str]:
    url = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
    found: dict[str, str] = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
    return found


async def _rule(events: Any, rule: BusRule, arn: dict[str, str]) -> None:
    found = await events.describe_rule(Name=rule.name, EventBusName=rule.bus)
    if found.get("State") != "ENABLED":
        raise _Wrong("it is disabled", f"aws events enable-rule --name {rule.name} --event-bus-name {rule.bus}")
    if json.loads(found.get("EventPattern") or "{}") != rule.pattern:
        raise _Wrong("its pattern is that of another release", APPLY)
    targets = (await events.list_targets_by_rule(Rule=rule.name, EventBusName=rule.bus))["Targets"]
    if "arn" in arn and arn["arn"] not in {each["Arn"] for each in targets}:
        raise _Wrong(f"it does not deliver to {rule.queue}", APPLY)


async def _bucket(s3: Any, name: str, *, locked: bool = False) -> str:
    await s3.head_bucket(Bucket=name)
    if not locked:
        return ""
    found = (await s3.get_object_lock_configuration(Bucket=name))["ObjectLockConfiguration"]
    if found.get("ObjectLockEnabled") != "Enabled":
        raise _Wrong("it has no Object Lock: a checkpoint could be deleted", APPLY)
    return "Object Lock"


async def _secret(target: Target, arn: str) -> None:
    async with open_aws_client(target, "secretsmanager") as secrets:
        found = await secrets.describe_secret(SecretId=arn)
    if found.get("DeletedDate"):
        raise _Wrong("it is being deleted", "aws secretsmanager restore-secret, or name the one in its place")


async def _key(target: Target, key_id: str) -> str:
    async with open_aws_client(target, "kms") as kms:
        found = (await kms.describe_key(KeyId=key_id))["KeyMetadata"]
    if not found.get("Enabled", False):
        raise _Wrong(f"its state is {found.get('KeyState', 'unknown')}", "aws kms enable-key, or cancel its deletion")
    return str(found.get("KeySpec", ""))


async def _database(target: Target, url: str) -> str:
    import asyncpg

    options = select_database_login(target).options(url)
    connection = await asyncpg.connect(**options, timeout=CONNECT_TIMEOUT_S)
    try:
        return str(await connection.fetchval("select format('%s as %s', current_database(), current_user)"))
    finally:
        await connection.close()


async def _bedrock(target: Target) -> str:
    """One token of the model that the agents are set to."""
    from aiobotocore.session import get_session

    from switchyard.runtime.core.aws import create_aws_client

    given = target.environment
    model = given.get(f"{MODEL_PREFIX}BEDROCK_ID")
    if not model:
        raise _Wrong("it is not known here", f"export {MODEL_PREFIX}BEDROCK_ID as the agents have it")
    region = given.get(f"{MODEL_PREFIX}BEDROCK_REGION") or target.settings.aws_region
    endpoint = given.get(f"{MODEL_PREFIX}BEDROCK_ENDPOINT_URL") or None
    async with create_aws_client(get_session(), "bedrock-runtime", region=region, endpoint_url=endpoint) as bedrock:
        await bedrock.converse(
            modelId=model,
            messages=[{"role": "user", "content": [{"text": "ping"}]}],
            inferenceConfig={"maxTokens": 1},
        )
    return f"{model} in {region}"


def require_account(checks: list[Check]) -> None:
    """Raise `CommandFailed` without an account to ask as: every other line would repeat it."""
    first = checks[0]
    if not first.ok:
        raise CommandFailed(f"{first.what}: {first.problem}", remedy=first.remedy)
