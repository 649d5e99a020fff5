"""What each role may do. Every denial stands beside an allow that differs in one thing."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from services.app import EMAIL_FEEDBACK
from switchyard.protocol.topology import dead_letter_queue_name, queue_name
from tests.reference import SECRETS, needs
from tests.unit.terraform.evaluator import Request, Values, allows
from tests.unit.terraform.rendering import ACCOUNT, FACTS, REGION, SECRET, rendered

EVERYONE = (*CATALOGUE.nodes, EMAIL_FEEDBACK)
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


@pytest.mark.parametrize("node", EVERYONE)
def test_a_consumer_receives_from_its_own_queues_and_from_no_other(node: str) -> None:
    for other in EVERYONE:
        for name in (queue_name(other), dead_letter_queue_name(other)):
            for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"):
                assert may(node, action, queue(name)) == (other == node), (action, name)
            assert not may(node, "sqs:PurgeQueue", queue(name))


@pytest.mark.parametrize("node", EVERYONE)
def test_only_who_keeps_an_inbox_puts_a_message_back_and_only_on_its_own_queue(node: str) -> None:
    for other in EVERYONE:
        assert may(node, "sqs:SendMessage", queue(queue_name(other))) == (other == node and needs()[node].redrives)
        assert not may(node, "sqs:SendMessage", queue(dead_letter_queue_name(other)))


@pytest.mark.parametrize("node", PUBLISHERS)
def test_a_producer_publishes_each_of_its_types_as_itself_and_nothing_else(node: str) -> None:
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
def test_one_foreign_entry_among_many_refuses_the_put(node: str) -> None:
    own, type_ = needs()[node].source, min(needs()[node].emits)
    for sources, allowed in (([own, own], True), ([own, "switchyard.other"], False)):
        assert may(node, "events:PutEvents", BUS, events__source=sources, events__detail_type=[type_, type_]) == allowed


@pytest.mark.parametrize("node", PUBLISHERS)
def test_a_put_without_a_source_or_a_type_is_refused(node: str) -> None:
    own, type_ = needs()[node].source, min(needs()[node].emits)
    assert may(node, "events:PutEvents", BUS, events__source=[own], events__detail_type=[type_])
    assert not may(node, "events:PutEvents", BUS, events__detail_type=[type_])
    assert not may(node, "events:PutEvents", BUS, events__source=[own])


def test_audit_publishes_nothing() -> None:
    assert CATALOGUE.types_emitted_by("audit") == ()
    for name in (type_.name for type_ in CATALOGUE.types):
        for node in EVERYONE:
            assert not puts("audit", f"switchyard.{node}", name)


def test_nobody_touches_rules_buses_queues_or_roles() -> None:
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


def test_each_logs_in_to_one_database_as_itself_and_only_audit_to_audits() -> None:
    for node in EVERYONE:
        for database, resource in (("work", "db-WORK"), ("audit", "db-AUDIT")):
            for user in (*EVERYONE, "operator", "reconciler", "audit_reader", "owner"):
                arn = f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{resource}/{user}"
                expected = user == node and needs()[node].database == database
                assert may(node, "rds-db:connect", arn) == expected, (node, arn)
    assert [node for node in EVERYONE if needs()[node].database == "audit"] == ["audit"]


def test_only_agents_whose_card_names_bedrock_ask_the_named_model() -> None:
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
            assert not may(node, action, model), "the model is asked through its profile only"
            assert not may(node, action, f"{base}::foundation-model/another", **through)
            assert not may(node, action, profile.replace("sonnet", "opus"))


def test_secrets_are_read_by_those_whose_card_needs_them_and_opened_only_under_their_own_name() -> None:
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
                del context["kms:ViaService"]  # not by calling KMS itself
                assert not allows(policy, Request("kms:Decrypt", FACTS["secrets_key_arn"], context))


def test_a_consumer_opens_only_messages_of_its_own_queue() -> None:
    for node in EVERYONE:
        for other in EVERYONE:
            context: dict[str, Values] = {
                "kms:ViaService": f"sqs.{REGION}.amazonaws.com",
                "kms:EncryptionContext:aws:sqs:arn": queue(queue_name(other)),
            }
            assert kms(node, "kms:Decrypt", "queues_key_arn", context) == (other == node)
            assert not kms(node, "kms:Decrypt", "vault_key_arn", context)


def test_persons_keys_are_unwrapped_only_with_their_pseudonym_and_made_only_by_the_case_manager() -> None:
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


def test_artefacts_are_read_by_agents_whose_card_opens_something_and_quarantine_has_a_place_for_each() -> None:
    for node in EVERYONE:
        needed = needs()[node]
        assert may(node, "s3:GetObject", ARTEFACT) == needed.reads_artefacts
        assert may(node, "s3:PutObject", ARTEFACT) == needed.writes_artefacts
        assert not may(node, "s3:DeleteObject", ARTEFACT)
        for other in EVERYONE:
            place = f"arn:aws:s3:::acme-objects/quarantine/{other}/a.json"
            assert may(node, "s3:PutObject", place) == (node == other and needed.quarantines)
            assert not may(node, "s3:GetObject", place)


def test_only_audit_writes_and_signs_checkpoints_and_cannot_remove_or_unlock_one() -> None:
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
        assert not kms(node, "kms:Sign", "checkpoints_key_arn", {"kms:SigningAlgorithm": "RSASSA_PSS_SHA_256"})


def test_only_the_email_sender_sends_mail_and_only_from_our_domain() -> None:
    identity = f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/harborline.example"
    for node in EVERYONE:
        for action in ("ses:SendEmail", "ses:SendRawEmail"):
            assert may(node, action, identity, ses__FromAddress="a@harborline.example") == (node == "email_sender")
            assert not may(node, action, identity, ses__FromAddress="a@bank.example")
            assert not may(node, action, identity.replace("harborline", "bank"), ses__FromAddress="a@bank.example")


def test_the_ingress_submits_questions_under_its_own_name_and_nothing_else() -> None:
    assert puts("ingress", "upstream.ingress", "CaseSubmitted")
    assert not puts("ingress", "upstream.ingress", "SuppressionRequested")
    assert not puts("ingress", "upstream.email_feedback", "CaseSubmitted")
    assert not puts("ingress", "switchyard.case_manager", "CaseOpened")


def test_only_the_ingress_reads_the_key_that_it_signs_with_and_it_reads_no_other() -> None:
    key = SECRET + "principal_key"
    for node in EVERYONE:
        for kind in ("task", "execution"):
            assert not allows(rendered(f"iam/{node}.{kind}.json"), Request("secretsmanager:GetSecretValue", key))
    for name in SECRETS:
        opens: dict[str, Values] = {
            "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
            "kms:EncryptionContext:SecretARN": SECRET + name,
        }
        mine = name == "principal_key"
        assert may("ingress", "secretsmanager:GetSecretValue", SECRET + name) == mine
        assert kms("ingress", "kms:Decrypt", "secrets_key_arn", opens) == mine
        assert not may("ingress", "secretsmanager:PutSecretValue", SECRET + name)


@pytest.mark.parametrize("node", EVERYONE)
def test_ecs_pulls_the_image_of_the_process_and_writes_its_log_and_no_other(node: str) -> None:
    policy = rendered(f"iam/{node}.execution.json")
    for other in EVERYONE:
        name = other.replace("_", "-")
        image = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/switchyard/{name}"
        log = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/switchyard/{name}:log-stream:1"
        assert allows(policy, Request("ecr:BatchGetImage", image)) == (other == node)
        assert allows(policy, Request("logs:PutLogEvents", log)) == (other == node)
    assert not allows(policy, Request("events:PutEvents", BUS))


def test_no_policy_has_a_wildcard_where_a_name_could_stand() -> None:
    for node in EVERYONE:
        for kind in ("task", "execution"):
            for statement in rendered(f"iam/{node}.{kind}.json")["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                assert not [action for action in actions if "*" in action]
                if statement["Resource"] == "*":
                    assert actions == ["ecr:GetAuthorizationToken"]


@pytest.mark.parametrize("node", EVERYONE)
def test_every_policy_fits_into_a_role(node: str) -> None:
    for kind in ("task", "execution"):
        text = str(rendered(f"iam/{node}.{kind}.json")).replace(" ", "")
        assert len(text) <= 10_240, "the sum of a role's inline policies, without white space"
