"""The plan of the local stack: its services, their settings, and what is prepared before they start."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from switchyard.app.application import API, APP_VARIABLE, App, IdentityDescriptor, load_app, resource_path
from switchyard.audit.records.roles import CALLERS, READER, RETENTION
from switchyard.devstack.identity.servers import PROVIDER_PROGRAM, server_program
from switchyard.devstack.simulators.models.script import DEFAULT_SCRIPT
from switchyard.devstack.stack.data_folders import data_folders, with_data_folders
from switchyard.devstack.stack.endpoints import Endpoints, sdk_environment
from switchyard.devstack.stack.identity import (
    api_environment,
    certificates_folder,
    consent_url,
    identity_client_environment,
    identity_environment,
    identity_servers,
    ingress_keys,
    prepare_identity,
    provider_server,
    user_environment,
)
from switchyard.devstack.stack.ingress_secrets import provide_ingress_secrets
from switchyard.devstack.stack.models import describe_models, model_environment
from switchyard.devstack.stack.postgres import AUDIT_DATABASE, WORK_DATABASE
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET, provision_emulator
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.devstack.supervisor.process import ServiceSpec
from switchyard.infra.nodes import NodeNeeds, needs
from switchyard.processes.databases import OPERATOR_ROLE, RECONCILER_ROLE, REVIEWER_ROLE, migrate_audit, migrate_work
from switchyard.protocol.catalogue import CASE_MANAGER, ROUTER
from switchyard.protocol.signing import derive_public_key
from switchyard.runtime.crypto.erasure import ERASER_ROLE
from switchyard.runtime.crypto.signing import LocalSigner

LOCAL_OPERATOR = "oncall"
"""The operator of a local stack, who may approve and retry: `switchyard approval grant ID --operator oncall`."""

VISIBILITY_VARIABLE = "SWITCHYARD_LOCAL_VISIBILITY_S"
"""Visibility and lease in seconds: 30 as in AWS unless this says otherwise (the tests say 3)."""

CLOCK_VARIABLE = "SWITCHYARD_LOCAL_CLOCK"
"""A file with the seconds by which the stack's clock is moved, to reach the morning without waiting."""

OTLP_VARIABLE = "SWITCHYARD_OTLP_ENDPOINT"
"""Where the stack's processes send their spans, over HTTP: nowhere unless it is set."""


def simulator_scripts() -> tuple[Path, ...]:
    """What the simulated models answer: the application's scripts, and where they have nothing, the default one."""
    return (*(resource_path(script) for script in load_app().model_scripts), DEFAULT_SCRIPT)


def model_simulator_service(*first: Path) -> ServiceSpec:
    """The model simulator with the application's scripts, and before them, so that they win, any others."""
    scripts = (*first, *simulator_scripts())
    return ServiceSpec(
        name="simulator",
        argv=(
            sys.executable, "-m", "switchyard.devstack.simulators.models", "--host", LOOPBACK, "--port", "{port}",
            *(part for script in scripts for part in ("--script", str(script))),
        ),
        health="/sim/health",
        grace=5.0,
    )  # fmt: skip


def build_stack(home: Path | None) -> EmbeddedStack:
    """Everything: `switchyard stack up` and the demo."""
    return EmbeddedStack(
        home,
        services=list_services,
        prepare=prepare_infrastructure,
        simulator=model_simulator_service(),
        describe=lambda endpoints: {"models": describe_models(endpoints), **data_folders(load_app())},
    )


@asynccontextmanager
async def open_databases_only(home: Path) -> AsyncIterator[dict[str, str]]:
    """The databases of a stack that is not running, and how to read them."""
    async with EmbeddedStack(home) as stack:
        yield stack.endpoints.environment() | reader_environment(stack.endpoints)


def reader_environment(endpoints: Endpoints) -> dict[str, str]:
    """What the CLI needs to read the log, to open sealed answers and to check checkpoints."""
    return clock_environment() | {
        "SWITCHYARD_AUDIT_DB_URL": endpoints.role_dsn(AUDIT_DATABASE, READER),
        "SWITCHYARD_VAULT_KEY": endpoints.secret("vault_key"),
        "SWITCHYARD_CHECKPOINT_BUCKET": CHECKPOINT_BUCKET,
        "SWITCHYARD_CHECKPOINT_REQUIRE_LOCK": "false",  # the emulator forgets locks whenever it stops
        "SWITCHYARD_CHECKPOINT_PUBLIC_KEYS": _public_key(endpoints, "checkpoint_key"),
        "SWITCHYARD_ROW_KEY": endpoints.secret("row_key"),
        "SWITCHYARD_APPROVERS": _local_operator(endpoints),
        "SWITCHYARD_OPERATORS": _local_operator(endpoints),
        "SWITCHYARD_RECONCILER_DB_URL": endpoints.role_dsn(WORK_DATABASE, RECONCILER_ROLE),
        "SWITCHYARD_OPERATOR_DB_URL": endpoints.role_dsn(WORK_DATABASE, OPERATOR_ROLE),
        "SWITCHYARD_REVIEWER_DB_URL": endpoints.role_dsn(WORK_DATABASE, REVIEWER_ROLE),
        "SWITCHYARD_OPERATOR_KEY": endpoints.secret("operator_key"),
        "SWITCHYARD_RECEIPT_PUBLIC_KEYS": _public_key(endpoints, "receipt_key"),
        "SWITCHYARD_PRINCIPAL_KEYS": ingress_keys(endpoints),
    }


def operator_environment(endpoints: Endpoints) -> dict[str, str]:
    """What the CLI needs besides to retire cases and to erase persons: an operator's rights, not a reviewer's."""
    return {
        "SWITCHYARD_AUDIT_RETENTION_DB_URL": endpoints.role_dsn(AUDIT_DATABASE, RETENTION),
        "SWITCHYARD_VAULT_ERASER_DB_URL": endpoints.role_dsn(WORK_DATABASE, ERASER_ROLE),
        "SWITCHYARD_RECEIPT_KEY": endpoints.secret("receipt_key"),
    }


def _public_key(endpoints: Endpoints, purpose: str) -> str:
    return base64.b64encode(LocalSigner(bytes.fromhex(endpoints.secret(purpose))).public).decode()


async def prepare_infrastructure(endpoints: Endpoints) -> Mapping[str, str]:
    """Migrate the databases, provision the emulator, write certificates; return what the CLI needs to reach them."""
    app = load_app()
    if (identity := app.identity) is not None:
        prepare_identity(endpoints, identity)
    elif app.local_users is not None:
        server_program(PROVIDER_PROGRAM)
    await migrate_work(endpoints.dsn(WORK_DATABASE), password_for=endpoints.secret)
    await migrate_audit(endpoints.dsn(AUDIT_DATABASE), password_for=endpoints.secret)
    environment = endpoints.environment()
    await provision_emulator(environment, visibility_s=read_visibility_s())
    exports = reader_environment(endpoints) | operator_environment(endpoints)
    if app.has_api:
        folder = None if identity is None else certificates_folder(endpoints)
        await provide_ingress_secrets(environment, folder, endpoints.secret("ingress_key"))
        exports |= user_environment(endpoints)
    return exports


def list_services(endpoints: Endpoints) -> list[ServiceSpec]:
    """One row for each process, with its own secrets only."""
    app = load_app()
    return with_data_folders(_list_services(endpoints, app), app)


def _list_services(endpoints: Endpoints, app: App) -> list[ServiceSpec]:
    return [
        *(
            ServiceSpec(
                name=simulator.name,
                argv=(sys.executable, "-m", *simulator.command, "--host", LOOPBACK, "--port", "{port}"),
                health=simulator.health,
                grace=5.0,
            )
            for simulator in app.simulators
        ),
        *_identity_processes(endpoints, app),
        *(_service(endpoints, app, needed) for needed in needs(app).values()),
    ]


def _identity_processes(endpoints: Endpoints, app: App) -> list[ServiceSpec]:
    if (identity := app.identity) is None:
        return [] if app.local_users is None else [provider_server(endpoints, app.local_users)]
    return [*identity_servers(endpoints, identity)]


def _service(endpoints: Endpoints, app: App, needed: NodeNeeds) -> ServiceSpec:
    node = needed.node
    process = next((process for process in app.processes if process.node == node), None)
    approvers = {
        "SWITCHYARD_APPROVERS": _local_operator(endpoints),
        "SWITCHYARD_SUBMITTER_IDENTITIES": json.dumps(dict(app.local_submitters)),
    }
    signers = node == CASE_MANAGER or (process is not None and process.signers)
    parts = (
        (
            node == ROUTER or signers or (process is not None and process.operators),
            {"SWITCHYARD_OPERATORS": _local_operator(endpoints)},
        ),
        (signers, approvers),
        (process is not None and process.reviews, _reviewed(endpoints)),
        (node == CASE_MANAGER, _case_manager(endpoints, app)),
        (needed.writes_checkpoints, _CHECKPOINTS),
        (needed.http is not None, {f"{needed.http}_PORT": f"{{port:{node}_http}}"}),
        (True, {variable: _secret(endpoints, node, name) for variable, name in needed.held.items()}),
        # After the secrets: the shell's own key of OpenAI counts.
        (needed.bedrock or "openai" in needed.egress, model_environment(endpoints)),
        (process is not None, process.local if process else {}),
        (node == API, api_environment(app)),
        (app.identity is not None, _identity(endpoints, app.identity, node) if app.identity else {}),
    )
    program = ("switchyard.processes", process.run) if process else (app.programs[node], node)
    return ServiceSpec(
        name=node,
        argv=(sys.executable, "-m", *program),
        env=_common(endpoints) | {name: value for applies, part in parts if applies for name, value in part.items()},
    )


def _reviewed(endpoints: Endpoints) -> dict[str, str]:
    return {
        "SWITCHYARD_RECEIPT_PUBLIC_KEYS": _public_key(endpoints, "receipt_key"),
        "SWITCHYARD_CHECKPOINT_PUBLIC_KEYS": _public_key(endpoints, "checkpoint_key"),
        "SWITCHYARD_CHECKPOINT_BUCKET": CHECKPOINT_BUCKET,
        "SWITCHYARD_CHECKPOINT_REQUIRE_LOCK": "false",
        "SWITCHYARD_PRINCIPAL_KEYS": ingress_keys(endpoints),
    }


def _identity(endpoints: Endpoints, identity: IdentityDescriptor, node: str) -> dict[str, str]:
    if node == identity.process:
        return identity_environment(endpoints, identity)
    return identity_client_environment(endpoints, identity, node) if node in identity.agents else {}


def _case_manager(endpoints: Endpoints, app: App) -> dict[str, str]:
    """What the sources may ask for, and where users give consent."""
    may = {source: dict(policy) for source, policy in app.local_upstreams.items()}
    # An application that names no source leaves it to the default: every tenant, and no role.
    upstreams = {"SWITCHYARD_UPSTREAMS": json.dumps(may)} if may else {}
    if app.local_memory_tenants:
        upstreams["SWITCHYARD_MEMORY_TENANTS"] = json.dumps(app.local_memory_tenants)
    if app.has_api:
        upstreams["SWITCHYARD_PRINCIPAL_KEYS"] = ingress_keys(endpoints)
    if app.has_api and app.identity is not None:
        upstreams["SWITCHYARD_CONSENT_URL"] = consent_url()
    return upstreams


def _secret(endpoints: Endpoints, node: str, name: str) -> str:
    """The value of one of a process's secrets: a login of its own role, a key ring, or a key."""
    match name:
        case "work_login":
            return endpoints.role_dsn(WORK_DATABASE, node)
        case "audit_login":
            return endpoints.role_dsn(AUDIT_DATABASE, node)
        case "audit_reader_login":
            return endpoints.role_dsn(AUDIT_DATABASE, READER)
        case "audit_api_login":
            return endpoints.role_dsn(AUDIT_DATABASE, CALLERS)
        case "openai_api_key":
            return "local"
    key = endpoints.secret(name)
    return json.dumps({"local": key}) if name.endswith("_keys") else key


def read_visibility_s() -> float:
    """How long a message stays with a worker that says nothing more."""
    return float(os.environ.get(VISIBILITY_VARIABLE) or "30")


def clock_environment() -> dict[str, str]:
    """The stack's own clock, if it has one."""
    file = os.environ.get(CLOCK_VARIABLE)
    return {"SWITCHYARD_CLOCK_FILE": str(Path(file).absolute())} if file else {}


def _common(endpoints: Endpoints) -> dict[str, str]:
    return {
        **sdk_environment(endpoints.aws),
        **clock_environment(),
        **{name: os.environ[name] for name in (APP_VARIABLE,) if os.environ.get(name)},
        OTLP_VARIABLE: os.environ.get(OTLP_VARIABLE, ""),
        "SWITCHYARD_VISIBILITY_S": str(read_visibility_s()),
        "SWITCHYARD_POLL_WAIT_S": "2",
        "SWITCHYARD_RETRY_BASE_S": "0.5",
        "SWITCHYARD_DRAIN_S": "10",
        "SWITCHYARD_DEPLOY_GRACE_S": "2",  # every process here is of one release
    }


_CHECKPOINTS = {
    "SWITCHYARD_CHECKPOINT_BUCKET": CHECKPOINT_BUCKET,
    "SWITCHYARD_CHECKPOINT_EVERY_S": "2",
    "SWITCHYARD_CHECKPOINT_KEEP_DAYS": "1",
}


def _local_operator(endpoints: Endpoints) -> str:
    """The local operator's public key, as an approver or as one who may retry; the private key is an export."""
    return json.dumps({LOCAL_OPERATOR: derive_public_key(bytes.fromhex(endpoints.secret("operator_key")))})
