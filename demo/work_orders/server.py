"""The HTTP application of the service. Who asks, for what and as whom is in the token and nowhere else."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demo.work_orders.field import areas_of, as_json, dispatch_rules, open_orders, technicians
from switchyard.identity.jwt_verifier import InvalidJwt, JwksUnavailable, JwtVerifier

ORDERS_SCOPE, TECHNICIANS_SCOPE = "work_orders:read", "technicians:read"
MAX_ORDERS = 500
KEPT_CALLS = 1_000
SERVICE_PREFIX = "client:"
"""What the exchange puts before the id of a service that acts for itself."""


@dataclass(frozen=True)
class ServiceCall:
    """Who called, for whom, and what became of it."""

    path: str
    user: str
    actor: str
    jti: str
    status: int
    count: int


class Denied(Exception):
    """The caller gets no data. `status` and a message that never quotes the token."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class WorkOrders:
    """Answers as the user in the token. `roles` are the area roles of each user; `service_roles` those of any service
    that acts for itself."""

    def __init__(
        self, verifier: JwtVerifier, audience: str, roles: Mapping[str, tuple[str, ...]], service_roles: tuple[str, ...]
    ) -> None:
        self._verifier = verifier
        self._audience = audience
        self._roles = roles
        self._service_roles = service_roles
        self._calls: deque[ServiceCall] = deque(maxlen=KEPT_CALLS)

    async def work_orders(self, request: Request) -> Response:
        """`GET /work-orders?status=open`: the open work orders of the user's areas."""
        try:
            claims, areas = await self._caller(request, ORDERS_SCOPE)
        except Denied as denied:
            return self._deny(request, denied)
        if request.query_params.get("status", "open") != "open":
            return self._deny(request, Denied(400, "status: only open work orders are served; write status=open"))
        found = open_orders(areas)
        self._record(request, claims, 200, len(found[:MAX_ORDERS]))
        body = {
            "as_of": dispatch_rules()["as_of"],
            "data_label": "SYNTHETIC",
            "total": len(found),
            "truncated": len(found) > MAX_ORDERS,
            "work_orders": found[:MAX_ORDERS],
        }
        return Response(as_json(body), media_type="application/json")

    async def technicians(self, request: Request) -> Response:
        """`GET /technicians?day=YYYY-MM-DD`: the technicians of the user's areas."""
        try:
            claims, areas = await self._caller(request, TECHNICIANS_SCOPE)
            day = date.fromisoformat(request.query_params.get("day", ""))
        except Denied as denied:
            return self._deny(request, denied)
        except ValueError:
            return self._deny(request, Denied(400, "day: is invalid; write day=YYYY-MM-DD"))
        found = technicians(areas, day)
        self._record(request, claims, 200, len(found))
        return Response(as_json({"technicians": found}), media_type="application/json")

    async def calls(self, _: Request) -> JSONResponse:
        """`GET /calls`: who called. For people at the local stack; a real service has an access log."""
        return JSONResponse({"calls": [asdict(call) for call in self._calls]})

    async def _caller(self, request: Request, scope: str) -> tuple[Mapping[str, Any], frozenset[str]]:
        """The token's claims and the caller's areas. Raises `Denied`."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Denied(401, "send the header Authorization: Bearer TOKEN")
        try:
            claims = await asyncio.to_thread(self._verifier.verify, token, audience=self._audience)
        except InvalidJwt as error:
            raise Denied(401, str(error)) from None
        except JwksUnavailable as error:
            raise Denied(503, str(error)) from None
        if scope not in str(claims.get("scope", "")).split():
            raise Denied(403, f"the token's scope does not cover {scope}")
        if not _actor(claims):
            raise Denied(403, "the token names no actor: this service is called by agents on behalf of users")
        subject = str(claims["sub"])
        roles = self._service_roles if subject.startswith(SERVICE_PREFIX) else self._roles.get(_user(subject), ())
        areas = areas_of(roles)
        if not areas:
            raise Denied(403, "the user has no area")
        return claims, areas

    def _deny(self, request: Request, denied: Denied) -> Response:
        self._record(request, {}, denied.status, 0)
        return JSONResponse({"error": str(denied)}, status_code=denied.status)

    def _record(self, request: Request, claims: Mapping[str, Any], status: int, count: int) -> None:
        user, jti = _user(str(claims.get("sub", ""))), str(claims.get("jti", ""))
        self._calls.append(ServiceCall(request.url.path, user, _actor(claims), jti, status, count))


def build_work_orders_app(
    verifier: JwtVerifier, audience: str, roles: Mapping[str, tuple[str, ...]], service_roles: tuple[str, ...] = ()
) -> Starlette:
    """The HTTP application."""
    service = WorkOrders(verifier, audience, roles, service_roles)

    async def ready(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ready"})

    return Starlette(
        routes=[
            Route("/work-orders", service.work_orders),
            Route("/technicians", service.technicians),
            Route("/calls", service.calls),
            Route("/health/ready", ready),
        ]
    )


def roles_by_user(users: Path) -> dict[str, tuple[str, ...]]:
    """The area roles of each user, from the directory that the local identity provider has, too."""
    known = yaml.safe_load(users.read_text(encoding="utf-8"))["users"]
    return {name: tuple(user.get("roles", ())) for name, user in known.items()}


def _user(subject: str) -> str:
    return subject.removeprefix("user:")


def _actor(claims: Mapping[str, Any]) -> str:
    """The nearest actor: the agent."""
    actor = claims.get("act")
    return str(actor.get("sub", "")) if isinstance(actor, dict) else ""
