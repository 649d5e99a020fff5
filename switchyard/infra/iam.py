"""IAM policies: for each consumer one for its task and one for ECS, which starts it. Pure.

`${...}` are the facts that terraform fills in (`templatefile`). Condition keys are AWS's, as its Service Authorization
Reference has them. `ForAllValues` holds for an absent key, too, so each one stands beside a `Null` that wants it there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from switchyard.app.application import App
from switchyard.infra.nodes import INGRESS_KEY, NodeNeeds, ingress_permissions
from switchyard.protocol.topology import BUS

IamStatement = dict[str, Any]

_HERE = "${region}:${account}"
_PARTITION = "arn:${partition}"
BUS_ARN = f"{_PARTITION}:events:{_HERE}:event-bus/{BUS}"


def task_policy(needed: NodeNeeds) -> dict[str, Any]:
    """What the process itself may do."""
    return _policy(
        _queue(needed),
        *([_redrive(needed)] if needed.redrives else []),
        _queue_key(needed),
        _describe_bus_statement(),
        *([_publish(needed.source, needed.emits)] if needed.emits else []),
        *_database(needed),
        *_objects(needed),
        *_vault(needed),
        *_models(needed),
        *_secrets(needed.fetches),
        *_email(needed),
        *_checkpoint_statements(needed),
    )


def execution_policy(needed: NodeNeeds) -> dict[str, Any]:
    """What ECS may do to start the process: pull its image, open its log, read the secrets of its environment."""
    name = needed.node.replace("_", "-")
    return _policy(
        {
            "Sid": "LogInToRegistry",
            "Effect": "Allow",
            "Action": "ecr:GetAuthorizationToken",
            "Resource": "*",  # the action knows no resources
        },
        {
            "Sid": "PullImage",
            "Effect": "Allow",
            "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Resource": f"{_PARTITION}:ecr:{_HERE}:repository/{BUS}/{name}",
        },
        {
            "Sid": "WriteLog",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{_PARTITION}:logs:{_HERE}:log-group:/{BUS}/{name}:*",
        },
        *_secrets(tuple(needed.secrets.values())),
    )


def ingress_policy(app: App) -> dict[str, Any]:
    """What the function behind the API may do. Its VPC access and log come from managed policies' actions in HCL."""
    source, emits = ingress_permissions(app)
    return _policy(_publish(source, emits), *_secrets((INGRESS_KEY,)))


def _policy(*statements: IamStatement) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _arns(needed: NodeNeeds) -> tuple[str, str]:
    base = f"{_PARTITION}:sqs:{_HERE}:"
    return base + needed.consumer.queue, base + needed.consumer.dead_letter_queue


def _queue(needed: NodeNeeds) -> IamStatement:
    return {
        "Sid": "ConsumeOwnQueue",
        "Effect": "Allow",
        "Action": [
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ReceiveMessage",
        ],
        "Resource": list(_arns(needed)),
    }


def _redrive(needed: NodeNeeds) -> IamStatement:
    return {
        "Sid": "RedriveToOwnQueue",
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": _arns(needed)[0],
    }


def _queue_key(needed: NodeNeeds) -> IamStatement:
    queue, dead_letters = _arns(needed)
    return _key_statement(
        "OpenOwnMessages",
        ["kms:Decrypt", *(["kms:GenerateDataKey"] if needed.redrives else [])],
        "${queues_key_arn}",
        service="sqs",
        context={"aws:sqs:arn": [queue, dead_letters]},
    )


def _key_statement(
    sid: str, actions: list[str], key: str, *, service: str, context: dict[str, str | list[str]]
) -> IamStatement:
    """A key that only a service may use for us, and only under the context that names what it is for."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions,
        "Resource": key,
        "Condition": {
            # The DNS suffix differs by partition.
            "StringLike": {"kms:ViaService": f"{service}.${{region}}.amazonaws.com*"},
            "StringEquals": {f"kms:EncryptionContext:{name}": value for name, value in context.items()},
        },
    }


def _describe_bus_statement() -> IamStatement:
    # A put to a bus that does not exist "succeeds": each process looks for it when it starts.
    return {"Sid": "SeeBus", "Effect": "Allow", "Action": "events:DescribeEventBus", "Resource": BUS_ARN}


def _publish(source: str, types: Iterable[str]) -> IamStatement:
    return {
        "Sid": "PublishAsItself",
        "Effect": "Allow",
        "Action": "events:PutEvents",
        "Resource": BUS_ARN,
        "Condition": {
            "ForAllValues:StringEquals": {"events:source": [source], "events:detail-type": sorted(set(types))},
            "Null": {"events:source": "false", "events:detail-type": "false"},
        },
    }


def _database(needed: NodeNeeds) -> list[IamStatement]:
    if needed.database is None:
        return []
    resource = f"${{{needed.database}_db_resource_id}}"
    return [
        {
            "Sid": "LogInToDatabase",
            "Effect": "Allow",
            "Action": "rds-db:connect",
            "Resource": f"{_PARTITION}:rds-db:{_HERE}:dbuser:{resource}/{needed.node}",
        }
    ]


def _objects(needed: NodeNeeds) -> list[IamStatement]:
    bucket = f"{_PARTITION}:s3:::${{objects_bucket}}"
    artefacts = f"{bucket}/artefacts/*"
    written = [
        *([artefacts] if needed.writes_artefacts else []),
        *([f"{bucket}/quarantine/{needed.node}/*"] if needed.quarantines else []),
    ]
    found: list[IamStatement] = []
    if written:
        found.append({"Sid": "WriteObjects", "Effect": "Allow", "Action": "s3:PutObject", "Resource": written})
    if needed.reads_artefacts:
        found += [
            {"Sid": "ReadArtefacts", "Effect": "Allow", "Action": "s3:GetObject", "Resource": artefacts},
            # Without it S3 answers 403 instead of 404 for an artefact that is gone, and a case would wait for it.
            {"Sid": "SeeThatAnArtefactIsGone", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket},
        ]
    actions = [*(["kms:Decrypt"] if needed.reads_artefacts else []), *(["kms:GenerateDataKey"] if written else [])]
    if actions:
        # The bucket has a bucket key, so the context names the bucket and not the object.
        key = _key_statement("SealObjects", actions, "${objects_key_arn}", service="s3", context={"aws:s3:arn": bucket})
        found.append(key)
    return found


def _vault(needed: NodeNeeds) -> list[IamStatement]:
    if not needed.decrypts_artefacts:
        return []
    return [
        {
            "Sid": "UnwrapPersonsKeys",
            "Effect": "Allow",
            "Action": ["kms:Decrypt", *(["kms:Encrypt"] if needed.creates_subject_keys else [])],
            "Resource": "${vault_key_arn}",
            "Condition": {
                "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["subject"]},
                "Null": {"kms:EncryptionContext:subject": "false"},
            },
        }
    ]


def _models(needed: NodeNeeds) -> list[IamStatement]:
    if not needed.bedrock:
        return []
    profile = f"{_PARTITION}:bedrock:{_HERE}:inference-profile/${{bedrock_model}}"
    actions = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    models = [
        f"{_PARTITION}:bedrock:${{bedrock_region_{place}}}::foundation-model/${{bedrock_foundation_model}}"
        for place in ("a", "b", "c")
    ]
    return [
        {"Sid": "AskModel", "Effect": "Allow", "Action": actions, "Resource": profile},
        # The profile sends the call to one of its regions; the model there may be asked in no other way.
        {
            "Sid": "AskModelThroughProfile",
            "Effect": "Allow",
            "Action": actions,
            "Resource": models,
            "Condition": {"StringEquals": {"bedrock:InferenceProfileArn": profile}},
        },
    ]


def _secrets(names: tuple[str, ...]) -> list[IamStatement]:
    if not names:
        return []
    arns = [f"${{secret_{name}}}" for name in names]
    return [
        {"Sid": "ReadSecrets", "Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arns},
        _key_statement(
            "OpenSecrets",
            ["kms:Decrypt"],
            "${secrets_key_arn}",
            service="secretsmanager",
            context={"SecretARN": arns},
        ),
    ]


def _email(needed: NodeNeeds) -> list[IamStatement]:
    if not needed.sends_email:
        return []
    base = f"{_PARTITION}:ses:{_HERE}"
    return [
        {
            "Sid": "SendMail",
            "Effect": "Allow",
            "Action": ["ses:SendEmail", "ses:SendRawEmail"],
            "Resource": [f"{base}:identity/${{email_domain}}", f"{base}:configuration-set/${{configuration_set}}"],
            "Condition": {"StringLike": {"ses:FromAddress": "*@${email_domain}"}},
        }
    ]


def _checkpoint_statements(needed: NodeNeeds) -> list[IamStatement]:
    if not needed.writes_checkpoints:
        return []
    bucket = f"{_PARTITION}:s3:::${{checkpoints_bucket}}"
    return [
        {
            "Sid": "WriteAndReadCheckpoints",
            "Effect": "Allow",
            "Action": [
                "s3:GetObject",
                "s3:GetObjectRetention",
                "s3:GetObjectVersion",
                "s3:PutObject",
                "s3:PutObjectRetention",
            ],
            "Resource": f"{bucket}/checkpoints/*",
        },
        {
            "Sid": "ListCheckpoints",
            "Effect": "Allow",
            "Action": "s3:ListBucketVersions",
            "Resource": bucket,
            "Condition": {"StringLike": {"s3:prefix": "checkpoints/*"}},
        },
        {
            "Sid": "SignCheckpoints",
            "Effect": "Allow",
            "Action": "kms:Sign",
            "Resource": "${checkpoints_key_arn}",
            "Condition": {"StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256"}},
        },
        {
            "Sid": "ReadCheckpointKey",
            "Effect": "Allow",
            "Action": "kms:GetPublicKey",
            "Resource": "${checkpoints_key_arn}",
        },
    ]
