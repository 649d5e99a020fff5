"""The console as a process of an application."""

from __future__ import annotations

from collections.abc import Mapping

from switchyard.app.application import ProcessDescriptor

CONSOLE = "console"
"""The process where people look. It handles no event at all."""

CONSOLE_SECRETS: Mapping[str, str] = {
    "console_client_secret": "The secret of the console's client at the identity provider.",
    "console_keys": "Keys that sign sessions of the console, as JSON.",
}
"""For `App.secrets`."""

_PROVIDER = "http://127.0.0.1:{port:identity_provider}"
_FACTS = ("console_url", "console_client_id", "idp_issuer", "idp_jwks_url", "idp_authorize_url", "idp_token_url")


def console_process(
    run: str = "switchyard.processes.console:serve_console", *, code: tuple[str, ...] = ()
) -> ProcessDescriptor:
    """The process. Its local users are those of `App.identity` or `App.local_users`. `code`: see the descriptor's."""
    return ProcessDescriptor(
        CONSOLE,
        run,
        settings="switchyard.processes.console_settings:ConsoleSettings",
        code=code,
        migrations=("switchyard.console:migrations",),
        grants=("switchyard.console:grants.sql",),
        environment={f"SWITCHYARD_{fact.upper()}": fact for fact in _FACTS},
        secrets={f"SWITCHYARD_{secret.upper()}": secret for secret in ("console_keys", "console_client_secret")},
        local={
            "SWITCHYARD_CONSOLE_URL": f"http://127.0.0.1:{{port:{CONSOLE}_http}}",
            "SWITCHYARD_IDP_ISSUER": _PROVIDER,
            "SWITCHYARD_IDP_JWKS_URL": f"{_PROVIDER}/.well-known/jwks.json",
            "SWITCHYARD_IDP_AUTHORIZE_URL": f"{_PROVIDER}/authorize",
            "SWITCHYARD_IDP_TOKEN_URL": f"{_PROVIDER}/token",
        },
        database=True,
        egress=("identity",),
        http="SWITCHYARD_CONSOLE",
        signers=True,
        reviews=True,
    )
