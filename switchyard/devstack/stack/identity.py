"""The identity provider, the token exchange and the identity service of the local stack."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from switchyard.app.application import API, App, IdentityDescriptor, resource_path
from switchyard.devstack.identity.certificates import CA_FILE, ensure_certificates
from switchyard.devstack.identity.exchange import CLIENTS_FILE, EXCHANGE_SECRET_VARIABLE
from switchyard.devstack.identity.provider import (
    AUDIENCE,
    CONSOLE_SECRET_VARIABLE,
    FRONT_END,
    FRONT_END_SECRET_VARIABLE,
)
from switchyard.devstack.identity.servers import PROGRAMS, SERVERS_VARIABLE, server_program
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.ingress_secrets import KEY_SECRET, LOCAL_KEY, TLS_SECRET
from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.devstack.supervisor.process import ServiceSpec
from switchyard.infra.nodes import INGRESS
from switchyard.protocol.catalogue import UPSTREAM_PREFIX
from switchyard.protocol.signing import derive_public_key
from switchyard.protocol.topology import BUS

PROVIDER = "identity_provider"
EXCHANGE = "token_exchange"


def prepare_identity(endpoints: Endpoints, identity: IdentityDescriptor) -> None:
    """Write certificates that are missing or end soon. Raises `StackError` if a server is not installed."""
    for program in PROGRAMS:
        server_program(program)
    ensure_certificates(certificates_folder(endpoints), identity.certificate_names())


def identity_servers(endpoints: Endpoints, identity: IdentityDescriptor) -> tuple[ServiceSpec, ServiceSpec]:
    """The identity provider and the token exchange; both live in the true time, also if the stack's clock is moved."""
    exchange = ServiceSpec(
        name=EXCHANGE,
        argv=(
            *_server("exchange"),
            *("--home", str(_folder(endpoints) / "exchange")),
            *("--issuer", _address(PROVIDER), "--clients", json.dumps(identity.exchange_clients())),
        ),
        env=_servers_variables() | {EXCHANGE_SECRET_VARIABLE: endpoints.secret("exchange_secret")},
        health="/health",
        grace=5.0,
    )
    return provider_server(endpoints, identity.users), exchange


def provider_server(endpoints: Endpoints, users: str) -> ServiceSpec:
    """The identity provider alone: who people are. `users` is YAML, as `package:path`."""
    return ServiceSpec(
        name=PROVIDER,
        argv=(
            *_server("provider"),
            *("--home", str(_folder(endpoints) / "provider"), "--users", str(resource_path(users))),
        ),
        env=_servers_variables()
        | {
            FRONT_END_SECRET_VARIABLE: endpoints.secret("idp_client_secret"),
            CONSOLE_SECRET_VARIABLE: endpoints.secret("console_client_secret"),
        },
        health="/.well-known/jwks.json",
        grace=5.0,
    )


def _server(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"switchyard.devstack.identity.{name}", "--host", LOOPBACK, "--port", "{port}")


def _servers_variables() -> dict[str, str]:
    return {SERVERS_VARIABLE: os.environ[SERVERS_VARIABLE]} if os.environ.get(SERVERS_VARIABLE) else {}


def api_environment(app: App) -> dict[str, str]:
    """How the API finds the identity provider, and the settings of the function that it serves: those that terraform
    gives the function in AWS."""
    keys = f"{_address(PROVIDER)}/.well-known/jwks.json"
    function = {
        "issuer": _address(PROVIDER),
        "audience": AUDIENCE,
        "jwks_url": keys,
        "tenant_claim": "tenant",
        "role_claim": "roles",
        "principal_key_secret_arn": KEY_SECRET,
        "reviewer_roles": json.dumps(app.answer_readers),
        "bus": BUS,
        "source": UPSTREAM_PREFIX + INGRESS,
    }
    if app.identity is not None:
        function |= {
            "identity_url": f"https://{LOOPBACK}:{{port:{app.identity.process}_http}}",
            "identity_files_secret_arn": TLS_SECRET,
            "grant_policy": json.dumps(dict(app.identity.grant)),
        }
    return {
        "SWITCHYARD_API_FUNCTION": json.dumps(function),
        "SWITCHYARD_IDP_ISSUER": _address(PROVIDER),
        "SWITCHYARD_IDP_JWKS_URL": keys,
        "SWITCHYARD_IDP_AUDIENCE": AUDIENCE,
    }


def ingress_keys(endpoints: Endpoints) -> str:
    """The ingress's public key, as SWITCHYARD_PRINCIPAL_KEYS."""
    return json.dumps({UPSTREAM_PREFIX + INGRESS: {LOCAL_KEY: derive_public_key(_key(endpoints))}})


def consent_url() -> str:
    """Where users give consent again."""
    return f"{_address(f'{API}_http')}/v1/consents"


def user_environment(endpoints: Endpoints) -> dict[str, str]:
    """What a command needs to ask as a user: where to log in, with which client, and where to ask."""
    return {
        "SWITCHYARD_API_URL": _address(f"{API}_http"),
        "SWITCHYARD_LOGIN_URL": _address(PROVIDER),
        "SWITCHYARD_LOGIN_CLIENT_SECRET": endpoints.secret("idp_client_secret"),
    }


def _key(endpoints: Endpoints) -> bytes:
    return bytes.fromhex(endpoints.secret("ingress_key"))


def identity_environment(endpoints: Endpoints, identity: IdentityDescriptor) -> dict[str, str]:
    """What the identity service reads besides what every process does, and without its secrets."""
    ceilings = {agent: {"audiences": dict(audiences)} for agent, audiences in identity.agents.items()}
    return _certificate(endpoints, identity.process) | {
        "SWITCHYARD_IDENTITY_CALLERS": json.dumps(identity.callers),
        "SWITCHYARD_IDENTITY_CEILINGS": json.dumps(ceilings),
        "SWITCHYARD_ROLE_SCOPE": identity.role_scope,
        "SWITCHYARD_BASE_SCOPES": json.dumps(identity.grant.get("scopes", ())),
        "SWITCHYARD_SERVICE_GRANTS": json.dumps({source: dict(grant) for source, grant in identity.sources.items()}),
        "SWITCHYARD_PRINCIPAL_KEYS": ingress_keys(endpoints),
        "SWITCHYARD_IDP_ISSUER": _address(PROVIDER),
        "SWITCHYARD_IDP_JWKS_URL": f"{_address(PROVIDER)}/.well-known/jwks.json",
        "SWITCHYARD_IDP_TOKEN_URL": f"{_address(PROVIDER)}/token",
        "SWITCHYARD_IDP_AUDIENCE": AUDIENCE,
        "SWITCHYARD_IDP_CLIENT_ID": FRONT_END,
        "SWITCHYARD_EXCHANGE_ISSUER": _address(EXCHANGE),
        "SWITCHYARD_EXCHANGE_JWKS_URL": f"{_address(EXCHANGE)}/.well-known/jwks.json",
        "SWITCHYARD_EXCHANGE_TOKEN_URL": f"{_address(EXCHANGE)}/token",
        "SWITCHYARD_EXCHANGE_CLIENTS_FILE": str(_folder(endpoints) / "exchange" / CLIENTS_FILE),
        "SWITCHYARD_EXCHANGE_SUBJECT_TOKEN_TYPE": "urn:ietf:params:oauth:token-type:id_token",
        "SWITCHYARD_EXCHANGE_SUBJECT_PREFIX": "user:",
    }


def identity_client_environment(endpoints: Endpoints, identity: IdentityDescriptor, caller: str) -> dict[str, str]:
    """Where this caller finds the identity service, and its certificate."""
    return _certificate(endpoints, caller) | {
        "SWITCHYARD_IDENTITY_URL": f"https://{LOOPBACK}:{{port:{identity.process}_http}}"
    }


def _certificate(endpoints: Endpoints, name: str) -> dict[str, str]:
    folder = certificates_folder(endpoints)
    return {
        "SWITCHYARD_IDENTITY_TLS_CA": str(folder / CA_FILE),
        "SWITCHYARD_IDENTITY_TLS_CERTIFICATE": str(folder / f"{name}.pem"),
        "SWITCHYARD_IDENTITY_TLS_KEY": str(folder / f"{name}.key"),
    }


def certificates_folder(endpoints: Endpoints) -> Path:
    """Where the certificates are."""
    return _folder(endpoints) / "certificates"


def _folder(endpoints: Endpoints) -> Path:
    return Path(endpoints.home) / "identity"


def _address(server: str) -> str:
    return f"http://{LOOPBACK}:{{port:{server}}}"
