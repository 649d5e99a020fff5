"""The simulator behind Snowflake's own protocol: the real connector reaches it with `host`, `port` and `protocol`.

fakesnow's server does the protocol. Added here: a login names its role and its statement timeout, and can be refused.
"""

from __future__ import annotations

import gzip
import json
import logging
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from fakesnow.conn import FakeSnowflakeConnection
from snowflake.connector.errors import DatabaseError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from switchyard.devstack.simulators.serving import serve_simulator
from switchyard.devstack.simulators.snowflake.simulator import SnowflakeSimulator

# By name, because the package has a function of the same name, which type checkers take it for.
_wire: Any = import_module("fakesnow.server")
_login: ContextVar[dict[str, Any]] = ContextVar("login")


class _Sessions:
    """What fakesnow's server opens connections on: the simulator, with the login's role."""

    def __init__(self, snowflake_simulator: SnowflakeSimulator) -> None:
        self._simulator = snowflake_simulator

    def connect(self, *_: Any, **__: Any) -> FakeSnowflakeConnection:
        return self._simulator.connect(**_login.get())


def build_warehouse_app(snowflake_simulator: SnowflakeSimulator) -> Starlette:
    """The HTTP application. One a process: fakesnow keeps its sessions in a module."""
    logging.getLogger("fakesnow.server").setLevel(logging.WARNING)
    _wire.shared_fs = _Sessions(snowflake_simulator)
    others = [route for route in _wire.routes if getattr(route, "path", "") != "/session/v1/login-request"]
    ours = [
        Route("/session/v1/login-request", login_endpoint, methods=["POST"]),
        Route("/health/ready", ready_endpoint),
    ]
    return Starlette(routes=[*ours, *others])


async def ready_endpoint(_: Request) -> JSONResponse:
    """The data was loaded before the server began to listen."""
    return JSONResponse({"status": "ready"})


async def login_endpoint(request: Request) -> JSONResponse:
    """Open a session in a role, or refuse as Snowflake does."""
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    parameters = json.loads(body)["data"].get("SESSION_PARAMETERS") or {}
    _login.set({"role": request.query_params.get("roleName"), "session_parameters": parameters})
    try:
        opened: JSONResponse = await _wire.login_request(request)
    except DatabaseError as error:
        code = str(error.errno)
        return JSONResponse({"data": {"nextAction": None}, "code": code, "message": error.raw_msg, "success": False})
    return opened


def serve_warehouse(snowflake_simulator: SnowflakeSimulator, *, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    serve_simulator(build_warehouse_app(snowflake_simulator), host=host, port=port, name="warehouse")
