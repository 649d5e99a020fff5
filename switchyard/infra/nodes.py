"""The AWS resources and permissions of each process, derived from the App. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from switchyard.app.application import App
from switchyard.audit.records.roles import CALLERS, READER
from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER, ROUTER, UPSTREAM_PREFIX
from switchyard.protocol.envelope import SOURCE_PREFIX
from switchyard.protocol.topology import ConsumerQueues

DatabaseName = Literal["work", "audit"]

INGRESS = "ingress"
"""The function behind the API. It consumes no events, so it has no queue."""

INGRESS_KEY = "principal_key"
"""The secret with the function's signing key; no other role reads it."""

HEALTH_PORT = 8080
HTTP_PORT = 8081
DRAIN_S = 100
"""How long a stop may take: a call of a model that ends in time is not paid for twice. ECS kills after 120 s."""

_SECRETS = {
    "state_keys": "Keys that seal the router's state, as JSON.",
    "mac_key": "The key under which the case manager fingerprints submissions, 32 bytes in hex.",
    "person_key": "The key under which the case manager and the API fingerprint people, 32 bytes in hex.",
    "openai_api_key": "The key for OpenAI's API, as plain text.",
    INGRESS_KEY: 'The Ed25519 key with which the ingress signs principals, as JSON {"kid": "hex of 32 bytes"}.',
}


_CLIENT_FILES = (
    'Certificates with which {} asks the identity service, as JSON {{"ca": "..", "certificate": "..", "key": ".."}}.'
)


def secrets(app: App) -> dict[str, str]:
    """Every secret and its description. Terraform creates the secret, an operator sets its value."""
    callers = (*app.identity.agents, *app.identity.callers) if app.identity else ()
    return _SECRETS | {client_files(caller): _CLIENT_FILES.format(caller) for caller in callers} | dict(app.secrets)


def client_files(caller: str) -> str:
    """The secret with the certificate of one who calls the identity service."""
    return f"{caller}_identity_files"


@dataclass(frozen=True)
class NodeNeeds:
    """The needs of one process. `secrets` maps environment variables of its container to names of secrets."""

    node: str
    consumer: ConsumerQueues | None
    """Its queues; None for a server, which handles no event."""
    source: str
    emits: tuple[str, ...]
    database: DatabaseName | None
    has_inbox: bool
    """Whether it records tasks in an inbox, stores artefacts and puts dead letters back on its queue."""
    observes: bool
    """Whether it observes: it puts what it cannot do on its dead-letter queue, where a person finds it."""
    reads_artefacts: bool
    quarantines: bool
    creates_subject_keys: bool
    decrypts_artefacts: bool
    bedrock: bool
    writes_checkpoints: bool
    log_reader: str | None
    """The role as which it reads the log for people; None if it does not."""
    egress: tuple[str, ...]
    secrets: dict[str, str]
    fetches: tuple[str, ...]
    """Secrets that the process reads itself, so that they are not in its environment."""
    variables: dict[str, str]
    """Environment variables of this process only, each with the fact that is its value."""
    local_secrets: Mapping[str, str]
    """Secrets that it has without AWS only, by variable."""
    iam: tuple[Mapping[str, Any], ...] = ()
    """Statements of its own, beside those that follow from the rest."""
    http: str | None = None
    port: int | None = None
    """The port of its public page, or of a server; None without one."""

    @property
    def is_agent(self) -> bool:
        """Whether it has a card, and with it a configuration bundle."""
        return self.has_inbox and self.node != CASE_MANAGER

    @property
    def shows_quarantine(self) -> bool:
        """Whether people read refused messages through it."""
        return self.log_reader == READER

    @property
    def databases(self) -> list[DatabaseName]:
        """Every database that it logs in to, as itself or as a reader."""
        own: list[DatabaseName] = [] if self.database is None else [self.database]
        return [*own, "audit"] if self.log_reader and self.database != "audit" else own

    @property
    def held(self) -> dict[str, str]:
        """The secrets that are in its environment without AWS, by variable. In AWS, IAM makes the added ones needless.

        A database's secret is the login of the process's own role.
        """
        parts = (
            (self.database is not None, {f"SWITCHYARD_{self.database}_DB_URL".upper(): f"{self.database}_login"}),
            (self.has_inbox or self.log_reader is not None, {"SWITCHYARD_VAULT_KEY": "vault_key"}),
            (self.log_reader is not None, {"SWITCHYARD_AUDIT_DB_URL": f"{self.log_reader}_login"}),
            (self.writes_checkpoints, {"SWITCHYARD_CHECKPOINT_KEY": "checkpoint_key", "SWITCHYARD_ROW_KEY": "row_key"}),
            ("openai_api_key" in self.fetches, {"SWITCHYARD_MODEL_OPENAI_API_KEY": "openai_api_key"}),
            (True, dict(self.local_secrets)),
        )
        return self.secrets | {name: value for applies, part in parts if applies for name, value in part.items()}


def needs(app: App) -> dict[str, NodeNeeds]:
    """The needs of every process, by node: consumers in the catalogue's order, then servers."""
    consumers = {consumer.node: _needs(app, consumer.node, consumer) for consumer in app.consumers}
    return consumers | {server.node: _needs(app, server.node, None) for server in app.servers}


def _needs(app: App, node: str, consumer: ConsumerQueues | None) -> NodeNeeds:
    card = app.cards.get(node)
    vendors, egress, decrypts = (card.vendors, card.egress, card.decrypts) if card else ((), (), ())
    process = next((process for process in app.processes if process.node == node), None)
    upstream = process is not None and process.consumer is not None
    has_inbox = card is not None or node == CASE_MANAGER
    fetched = dict(process.fetched_secrets) if process else {}
    variables = dict(process.environment) if process else {}
    if app.identity is not None and node in app.identity.agents:
        fetched["SWITCHYARD_IDENTITY_FILES_SECRET_ARN"] = client_files(node)
        variables |= _IDENTITY_CLIENT
    emits = tuple(type_.name for type_ in app.catalogue.types_emitted_by(node))
    own_schema = process is not None and process.database
    log_reader = (READER if process.reviews else CALLERS if process.answers else None) if process is not None else None
    return NodeNeeds(
        node=node,
        consumer=consumer,
        # Such a process publishes reports of people and providers, as an upstream does.
        source=UPSTREAM_PREFIX + node if upstream else SOURCE_PREFIX + node,
        emits=process.publishes if process is not None and upstream else emits,
        database="audit" if node == AUDIT else "work" if has_inbox or own_schema else None,
        has_inbox=has_inbox,
        observes=node in app.catalogue.observers,
        reads_artefacts=bool(decrypts) or log_reader is not None,
        quarantines=consumer is not None and node != AUDIT,
        creates_subject_keys=node == CASE_MANAGER,
        decrypts_artefacts=bool(decrypts) or node == CASE_MANAGER or log_reader is not None,
        bedrock="bedrock" in vendors,
        writes_checkpoints=node == AUDIT,
        log_reader=log_reader,
        egress=(*(("openai",) if "openai" in vendors else ()), *egress, *(process.egress if process else ())),
        secrets=_ENGINE_SECRETS.get(node, {}) | dict(process.secrets if process else {}),
        fetches=(*(("openai_api_key",) if "openai" in vendors else ()), *fetched.values()),
        variables=variables | {variable: f"secret_{name}" for variable, name in fetched.items()},
        local_secrets=process.local_secrets if process else {},
        iam=process.iam if process else (),
        http=process.http if process else None,
        port=HTTP_PORT if process and process.http else None,
    )


_IDENTITY_CLIENT = {
    f"SWITCHYARD_{fact.upper()}": fact
    for fact in ("identity_url", "identity_tls_ca", "identity_tls_certificate", "identity_tls_key")
}
_ENGINE_SECRETS = {
    ROUTER: {"SWITCHYARD_STATE_KEYS": "state_keys"},
    CASE_MANAGER: {"SWITCHYARD_MAC_KEY": "mac_key", "SWITCHYARD_PERSON_KEY": "person_key"},
}


def environment(needed: NodeNeeds) -> dict[str, str]:
    """The container's environment. Terraform replaces `${...}` by facts and adds the variables of a deployment."""
    parts = (
        (True, _COMMON),
        (needed.quarantines or needed.log_reader is not None, {"SWITCHYARD_OBJECTS_BUCKET": "${objects_bucket}"}),
        (needed.database is not None, _LOGIN),
        (needed.database == "work", {"SWITCHYARD_WORK_DB_URL": _address(needed)}),
        (needed.database == "audit", {"SWITCHYARD_AUDIT_DB_URL": _address(needed)}),
        (
            needed.log_reader is not None,
            {"SWITCHYARD_AUDIT_DB_URL": f"postgresql://{needed.log_reader}@${{audit_db_host}}:5432/audit"},
        ),
        # Every process with an inbox has a key wrapper; the permissions of its role limit it.
        (needed.has_inbox or needed.log_reader is not None, {"SWITCHYARD_KMS_KEY_ID": "${vault_key_arn}"}),
        (needed.bedrock, _BEDROCK),
        ("openai" in needed.egress, _OPENAI),
        (needed.writes_checkpoints, _CHECKPOINTS),
        (needed.log_reader == READER, _REVIEWED),
        (True, {name: f"${{{fact}}}" for name, fact in needed.variables.items()}),
        (needed.http is not None, {f"{needed.http}_HOST": _ANY, f"{needed.http}_PORT": str(needed.port)}),
    )
    return {name: value for applies, part in parts if applies for name, value in part.items()}


def _address(needed: NodeNeeds) -> str:
    return f"postgresql://{needed.node}@${{{needed.database}_db_host}}:5432/{needed.database}"


_ANY = "0.0.0.0"  # noqa: S104 - a task has its own network interface, and its security group limits the callers
_COMMON = {
    "AWS_REGION": "${region}",
    "SWITCHYARD_HEALTH_PORT": str(HEALTH_PORT),
    "SWITCHYARD_CODE_VERSION": "${code_version}",
    "SWITCHYARD_DRAIN_S": str(DRAIN_S),
    "SWITCHYARD_OTLP_ENDPOINT": "${otlp_endpoint}",
}
_LOGIN = {"SWITCHYARD_DB_AUTH": "iam", "SWITCHYARD_DB_CA_FILE": "${db_ca_file}"}
_BEDROCK = {
    "SWITCHYARD_MODEL_BEDROCK_ID": "${bedrock_model}",
    "SWITCHYARD_MODEL_BEDROCK_REGION": "${region}",
    "SWITCHYARD_MODEL_BEDROCK_GUARDRAIL_ID": "${bedrock_guardrail}",
    "SWITCHYARD_MODEL_BEDROCK_GUARDRAIL_VERSION": "${guardrail_version}",
}
_OPENAI = {
    "SWITCHYARD_MODEL_OPENAI_ID": "${openai_model}",
    "SWITCHYARD_MODEL_OPENAI_SECRET_ARN": "${secret_openai_api_key}",
}
_REVIEWED = {
    "SWITCHYARD_CHECKPOINT_BUCKET": "${checkpoints_bucket}",
    "SWITCHYARD_CHECKPOINT_PUBLIC_KEYS": "${checkpoint_public_key}",
    "SWITCHYARD_RECEIPT_PUBLIC_KEYS": "${receipt_public_key}",
}
_CHECKPOINTS = {
    "SWITCHYARD_CHECKPOINT_BUCKET": "${checkpoints_bucket}",
    "SWITCHYARD_CHECKPOINT_KMS_KEY_ID": "${checkpoints_key_arn}",
    "SWITCHYARD_CHECKPOINT_LOCK_MODE": "${checkpoint_lock_mode}",
    "SWITCHYARD_CHECKPOINT_KEEP_DAYS": "${checkpoint_keep_days}",
    "SWITCHYARD_ROW_KMS_KEY_ID": "${rows_key_arn}",
}


def ingress_permissions(app: App) -> tuple[str, tuple[str, ...]]:
    """The source of the function behind the API, and the types of event that it may publish."""
    return UPSTREAM_PREFIX + INGRESS, app.posted_types


def ingress_secrets(app: App) -> tuple[str, ...]:
    """What the function behind the API reads: its signing key, and its certificate for the identity service."""
    calls = app.identity is not None and INGRESS in app.identity.callers
    return (INGRESS_KEY, *((client_files(INGRESS),) if calls else ()))
