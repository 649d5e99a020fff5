"""The identity provider, the token exchange and the identity service of the local stack."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from switchyard.app.application import IdentityDescriptor, resource_path
from switchyard.devstack.identity.certificates import CA_FILE, ensure_certificates
from switchyard.devstack.identity.exchange import CLIENTS_FILE, EXCHANGE_SECRET_VARIABLE
from switchyard.devstack.identity.provider import (
    AUDIENCE,
    CONSOLE_SECRET_VARIABLE,
    FRONT_END,
    FRONT_END_SECRET_VARIABLE,
)
from switchyard.devstack.identity.servers import PROGRAMS, SERVERS_VARIABLE, server_program
from switchyard.devstack.stack.endpoints import Endpoints, sdk_environment
from switchyard.devstack.stack.provision import client_options
from switchyard.devstack.supervisor.ports import LOOPBACK
from switchyard.devstack.supervisor.process import ServiceSpec
from switchyard.infra.nodes import INGRESS
from switchyard.protocol.catalogue import UPSTREAM_PREFIX
from switchyard.protocol.signing import derive_public_key
from switchyard.protocol.topology import BUS
from switchyard.runtime.core.aws import create_aws_client

PROVIDER = "identity_provider"
EXCHANGE = "token_exchange"
KEY_SECRET, TLS_SECRET = "switchyard/principal_key", "switchyard/ingress_identity_files"
LOCAL_KEY = "local"
"""The id of the key that signs principals and grants here."""


def prepare_identity(endpoints: Endpoints, identity: IdentityDescriptor) -> None:
    """Write certificates that are missing or end soon. Raises `StackError` if a server is not installed."""
    for program in PROGRAMS:
        server_program(program)
    ensure_certificates(_folder(endpoints) / "certificates", identity.certificate_names())


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


def ingress_server(endpoints: Endpoints, identity: IdentityDescriptor, common: Mapping[str, str]) -> ServiceSpec | None:
    """The function behind the API as a process, with the variables that terraform gives it in AWS."""
    if identity.ingress is None:
        return None
    return ServiceSpec(
        name=INGRESS,
        argv=(sys.executable, "-m", identity.ingress, "--host", LOOPBACK, "--port", "{port}"),
        env={
            **sdk_environment(endpoints.aws),
            **common,
            "ISSUER": _address(PROVIDER),
            "AUDIENCE": AUDIENCE,
            "JWKS_URL": f"{_address(PROVIDER)}/.well-known/jwks.json",
            "TENANT_CLAIM": "tenant",
            "ROLE_CLAIM": "roles",
            "PRINCIPAL_KEY_SECRET_ARN": KEY_SECRET,
            "IDENTITY_URL": f"https://{LOOPBACK}:{{port:{identity.process}_http}}",
            "IDENTITY_FILES_SECRET_ARN": TLS_SECRET,
            "GRANT_POLICY": json.dumps(dict(identity.grant)),
            "BUS": BUS,
            "SOURCE": UPSTREAM_PREFIX + INGRESS,
        },
        grace=5.0,
    )


async def provide_ingress_secrets(endpoints: Endpoints) -> None:
    """Put the ingress's key and certificate into the emulator, where the function reads them."""
    folder = _folder(endpoints) / "certificates"
    files = {"ca": CA_FILE, "certificate": f"{INGRESS}.pem", "key": f"{INGRESS}.key"}
    certificate = {name: (folder / file).read_text(encoding="ascii") for name, file in files.items()}
    values = {KEY_SECRET: {LOCAL_KEY: endpoints.secret("ingress_key")}, TLS_SECRET: certificate}
    options = client_options(endpoints.environment())
    async with create_aws_client(get_session(), "secretsmanager", **options) as secrets:
        for name, value in values.items():
            try:
                await secrets.create_secret(Name=name, SecretString=json.dumps(value))
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceExistsException":
                    raise
                await secrets.put_secret_value(SecretId=name, SecretString=json.dumps(value))


def ingress_keys(endpoints: Endpoints) -> str:
    """The ingress's public key, as SWITCHYARD_PRINCIPAL_KEYS."""
    return json.dumps({UPSTREAM_PREFIX + INGRESS: {LOCAL_KEY: derive_public_key(_key(endpoints))}})


def consent_url() -> str:
    """Where users give consent again."""
    return f"{_address(INGRESS)}/v1/consents"


def user_environment(endpoints: Endpoints) -> dict[str, str]:
    """What a command needs to ask as a user: where to log in, with which client, and where to ask."""
    return {
        "SWITCHYARD_INGRESS_URL": f"{_address(INGRESS)}/v1",
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
    folder = _folder(endpoints) / "certificates"
    return {
        "SWITCHYARD_IDENTITY_TLS_CA": str(folder / CA_FILE),
        "SWITCHYARD_IDENTITY_TLS_CERTIFICATE": str(folder / f"{name}.pem"),
        "SWITCHYARD_IDENTITY_TLS_KEY": str(folder / f"{name}.key"),
    }


def _folder(endpoints: Endpoints) -> Path:
    return Path(endpoints.home) / "identity"


def _address(server: str) -> str:
    return f"http://{LOOPBACK}:{{port:{server}}}"
