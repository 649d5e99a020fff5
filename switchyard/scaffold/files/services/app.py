"""APP: acme as the engine knows it. Its Dockerfile, compose file, terraform data and settings page follow from it."""

from __future__ import annotations

from contracts.catalogue import CARDS, CATALOGUE, SUBMISSIONS
from services.orchestrator.graph import CURRENT, OUTCOMES, PLAYBOOKS
from switchyard.app.api_process import API_SECRETS, api_process
from switchyard.app.application import App, ProcessDescriptor
from switchyard.app.console_process import CONSOLE_SECRETS, console_process

APP = App(
    catalogue=CATALOGUE,
    cards=CARDS,
    playbooks=PLAYBOOKS,
    current=CURRENT,
    submissions=SUBMISSIONS,
    outcomes=OUTCOMES,
    # An agent is its module in services/specialists; one that needs settings, tables or secrets has its own line.
    processes=(
        *(ProcessDescriptor(name, f"services.specialists.{name}:run") for name in CARDS),
        api_process(),
        console_process(),
    ),
    secrets={**API_SECRETS, **CONSOLE_SECRETS},
    code=("contracts", "services"),
    demo_folders=("demo",),
    local_users="demo:data/users.yaml",
    model_scripts=("demo:data/simulator.yaml",),
    prompts=tuple(f"services.specialists.{name}:PROMPT" for name in CARDS),
    answers=("answer",),
    demo_cases="demo:data/cases.yaml",
    retention_policies="services.audit.retention_policies:RETENTION_POLICIES",
)
