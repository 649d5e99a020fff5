"""APP: the reference application, a field assistant and an email system, as the engine knows it."""

from __future__ import annotations

import json

from contracts.cards import AGENT_CARDS
from contracts.catalogue import CATALOGUE
from contracts.submissions import SUBMISSIONS
from services.orchestrator.graph import CURRENT, PLAYBOOKS
from switchyard.app.api_process import API_SECRETS, api_process
from switchyard.app.application import App, IdentityDescriptor, ProcessDescriptor, SimulatorDescriptor
from switchyard.app.console_process import CONSOLE_SECRETS, console_process
from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER, ROUTER, OutcomeClass
from switchyard.protocol.topology import DEFAULT_BUS, consumer_of_rule

EMAIL_FEEDBACK = "email_feedback"
"""The process that takes what the mail provider reports. No agent: it handles no event of the catalogue."""

IDENTITY = "identity"
"""The process that gives agents tokens of users. It handles no event at all."""

"""The process that answers callers. It handles no event at all."""

WAREHOUSE_AUDIENCE = "https://warehouse.northfork.example"
WORK_ORDERS_AUDIENCE = "https://work-orders.northfork.example"
WORK_ORDERS_SCOPES = ("work_orders:read", "technicians:read")
"""The local Snowflake account, as tokens name it."""

OUTCOMES: dict[str, OutcomeClass] = {
    "answered": "reached",
    "sent": "reached",
    "blocked": "stopped",
    "denied": "stopped",
    "stopped": "stopped",
    "undeliverable": "failed",
    "unknown": "failed",
}

SEND_EMAIL = {
    "Sid": "SendEmail",
    "Effect": "Allow",
    "Action": ["ses:SendEmail", "ses:SendRawEmail"],
    "Resource": [
        "arn:${partition}:ses:${region}:${account}:identity/${email_domain}",
        "arn:${partition}:ses:${region}:${account}:configuration-set/${configuration_set}",
    ],
    "Condition": {"StringLike": {"ses:FromAddress": "*@${email_domain}"}},
}
SEAL_CREDENTIALS = {
    "Sid": "SealCredentials",
    "Effect": "Allow",
    "Action": ["kms:Decrypt", "kms:Encrypt"],
    "Resource": "${identity_kms_key_id}",
    "Condition": {
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["subject"]},
        "Null": {"kms:EncryptionContext:subject": "false"},
    },
}
EMBED_TEXT = {
    "Sid": "EmbedText",
    "Effect": "Allow",
    "Action": "bedrock:InvokeModel",
    "Resource": "arn:${partition}:bedrock:${region}::foundation-model/${embedding_model}",
}
LOCAL_MEMORY_TENANTS = ["remembering-*"]
"""The tenants of the local stack that have consented to memory across sessions."""

WELLS_AUDIENCE = "https://wells.northfork.example"
LOCAL_WELL_BASINS = {
    "FIELD_ALL": ["*"],
    "FIELD_PERMIAN": ["Permian"],
    "FIELD_EAGLE_FORD": ["Eagle Ford"],
    "FIELD_WILLISTON": ["Williston"],
    "FIELD_MIDCON": ["DJ", "Anadarko"],
}
"""The basins whose wells a role may see in the local stack."""
_OPT_OUT_PAGES = {"SWITCHYARD_OPTOUT_URL": f"http://127.0.0.1:{{port:{EMAIL_FEEDBACK}_http}}"}
_SPECIALIST = ("services/__init__.py", "services/models.py", "services/specialists/*.py")
PROCESSES = (
    ProcessDescriptor(
        "triage", "services.specialists.triage.main:run", code=(*_SPECIALIST, "services/specialists/triage")
    ),
    ProcessDescriptor(
        "text_to_sql",
        "services.specialists.text_to_sql.main:run",
        settings="services.specialists.text_to_sql.settings:TextToSqlSettings",
        code=(*_SPECIALIST, "services/specialists/text_to_sql"),
        migrations=("services.specialists.text_to_sql:migrations",),
        environment={
            "SWITCHYARD_SNOWFLAKE_ACCOUNT": "snowflake_account",
            "SWITCHYARD_SNOWFLAKE_WAREHOUSE": "snowflake_warehouse",
            "SWITCHYARD_SNOWFLAKE_AUDIENCE": "snowflake_audience",
        },
        local={
            "SWITCHYARD_SNOWFLAKE_ACCOUNT": "local",
            "SWITCHYARD_SNOWFLAKE_HOST": "127.0.0.1",
            "SWITCHYARD_SNOWFLAKE_PORT": "{port:warehouse}",
            "SWITCHYARD_SNOWFLAKE_PROTOCOL": "http",
            "SWITCHYARD_SNOWFLAKE_AUDIENCE": WAREHOUSE_AUDIENCE,
            "SWITCHYARD_WAREHOUSE_SCHEMA": "{data:warehouse}/schema.toml",
        },
    ),
    ProcessDescriptor(
        "field_routing",
        "services.specialists.field_routing.main:run",
        settings="services.specialists.field_routing.settings:FieldRoutingSettings",
        code=(*_SPECIALIST, "services/specialists/field_routing"),
        environment={
            "SWITCHYARD_WORK_ORDERS_URL": "work_orders_url",
            "SWITCHYARD_WORK_ORDERS_AUDIENCE": "work_orders_audience",
        },
        local={
            "SWITCHYARD_WORK_ORDERS_URL": "http://127.0.0.1:{port:work_orders}",
            "SWITCHYARD_WORK_ORDERS_AUDIENCE": WORK_ORDERS_AUDIENCE,
        },
    ),
    ProcessDescriptor(
        "well_data",
        "services.specialists.well_data.main:run",
        settings="services.specialists.well_data.settings:WellDataSettings",
        code=(*_SPECIALIST, "services/specialists/well_data"),
        migrations=("services.specialists.well_data:migrations",),
        grants=("services.specialists.well_data:grants.sql",),
        environment={"SWITCHYARD_WELLS_AUDIENCE": "wells_audience"},
        local={
            "SWITCHYARD_WELLS_AUDIENCE": WELLS_AUDIENCE,
            "SWITCHYARD_WELL_BASINS": json.dumps(LOCAL_WELL_BASINS),
        },
    ),
    ProcessDescriptor(
        "drafter",
        "services.drafter.main:run",
        settings="services.drafter.settings:DrafterSettings",
        code=("services/__init__.py", "services/models.py", "services/drafter"),
        environment={"SWITCHYARD_OPTOUT_URL": "optout_url"},
        secrets={"SWITCHYARD_OPTOUT_KEYS": "optout_keys"},
        local=_OPT_OUT_PAGES,
    ),
    ProcessDescriptor(
        "compliance",
        "services.specialists.compliance.main:run",
        settings="services.specialists.compliance.settings:ComplianceSettings",
        code=(*_SPECIALIST, "services/specialists/compliance"),
        migrations=("services.specialists.compliance:migrations",),
        grants=("services.specialists.compliance:grants.sql",),
        # Compliance compares where a link leads; only the drafter can make one.
        environment={"SWITCHYARD_OPTOUT_URL": "optout_url"},
        local=_OPT_OUT_PAGES,
    ),
    ProcessDescriptor(
        "email_sender",
        "services.specialists.email_sender.main:run",
        settings="services.specialists.email_sender.settings:EmailSenderSettings",
        code=(*_SPECIALIST, "services/specialists/email_sender"),
        migrations=("services.specialists.email_sender:migrations",),
        grants=("services.specialists.email_sender:grants.sql",),
        environment={"SWITCHYARD_SES_CONFIGURATION_SET": "configuration_set"},
        local={"SWITCHYARD_SES_ENDPOINT_URL": "http://127.0.0.1:{port:ses_simulator}"},
        iam=(SEND_EMAIL,),
        signers=True,
    ),
    ProcessDescriptor(
        "memory",
        "services.memory.main:run",
        settings="services.memory.settings:MemorySettings",
        code=("services/__init__.py", "services/models.py", "services/memory"),
        migrations=("services.memory:migrations",),
        grants=("services.memory:grants.sql",),
        environment={"SWITCHYARD_MEMORY_EMBEDDING_ID": "embedding_model"},
        # A note of the demo's evening is forgotten by its morning.
        local={"SWITCHYARD_MEMORY_TENANTS": json.dumps(LOCAL_MEMORY_TENANTS), "SWITCHYARD_MEMORY_NOTE_HOURS": "3"},
        iam=(EMBED_TEXT,),
        operators=True,
    ),
    ProcessDescriptor(
        "judge",
        "services.judge.main:run",
        settings="services.judge.settings:JudgeSettings",
        code=("services/__init__.py", "services/models.py", "services/judge"),
        migrations=("services.judge:migrations",),
        grants=("services.judge:grants.sql",),
    ),
    ProcessDescriptor(
        EMAIL_FEEDBACK,
        "services.specialists.email_feedback.main:run",
        settings="services.specialists.email_feedback.settings:EmailFeedbackSettings",
        code=(*_SPECIALIST, "services/specialists/email_feedback"),
        secrets={"SWITCHYARD_OPTOUT_KEYS": "optout_keys"},
        local={"SWITCHYARD_FEEDBACK_TENANTS": '{"harborline.example": "harbor-partners"}'},
        consumer=consumer_of_rule(
            EMAIL_FEEDBACK,
            {"source": ["aws.ses"], "detail-type": ["Email Bounced", "Email Complaint Received"]},
            name="feedback",
            bus=DEFAULT_BUS,
        ),
        publishes=("SuppressionRequested",),
        http="SWITCHYARD_OPTOUT",
    ),
    ProcessDescriptor(
        IDENTITY,
        "services.identity.main:run",
        settings="switchyard.processes.identity_settings:IdentitySettings",
        code=("services/__init__.py", "services/identity"),
        migrations=("switchyard.identity:migrations",),
        grants=("switchyard.identity:grants.sql",),
        environment={
            f"SWITCHYARD_{fact.upper()}": fact
            for fact in (
                "identity_kms_key_id",
                "identity_tls_ca",
                "identity_tls_certificate",
                "identity_tls_key",
                "idp_issuer",
                "idp_jwks_url",
                "idp_audience",
                "idp_tenant_claim",
                "idp_role_claim",
                "role_scope",
                "idp_token_url",
                "idp_client_id",
                "exchange_issuer",
                "exchange_jwks_url",
                "exchange_token_url",
                "exchange_clients_file",
            )
        },
        secrets={"SWITCHYARD_IDP_CLIENT_SECRET": "idp_client_secret"},
        local_secrets={"SWITCHYARD_IDENTITY_VAULT_KEY": "identity_vault_key"},
        fetched_secrets={"SWITCHYARD_IDENTITY_FILES_SECRET_ARN": "identity_files"},
        database=True,
        egress=("identity",),
        iam=(SEAL_CREDENTIALS,),
        http="SWITCHYARD_IDENTITY",
    ),
)
PROCESSES_FOR_PEOPLE = (
    api_process(
        "services.api.main:run",
        # It opens what the App names, and serves the function behind the API where no API Gateway is.
        code=(
            "services/*.py",
            "services/orchestrator/__init__.py",
            "services/orchestrator/graph.py",
            "services/api",
        ),
    ),
    console_process(
        "services.console.main:run",
        # It shows what the App describes, so it holds the App and what that reads at once.
        code=(
            "services/*.py",
            "services/orchestrator/__init__.py",
            "services/orchestrator/graph.py",
            "services/console",
        ),
    ),
)
WAREHOUSE_ROLES = ("FIELD_ALL", "FIELD_PERMIAN", "FIELD_EAGLE_FORD", "FIELD_WILLISTON", "FIELD_MIDCON")
WAREHOUSE_ROLE_SCOPE = "session:role:"
"""Snowflake's scope for one role."""
WAREHOUSE_SCOPES = tuple(WAREHOUSE_ROLE_SCOPE + role for role in WAREHOUSE_ROLES)
_SERVICE_PRINCIPALS = ("upstream.cli", "upstream.demo")
"""Sources that ask for themselves, not for a user who has logged in."""

_ASKS_FOR_ITSELF = {
    "tenants": ("*",),
    "agents": ("text_to_sql", "well_data", "field_routing"),
    "audiences": (WAREHOUSE_AUDIENCE, WELLS_AUDIENCE, WORK_ORDERS_AUDIENCE),
    "scopes": (*WAREHOUSE_SCOPES, *WORK_ORDERS_SCOPES),
}
LOCAL_IDENTITY = IdentityDescriptor(
    IDENTITY,
    users="demo:data/users.yaml",
    scopes=(*WAREHOUSE_SCOPES, *WORK_ORDERS_SCOPES),
    role_scope=WAREHOUSE_ROLE_SCOPE,
    agents={
        "text_to_sql": {WAREHOUSE_AUDIENCE: (f"{WAREHOUSE_ROLE_SCOPE}*",)},
        "well_data": {WELLS_AUDIENCE: (f"{WAREHOUSE_ROLE_SCOPE}*",)},
        "field_routing": {WORK_ORDERS_AUDIENCE: WORK_ORDERS_SCOPES},
    },
    sources=dict.fromkeys(_SERVICE_PRINCIPALS, _ASKS_FOR_ITSELF),
    callers=("ingress",),
    grant={
        "agents": ("text_to_sql", "well_data", "field_routing"),
        "audiences": (WAREHOUSE_AUDIENCE, WELLS_AUDIENCE, WORK_ORDERS_AUDIENCE),
        "scopes": WORK_ORDERS_SCOPES,
    },
)

APP = App(
    catalogue=CATALOGUE,
    cards=AGENT_CARDS,
    playbooks=PLAYBOOKS,
    current=CURRENT,
    submissions=SUBMISSIONS,
    outcomes=OUTCOMES,
    processes=(*PROCESSES, *PROCESSES_FOR_PEOPLE),
    secrets={
        **API_SECRETS,
        **CONSOLE_SECRETS,
        "identity_files": "Certificates of the identity service and clients of the token exchange, as JSON "
        '{"ca": "..", "certificate": "..", "key": "..", "clients": ".."}.',
        "idp_client_secret": "The secret of the client that refreshes users' tokens at the identity provider.",
        "optout_keys": "Keys that sign opt-out links, as JSON.",
    },
    programs={ROUTER: "services.orchestrator", CASE_MANAGER: "services.orchestrator", AUDIT: "services.audit"},
    code=("contracts",),
    engine_in_repository=True,
    folders=("services", "evals/*.py"),
    demo_folders=("demo",),
    simulators=(
        SimulatorDescriptor(
            "warehouse",
            (
                *("demo.oil_field", "serve", "--audience", WAREHOUSE_AUDIENCE, "--folder", "{data:warehouse}"),
                *("--issuer", "http://127.0.0.1:{port:token_exchange}"),
                *(part for role in WAREHOUSE_ROLES for part in ("--role", role)),
            ),
        ),
        SimulatorDescriptor(
            "work_orders",
            (
                *("demo.work_orders", "--audience", WORK_ORDERS_AUDIENCE, "--service-role", "FIELD_ALL"),
                *("--issuer", "http://127.0.0.1:{port:token_exchange}"),
            ),
        ),
        SimulatorDescriptor(
            "ses_simulator",
            ("switchyard.devstack.simulators.ses",),
            health="/outbox/health",
        ),
    ),
    identity=LOCAL_IDENTITY,
    # Users' roles are those of their tokens; what acts for itself has the roles that are named here.
    local_upstreams={
        "upstream.ingress": {"tenants": ("*",), "roles": ("*",)},
        "upstream.email_feedback": {"tenants": ("*",)},
        "upstream.collections": {"tenants": ("*",)},
        **{source: {"tenants": ("*",), "roles": WAREHOUSE_ROLES} for source in _SERVICE_PRINCIPALS},
    },
    local_memory_tenants=tuple(LOCAL_MEMORY_TENANTS),
    erasures=("memory.erase_person",),
    local_submitters={"c.ruiz": ("c.ruiz@harborline.example",), "oncall": ("oncall@harborline.example",)},
    local_data={"warehouse": "demo:oil_field/data"},
    model_scripts=("demo:data/simulator",),
    settings={
        "`switchyard ask --user`": "services.user_requests:UserSettings",
        "`switchyard demo`": "demo.settings:DemoSettings",
    },
    prompts=(
        "services.drafter.agent:ANSWER_PROMPT",
        "services.drafter.email:EMAIL_PROMPT",
        "services.judge.agent:CASE_JUDGE_PROMPT",
        "services.memory.learner:KEEP_PROMPT",
        "services.specialists.compliance.judge:JUDGE_PROMPT",
        "services.specialists.field_routing.agent:ROUTE_PROMPT",
        "services.specialists.text_to_sql.agent:SQL_PROMPT",
        "services.specialists.triage.agent:TRIAGE_PROMPT",
        "services.specialists.well_data.agent:WELL_PROMPT",
    ),
    artefact_texts={
        "answer": "services.artefact_texts:read_answer",
        "email": "services.artefact_texts:read_email",
    },
    artefact_pages={"email": "services.artefact_texts:read_email_page"},
    answers=("answer", "chart", "findings", "plan", "plan_table"),
    caller_memory="memory",
    caller_memory_artefacts=("memory", "question", "answer"),
    first_command='switchyard ask "Which ten wells produced the most oil in June 2026?"',
    what_if={
        "triage": "services.specialists.triage.what_if:WHAT_IF",
        "text_to_sql": "services.specialists.text_to_sql.what_if:WHAT_IF",
        "drafter": "services.drafter.what_if:WHAT_IF",
        "compliance": "services.specialists.compliance.what_if:WHAT_IF",
    },
    audit_views=("services.audit:views.sql",),
    forgotten_inputs="audit.forgotten_input",
    retention_policies="services.audit.retention_policies:RETENTION_POLICIES",
)
