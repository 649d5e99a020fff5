"""IAM policies: for each process one for its task and one for ECS, which starts the task. Pure.

Terraform replaces `${...}` by facts of the deployment (`templatefile`). Condition keys are those of AWS's Service
Authorization Reference. `ForAllValues` is true for an absent key, so each has a `Null` condition that requires the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from switchyard.app.application import App
from switchyard.audit.records.roles import READER
from switchyard.infra.nodes import DatabaseName, NodeNeeds, ingress_permissions, ingress_secrets
from switchyard.protocol.bundles import BUNDLES_PREFIX
from switchyard.protocol.topology import BUS

IamStatement = dict[str, Any]

_HERE = "${region}:${account}"
_PARTITION = "arn:${partition}"
BUS_ARN = f"{_PARTITION}:events:{_HERE}:event-bus/{BUS}"


def task_policy(needed: NodeNeeds) -> dict[str, Any]:
    """The permissions of the process."""
    return as_policy(
        *_queue(needed),
        # A put to a bus that does not exist "succeeds", so each process describes the bus when it starts.
        allow("DescribeBus", "events:DescribeEventBus", BUS_ARN),
        *([_publish(needed.source, needed.emits)] if needed.emits else []),
        *_database(needed),
        *_objects(needed),
        *_vault(needed),
        *_models(needed),
        *_secrets(needed.fetches),
        *map(dict, needed.iam),
        *_checkpoint_statements(needed),
    )


def execution_policy(needed: NodeNeeds) -> dict[str, Any]:
    """The permissions of ECS to start the process: pull its image, write its log, read its secrets."""
    name = needed.node.replace("_", "-")
    return image_policy(name, name, secrets=tuple(needed.secrets.values()))


def image_policy(image: str, log: str, *, secrets: tuple[str, ...] = ()) -> dict[str, Any]:
    """The permissions of ECS to start a task: pull its image, write its log, read its secrets."""
    return as_policy(
        allow("LogInToRegistry", "ecr:GetAuthorizationToken", "*"),  # the action has no resources
        allow(
            "PullImage",
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            f"{_PARTITION}:ecr:{_HERE}:repository/{BUS}/{image}",
        ),
        allow(
            "WriteLog",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            f"{_PARTITION}:logs:{_HERE}:log-group:/{BUS}/{log}:*",
        ),
        *_secrets(secrets),
    )


def ingress_policy(app: App) -> dict[str, Any]:
    """The permissions of the function behind the API; HCL adds those for its VPC access and its log."""
    source, emits = ingress_permissions(app)
    return as_policy(_publish(source, emits), *_secrets(ingress_secrets(app)))


def as_policy(*statements: IamStatement) -> dict[str, Any]:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(
    sid: str, actions: str | list[str], resources: str | list[str], condition: dict[str, Any] | None = None
) -> IamStatement:
    """A statement that allows."""
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return statement | ({"Condition": condition} if condition else {})


def _queue(needed: NodeNeeds) -> list[IamStatement]:
    if needed.consumer is None:
        return []
    base = f"{_PARTITION}:sqs:{_HERE}:"
    own = [base + queue for queue in (needed.consumer.queue, *needed.consumer.lanes)]
    queues = [*own, base + needed.consumer.dead_letter_queue]
    actions = ["ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "ReceiveMessage"]
    key_actions = ["kms:Decrypt", *(["kms:GenerateDataKey"] if needed.has_inbox else [])]
    context: dict[str, str | list[str]] = {"aws:sqs:arn": queues}
    # An observer puts nothing back: what it cannot do waits for a person.
    sid, sent = ("SendToOwnDeadLetterQueue", queues[-1:]) if needed.observes else ("RedriveToOwnQueue", own)
    return [
        allow("ConsumeOwnQueue", [f"sqs:{action}" for action in actions], queues),
        *([allow(sid, "sqs:SendMessage", sent if len(sent) > 1 else sent[0])] if needed.has_inbox else []),
        key_statement("DecryptOwnMessages", key_actions, "${queues_key_arn}", service="sqs", context=context),
    ]


def key_statement(
    sid: str, actions: list[str], key: str, *, service: str, context: Mapping[str, str | list[str]]
) -> IamStatement:
    """Use of a key by an AWS service on behalf of the role, limited to an encryption context."""
    # The DNS suffix differs by partition.
    condition = {
        "StringLike": {"kms:ViaService": f"{service}.${{region}}.amazonaws.com*"},
        "StringEquals": {f"kms:EncryptionContext:{name}": value for name, value in context.items()},
    }
    return allow(sid, actions, key, condition)


def _publish(source: str, types: Iterable[str]) -> IamStatement:
    condition = {
        "ForAllValues:StringEquals": {"events:source": [source], "events:detail-type": sorted(set(types))},
        "Null": {"events:source": "false", "events:detail-type": "false"},
    }
    return allow("PublishAsItself", "events:PutEvents", BUS_ARN, condition)


def _database(needed: NodeNeeds) -> list[IamStatement]:
    if needed.database is None:
        return []
    users: list[tuple[DatabaseName, str]] = [(needed.database, needed.node)]
    if needed.log_reader is not None:
        users.append(("audit", needed.log_reader))
    return [database_logins(users)]


def database_logins(users: Iterable[tuple[DatabaseName, str]]) -> IamStatement:
    """Logging in to databases, each as one user."""
    base = f"{_PARTITION}:rds-db:{_HERE}:dbuser:"
    arns = [f"{base}${{{database}_db_resource_id}}/{user}" for database, user in users]
    return allow("LogInToDatabase", "rds-db:connect", arns[0] if len(arns) == 1 else arns)


def _objects(needed: NodeNeeds) -> list[IamStatement]:
    bucket = f"{_PARTITION}:s3:::${{objects_bucket}}"
    artefacts = f"{bucket}/artefacts/*"
    written = [
        *([artefacts] if needed.has_inbox else []),
        *([f"{bucket}/{BUNDLES_PREFIX}*"] if needed.is_agent else []),
        *([f"{bucket}/quarantine/{needed.node}/*"] if needed.quarantines else []),
    ]
    statements: list[IamStatement] = []
    if written:
        statements.append(allow("WriteObjects", "s3:PutObject", written))
    if needed.reads_artefacts:
        statements += [
            allow("ReadArtefacts", "s3:GetObject", artefacts),
            *([allow("ReadQuarantine", "s3:GetObject", f"{bucket}/quarantine/*")] if needed.shows_quarantine else []),
            # Without it S3 answers 403 instead of 404 for a deleted artefact, and its case would wait for it.
            allow("ListToFindMissing", "s3:ListBucket", bucket),
        ]
    actions = [*(["kms:Decrypt"] if needed.reads_artefacts else []), *(["kms:GenerateDataKey"] if written else [])]
    if actions:
        # The bucket has a bucket key, so the context names the bucket and not the object.
        key = key_statement("ObjectsKey", actions, "${objects_key_arn}", service="s3", context={"aws:s3:arn": bucket})
        statements.append(key)
    return statements


def _vault(needed: NodeNeeds) -> list[IamStatement]:
    if not needed.decrypts_artefacts:
        return []
    actions = ["kms:Decrypt", *(["kms:Encrypt"] if needed.creates_subject_keys else [])]
    condition = {
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["subject"]},
        "Null": {"kms:EncryptionContext:subject": "false"},
    }
    return [allow("UnwrapSubjectKeys", actions, "${vault_key_arn}", condition)]


def _models(needed: NodeNeeds) -> list[IamStatement]:
    if not needed.bedrock:
        return []
    profile = f"{_PARTITION}:bedrock:{_HERE}:inference-profile/${{bedrock_model}}"
    actions = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    # Of any region, and of none, as a global profile names it: the condition leaves the choice to the profile.
    model = f"{_PARTITION}:bedrock:*::foundation-model/${{bedrock_foundation_model}}"
    through_profile = {"StringEquals": {"bedrock:InferenceProfileArn": profile}}
    return [
        allow("InvokeModel", actions, profile),
        # The profile forwards the call to one of its regions; the model there accepts calls of the profile only.
        allow("InvokeModelThroughProfile", actions, model, through_profile),
        # Without a guardrail the name is empty, and no guardrail has that ARN.
        allow(
            "ApplyGuardrail", "bedrock:ApplyGuardrail", f"{_PARTITION}:bedrock:{_HERE}:guardrail/${{bedrock_guardrail}}"
        ),
    ]


def _secrets(names: tuple[str, ...]) -> list[IamStatement]:
    if not names:
        return []
    return read_secrets(tuple(f"${{secret_{name}}}" for name in names), "${secrets_key_arn}")


def read_secrets(arns: tuple[str, ...], key: str, which: str = "") -> list[IamStatement]:
    """Reading secrets that a key encrypts; `which` tells several such statements of a policy apart."""
    context: dict[str, str | list[str]] = {"SecretARN": [*arns]}
    return [
        allow(f"Read{which}Secrets", "secretsmanager:GetSecretValue", [*arns]),
        key_statement(f"{which}SecretsKey", ["kms:Decrypt"], key, service="secretsmanager", context=context),
    ]


def _checkpoint_statements(needed: NodeNeeds) -> list[IamStatement]:
    if not needed.writes_checkpoints:
        return read_checkpoints() if needed.log_reader == READER else []
    algorithm = {"StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256"}}
    return [
        allow("WriteCheckpoints", ["s3:PutObject", "s3:PutObjectRetention"], f"{_CHECKPOINTS}/checkpoints/*"),
        *read_checkpoints(),
        allow("SignCheckpoints", "kms:Sign", "${checkpoints_key_arn}", algorithm),
        allow("ReadCheckpointKey", "kms:GetPublicKey", "${checkpoints_key_arn}"),
        allow("AuthenticateRows", ["kms:Decrypt", "kms:Encrypt"], "${rows_key_arn}"),
    ]


_CHECKPOINTS = f"{_PARTITION}:s3:::${{checkpoints_bucket}}"


def keep_verifications() -> list[IamStatement]:
    """Writing and reading what was verified. A role with a right on the log's database must not have it."""
    actions = ["s3:GetObject", "s3:GetObjectRetention", "s3:GetObjectVersion", "s3:PutObject", "s3:PutObjectRetention"]
    own_prefix = {"StringLike": {"s3:prefix": "verifications/*"}}
    return [
        allow("KeepVerifications", actions, f"{_CHECKPOINTS}/verifications/*"),
        allow("ListVerifications", "s3:ListBucketVersions", _CHECKPOINTS, own_prefix),
    ]


def read_checkpoints() -> list[IamStatement]:
    """Reading checkpoints, every version of them and its lock."""
    actions = ["s3:GetObject", "s3:GetObjectRetention", "s3:GetObjectVersion"]
    own_prefix = {"StringLike": {"s3:prefix": "checkpoints/*"}}
    return [
        allow("ReadCheckpoints", actions, f"{_CHECKPOINTS}/checkpoints/*"),
        allow("ListCheckpoints", "s3:ListBucketVersions", _CHECKPOINTS, own_prefix),
    ]
