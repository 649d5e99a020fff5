"""What each process needs of AWS, derived from the catalogue, the cards and the topology. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from contracts.cards import AGENT_CARDS, COMPLIANCE_CARD, DRAFTER_CARD
from contracts.catalogue import AUDIT, CASE_MANAGER, ROUTER, UPSTREAM_PREFIX, types_emitted_by
from contracts.events.upstream import CaseSubmitted, SuppressionRequested
from switchyard.app.topology import EMAIL_FEEDBACK, ConsumerQueues, consumers, feedback_consumer
from switchyard.protocol.envelope import SOURCE_PREFIX

Database = Literal["work", "audit"]
Egress = Literal["openai", "snowflake"]

INGRESS = "ingress"
"""The function behind the API: no consumer, so it has no queue."""

INGRESS_KEY = "principal_key"
"""The secret that the function signs with; no other role reads it."""

HEALTH_PORT = 8080
OPT_OUT_PORT = 8081

SECRETS = {
    "state_keys": "Keys that seal the router's state, as JSON.",
    "mac_key": "The key under which the case manager fingerprints submissions, 32 bytes in hex.",
    "optout_keys": "Keys that sign opt-out links, as JSON.",
    "openai_api_key": "The key for OpenAI's API, as plain text.",
    INGRESS_KEY: 'The Ed25519 key that the ingress signs who asks with, as JSON {"kid": "hex of 32 bytes"}.',
    "snowflake_token": "The OAuth token that text_to_sql logs in to Snowflake with.",
}
"""Every secret and what it holds. Terraform makes the place, a person puts the value."""


@dataclass(frozen=True)
class NodeNeeds:
    """One consumer's share of AWS. `secrets` maps variables of its container to names in `SECRETS`."""

    consumer: ConsumerQueues
    source: str
    emits: tuple[str, ...]
    database: Database | None
    redrives: bool
    writes_artefacts: bool
    reads_artefacts: bool
    quarantines: bool
    creates_subject_keys: bool
    decrypts_artefacts: bool
    bedrock: bool
    sends_email: bool
    writes_checkpoints: bool
    egress: tuple[Egress, ...]
    secrets: dict[str, str]
    fetches: tuple[str, ...]
    """Secrets that the process itself reads, so that they never stand in its environment."""
    port: int | None = None
    """Where the load balancer finds it, if the world may call it."""

    @property
    def node(self) -> str:
        """The consumer's name."""
        return self.consumer.node


def needs() -> dict[str, NodeNeeds]:
    """What every consumer needs, by node, in the catalogue's order."""
    return {consumer.node: _needs(consumer) for consumer in (*consumers(), feedback_consumer())}


def _needs(consumer: ConsumerQueues) -> NodeNeeds:
    node = consumer.node
    card = AGENT_CARDS.get(node)
    vendors, egress, decrypts = (card.vendors, card.egress, card.decrypts) if card else ((), (), ())
    has_inbox = card is not None or node == CASE_MANAGER
    emits = tuple(type_.name for type_ in types_emitted_by(node))
    return NodeNeeds(
        consumer=consumer,
        # What the email feedback process passes on comes from people and providers, as any upstream's.
        source=UPSTREAM_PREFIX + EMAIL_FEEDBACK if node == EMAIL_FEEDBACK else SOURCE_PREFIX + node,
        emits=(SuppressionRequested.__name__,) if node == EMAIL_FEEDBACK else emits,
        database="audit" if node == AUDIT else "work" if has_inbox else None,
        redrives=has_inbox,
        writes_artefacts=has_inbox,
        reads_artefacts=bool(decrypts),
        quarantines=node != AUDIT,
        creates_subject_keys=node == CASE_MANAGER,
        decrypts_artefacts=bool(decrypts) or node == CASE_MANAGER,
        bedrock="bedrock" in vendors,
        sends_email="ses" in egress,
        writes_checkpoints=node == AUDIT,
        egress=(*(("openai",) if "openai" in vendors else ()), *(("snowflake",) if "snowflake" in egress else ())),
        secrets=_secrets(node, egress),
        fetches=("openai_api_key",) if "openai" in vendors else (),
        port=OPT_OUT_PORT if node == EMAIL_FEEDBACK else None,
    )


def _secrets(node: str, egress: tuple[str, ...]) -> dict[str, str]:
    by_node = {
        ROUTER: {"SWITCHYARD_STATE_KEYS": "state_keys"},
        CASE_MANAGER: {"SWITCHYARD_MAC_KEY": "mac_key"},
        DRAFTER_CARD.name: {"SWITCHYARD_OPTOUT_KEYS": "optout_keys"},
        EMAIL_FEEDBACK: {"SWITCHYARD_OPTOUT_KEYS": "optout_keys"},
    }
    snowflake = {"SWITCHYARD_SNOWFLAKE_TOKEN": "snowflake_token"} if "snowflake" in egress else {}
    return by_node.get(node, {}) | snowflake


def environment(needed: NodeNeeds) -> dict[str, str]:
    """The container's variables. `${...}` are the facts that terraform fills in; a deployment's own are added there."""
    parts = (
        (True, _COMMON),
        (needed.quarantines, {"SWITCHYARD_OBJECTS_BUCKET": "${objects_bucket}"}),
        (needed.database is not None, _LOGIN),
        (needed.database == "work", {"SWITCHYARD_WORK_DB_URL": _address(needed)}),
        (needed.database == "audit", {"SWITCHYARD_AUDIT_DB_URL": _address(needed)}),
        # Every process with an inbox is composed with a wrapper of keys; its role decides what that may do.
        (needed.database == "work", {"SWITCHYARD_KMS_KEY_ID": "${vault_key_arn}"}),
        (needed.bedrock, _BEDROCK),
        ("openai" in needed.egress, _OPENAI),
        ("snowflake" in needed.egress, _SNOWFLAKE),
        (needed.writes_checkpoints, _CHECKPOINTS),
        (needed.sends_email, {"SWITCHYARD_SES_CONFIGURATION_SET": "${configuration_set}"}),
        (needed.node in {DRAFTER_CARD.name, COMPLIANCE_CARD.name}, {"SWITCHYARD_OPTOUT_URL": "${optout_url}"}),
        (needed.port is not None, {"SWITCHYARD_OPTOUT_HOST": _ANY, "SWITCHYARD_OPTOUT_PORT": str(needed.port)}),
    )
    return {name: value for applies, part in parts if applies for name, value in part.items()}


def _address(needed: NodeNeeds) -> str:
    return f"postgresql://{needed.node}@${{{needed.database}_db_host}}:5432/{needed.database}"


_ANY = "0.0.0.0"  # noqa: S104 - a task has an interface of its own, and its security group says who may call
_COMMON = {
    "AWS_REGION": "${region}",
    "SWITCHYARD_HEALTH_PORT": str(HEALTH_PORT),
    "SWITCHYARD_CODE_VERSION": "${code_version}",
    "SWITCHYARD_OTLP_ENDPOINT": "${otlp_endpoint}",
}
_LOGIN = {"SWITCHYARD_DB_AUTH": "iam", "SWITCHYARD_DB_CA_FILE": "${db_ca_file}"}
_BEDROCK = {"SWITCHYARD_MODEL_BEDROCK_ID": "${bedrock_model}", "SWITCHYARD_MODEL_BEDROCK_REGION": "${region}"}
_OPENAI = {
    "SWITCHYARD_MODEL_OPENAI_ID": "${openai_model}",
    "SWITCHYARD_MODEL_OPENAI_SECRET_ARN": "${secret_openai_api_key}",
}
_SNOWFLAKE = {
    "SWITCHYARD_SNOWFLAKE_ACCOUNT": "${snowflake_account}",
    "SWITCHYARD_SNOWFLAKE_WAREHOUSE": "${snowflake_warehouse}",
}
_CHECKPOINTS = {
    "SWITCHYARD_CHECKPOINT_BUCKET": "${checkpoints_bucket}",
    "SWITCHYARD_CHECKPOINT_KMS_KEY_ID": "${checkpoints_key_arn}",
}


def ingress_permissions() -> tuple[str, tuple[str, ...]]:
    """What the function behind the API may put on the bus: its source, and the types."""
    return UPSTREAM_PREFIX + INGRESS, (CaseSubmitted.__name__,)
