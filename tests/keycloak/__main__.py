"""`python -m tests.keycloak`: users log in at the Keycloak of docker compose, and their tokens make the same grants as
those of the local stack's identity provider. Needs Docker: the GitHub workflow runs it."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import yaml

from services.app import LOCAL_IDENTITY
from switchyard.api.user_tokens import TokenVerifier
from switchyard.devstack.identity.provider import AUDIENCE, FRONT_END
from switchyard.identity.jwt_verifier import JwtVerifier, fetch_jwks
from switchyard.ingress.grants import grant_claims
from switchyard.ingress.settings import GrantPolicy

ROOT = Path(__file__).parents[2]
REALM = json.loads((ROOT / "docker" / "keycloak" / "northfork-realm.json").read_text(encoding="utf-8"))


def log_in(issuer: str, user: str, password: str) -> str:
    """The access token of a user."""
    secret = next(client["secret"] for client in REALM["clients"] if client["clientId"] == FRONT_END)
    form = {"grant_type": "password", "username": user, "password": password, "scope": "openid"}
    form |= {"client_id": FRONT_END, "client_secret": secret}
    request = Request(f"{issuer}/protocol/openid-connect/token", urlencode(form).encode())
    with urlopen(request, timeout=10) as answer:
        return str(json.load(answer)["access_token"])


def main() -> None:
    """Fail unless the grant of each user has tenant and roles."""
    issuer = f"http://127.0.0.1:{os.environ.get('SWITCHYARD_KEYCLOAK_PORT', '18099')}/realms/{REALM['realm']}"
    verifier = JwtVerifier(issuer=issuer, fetch=partial(fetch_jwks, f"{issuer}/protocol/openid-connect/certs"))
    tokens = TokenVerifier(verifier, audience=AUDIENCE, tenant_claim="tenant", role_claim="roles")
    policy = GrantPolicy.model_validate({"role_scope": LOCAL_IDENTITY.role_scope, **LOCAL_IDENTITY.grant})
    users = yaml.safe_load((ROOT / "demo" / "data" / "users.yaml").read_text(encoding="utf-8"))["users"]
    for name, known in users.items():
        if known["tenant"] != REALM["realm"]:
            continue
        user = tokens.authenticated_user(f"Bearer {log_in(issuer, name, known['password'])}")
        grant = grant_claims("upstream.ingress", user, policy)
        expected = tuple(LOCAL_IDENTITY.role_scope + role for role in known["roles"])
        if (grant.tenant, grant.scopes) != (known["tenant"], expected):
            sys.exit(f"{name} has tenant {grant.tenant} and scopes {grant.scopes}; expected {expected}")
        sys.stdout.write(f"{name}: {grant.tenant}, {', '.join(grant.scopes) or 'no role'}\n")


if __name__ == "__main__":
    main()
