"""The people and the scheduled jobs that work on a deployment: for each role its database logins, its permissions, and
the commands that run on a schedule. Pure. Each role is an ECS task with the command line's image; none runs all day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from switchyard.app.application import App
from switchyard.infra.iam import (
    IamStatement,
    allow,
    as_policy,
    database_logins,
    image_policy,
    keep_verifications,
    key_statement,
    read_checkpoints,
    read_secrets,
)
from switchyard.infra.nodes import DatabaseName

OWNER = "switchyard_owner"
IMAGE = "cli"
_PARTITION = "arn:${partition}"
_BUCKET = f"{_PARTITION}:s3:::${{objects_bucket}}"
Logins = dict[str, tuple[DatabaseName, str]]
_READER: Logins = {"SWITCHYARD_AUDIT_DB_URL": ("audit", "audit_reader")}
_KEYS = {
    "SWITCHYARD_CHECKPOINT_PUBLIC_KEYS": "${checkpoint_public_key}",
    "SWITCHYARD_RECEIPT_PUBLIC_KEYS": "${receipt_public_key}",
}


@dataclass(frozen=True)
class Job:
    """A command that EventBridge Scheduler starts. An alarm says when it failed, and when it has not run in `hours`."""

    command: tuple[str, ...]
    schedule: str
    hours: int


@dataclass(frozen=True)
class OperationsRole:
    """A role of people, or of a job: what its task logs in as, reads and signs."""

    purpose: str
    databases: Logins
    """By environment variable: the database, and the user that it logs in as."""
    environment: dict[str, str]
    statements: tuple[IamStatement, ...] = ()
    command: tuple[str, ...] = ("switchyard", "--help")
    people: bool = True
    """Whether people start it; otherwise it only has jobs, or belongs to a deployment."""


_SIGN_RECEIPTS = (allow("SignReceipts", ["kms:GetPublicKey", "kms:Sign"], "${receipts_key_arn}"),)
_READ_ARTEFACTS = (
    allow("ReadArtefacts", "s3:GetObject", f"{_BUCKET}/artefacts/*"),
    allow("ListToFindMissing", "s3:ListBucket", _BUCKET),
    key_statement("ObjectsKey", ["kms:Decrypt"], "${objects_key_arn}", service="s3", context={"aws:s3:arn": _BUCKET}),
)
_READ_ROWS = (allow("AuthenticateRows", "kms:Decrypt", "${rows_key_arn}"),)


def operations(app: App) -> dict[str, OperationsRole]:
    """Every role, by name."""
    queues = [
        f"{_PARTITION}:sqs:${{region}}:${{account}}:{queue}"
        for consumer in app.consumers
        for queue in (consumer.queue, *consumer.lanes, consumer.dead_letter_queue)
    ]
    return {
        "migrate": OperationsRole(
            "Brings both databases up to date; as their owner.",
            {
                "SWITCHYARD_WORK_DB_OWNER_URL": ("work", OWNER),
                "SWITCHYARD_AUDIT_DB_OWNER_URL": ("audit", OWNER),
            },
            {
                "SWITCHYARD_WORK_DB_OWNER_SECRET_ARN": "${work_db_owner_secret}",
                "SWITCHYARD_AUDIT_DB_OWNER_SECRET_ARN": "${audit_db_owner_secret}",
            },
            # The owner's first password, with which it lets itself log in with IAM.
            tuple(
                statement
                for database in ("work", "audit")
                for statement in read_secrets(
                    (f"${{{database}_db_owner_secret}}",), f"${{{database}_db_key_arn}}", database.title()
                )
            ),
            ("switchyard", "migrate", "--env", "aws"),
            people=False,
        ),
        "operator": OperationsRole(
            "Halts, resumes and cancels what an operator signed, and reads what waits.",
            {"SWITCHYARD_OPERATOR_DB_URL": ("work", "operator"), **_READER},
            {},
        ),
        "reviewer": OperationsRole(
            "Reads one person's data, and the content that waits for an approval.",
            {
                "SWITCHYARD_REVIEWER_DB_URL": ("work", "reviewer"),
                "SWITCHYARD_OPERATOR_DB_URL": ("work", "operator"),
                **_READER,
            },
            {"SWITCHYARD_KMS_KEY_ID": "${vault_key_arn}", "SWITCHYARD_OBJECTS_BUCKET": "${objects_bucket}"},
            (
                *_READ_ARTEFACTS,
                allow(
                    "UnwrapSubjectKeys",
                    "kms:Decrypt",
                    "${vault_key_arn}",
                    {
                        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["subject"]},
                        "Null": {"kms:EncryptionContext:subject": "false"},
                    },
                ),
            ),
        ),
        "auditor": OperationsRole(
            "Proves the log: chains, MACs, checkpoints, receipts.",
            _READER,
            {
                "SWITCHYARD_CHECKPOINT_BUCKET": "${checkpoints_bucket}",
                "SWITCHYARD_CHECKPOINT_LOCK_MODE": "${checkpoint_lock_mode}",
                "SWITCHYARD_ROW_KMS_KEY_ID": "${rows_key_arn}",
            }
            | _KEYS,
            (*read_checkpoints(), *keep_verifications(), *_READ_ROWS),
        ),
        "reconciler": OperationsRole(
            "Compares what was published with the log, and has published again what the log lacks.",
            {"SWITCHYARD_RECONCILER_DB_URL": ("work", "reconciler"), **_READER},
            {},
            (allow("CountMessages", ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"], queues),),
        ),
        "retention": OperationsRole(
            "Retires cases whose time is over; places and releases legal holds.",
            {"SWITCHYARD_AUDIT_RETENTION_DB_URL": ("audit", "audit_retention"), **_READER},
            {"SWITCHYARD_OBJECTS_BUCKET": "${objects_bucket}", "SWITCHYARD_RECEIPT_KMS_KEY_ID": "${receipts_key_arn}"}
            | _KEYS,
            (
                *_SIGN_RECEIPTS,
                allow("RemoveArtefacts", "s3:DeleteObject", f"{_BUCKET}/artefacts/*"),
                allow("ListArtefacts", "s3:ListBucket", _BUCKET),
            ),
        ),
        "eraser": OperationsRole(
            "Erases a person.",
            {
                "SWITCHYARD_AUDIT_RETENTION_DB_URL": ("audit", "audit_retention"),
                "SWITCHYARD_VAULT_ERASER_DB_URL": ("work", "vault_eraser"),
            },
            {"SWITCHYARD_RECEIPT_KMS_KEY_ID": "${receipts_key_arn}"} | _KEYS,
            _SIGN_RECEIPTS,
        ),
    }


JOBS: dict[str, tuple[str, Job]] = {
    "reconcile": (
        "reconciler",
        Job(("switchyard", "audit", "reconcile", "--repair", "--since", "26h"), "rate(1 hour)", 3),
    ),
    # Every row once a day: SWITCHYARD_VERIFY_FULL_EVERY_H.
    "verify": ("auditor", Job(("switchyard", "audit", "verify", "--incremental"), "rate(1 hour)", 3)),
    "retention": (
        "retention",
        Job(("switchyard", "audit", "retention", "run", "--operator", "scheduled"), "cron(20 3 * * ? *)", 26),
    ),
    # Keys of erased persons that came back with a restored database.
    "erase-again": ("eraser", Job(("switchyard", "audit", "erase", "--again"), "cron(50 2 * * ? *)", 26)),
}
"""By name: the role of each scheduled job, and the job."""


def operations_container(role: OperationsRole) -> dict[str, Any]:
    """The variables of a role's container, in the format of an ECS container definition."""
    given = {
        "AWS_REGION": "${region}",
        "SWITCHYARD_ENV": "aws",
        "SWITCHYARD_DB_AUTH": "iam",
        "SWITCHYARD_DB_CA_FILE": "${db_ca_file}",
        **role.environment,
        **{
            variable: f"postgresql://{user}@${{{database}_db_host}}:5432/{database}"
            for variable, (database, user) in role.databases.items()
        },
    }
    return {"environment": [{"name": name, "value": value} for name, value in sorted(given.items())]}


def operations_policy(role: OperationsRole) -> dict[str, Any]:
    """The permissions of a role's task."""
    return as_policy(database_logins(dict.fromkeys(role.databases.values())), *role.statements)


def operations_execution_policy() -> dict[str, Any]:
    """The permissions of ECS to start any of these tasks."""
    return image_policy(IMAGE, "operations")


def operations_topology(app: App) -> dict[str, Any]:
    """The roles and jobs, as terraform makes resources of them."""
    return {
        "roles": {
            name: {"purpose": role.purpose, "command": list(role.command), "people": role.people}
            for name, role in operations(app).items()
        },
        "jobs": {
            name: {"role": role, "command": list(job.command), "schedule": job.schedule, "hours": job.hours}
            for name, (role, job) in JOBS.items()
        },
    }
