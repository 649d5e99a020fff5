"""The approvals inbox and the page of one approval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import structlog
from starlette.responses import HTMLResponse, Response

from switchyard.console.app import BadInput, Call, Handler, read_uuid
from switchyard.console.approvals import ApprovalReader
from switchyard.console.pages import Pages
from switchyard.console.signed_commands import SignedCommands
from switchyard.protocol.statements import ApprovalAnswer

log = structlog.get_logger(__name__)
RENDERED_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none'"
)
"""For content that is not ours: no script, no form, nothing loaded, in a frame of ours only."""


@dataclass(frozen=True)
class ApprovalViews:
    """What waits for a person, what exactly would take effect, and the decision."""

    pages: Pages
    approvals: ApprovalReader
    commands: SignedCommands

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        return {
            "approvals": self.list_approvals,
            "approval": self.show_approval,
            "approval_rendered": self.render_approval,
            "decide": self.decide,
        }

    async def list_approvals(self, call: Call) -> Response:
        return self.pages.page(
            "approvals.html",
            call.user,
            here="approvals",
            pending=await self.approvals.pending(call.user.tenants),
            done=None,
        )

    async def show_approval(self, call: Call) -> Response:
        approval_id = read_uuid(call.request.path_params["approval_id"], "approval")
        detail = await self.approvals.detail(approval_id, call.user.tenants, opened_by=call.user.name)
        shown = ""
        if detail.content.whole:
            shown = self.pages.sessions.form_token(call.user, _shown_whole(detail.row))
        return self.pages.page("approval.html", call.user, here="approvals", approval=detail, shown=shown)

    async def render_approval(self, call: Call) -> Response:
        approval_id = read_uuid(call.request.path_params["approval_id"], "approval")
        html = await self.approvals.rendered(approval_id, call.user.tenants, opened_by=call.user.name)
        return HTMLResponse(html, headers={"Content-Security-Policy": RENDERED_POLICY})

    async def decide(self, call: Call) -> Response:
        approval_id = read_uuid(call.request.path_params["approval_id"], "approval")
        verdict = call.field("verdict", most=10)
        if verdict not in get_args(ApprovalAnswer):
            raise BadInput("the verdict is invalid: granted, denied or returned")
        approval = await self.approvals.find(approval_id, call.user.tenants)
        if verdict == "granted":
            shown = str(call.form.get("shown", ""))
            if not self.pages.sessions.is_form_token(call.user, shown, _shown_whole(approval)):
                raise BadInput("this content was not shown to you whole: open the approval and read it", 409)
        result = await self.commands.decide(
            approval,
            verdict,  # type: ignore[arg-type] # it is one of them
            by=call.user.name,
            reason=call.field("reason"),
            signed_at=call.field("signed_at", most=40),
            signature=call.field("signature", most=200),
        )
        log.warning("console.decided", user=call.user.name, approval_id=str(approval_id), result=result)
        done = f"{str(approval_id)[:8]}: {result or 'stored; the case manager has not answered yet'}"
        pending = await self.approvals.pending(call.user.tenants)
        return self.pages.page("approvals.html", call.user, here="approvals", pending=pending, done=done)


def _shown_whole(approval: Mapping[str, Any]) -> str:
    """What a page says that shows all of the content: the next request of this session proves with it that it did."""
    return f"shown/{approval['approval_id']}/{approval['content_sha256']}"
