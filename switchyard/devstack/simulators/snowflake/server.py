"""The simulator behind Snowflake's own protocol: the real connector reaches it with `host`, `port` and `protocol`.

fakesnow's server does the protocol. Added here: a log-in shows a token of the token exchange, names its role and its
statement timeout, and can be refused. GET /queries lists who queried.
"""

from __future__ import annotations

import gzip
import json
import logging
from collections import deque
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

from fakesnow.conn import FakeSnowflakeConnection
from snowflake.connector.errors import DatabaseError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from switchyard.devstack.simulators.serving import serve_simulator
from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator
from switchyard.devstack.simulators.snowflake.tokens import SessionTokens, SessionUser
from switchyard.identity.jwt_verifier import JwksUnavailable, JwtVerifier, fetch_jwks

# By name, because the package has a function of the same name, which type checkers take it for.
_wire: Any = import_module("fakesnow.server")
_login: ContextVar[dict[str, Any]] = ContextVar("login")
MAX_RECORDED = 10_000


@dataclass(frozen=True)
class RecordedQuery:
    """One statement of the query history: who ran it, with which token, and under which query tag."""

    user: str
    actor: str
    role: str
    jti: str
    query_tag: str
    sql: str


class _Sessions:
    """What fakesnow's server opens connections on: the simulator, with the login's role."""

    def __init__(self, snowflake_simulator: SnowflakeSimulator) -> None:
        self._simulator = snowflake_simulator

    def connect(self, *_: Any, **__: Any) -> FakeSnowflakeConnection:
        return self._simulator.connect(**_login.get())


@dataclass(frozen=True)
class WarehouseServer:
    """Log-ins with tokens, and the query history."""

    tokens: SessionTokens
    queries: deque[RecordedQuery] = field(default_factory=lambda: deque(maxlen=MAX_RECORDED))

    async def log_in(self, request: Request) -> JSONResponse:
        """Open a session in a role, or refuse as Snowflake does."""
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        data = json.loads(body)["data"]
        parameters = data.get("SESSION_PARAMETERS") or {}
        role = (request.query_params.get("roleName") or "").upper()
        try:
            user = await run_in_threadpool(self.tokens.session_user, str(data.get("TOKEN", "")), role)
            record = partial(self._record, user, str(parameters.get("QUERY_TAG", "")))
            _login.set({"role": role, "session_parameters": parameters, "on_query": record})
            opened: JSONResponse = await _wire.login_request(request)
        except JwksUnavailable:
            return JSONResponse({"message": "the keys of the token exchange cannot be fetched"}, 503)
        except DatabaseError as error:
            code = str(error.errno)
            return JSONResponse(
                {"data": {"nextAction": None}, "code": code, "message": error.raw_msg, "success": False}
            )
        return opened

    async def list_queries(self, _: Request) -> JSONResponse:
        """The query history, oldest first."""
        return JSONResponse({"queries": [asdict(query) for query in self.queries]})

    def _record(self, user: SessionUser, query_tag: str, sql: str) -> None:
        self.queries.append(RecordedQuery(user.user, user.actor, user.role, user.jti, query_tag, sql))


def build_warehouse_app(snowflake_simulator: SnowflakeSimulator, tokens: SessionTokens) -> Starlette:
    """The HTTP application. One a process: fakesnow keeps its sessions in a module."""
    logging.getLogger("fakesnow.server").setLevel(logging.WARNING)
    _wire.shared_fs = _Sessions(snowflake_simulator)
    server = WarehouseServer(tokens)
    others = [route for route in _wire.routes if getattr(route, "path", "") != "/session/v1/login-request"]
    ours = [
        Route("/session/v1/login-request", server.log_in, methods=["POST"]),
        Route("/queries", server.list_queries),
        Route("/health/ready", ready_endpoint),
    ]
    return Starlette(routes=[*ours, *others])


async def ready_endpoint(_: Request) -> JSONResponse:
    """The data was loaded before the server began to listen."""
    return JSONResponse({"status": "ready"})


def serve_warehouse(
    snowflake_simulator: SnowflakeSimulator, *, issuer: str, audience: str, host: str, port: int
) -> None:
    """Serve until SIGTERM or Ctrl-C. `issuer` is the token exchange, `audience` this account as its tokens name it."""
    jwks = partial(fetch_jwks, f"{issuer}/.well-known/jwks.json")
    tokens = SessionTokens(JwtVerifier(issuer=issuer, fetch=jwks), audience)
    serve_simulator(build_warehouse_app(snowflake_simulator, tokens), host=host, port=port, name="warehouse")
