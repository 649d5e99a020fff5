"""People and scheduled jobs: what each role may do, and that each command finds its settings."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from services.app import APP
from switchyard.cli.app.main import app as command_line
from switchyard.cli.app.settings import CliSettings
from switchyard.infra.nodes import DRAIN_S
from switchyard.infra.operations import JOBS, operations
from switchyard.processes.databases import OPERATOR_ROLE, RECONCILER_ROLE, REVIEWER_ROLE
from switchyard.runtime.crypto.erasure import ERASER_ROLE
from tests.reference import topology
from tests.unit.terraform.evaluator import Request, Values, allows
from tests.unit.terraform.reading import ROOT, blocks, resources
from tests.unit.terraform.rendering import ACCOUNT, FACTS, REGION, rendered

ROLES = operations(APP)
USERS = (OPERATOR_ROLE, REVIEWER_ROLE, RECONCILER_ROLE, ERASER_ROLE, "audit", "audit_reader", "audit_retention")
OWNER = "switchyard_owner"
LOGINS = {
    "migrate": {("work", OWNER), ("audit", OWNER)},
    "operator": {("work", OPERATOR_ROLE), ("audit", "audit_reader")},
    "reviewer": {("work", REVIEWER_ROLE), ("work", OPERATOR_ROLE), ("audit", "audit_reader")},
    "auditor": {("audit", "audit_reader")},
    "reconciler": {("work", RECONCILER_ROLE), ("audit", "audit_reader")},
    "retention": {("audit", "audit_retention"), ("audit", "audit_reader")},
    "eraser": {("work", ERASER_ROLE), ("audit", "audit_retention")},
}
"""The databases that each role logs in to, and as whom."""


def may(role: str, action: str, resource: str, context: dict[str, Values] | None = None) -> bool:
    return allows(rendered(f"iam/operations/{role}.task.json"), Request(action, resource, context or {}))


@pytest.mark.parametrize("role", LOGINS)
def test_role_logs_in_as_its_own_users_only(role: str) -> None:
    assert set(LOGINS) == set(ROLES)
    for database in ("work", "audit"):
        for user in (*USERS, OWNER, "case_manager"):
            arn = f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{FACTS[f'{database}_db_resource_id']}/{user}"
            assert may(role, "rds-db:connect", arn) == ((database, user) in LOGINS[role]), arn


def test_owner_is_the_login_of_migrations_and_of_no_person() -> None:
    assert [name for name, users in LOGINS.items() if OWNER in {user for _, user in users}] == ["migrate"]
    assert not ROLES["migrate"].people


def test_role_has_the_rights_of_its_commands_only() -> None:
    artefact, bucket = "arn:aws:s3:::acme-objects/artefacts/case/sha", "arn:aws:s3:::acme-objects"
    checkpoint = "arn:aws:s3:::acme-checkpoints/checkpoints/main/1.json"
    verification = "arn:aws:s3:::acme-checkpoints/verifications/main/2026.json"
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:switchyard-audit"
    named: dict[str, Values] = {"kms:EncryptionContext:subject": "9f6c", "kms:EncryptionContextKeys": ["subject"]}
    via: dict[str, Values] = {
        "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
        "kms:EncryptionContext:SecretARN": FACTS["work_db_owner_secret"],
    }
    expected: list[tuple[str, str, dict[str, Values], set[str]]] = [
        ("s3:GetObject", artefact, {}, {"reviewer"}),
        ("s3:DeleteObject", artefact, {}, {"retention"}),
        ("s3:ListBucket", bucket, {}, {"reviewer", "retention"}),
        ("s3:GetObjectVersion", checkpoint, {}, {"auditor"}),
        ("s3:PutObject", checkpoint, {}, set()),
        ("s3:DeleteObject", checkpoint, {}, set()),
        ("s3:PutObject", verification, {}, {"auditor"}),
        ("s3:GetObjectVersion", verification, {}, {"auditor"}),
        ("s3:DeleteObject", verification, {}, set()),
        ("sqs:GetQueueAttributes", queue, {}, {"reconciler"}),
        ("sqs:ReceiveMessage", queue, {}, set()),
        ("kms:Sign", FACTS["receipts_key_arn"], {}, {"retention", "eraser"}),
        ("kms:Sign", FACTS["checkpoints_key_arn"], {}, set()),
        ("kms:Decrypt", FACTS["rows_key_arn"], {}, {"auditor"}),
        ("kms:Encrypt", FACTS["rows_key_arn"], {}, set()),
        ("kms:Decrypt", FACTS["vault_key_arn"], named, {"reviewer"}),
        ("kms:Decrypt", FACTS["vault_key_arn"], {}, set()),
        ("kms:Decrypt", FACTS["work_db_key_arn"], via, {"migrate"}),
        ("secretsmanager:GetSecretValue", FACTS["work_db_owner_secret"], {}, {"migrate"}),
        ("events:PutEvents", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/switchyard", {}, set()),
    ]
    for action, resource, context, who in expected:
        assert {role for role in ROLES if may(role, action, resource, context)} == who, (action, resource)


@pytest.mark.parametrize("role", LOGINS)
def test_container_of_a_role_has_valid_settings(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    container = rendered(f"containers/operations/{role}.json")
    given = {each["name"]: each["value"] for each in container["environment"]}
    known = set(map(CliSettings.variable_of, CliSettings.model_fields)) | {"SWITCHYARD_ENV"}
    assert set(given) <= known
    read = CliSettings.read({name: value for name, value in given.items() if name != "SWITCHYARD_ENV"})
    assert read.db_auth == "iam"
    if role == "auditor":
        assert read.checkpoint_lock_mode == FACTS["checkpoint_lock_mode"]


@pytest.mark.parametrize("job", JOBS)
def test_command_of_a_job_exists_and_its_role_has_what_it_needs(job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    role, made = JOBS[job]
    command = list(made.command)
    assert command.pop(0) == "switchyard"
    result = CliRunner().invoke(command_line, [*command, "--help"])
    assert result.exit_code == 0, result.output
    for option in [word for word in command if word.startswith("--")]:
        assert option in result.output
    # A variable that the command needs and the container lacks would be named in the error.
    for each in rendered(f"containers/operations/{role}.json")["environment"]:
        monkeypatch.setenv(each["name"], each["value"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    outcome = CliRunner().invoke(command_line, command)
    assert outcome.exit_code != 2, outcome.output
    assert "is not set" not in f"{outcome.output}{outcome.exception}"


def test_each_job_has_an_alarm_for_failure_and_for_not_having_run() -> None:
    assert set(JOBS) == {"reconcile", "verify", "retention", "erase-again"}
    assert topology()["operations"]["jobs"]["verify"]["hours"] == 3
    found = resources(ROOT / "modules" / "operations")
    for name, missing, over in (("failed", "notBreaching", 0), ("missed", "breaching", 1)):
        alarm = found["aws_cloudwatch_metric_alarm", name]
        assert alarm["for_each"] == "${var.operations.jobs}"
        assert (alarm["treat_missing_data"], alarm["threshold"]) == (missing, over)
    assert found["aws_cloudwatch_metric_alarm", "missed"]["evaluation_periods"] == "${each.value.hours}"
    # CloudWatch looks back seven days at most.
    assert all(job.hours * 3_600 <= 604_800 for _, job in JOBS.values())


def test_people_pass_no_other_role_and_nobody_runs_migrate() -> None:
    found = resources(ROOT / "modules" / "operations")
    assert found["aws_iam_policy", "run"]["for_each"] == "${local.people}"
    documents: dict[str, Any] = {}
    for block in blocks(ROOT / "modules" / "operations", "data"):
        documents |= block.get("aws_iam_policy_document", {})
    statements = {each["sid"]: each for each in documents["run"]["statement"]}
    assert statements["PassItsRoles"]["resources"] == [
        "${aws_iam_role.task[each.key].arn}",
        "${aws_iam_role.execution.arn}",
    ]
    assert "var.cluster.arn" in str(statements["RunAs"]["condition"])


def test_stop_of_a_process_leaves_it_time_to_drain() -> None:
    text = (ROOT / "modules" / "process" / "service.tf").read_text()
    assert DRAIN_S < 120
    assert "stopTimeout = 120" in text
