"""The permissions of each role. Every tested denial has an allowed request that differs in one point."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.cards import AGENT_CARDS
from contracts.catalogue import CATALOGUE
from services.app import EMAIL_FEEDBACK, IDENTITY
from switchyard.protocol.bundles import bundle_key
from switchyard.protocol.topology import dead_letter_queue_name, queue_name
from tests.reference import SECRETS, needs
from tests.unit.terraform.evaluator import Request, Values, allows
from tests.unit.terraform.rendering import ACCOUNT, FACTS, REGION, SECRET, rendered

CONSUMERS = (*CATALOGUE.nodes, EMAIL_FEEDBACK)
EVERYONE = (*CONSUMERS, IDENTITY)
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/switchyard"
PUBLISHERS = [node for node in EVERYONE if needs()[node].emits]
ARTEFACT = "arn:aws:s3:::acme-objects/artefacts/a-case/a-digest"


def may(node: str, action: str, resource: str, **context: Values) -> bool:
    """Whether the task of a node may; `a__b` in a key's name is `a:b`, and `a_b` is `a-b`."""
    keys = {name.replace("__", ":").replace("_", "-"): value for name, value in context.items()}
    return allows(rendered(f"iam/{node}.task.json"), Request(action, resource, keys))


def puts(node: str, source: str, type_: str, bus: str = BUS) -> bool:
    return may(node, "events:PutEvents", bus, events__source=[source], events__detail_type=[type_])


def kms(node: str, action: str, key: str, context: dict[str, Values]) -> bool:
    return allows(rendered(f"iam/{node}.task.json"), Request(action, FACTS[key], context))


def queue(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def queues(node: str) -> tuple[str, ...]:
    consumer = needs()[node].consumer
    return (queue_name(node), *(consumer.lanes if consumer else ()))


@pytest.mark.parametrize("node", EVERYONE)
def test_consumer_receives_from_its_own_queues_only(node: str) -> None:
    for other in EVERYONE:
        for name in (*queues(other), dead_letter_queue_name(other)):
            for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"):
                assert may(node, action, queue(name)) == (other == node and node in CONSUMERS), (action, name)
            assert not may(node, "sqs:PurgeQueue", queue(name))


@pytest.mark.parametrize("node", EVERYONE)
def test_consumer_with_an_inbox_sends_to_its_own_queue_only(node: str) -> None:
    for other in EVERYONE:
        for name in queues(other):
            own = other == node and needs()[node].has_inbox and not needs()[node].observes
            assert may(node, "sqs:SendMessage", queue(name)) == own
        dead_letters = queue(dead_letter_queue_name(other))
        assert may(node, "sqs:SendMessage", dead_letters) == (other == node and needs()[node].observes)


@pytest.mark.parametrize("node", PUBLISHERS)
def test_producer_publishes_own_types_from_own_source_only(node: str) -> None:
    own, mine = needs()[node].source, set(needs()[node].emits)
    for name in (type_.name for type_ in CATALOGUE.types):
        assert puts(node, own, name) == (name in mine), name
    for other in EVERYONE:
        for type_ in mine:
            assert puts(node, f"switchyard.{other}", type_) == (own == f"switchyard.{other}"), other
    type_ = min(mine)
    assert puts(node, own, type_)
    assert not puts(node, own, type_, bus=BUS.replace("/switchyard", "/default"))
    assert not puts(node, own + "x", type_)
    assert not puts(node, own.upper(), type_)


@pytest.mark.parametrize("node", PUBLISHERS)
def test_put_with_one_foreign_entry_is_denied(node: str) -> None:
    own, type_ = needs()[node].source, min(needs()[node].emits)
    for sources, allowed in (([own, own], True), ([own, "switchyard.other"], False)):
        assert may(node, "events:PutEvents", BUS, events__source=sources, events__detail_type=[type_, type_]) == allowed


@pytest.mark.parametrize("node", PUBLISHERS)
def test_put_without_a_source_or_a_type_is_denied(node: str) -> None:
    own, type_ = needs()[node].source, min(needs()[node].emits)
    assert may(node, "events:PutEvents", BUS, events__source=[own], events__detail_type=[type_])
    assert not may(node, "events:PutEvents", BUS, events__detail_type=[type_])
    assert not may(node, "events:PutEvents", BUS, events__source=[own])


def test_audit_publishes_nothing() -> None:
    assert CATALOGUE.types_emitted_by("audit") == ()
    for name in (type_.name for type_ in CATALOGUE.types):
        for node in EVERYONE:
            assert not puts("audit", f"switchyard.{node}", name)


def test_role_cannot_change_rules_buses_queues_or_roles() -> None:
    for node in EVERYONE:
        for action, resource in (
            ("events:PutRule", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/switchyard/switchyard-router"),
            ("events:PutPermission", BUS),
            ("sqs:SetQueueAttributes", queue(queue_name(node))),
            ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/switchyard-audit"),
            ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/switchyard-audit"),
            ("kms:PutKeyPolicy", FACTS["vault_key_arn"]),
        ):
            assert not may(node, action, resource), (node, action)


def test_role_logs_in_to_its_own_database_as_itself_only() -> None:
    for node in EVERYONE:
        for database, resource in (("work", "db-WORK"), ("audit", "db-AUDIT")):
            for user in (*EVERYONE, "operator", "reconciler", "audit_reader", "owner"):
                arn = f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{resource}/{user}"
                expected = user == node and needs()[node].database == database
                assert may(node, "rds-db:connect", arn) == expected, (node, arn)
    assert [node for node in EVERYONE if needs()[node].database == "audit"] == ["audit"]


def test_agent_with_bedrock_invokes_the_configured_model_only() -> None:
    base = f"arn:aws:bedrock:{REGION}"
    profile = f"{base}:{ACCOUNT}:inference-profile/{FACTS['bedrock_model']}"
    model = f"{base}::foundation-model/{FACTS['bedrock_foundation_model']}"
    callers = [node for node in EVERYONE if needs()[node].bedrock]
    assert callers
    for node in EVERYONE:
        for action in ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"):
            through: dict[str, Any] = {"bedrock__InferenceProfileArn": profile}
            assert may(node, action, profile) == (node in callers)
            assert may(node, action, model, **through) == (node in callers)
            assert not may(node, action, model), "the model must be invoked through its profile"
            assert not may(node, action, f"{base}::foundation-model/another", **through)
            assert not may(node, action, profile.replace("sonnet", "opus"))


def test_secret_is_read_by_its_roles_via_secrets_manager_only() -> None:
    for node in EVERYONE:
        for kind, held in (("task", needs()[node].fetches), ("execution", tuple(needs()[node].secrets.values()))):
            policy = rendered(f"iam/{node}.{kind}.json")
            for name in SECRETS:
                assert allows(policy, Request("secretsmanager:GetSecretValue", SECRET + name)) == (name in held)
                context = {
                    "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
                    "kms:EncryptionContext:SecretARN": SECRET + name,
                }
                assert allows(policy, Request("kms:Decrypt", FACTS["secrets_key_arn"], context)) == (name in held)
                del context["kms:ViaService"]  # a direct call of KMS
                assert not allows(policy, Request("kms:Decrypt", FACTS["secrets_key_arn"], context))


def test_consumer_decrypts_messages_of_its_own_queue_only() -> None:
    for node in EVERYONE:
        for other in EVERYONE:
            context: dict[str, Values] = {
                "kms:ViaService": f"sqs.{REGION}.amazonaws.com",
                "kms:EncryptionContext:aws:sqs:arn": queue(queue_name(other)),
            }
            assert kms(node, "kms:Decrypt", "queues_key_arn", context) == (other == node and node in CONSUMERS)
            assert not kms(node, "kms:Decrypt", "vault_key_arn", context)


def test_subject_keys_are_unwrapped_with_their_pseudonym_only() -> None:
    named: dict[str, Values] = {"kms:EncryptionContext:subject": "9f6c", "kms:EncryptionContextKeys": ["subject"]}
    more = named | {"kms:EncryptionContextKeys": ["subject", "tenant"], "kms:EncryptionContext:tenant": "acme"}
    openers = [node for node in EVERYONE if needs()[node].decrypts_artefacts]
    assert "router" not in openers
    assert "audit" not in openers
    for node in EVERYONE:
        assert kms(node, "kms:Decrypt", "vault_key_arn", named) == (node in openers)
        assert kms(node, "kms:Encrypt", "vault_key_arn", named) == (node == "case_manager")
        assert not kms(node, "kms:Decrypt", "vault_key_arn", {})
        assert not kms(node, "kms:Decrypt", "vault_key_arn", more)


def test_configuration_bundles_are_written_by_agents_only() -> None:
    place = f"arn:aws:s3:::acme-objects/{bundle_key('ab' * 32)}"
    for node in EVERYONE:
        assert may(node, "s3:PutObject", place) == (node in AGENT_CARDS)
        assert not may(node, "s3:DeleteObject", place)


def test_artefacts_need_decrypts_and_quarantine_a_role_prefix() -> None:
    for node in EVERYONE:
        needed = needs()[node]
        assert may(node, "s3:GetObject", ARTEFACT) == needed.reads_artefacts
        assert may(node, "s3:PutObject", ARTEFACT) == needed.has_inbox
        assert not may(node, "s3:DeleteObject", ARTEFACT)
        for other in EVERYONE:
            place = f"arn:aws:s3:::acme-objects/quarantine/{other}/a.json"
            assert may(node, "s3:PutObject", place) == (node == other and needed.quarantines)
            assert not may(node, "s3:GetObject", place)


def test_audit_alone_writes_checkpoints_and_cannot_delete_them() -> None:
    checkpoint = "arn:aws:s3:::acme-checkpoints/checkpoints/main/000000000001.json"
    es256: dict[str, Values] = {"kms:SigningAlgorithm": "ECDSA_SHA_256"}
    for node in EVERYONE:
        for action in ("s3:PutObject", "s3:PutObjectRetention", "s3:GetObjectVersion"):
            assert may(node, action, checkpoint) == (node == "audit")
        for action in ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"):
            assert not may(node, action, checkpoint)
        assert may(node, "s3:ListBucketVersions", "arn:aws:s3:::acme-checkpoints", s3__prefix="checkpoints/main/") == (
            node == "audit"
        )
        assert kms(node, "kms:Sign", "checkpoints_key_arn", es256) == (node == "audit")
        assert kms(node, "kms:Decrypt", "rows_key_arn", {}) == (node == "audit")
        assert not kms(node, "kms:Sign", "checkpoints_key_arn", {"kms:SigningAlgorithm": "RSASSA_PSS_SHA_256"})


def test_email_sender_alone_sends_email_from_our_domain_only() -> None:
    identity = f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/harborline.example"
    for node in EVERYONE:
        for action in ("ses:SendEmail", "ses:SendRawEmail"):
            assert may(node, action, identity, ses__FromAddress="a@harborline.example") == (node == "email_sender")
            assert not may(node, action, identity, ses__FromAddress="a@bank.example")
            assert not may(node, action, identity.replace("harborline", "bank"), ses__FromAddress="a@bank.example")


def test_identity_service_alone_uses_the_credentials_key_and_publishes_nothing() -> None:
    assert needs()[IDENTITY].emits == ()
    named: dict[str, Values] = {"kms:EncryptionContext:subject": "9f6c", "kms:EncryptionContextKeys": ["subject"]}
    for node in EVERYONE:
        for action in ("kms:Encrypt", "kms:Decrypt"):
            assert kms(node, action, "identity_kms_key_id", named) == (node == IDENTITY)
            assert not kms(node, action, "identity_kms_key_id", {})
            assert not may(node, action, FACTS["identity_kms_key_id"] + "-other")


def test_ingress_publishes_questions_and_renewed_grants_from_its_own_source_only() -> None:
    assert puts("ingress", "upstream.ingress", "CaseSubmitted")
    assert puts("ingress", "upstream.ingress", "GrantRenewed")
    assert not puts("ingress", "upstream.ingress", "SuppressionRequested")
    assert not puts("ingress", "upstream.email_feedback", "CaseSubmitted")
    assert not puts("ingress", "switchyard.case_manager", "CaseOpened")


def test_ingress_alone_reads_its_signing_key_and_certificate_and_no_other_secret() -> None:
    own = ("principal_key", "ingress_identity_files")
    for node in EVERYONE:
        for kind in ("task", "execution"):
            for key in own:
                request = Request("secretsmanager:GetSecretValue", SECRET + key)
                assert not allows(rendered(f"iam/{node}.{kind}.json"), request)
    for name in SECRETS:
        opens: dict[str, Values] = {
            "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
            "kms:EncryptionContext:SecretARN": SECRET + name,
        }
        mine = name in own
        assert may("ingress", "secretsmanager:GetSecretValue", SECRET + name) == mine
        assert kms("ingress", "kms:Decrypt", "secrets_key_arn", opens) == mine
        assert not may("ingress", "secretsmanager:PutSecretValue", SECRET + name)


@pytest.mark.parametrize("node", EVERYONE)
def test_ecs_pulls_image_and_writes_log_of_the_process_only(node: str) -> None:
    policy = rendered(f"iam/{node}.execution.json")
    for other in EVERYONE:
        name = other.replace("_", "-")
        image = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/switchyard/{name}"
        log = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/switchyard/{name}:log-stream:1"
        assert allows(policy, Request("ecr:BatchGetImage", image)) == (other == node)
        assert allows(policy, Request("logs:PutLogEvents", log)) == (other == node)
    assert not allows(policy, Request("events:PutEvents", BUS))


def test_policy_has_no_wildcard_action_or_resource() -> None:
    for node in EVERYONE:
        for kind in ("task", "execution"):
            for statement in rendered(f"iam/{node}.{kind}.json")["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                assert not [action for action in actions if "*" in action]
                if statement["Resource"] == "*":
                    assert actions == ["ecr:GetAuthorizationToken"]


@pytest.mark.parametrize("node", EVERYONE)
def test_policy_is_within_the_size_limit_of_a_role(node: str) -> None:
    for kind in ("task", "execution"):
        text = str(rendered(f"iam/{node}.{kind}.json")).replace(" ", "")
        assert len(text) <= 10_240, "the sum of a role's inline policies, without white space"
