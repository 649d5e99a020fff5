"""The opt-out endpoint: GET asks, POST does (RFC 8058). Link scanners fetch links, so a GET changes nothing."""

from __future__ import annotations

import hashlib

import structlog
from starlette.applications import Starlette
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


def build_opt_out_app(tokens: SignedTokens[OptOutClaims], refused: SuppressionPublisher, clock: Clock) -> Starlette:
    """The application. Its answers hold nothing about anybody."""

    async def opt_out(request: Request) -> HTMLResponse:
        try:
            wanted = tokens.verify(request.path_params["token"])
        except InvalidToken:
            log.info("opt_out.bad_link", method=request.method)
            return _answer(opt_out_pages.BAD_LINK_PAGE, 400)
        if request.method != "POST":
            return _answer(opt_out_pages.CONFIRM_PAGE, 200)
        # Whatever the body says: who holds the link and posts wants out, and must not fail on a mail client's form.
        report = build_suppression(wanted, day=clock.now().date().isoformat())
        try:
            await refused.publish(report)
        except Unavailable as error:
            log.warning("opt_out.not_recorded", code=error.code, alarm="opt_out")
            return _answer(opt_out_pages.TRY_AGAIN_PAGE, 503, retry_after=OPT_OUT_RETRY_AFTER_S)
        log.info("opt_out.taken", tenant=wanted.tenant, case_id=wanted.case_id, report_id=report.report_id)
        return _answer(opt_out_pages.DONE_PAGE, 200)

    async def not_found(request: Request, _: Exception) -> HTMLResponse:
        return _answer(opt_out_pages.BAD_LINK_PAGE, 404)

    async def no_such_method(request: Request, _: Exception) -> HTMLResponse:
        return _answer(opt_out_pages.BAD_LINK_PAGE, 405)

    return Starlette(
        routes=[Route(f"{OPT_OUT_PATH}/{{token}}", opt_out, methods=["GET", "POST"])],
        exception_handlers={404: not_found, 405: no_such_method},
    )


def build_suppression(wanted: OptOutClaims, *, day: str) -> SuppressionRequested:
    """The event for an opt-out. One a day for a link: a second click is the same report, and one after the person
    agreed to emails again is another."""
    once = hashlib.sha256(f"{wanted.tenant}/{wanted.address_key}/{wanted.case_id}/{day}".encode()).hexdigest()[:32]
    return SuppressionRequested(
        tenant=wanted.tenant, address_key=wanted.address_key, reason="opted_out", report_id=f"optout.{once}"
    )


def _answer(html: str, status: int, *, retry_after: str | None = None) -> HTMLResponse:
    headers = dict(opt_out_pages.PAGE_HEADERS) | ({"Retry-After": retry_after} if retry_after else {})
    return HTMLResponse(html, status_code=status, headers=headers)
