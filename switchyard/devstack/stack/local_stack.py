"""The laptop's plan: which services run, with which settings, and what must exist before they start."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from contracts.cards import AGENT_CARDS, COMPLIANCE_CARD, DRAFTER_CARD, EMAIL_SENDER_CARD
from contracts.catalogue import AUDIT as AUDIT_NODE
from contracts.catalogue import CASE_MANAGER, ROUTER
from switchyard.app.topology import EMAIL_FEEDBACK
from switchyard.audit.records.roles import RETENTION
from switchyard.cli.app.databases import OPERATOR_ROLE, RECONCILER_ROLE, migrate_audit, migrate_work
from switchyard.devstack.simulators.models.script import DEFAULT_SCRIPT
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.postgres import AUDIT_DATABASE, WORK_DATABASE
from switchyard.devstack.stack.provision import CHECKPOINT_BUCKET, provision_emulator
from switchyard.devstack.stack.stack import EmbeddedStack, StackPlan
from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.devstack.supervisor.process import ServiceSpec
from switchyard.protocol.signing import derive_public_key
from switchyard.runtime.crypto.erasure import ERASER_ROLE
from switchyard.runtime.crypto.signing import LocalSigner

CHECKOUT_ROOT = Path(__file__).resolve().parents[3]
SIMULATOR_SCRIPTS = (CHECKOUT_ROOT / "demo" / "data" / "simulator", DEFAULT_SCRIPT)
DEMO_HOME = "demo"
"""The demo's home, inside the default one: each run starts it afresh and leaves it readable."""

LOCAL_OPERATOR = "oncall"
"""Who may decide on a laptop, and have a failed task done again: `switchyard approval grant ID --as oncall`."""

VISIBILITY_VARIABLE = "SWITCHYARD_LOCAL_VISIBILITY_S"
"""Visibility and lease in seconds: 30 as in AWS unless this says otherwise (the tests say 3)."""

CLOCK_VARIABLE = "SWITCHYARD_LOCAL_CLOCK"
"""A file with the seconds by which the stack's clock is moved, for whoever will not wait for the morning."""

OTLP_VARIABLE = "SWITCHYARD_OTLP_ENDPOINT"
"""Where the stack's processes send their spans, over HTTP: nowhere unless it is set."""

WAREHOUSE_SERVICE = ServiceSpec(
    name="warehouse",
    argv=(sys.executable, "-m", "demo.oil_field", "serve", "--host", LOOPBACK, "--port", "{port}"),
    grace=5.0,
)
"""Stands in for Snowflake, over Snowflake's own protocol."""

WAREHOUSE_ENVIRONMENT = {
    "SWITCHYARD_SNOWFLAKE_ACCOUNT": "local",
    "SWITCHYARD_SNOWFLAKE_HOST": LOOPBACK,
    "SWITCHYARD_SNOWFLAKE_PORT": "{port:warehouse}",
    "SWITCHYARD_SNOWFLAKE_PROTOCOL": "http",
    "SWITCHYARD_SNOWFLAKE_TOKEN": "local",
}

SENDING_TENANTS = {"harborline.example": "harbor-partners"}
"""The tenant that sends from a domain, for the provider's reports."""

OPT_OUT_URL = f"http://{LOOPBACK}:{{port:optout}}"
"""Where the opt-out links of this stack lead."""


def model_simulator_service(*first: Path) -> ServiceSpec:
    """The model simulator with the demo's scripts, and before them, so that they win, any others."""
    scripts = (*first, *SIMULATOR_SCRIPTS)
    return ServiceSpec(
        name="simulator",
        argv=(
            sys.executable, "-m", "switchyard.devstack.simulators.models", "--host", LOOPBACK, "--port", "{port}",
            *(part for script in scripts for part in ("--script", str(script))),
        ),
        health="/sim/health",
        grace=5.0,
    )  # fmt: skip


def build_plan() -> StackPlan:
    """Everything: `switchyard stack up` and the demo."""
    return StackPlan(services=list_services, prepare=prepare_infrastructure, simulator=model_simulator_service())


def infrastructure_plan() -> StackPlan:
    """PostgreSQL, the emulator and the simulator, migrated and provisioned, without a service: for tests."""
    return StackPlan(services=(), prepare=prepare_infrastructure, simulator=model_simulator_service())


@asynccontextmanager
async def open_databases_only(home: Path) -> AsyncIterator[dict[str, str]]:
    """The databases of a stack that is not running, and how to read them."""
    async with EmbeddedStack(home, simulator=None) as stack:
        yield stack.endpoints.environment() | reader_environment(stack.endpoints)


def reader_environment(endpoints: Endpoints) -> dict[str, str]:
    """What the CLI needs to read the log, to open sealed answers and to check checkpoints."""
    checkpoint_key = LocalSigner(bytes.fromhex(_secret(endpoints, "checkpoint")))
    return clock_environment() | {
        "SWITCHYARD_AUDIT_DB_URL": endpoints.dsn(AUDIT_DATABASE, "audit_reader", _secret(endpoints, "audit_reader")),
        "SWITCHYARD_VAULT_KEY": _secret(endpoints, "vault"),
        "SWITCHYARD_CHECKPOINT_BUCKET": CHECKPOINT_BUCKET,
        "SWITCHYARD_CHECKPOINT_REQUIRE_LOCK": "false",  # the emulator forgets locks whenever it stops
        "SWITCHYARD_CHECKPOINT_PUBLIC_KEYS": base64.b64encode(checkpoint_key.public).decode(),
        "SWITCHYARD_RECONCILER_DB_URL": endpoints.dsn(
            WORK_DATABASE, RECONCILER_ROLE, _secret(endpoints, RECONCILER_ROLE)
        ),
        "SWITCHYARD_OPERATOR_DB_URL": endpoints.dsn(WORK_DATABASE, OPERATOR_ROLE, _secret(endpoints, OPERATOR_ROLE)),
        "SWITCHYARD_OPERATOR_KEY": _secret(endpoints, "operator-key"),
        "SWITCHYARD_RECEIPT_PUBLIC_KEYS": base64.b64encode(LocalSigner(_receipt_key(endpoints)).public).decode(),
    }


def operator_environment(endpoints: Endpoints) -> dict[str, str]:
    """What the CLI needs besides to retire cases and to erase persons: an operator's rights, not a reviewer's."""
    return {
        "SWITCHYARD_AUDIT_RETENTION_DB_URL": endpoints.dsn(AUDIT_DATABASE, RETENTION, _secret(endpoints, RETENTION)),
        "SWITCHYARD_VAULT_ERASER_DB_URL": endpoints.dsn(WORK_DATABASE, ERASER_ROLE, _secret(endpoints, ERASER_ROLE)),
        "SWITCHYARD_RECEIPT_KEY": _receipt_key(endpoints).hex(),
    }


def _receipt_key(endpoints: Endpoints) -> bytes:
    return bytes.fromhex(_secret(endpoints, "receipts"))


async def prepare_infrastructure(endpoints: Endpoints) -> Mapping[str, str]:
    """Migrate both databases and provision the emulator; return what the CLI needs to reach them."""
    await migrate_work(endpoints.dsn(WORK_DATABASE), password_for=lambda role: _secret(endpoints, role))
    await migrate_audit(endpoints.dsn(AUDIT_DATABASE), password_for=lambda role: _secret(endpoints, role))
    environment = endpoints.environment()
    await provision_emulator(environment, visibility_s=read_visibility_s())
    return reader_environment(endpoints) | operator_environment(endpoints)


def list_services(endpoints: Endpoints) -> list[ServiceSpec]:
    """One row a process."""
    agents = [_agent(endpoints, node) for node in AGENT_CARDS]
    return [
        WAREHOUSE_SERVICE,
        ServiceSpec(
            name=ROUTER,
            argv=(sys.executable, "-m", "services.orchestrator", ROUTER),
            env=_common()
            | _operators(endpoints)
            | {"SWITCHYARD_STATE_KEYS": json.dumps({"local": _secret(endpoints, "state")})},
        ),
        ServiceSpec(
            name=CASE_MANAGER,
            argv=(sys.executable, "-m", "services.orchestrator", CASE_MANAGER),
            env=_work(endpoints, CASE_MANAGER)
            | _approvers(endpoints)
            | _operators(endpoints)
            | {"SWITCHYARD_MAC_KEY": _secret(endpoints, "mac")},
        ),
        *agents,
        ses_simulator(endpoints),
        ServiceSpec(
            name=EMAIL_FEEDBACK,
            argv=(sys.executable, "-m", "services.specialists", EMAIL_FEEDBACK),
            env=_common()
            | _opt_out(endpoints)
            | {
                "SWITCHYARD_OPTOUT_PORT": "{port:optout}",
                "SWITCHYARD_FEEDBACK_TENANTS": json.dumps(SENDING_TENANTS),
            },
        ),
        ServiceSpec(
            name=AUDIT_NODE,
            argv=(sys.executable, "-m", "services.audit"),
            env=_common()
            | {
                "SWITCHYARD_AUDIT_DB_URL": endpoints.dsn(AUDIT_DATABASE, "audit", _secret(endpoints, "audit")),
                "SWITCHYARD_CHECKPOINT_BUCKET": CHECKPOINT_BUCKET,
                "SWITCHYARD_CHECKPOINT_KEY": _secret(endpoints, "checkpoint"),
                "SWITCHYARD_CHECKPOINT_EVERY_S": "2",
                "SWITCHYARD_CHECKPOINT_KEEP_DAYS": "1",
            },
        ),
    ]


def ses_simulator(endpoints: Endpoints) -> ServiceSpec:
    """The mail provider of the stack: the emulator's SES, and in front of it what keeps each email's bytes."""
    return ServiceSpec(
        name="ses_simulator",
        argv=(
            sys.executable,
            "-m",
            "switchyard.devstack.simulators.ses",
            "--port",
            "{port}",
            "--upstream",
            endpoints.aws,
        ),
        health="/outbox/health",
        grace=5.0,
    )


def read_visibility_s() -> float:
    """How long a message stays with a worker that says nothing more."""
    return float(os.environ.get(VISIBILITY_VARIABLE, "30"))


def clock_environment() -> dict[str, str]:
    """The stack's own clock, if it has one."""
    file = os.environ.get(CLOCK_VARIABLE)
    return {"SWITCHYARD_CLOCK_FILE": str(Path(file).absolute())} if file else {}


def _agent(endpoints: Endpoints, node: str) -> ServiceSpec:
    module = ("services.drafter",) if node == "drafter" else ("services.specialists", node)
    models = {
        "SWITCHYARD_MODEL_BEDROCK_ENDPOINT_URL": endpoints.simulator or "",
        "SWITCHYARD_MODEL_OPENAI_BASE_URL": f"{endpoints.simulator}/v1",
        "SWITCHYARD_MODEL_OPENAI_API_KEY": "local",
        "SWITCHYARD_MODEL_TTFT_LIMIT_MS": "1500",
    }
    egress = {
        **(WAREHOUSE_ENVIRONMENT if "snowflake" in AGENT_CARDS[node].egress else {}),
        **(
            {"SWITCHYARD_SES_ENDPOINT_URL": f"http://{LOOPBACK}:{{port:ses_simulator}}"}
            if "ses" in AGENT_CARDS[node].egress
            else {}
        ),
        **(_opt_out(endpoints) if node == DRAFTER_CARD.name else {}),
        **(_approvers(endpoints) if node == EMAIL_SENDER_CARD.name else {}),
        # Compliance compares where a link leads; who may make one is the drafter's matter.
        **({"SWITCHYARD_OPTOUT_URL": OPT_OUT_URL} if node == COMPLIANCE_CARD.name else {}),
    }
    return ServiceSpec(
        name=node,
        argv=(sys.executable, "-m", *module),
        env=_work(endpoints, node) | models | egress,
    )


def _common() -> dict[str, str]:
    return clock_environment() | {
        OTLP_VARIABLE: os.environ.get(OTLP_VARIABLE, ""),
        "SWITCHYARD_VISIBILITY_S": str(read_visibility_s()),
        "SWITCHYARD_POLL_WAIT_S": "2",
        "SWITCHYARD_RETRY_BASE_S": "0.5",
        "SWITCHYARD_DRAIN_S": "10",
        "SWITCHYARD_DEPLOY_GRACE_S": "2",  # every process here is of one release
    }


def _opt_out(endpoints: Endpoints) -> dict[str, str]:
    keys = json.dumps({"local": _secret(endpoints, "optout")})
    return {"SWITCHYARD_OPTOUT_KEYS": keys, "SWITCHYARD_OPTOUT_URL": OPT_OUT_URL}


def _work(endpoints: Endpoints, node: str) -> dict[str, str]:
    return _common() | {
        "SWITCHYARD_WORK_DB_URL": endpoints.dsn(WORK_DATABASE, node, _secret(endpoints, node)),
        "SWITCHYARD_VAULT_KEY": _secret(endpoints, "vault"),
    }


def _operators(endpoints: Endpoints) -> dict[str, str]:
    """The one operator of a laptop may have a failed task done again."""
    public = derive_public_key(bytes.fromhex(_secret(endpoints, "operator-key")))
    return {"SWITCHYARD_OPERATORS": json.dumps({LOCAL_OPERATOR: public})}


def _approvers(endpoints: Endpoints) -> dict[str, str]:
    """The one operator of a laptop may approve; the private key is among the exports."""
    public = derive_public_key(bytes.fromhex(_secret(endpoints, "operator-key")))
    return {"SWITCHYARD_APPROVERS": json.dumps({LOCAL_OPERATOR: public})}


def _secret(endpoints: Endpoints, purpose: str) -> str:
    """A key or password for one purpose, from the stack's one generated secret, so that a restart finds the same."""
    return hmac.new(endpoints.password.encode(), purpose.encode(), hashlib.sha256).hexdigest()
