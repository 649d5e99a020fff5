"""IAM policies: for each process one for its task and one for ECS, which starts the task. Pure.

Terraform replaces `${...}` by facts of the deployment (`templatefile`). Condition keys are those of AWS's Service
Authorization Reference. `ForAllValues` is true for an absent key, so each has a `Null` condition that requires the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from switchyard.app.application import App
from switchyard.audit.records.roles import READER
from switchyard.infra.nodes import NodeNeeds, ingress_permissions, ingress_secrets
from switchyard.protocol.topology import BUS

IamStatement = dict[str, Any]

_HERE = "${region}:${account}"
_PARTITION = "arn:${partition}"
BUS_ARN = f"{_PARTITION}:events:{_HERE}:event-bus/{BUS}"


def task_policy(needed: NodeNeeds) -> dict[str, Any]:
    """The permissions of the process."""
    return _policy(
        *_queue(needed),
        # A put to a bus that does not exist "succeeds", so each process describes the bus when it starts.
        _allow("DescribeBus", "events:DescribeEventBus", BUS_ARN),
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
    return _policy(
        _allow("LogInToRegistry", "ecr:GetAuthorizationToken", "*"),  # the action has no resources
        _allow(
            "PullImage",
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            f"{_PARTITION}:ecr:{_HERE}:repository/{BUS}/{name}",
        ),
        _allow(
            "WriteLog",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            f"{_PARTITION}:logs:{_HERE}:log-group:/{BUS}/{name}:*",
        ),
        *_secrets(tuple(needed.secrets.values())),
    )


def ingress_policy(app: App) -> dict[str, Any]:
    """The permissions of the function behind the API; HCL adds those for its VPC access and its log."""
    source, emits = ingress_permissions(app)
    return _policy(_publish(source, emits), *_secrets(ingress_secrets(app)))


def _policy(*statements: IamStatement) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(
    sid: str, actions: str | list[str], resources: str | list[str], condition: dict[str, Any] | None = None
) -> IamStatement:
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
    return [
        _allow("ConsumeOwnQueue", [f"sqs:{action}" for action in actions], queues),
        *(
            [_allow("RedriveToOwnQueue", "sqs:SendMessage", own if len(own) > 1 else own[0])]
            if needed.has_inbox
            else []
        ),
        _key_statement("DecryptOwnMessages", key_actions, "${queues_key_arn}", service="sqs", context=context),
    ]


def _key_statement(
    sid: str, actions: list[str], key: str, *, service: str, context: dict[str, str | list[str]]
) -> IamStatement:
    """Use of a key by an AWS service on behalf of the role, limited to an encryption context."""
    # The DNS suffix differs by partition.
    condition = {
        "StringLike": {"kms:ViaService": f"{service}.${{region}}.amazonaws.com*"},
        "StringEquals": {f"kms:EncryptionContext:{name}": value for name, value in context.items()},
    }
    return _allow(sid, actions, key, condition)


def _publish(source: str, types: Iterable[str]) -> IamStatement:
    condition = {
        "ForAllValues:StringEquals": {"events:source": [source], "events:detail-type": sorted(set(types))},
        "Null": {"events:source": "false", "events:detail-type": "false"},
    }
    return _allow("PublishAsItself", "events:PutEvents", BUS_ARN, condition)


def _database(needed: NodeNeeds) -> list[IamStatement]:
    if needed.database is None:
        return []
    users = [f"${{{needed.database}_db_resource_id}}/{needed.node}"]
    users += [f"${{audit_db_resource_id}}/{READER}"] if needed.reviews else []
    logins = [f"{_PARTITION}:rds-db:{_HERE}:dbuser:{user}" for user in users]
    return [_allow("LogInToDatabase", "rds-db:connect", logins if len(logins) > 1 else logins[0])]


def _objects(needed: NodeNeeds) -> list[IamStatement]:
    bucket = f"{_PARTITION}:s3:::${{objects_bucket}}"
    artefacts = f"{bucket}/artefacts/*"
    written = [
        *([artefacts] if needed.has_inbox else []),
        *([f"{bucket}/quarantine/{needed.node}/*"] if needed.quarantines else []),
    ]
    statements: list[IamStatement] = []
    if written:
        statements.append(_allow("WriteObjects", "s3:PutObject", written))
    if needed.reads_artefacts:
        statements += [
            _allow("ReadArtefacts", "s3:GetObject", artefacts),
            # Without it S3 answers 403 instead of 404 for a deleted artefact, and its case would wait for it.
            _allow("ListToFindMissing", "s3:ListBucket", bucket),
        ]
    actions = [*(["kms:Decrypt"] if needed.reads_artefacts else []), *(["kms:GenerateDataKey"] if written else [])]
    if actions:
        # The bucket has a bucket key, so the context names the bucket and not the object.
        key = _key_statement("ObjectsKey", actions, "${objects_key_arn}", service="s3", context={"aws:s3:arn": bucket})
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
    return [_allow("UnwrapSubjectKeys", actions, "${vault_key_arn}", condition)]


def _models(needed: NodeNeeds) -> list[IamStatement]:
    if not needed.bedrock:
        return []
    profile = f"{_PARTITION}:bedrock:{_HERE}:inference-profile/${{bedrock_model}}"
    actions = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    models = [
        f"{_PARTITION}:bedrock:${{bedrock_region_{region}}}::foundation-model/${{bedrock_foundation_model}}"
        for region in ("a", "b", "c")
    ]
    through_profile = {"StringEquals": {"bedrock:InferenceProfileArn": profile}}
    return [
        _allow("InvokeModel", actions, profile),
        # The profile forwards the call to one of its regions; the model there accepts calls of the profile only.
        _allow("InvokeModelThroughProfile", actions, models, through_profile),
    ]


def _secrets(names: tuple[str, ...]) -> list[IamStatement]:
    if not names:
        return []
    arns = [f"${{secret_{name}}}" for name in names]
    context: dict[str, str | list[str]] = {"SecretARN": arns}
    return [
        _allow("ReadSecrets", "secretsmanager:GetSecretValue", arns),
        _key_statement("SecretsKey", ["kms:Decrypt"], "${secrets_key_arn}", service="secretsmanager", context=context),
    ]


def _checkpoint_statements(needed: NodeNeeds) -> list[IamStatement]:
    if not needed.writes_checkpoints:
        return []
    bucket = f"{_PARTITION}:s3:::${{checkpoints_bucket}}"
    actions = ["GetObject", "GetObjectRetention", "GetObjectVersion", "PutObject", "PutObjectRetention"]
    own_prefix = {"StringLike": {"s3:prefix": "checkpoints/*"}}
    algorithm = {"StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256"}}
    return [
        _allow("WriteAndReadCheckpoints", [f"s3:{action}" for action in actions], f"{bucket}/checkpoints/*"),
        _allow("ListCheckpoints", "s3:ListBucketVersions", bucket, own_prefix),
        _allow("SignCheckpoints", "kms:Sign", "${checkpoints_key_arn}", algorithm),
        _allow("ReadCheckpointKey", "kms:GetPublicKey", "${checkpoints_key_arn}"),
        _allow("AuthenticateRows", ["kms:Decrypt", "kms:Encrypt"], "${rows_key_arn}"),
    ]
