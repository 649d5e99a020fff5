"""The opt-out endpoint: GET asks for confirmation, POST suppresses (RFC 8058). Link scanners use GET only."""

from __future__ import annotations

import hashlib

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from contracts.documents.opt_out import OPT_OUT_PATH, OptOutClaims
from services.specialists.email_feedback import opt_out_pages
from services.specialists.email_feedback.suppression import SuppressionPublisher
from switchyard.protocol.events.upstream import SuppressionRequested
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.crypto.tokens import InvalidToken, SignedTokens

log = structlog.get_logger(__name__)
OPT_OUT_RETRY_AFTER_S = "60"
HEALTH_TOKEN = "health"  # noqa: S105 - the end of an address
"""What the load balancer asks every few seconds (terraform/modules/email): refused as any bad link, and not logged."""


def build_opt_out_app(
    tokens: SignedTokens[OptOutClaims], suppressions: SuppressionPublisher, clock: Clock
) -> Starlette:
    """The application. Its answers contain no personal data."""

    async def opt_out(request: Request) -> HTMLResponse:
        try:
            wanted = tokens.verify(request.path_params["token"])
        except InvalidToken:
            if request.path_params["token"] != HEALTH_TOKEN:
                log.info("opt_out.bad_link", method=request.method)
            return _answer(opt_out_pages.BAD_LINK_PAGE, 400)
        if request.method != "POST":
            return _answer(opt_out_pages.CONFIRM_PAGE, 200)
        # The body is ignored: mail clients post different forms, and every one of them must succeed.
        report = build_suppression(wanted, day=clock.now().date().isoformat())
        try:
            await suppressions.publish(report)
        except Unavailable as error:
            log.warning("opt_out.not_recorded", code=error.code, alarm="opt_out")
            return _answer(opt_out_pages.TRY_AGAIN_PAGE, 503, retry_after=OPT_OUT_RETRY_AFTER_S)
        log.info("opt_out.taken", tenant=wanted.tenant, case_id=wanted.case_id, report_id=report.report_id)
        return _answer(opt_out_pages.DONE_PAGE, 200)

    async def bad_link(request: Request, error: Exception) -> HTMLResponse:
        return _answer(opt_out_pages.BAD_LINK_PAGE, error.status_code if isinstance(error, HTTPException) else 500)

    routes = [Route(f"{OPT_OUT_PATH}/{{token}}", opt_out, methods=["GET", "POST"])]
    return Starlette(routes=routes, exception_handlers={HTTPException: bad_link})


def build_suppression(wanted: OptOutClaims, *, day: str) -> SuppressionRequested:
    """The event for an opt-out, with one report id per link and day: a second click is the same report, and an opt-out
    after a renewed consent is another."""
    once = hashlib.sha256(f"{wanted.tenant}/{wanted.address_key}/{wanted.case_id}/{day}".encode()).hexdigest()[:32]
    return SuppressionRequested(
        tenant=wanted.tenant, address_key=wanted.address_key, reason="opted_out", report_id=f"optout.{once}"
    )


def _answer(html: str, status: int, *, retry_after: str | None = None) -> HTMLResponse:
    headers = dict(opt_out_pages.PAGE_HEADERS) | ({"Retry-After": retry_after} if retry_after else {})
    return HTMLResponse(html, status_code=status, headers=headers)
