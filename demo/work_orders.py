"""`python -m demo.work_orders --port N --issuer URL`: an internal HTTP API of the operator's, simulated.

It answers `GET /work-orders` for the user in the token, with the work orders of that user's basins. It accepts only
tokens of the token exchange that are meant for it.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from demo.oil_field.warehouse import BASINS_BY_ROLE, read_table
from demo.users import USERS_FILE, roles_by_user
from switchyard.identity.jwt_verifier import InvalidToken, JwksUnavailable, JwtVerifier

AUDIENCE = "https://work-orders.operator.example"
READ_SCOPE = "work_orders:read"
MAX_ORDERS = 200


def build_work_orders_app(verifier: JwtVerifier, users: Path = USERS_FILE) -> Starlette:
    """The HTTP application."""
    basins = {row["API_NUMBER"]: row["BASIN"] for row in read_table("WELLS")}
    orders, roles = read_table("WORK_ORDERS"), roles_by_user(users)

    async def work_orders(request: Request) -> JSONResponse:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return JSONResponse({"error": "send the header Authorization: Bearer TOKEN"}, status_code=401)
        try:
            claims = await run_in_threadpool(verifier.verify, token, audience=AUDIENCE)
        except InvalidToken as error:
            return JSONResponse({"error": str(error)}, status_code=401)
        except JwksUnavailable as error:
            return JSONResponse({"error": str(error)}, status_code=503)
        if READ_SCOPE not in str(claims.get("scope", "")).split():
            return JSONResponse({"error": f"the token's scope is not {READ_SCOPE}"}, status_code=403)
        user = str(claims["sub"]).rpartition(":")[2]
        own = {basin for role in roles.get(user, ()) for basin in BASINS_BY_ROLE[role] or basins.values()}
        status = request.query_params.get("status")
        found = [
            order
            for order in orders
            if basins.get(order["API_NUMBER"]) in own and (status is None or order["STATUS"] == status)
        ]
        return JSONResponse(
            {"user": user, "total": len(found), "work_orders": found[:MAX_ORDERS], "truncated": len(found) > MAX_ORDERS}
        )

    async def ready(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ready"})

    return Starlette(routes=[Route("/work-orders", work_orders), Route("/health/ready", ready)])


def _fetch(url: str) -> bytes:
    with urlopen(url, timeout=5) as answer:  # noqa: S310 - the address is the operator's
        body: bytes = answer.read()
        return body


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m demo.work_orders", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--issuer", required=True, help="the token exchange")
    given = parser.parse_args()
    keys = JwtVerifier(issuer=given.issuer, fetch=partial(_fetch, f"{given.issuer}/.well-known/jwks.json"))
    uvicorn.run(build_work_orders_app(keys), host=given.host, port=given.port, log_level="warning")
