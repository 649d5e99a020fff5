"""`switchyard doctor` against an emulator: every part that is missing or wrong is a line with a remedy."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from switchyard.cli.app.deployment_checks import Check, check_deployment
from switchyard.cli.app.target import Target
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET
from switchyard.protocol.topology import BUS
from tests.integration.cloud import Cloud
from tests.integration.infrastructure import Infrastructure

pytestmark = pytest.mark.integration
QUEUE = f"{BUS}-triage"


@dataclass
class Deployment:
    """An emulated deployment, and the shell of the person who looks at it."""

    environment: dict[str, str]

    async def examine(self, **changed: str) -> dict[str, Check]:
        found = [check async for check in check_deployment(Target(self.environment | changed), ask_models=False)]
        return {check.what: check for check in found}


@pytest.fixture
def deployment(infrastructure: Infrastructure, cloud: Cloud) -> Deployment:
    environment = {name: str(value) for name, value in infrastructure.environment.items()}
    return Deployment(
        {
            "PATH": "/usr/bin:/bin",
            **{name: value for name, value in environment.items() if name.startswith("AWS_")},
            "SWITCHYARD_CHECKPOINT_BUCKET": CHECKPOINT_BUCKET,
            "SWITCHYARD_CHECKPOINT_REQUIRE_LOCK": "false",
            "SWITCHYARD_WORK_DB_OWNER_URL": environment["SWITCHYARD_WORK_DB_OWNER_URL"],
        }
    )


async def test_whole_deployment_is_ok_line_by_line(deployment: Deployment) -> None:
    found = await deployment.examine()
    assert [check for check in found.values() if not check.ok] == []
    assert {"credentials", f"bus {BUS}", f"queue {QUEUE}", f"queue {QUEUE}-dlq", f"rule {QUEUE}"} <= found.keys()
    assert "database SWITCHYARD_WORK_DB_OWNER_URL" in found


async def test_examination_changes_nothing(deployment: Deployment, cloud: Cloud) -> None:
    async def state() -> Any:
        rules = (await cloud.events.list_rules(EventBusName=BUS))["Rules"]
        queues = sorted((await cloud.sqs.list_queues())["QueueUrls"])
        names = ("Policy", "RedrivePolicy", "VisibilityTimeout", "ApproximateNumberOfMessages")
        attributes = [
            (await cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))).get("Attributes")
            for url in queues
        ]
        return rules, queues, attributes

    before = await state()
    await deployment.examine()
    assert await state() == before


async def test_disabled_rule_is_bad_with_the_command_that_enables_it(deployment: Deployment, cloud: Cloud) -> None:
    await cloud.events.disable_rule(Name=QUEUE, EventBusName=BUS)
    try:
        check = (await deployment.examine())[f"rule {QUEUE}"]
    finally:
        await cloud.events.enable_rule(Name=QUEUE, EventBusName=BUS)
    assert (check.problem, QUEUE in str(check.remedy)) == ("it is disabled", True)


async def test_rule_with_another_pattern_or_target_is_bad(deployment: Deployment, cloud: Cloud) -> None:
    rule = await cloud.events.describe_rule(Name=QUEUE, EventBusName=BUS)
    targets = (await cloud.events.list_targets_by_rule(Rule=QUEUE, EventBusName=BUS))["Targets"]
    try:
        await cloud.events.put_rule(Name=QUEUE, EventBusName=BUS, EventPattern='{"source": ["other"]}')
        assert "another release" in str((await deployment.examine())[f"rule {QUEUE}"].problem)
        await cloud.events.put_rule(Name=QUEUE, EventBusName=BUS, EventPattern=rule["EventPattern"])
        await cloud.events.remove_targets(Rule=QUEUE, EventBusName=BUS, Ids=[each["Id"] for each in targets])
        assert "does not deliver" in str((await deployment.examine())[f"rule {QUEUE}"].problem)
    finally:
        await cloud.events.put_rule(Name=QUEUE, EventBusName=BUS, EventPattern=rule["EventPattern"])
        await cloud.events.put_targets(Rule=QUEUE, EventBusName=BUS, Targets=targets)
    assert (await deployment.examine())[f"rule {QUEUE}"].ok


async def test_dead_letters_that_wait_are_bad(deployment: Deployment, cloud: Cloud) -> None:
    await cloud.put_dead_letter("triage", "{}")
    try:
        check = (await deployment.examine())[f"queue {QUEUE}-dlq"]
    finally:
        await cloud.purge(f"{QUEUE}-dlq")
    assert (check.problem, "triage" in str(check.remedy)) == ("1 dead letters wait", True)


async def test_deployment_that_lacks_something_is_still_checked_for_every_other_line(
    deployment: Deployment,
) -> None:
    found = await deployment.examine(
        SWITCHYARD_BUS="other",
        SWITCHYARD_OBJECTS_BUCKET="absent",
        SWITCHYARD_ROW_KMS_KEY_ID="00000000-0000-4000-8000-000000000000",
        SWITCHYARD_WORK_DB_OWNER_SECRET_ARN="arn:aws:secretsmanager:us-east-1:000000000000:secret:absent",
        SWITCHYARD_AUDIT_DB_URL="postgresql://a@127.0.0.1:1/x",
    )
    bad = {what for what, check in found.items() if not check.ok}
    assert bad == {
        "bus other",
        "bucket absent",
        "key SWITCHYARD_ROW_KMS_KEY_ID",
        "secret SWITCHYARD_WORK_DB_OWNER_SECRET_ARN",
        "database SWITCHYARD_AUDIT_DB_URL",
    }
    assert all(found[what].remedy for what in bad)


async def test_enabled_key_and_secret_are_ok(deployment: Deployment, aws_session: Any) -> None:
    async with aws_session.create_client("kms") as kms, aws_session.create_client("secretsmanager") as secrets:
        key = (await kms.create_key())["KeyMetadata"]["KeyId"]
        try:
            arn = (await secrets.create_secret(Name="doctor", SecretString="x"))["ARN"]
        except ClientError:
            arn = (await secrets.describe_secret(SecretId="doctor"))["ARN"]
        found = await deployment.examine(SWITCHYARD_ROW_KMS_KEY_ID=key, SWITCHYARD_WORK_DB_OWNER_SECRET_ARN=arn)
        assert found["key SWITCHYARD_ROW_KMS_KEY_ID"].ok
        assert found["secret SWITCHYARD_WORK_DB_OWNER_SECRET_ARN"].ok
        await kms.disable_key(KeyId=key)
        check = (await deployment.examine(SWITCHYARD_ROW_KMS_KEY_ID=key))["key SWITCHYARD_ROW_KMS_KEY_ID"]
        assert "Disabled" in str(check.problem)


def test_command_prints_every_line_and_exits_with_1_for_a_bad_one(deployment: Deployment) -> None:
    code = "import sys; sys.argv[1:] = ['doctor', '--env', 'aws', *sys.argv[1:]]\n"
    code += "from switchyard.cli.app.entry import run; run()"
    command = [sys.executable, "-c", code]
    environment = {**deployment.environment, "PYTHONPATH": ":".join(sys.path), "COLUMNS": "200"}
    good = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=100)
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.splitlines()[-1].endswith(", 0 bad")
    environment["SWITCHYARD_OBJECTS_BUCKET"] = "absent"
    bad = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, check=False, env=environment, timeout=100
    )
    assert bad.returncode == 1
    assert [line["what"] for line in json.loads(bad.stdout) if not line["ok"]] == ["bucket absent"]
