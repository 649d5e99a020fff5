"""The plan of the local stack: its services, their settings, and what is prepared before they start."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from switchyard.app.application import (
    APP_VARIABLE,
    App,
    ProcessDescriptor,
    load_app,
    resource_path,
)
from switchyard.audit.records.roles import RETENTION
from switchyard.devstack.simulators.models.script import DEFAULT_SCRIPT
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.postgres import AUDIT_DATABASE, WORK_DATABASE
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET, provision_emulator
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.devstack.supervisor.process import ServiceSpec
from switchyard.processes.databases import OPERATOR_ROLE, RECONCILER_ROLE, REVIEWER_ROLE, migrate_audit, migrate_work
from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER, ROUTER
from switchyard.protocol.signing import derive_public_key
from switchyard.runtime.crypto.erasure import ERASER_ROLE
from switchyard.runtime.crypto.signing import LocalSigner

DEMO_HOME = "demo"
"""The demo's home, inside the default one: each run starts it afresh and leaves it readable."""

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
        home, services=list_services, prepare=prepare_infrastructure, simulator=model_simulator_service()
    )


@asynccontextmanager
async def open_databases_only(home: Path) -> AsyncIterator[dict[str, str]]:
    """The databases of a stack that is not running, and how to read them."""
    async with EmbeddedStack(home) as stack:
        yield stack.endpoints.environment() | reader_environment(stack.endpoints)


def reader_environment(endpoints: Endpoints) -> dict[str, str]:
    """What the CLI needs to read the log, to open sealed answers and to check checkpoints."""
    return clock_environment() | {
        "SWITCHYARD_AUDIT_DB_URL": endpoints.role_dsn(AUDIT_DATABASE, "audit_reader"),
        "SWITCHYARD_VAULT_KEY": endpoints.secret("vault"),
        "SWITCHYARD_CHECKPOINT_BUCKET": CHECKPOINT_BUCKET,
        "SWITCHYARD_CHECKPOINT_REQUIRE_LOCK": "false",  # the emulator forgets locks whenever it stops
        "SWITCHYARD_CHECKPOINT_PUBLIC_KEYS": _public_key(endpoints, "checkpoint"),
        "SWITCHYARD_ROW_KEY": endpoints.secret("rows"),
        **_local_operator(endpoints, "SWITCHYARD_APPROVERS"),
        **_local_operator(endpoints, "SWITCHYARD_OPERATORS"),
        "SWITCHYARD_RECONCILER_DB_URL": endpoints.role_dsn(WORK_DATABASE, RECONCILER_ROLE),
        "SWITCHYARD_OPERATOR_DB_URL": endpoints.role_dsn(WORK_DATABASE, OPERATOR_ROLE),
        "SWITCHYARD_REVIEWER_DB_URL": endpoints.role_dsn(WORK_DATABASE, REVIEWER_ROLE),
        "SWITCHYARD_OPERATOR_KEY": endpoints.secret("operator-key"),
        "SWITCHYARD_RECEIPT_PUBLIC_KEYS": _public_key(endpoints, "receipts"),
    }


def operator_environment(endpoints: Endpoints) -> dict[str, str]:
    """What the CLI needs besides to retire cases and to erase persons: an operator's rights, not a reviewer's."""
    return {
        "SWITCHYARD_AUDIT_RETENTION_DB_URL": endpoints.role_dsn(AUDIT_DATABASE, RETENTION),
        "SWITCHYARD_VAULT_ERASER_DB_URL": endpoints.role_dsn(WORK_DATABASE, ERASER_ROLE),
        "SWITCHYARD_RECEIPT_KEY": endpoints.secret("receipts"),
    }


def _public_key(endpoints: Endpoints, purpose: str) -> str:
    return base64.b64encode(LocalSigner(bytes.fromhex(endpoints.secret(purpose))).public).decode()


async def prepare_infrastructure(endpoints: Endpoints) -> Mapping[str, str]:
    """Migrate both databases and provision the emulator; return what the CLI needs to reach them."""
    await migrate_work(endpoints.dsn(WORK_DATABASE), password_for=endpoints.secret)
    await migrate_audit(endpoints.dsn(AUDIT_DATABASE), password_for=endpoints.secret)
    environment = endpoints.environment()
    await provision_emulator(environment, visibility_s=read_visibility_s())
    return reader_environment(endpoints) | operator_environment(endpoints)


def list_services(endpoints: Endpoints) -> list[ServiceSpec]:
    """One row for each process."""
    app, operators = load_app(), _local_operator(endpoints, "SWITCHYARD_OPERATORS")
    return [
        *(
            ServiceSpec(
                name=simulator.name,
                argv=(
                    *(sys.executable, "-m"),
                    *(part.replace("{aws}", endpoints.aws) for part in simulator.command),
                    *("--host", LOOPBACK, "--port", "{port}"),
                ),
                health=simulator.health,
                grace=5.0,
            )
            for simulator in app.simulators
        ),
        _engine_service(ROUTER, _common() | operators | {"SWITCHYARD_STATE_KEYS": _named_secret(endpoints, "state")}),
        _engine_service(
            CASE_MANAGER,
            _work(endpoints, CASE_MANAGER)
            | _approvers(endpoints, app)
            | operators
            | {"SWITCHYARD_MAC_KEY": endpoints.secret("mac")},
        ),
        *(_application_service(endpoints, app, process) for process in app.processes),
        _engine_service(
            AUDIT,
            _common()
            | {
                "SWITCHYARD_AUDIT_DB_URL": endpoints.role_dsn(AUDIT_DATABASE, "audit"),
                "SWITCHYARD_CHECKPOINT_BUCKET": CHECKPOINT_BUCKET,
                "SWITCHYARD_CHECKPOINT_KEY": endpoints.secret("checkpoint"),
                "SWITCHYARD_ROW_KEY": endpoints.secret("rows"),
                "SWITCHYARD_CHECKPOINT_EVERY_S": "2",
                "SWITCHYARD_CHECKPOINT_KEEP_DAYS": "1",
            },
        ),
    ]


def _engine_service(node: str, environment: dict[str, str]) -> ServiceSpec:
    return ServiceSpec(name=node, argv=(sys.executable, "-m", load_app().programs[node], node), env=environment)


def _application_service(endpoints: Endpoints, app: App, process: ProcessDescriptor) -> ServiceSpec:
    card = app.cards.get(process.node)
    models = {
        "SWITCHYARD_MODEL_BEDROCK_ENDPOINT_URL": endpoints.simulator or "",
        "SWITCHYARD_MODEL_OPENAI_BASE_URL": f"{endpoints.simulator}/v1",
        "SWITCHYARD_MODEL_OPENAI_API_KEY": "local",
        "SWITCHYARD_MODEL_TTFT_LIMIT_MS": "1500",
    }
    environment = {
        **(_work(endpoints, process.node) if card else _common()),
        **(models if card and card.vendors else {}),
        **(_approvers(endpoints, app) if process.signers else {}),
        **(_local_operator(endpoints, "SWITCHYARD_OPERATORS") if process.signers else {}),
        **{name: _named_secret(endpoints, secret) for name, secret in process.secrets.items()},
        **({f"{process.http}_PORT": f"{{port:{process.node}_http}}"} if process.http else {}),
        **process.local,
    }
    return ServiceSpec(
        name=process.node, argv=(sys.executable, "-m", "switchyard.processes", process.run), env=environment
    )


def read_visibility_s() -> float:
    """How long a message stays with a worker that says nothing more."""
    return float(os.environ.get(VISIBILITY_VARIABLE, "30"))


def clock_environment() -> dict[str, str]:
    """The stack's own clock, if it has one."""
    file = os.environ.get(CLOCK_VARIABLE)
    return {"SWITCHYARD_CLOCK_FILE": str(Path(file).absolute())} if file else {}


def _common() -> dict[str, str]:
    return {
        **clock_environment(),
        **{name: os.environ[name] for name in (APP_VARIABLE,) if name in os.environ},
        OTLP_VARIABLE: os.environ.get(OTLP_VARIABLE, ""),
        "SWITCHYARD_VISIBILITY_S": str(read_visibility_s()),
        "SWITCHYARD_POLL_WAIT_S": "2",
        "SWITCHYARD_RETRY_BASE_S": "0.5",
        "SWITCHYARD_DRAIN_S": "10",
        "SWITCHYARD_DEPLOY_GRACE_S": "2",  # every process here is of one release
    }


def _work(endpoints: Endpoints, node: str) -> dict[str, str]:
    return _common() | {
        "SWITCHYARD_WORK_DB_URL": endpoints.role_dsn(WORK_DATABASE, node),
        "SWITCHYARD_VAULT_KEY": endpoints.secret("vault"),
    }


def _local_operator(endpoints: Endpoints, variable: str) -> dict[str, str]:
    """The local operator's public key, as an approver or as one who may retry; the private key is an export."""
    public = derive_public_key(bytes.fromhex(endpoints.secret("operator-key")))
    return {variable: json.dumps({LOCAL_OPERATOR: public})}


def _approvers(endpoints: Endpoints, app: App) -> dict[str, str]:
    """Who may approve here, and under which identities people submit."""
    identities = {"SWITCHYARD_SUBMITTER_IDENTITIES": json.dumps(dict(app.local_submitters))}
    return _local_operator(endpoints, "SWITCHYARD_APPROVERS") | identities


def _named_secret(endpoints: Endpoints, purpose: str) -> str:
    return json.dumps({"local": endpoints.secret(purpose)})
