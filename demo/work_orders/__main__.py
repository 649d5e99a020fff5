"""`python -m demo.work_orders --issuer URL --audience NAME`: the work-order service of the local stack."""

from __future__ import annotations

import argparse
from functools import partial
from importlib.resources import files
from pathlib import Path

from demo.work_orders.field import open_orders
from demo.work_orders.server import build_work_orders_app, roles_by_user
from switchyard.devstack.simulators.serving import serve_simulator
from switchyard.identity.jwt_verifier import JwtVerifier, fetch_jwks

USERS_FILE = Path(str(files("demo"))) / "data" / "users.yaml"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m demo.work_orders", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--issuer", required=True, help="the token exchange whose tokens are accepted")
    parser.add_argument("--audience", required=True, help="this service, as tokens name it")
    parser.add_argument("--users", type=Path, default=USERS_FILE, help="who has which area roles")
    parser.add_argument(
        "--service-role", action="append", default=[], help="area role of services that act for themselves"
    )
    given = parser.parse_args()
    open_orders(frozenset())  # loads the data before the service is ready
    verifier = JwtVerifier(issuer=given.issuer, fetch=partial(fetch_jwks, f"{given.issuer}/.well-known/jwks.json"))
    app = build_work_orders_app(verifier, given.audience, roles_by_user(given.users), tuple(given.service_role))
    serve_simulator(app, host=given.host, port=given.port, name="work_orders")
