"""The API as a process of an application."""

from __future__ import annotations

from switchyard.app.application import API, ProcessDescriptor

_FACTS = ("idp_issuer", "idp_jwks_url", "idp_audience", "idp_tenant_claim", "idp_role_claim")

API_SECRETS = {
    "webhooks": 'Where the endings of cases go, as JSON {"tenant": {"url": "https://..", "secrets": ["whsec_.."]}}.',
}
"""For `App.secrets`."""


def api_process(run: str = "switchyard.processes.api:serve_api", *, code: tuple[str, ...] = ()) -> ProcessDescriptor:
    """The process. What users may submit is the application's subclass of `UserSubmission`. `code`: see the
    descriptor's."""
    return ProcessDescriptor(
        API,
        run,
        settings="switchyard.processes.api_settings:ApiSettings",
        code=code,
        migrations=("switchyard.api:migrations",),
        grants=("switchyard.api:grants.sql",),
        environment={f"SWITCHYARD_{fact.upper()}": fact for fact in _FACTS},
        secrets={"SWITCHYARD_PERSON_KEY": "person_key"},
        fetched_secrets={"SWITCHYARD_API_WEBHOOKS_SECRET_ARN": "webhooks"},
        database=True,
        egress=("identity",),
        http="SWITCHYARD_API",
        answers=True,
    )
