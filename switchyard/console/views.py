"""The pages: each reads, decides what to show, and renders. What each is for, and who may see it, is in `access`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, get_args
from uuid import UUID, uuid4

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from switchyard.console.app import BadInput, Call, Handler, OpenHandler, read_filter
from switchyard.console.approvals import ApprovalReader
from switchyard.console.case_detail import CaseReader
from switchyard.console.case_list import MAX_COUNTED, TEXT_FILTERS, CaseFilter, CaseList
from switchyard.console.dashboards import DASHBOARD_DAYS, DashboardReader
from switchyard.console.day_verifier import DayVerifier
from switchyard.console.failures import MAX_REDRIVE, FailureReader
from switchyard.console.login import Login, LoginFailed
from switchyard.console.pages import Pages
from switchyard.console.sealed import SealedArtefacts
from switchyard.console.signed_commands import SignedCommands, SignedRetry
from switchyard.console.tail import Tail
from switchyard.console.waterfall import LEGEND
from switchyard.protocol.operator_commands import CommandAction, OperatorCommand
from switchyard.protocol.statements import ApprovalAnswer
from switchyard.runtime.core.clock import Clock
from switchyard.runtime.database.connections import Database
from switchyard.runtime.database.queries import load_queries

log = structlog.get_logger(__name__)
_PROOF_SQL = load_queries(__file__, "proof.sql")
_WORK_SQL = load_queries(__file__, "work.sql")
RENDERED_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none'"
)
"""For content that is not ours: no script, no form, nothing loaded, in a frame of ours only."""

TIMELINE_SQL = """select step, event_ts, node_from, node_to, transition, model_id, outcome
from audit.case_timeline
where case_id = '{case_id}'
order by step;"""
"""For a person to copy."""


@dataclass(frozen=True)
class Views:
    """What the pages depend on."""

    pages: Pages
    login: Login
    clock: Clock
    days: DayVerifier
    audit: Database
    work: Database
    cases: CaseList
    case_reader: CaseReader
    failures: FailureReader
    approvals: ApprovalReader
    dashboards: DashboardReader
    sealed: SealedArtefacts
    commands: SignedCommands
    tail: Tail
    playbooks: Mapping[str, str]
    """The version that a new case gets, by playbook."""

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        return {
            "logout": self.log_out,
            "home": self.show_home,
            "cases": self.list_cases,
            "case": self.show_case,
            "event": self.show_event,
            "open_sealed": self.open_sealed,
            "tail": self.show_tail,
            "tail_events": self.stream_tail,
            "failures": self.show_failures,
            "redrive_plan": self.plan_redrive,
            "redrive": self.redrive,
            "switches": self.show_switches,
            "command": self.hand_in_command,
            "approvals": self.list_approvals,
            "approval": self.show_approval,
            "approval_rendered": self.render_approval,
            "decide": self.decide,
            "dashboards": self.show_dashboards,
            "proof": self.show_proof,
            "verify": self.verify,
            "signing_key": self.show_signing_key,
        }

    def open_handlers(self) -> dict[str, OpenHandler]:
        """Those that need no log-in."""
        return {"login": self.log_in, "callback": self.finish_login}

    async def log_in(self, request: Request) -> Response:
        then = request.query_params.get("then", "/")
        attempt = self.login.start(then if is_own_page(then) else "/")
        answer = RedirectResponse(attempt.url, 303)
        self.pages.sessions.begin_login(answer, attempt.remembered)
        return answer

    async def finish_login(self, request: Request) -> Response:
        remembered = self.pages.sessions.take_login(request.cookies)
        try:
            name, roles = await self.login.finish(request.query_params, remembered)
        except LoginFailed as error:
            log.warning("console.login_failed", why=str(error))
            failed = self.pages.page("message.html", status=403, title="Not logged in", message=str(error))
            self.pages.sessions.end_login(failed)
            return failed
        then = (remembered or {}).get("then", "/")
        log.info("console.login", user=name, roles=list(roles))
        answer = RedirectResponse(then if is_own_page(then) else "/", 303)
        self.pages.sessions.end_login(answer)
        self.pages.sessions.begin(answer, name, roles)
        return answer

    async def log_out(self, call: Call) -> Response:
        answer = self.pages.page("message.html", title="Logged out", message="You are logged out of the console.")
        self.pages.sessions.end(answer)
        return answer

    async def show_home(self, call: Call) -> Response:
        return RedirectResponse("/cases", 303)

    async def list_cases(self, call: Call) -> Response:
        wanted = CaseFilter.parse(call.query, self._today())
        page = await self.cases.page(wanted)
        return self.pages.page(
            "cases.html", call.user, here="cases", wanted=wanted, page=page, filters=TEXT_FILTERS, most=MAX_COUNTED
        )

    async def show_case(self, call: Call) -> Response:
        return await self._case_page(call)

    async def _case_page(self, call: Call, opened: Any = None) -> Response:
        case_id = read_uuid(call.request.path_params["case_id"], "case")
        detail = await self.case_reader.read(case_id)
        if detail is None:
            raise BadInput("the log has no such case: search for it in the list", 404)
        return self.pages.page(
            "case.html",
            call.user,
            here="cases",
            case=detail,
            opened=opened,
            sql=TIMELINE_SQL.format(case_id=case_id),
            legend=LEGEND,
        )

    async def show_event(self, call: Call) -> Response:
        ids = [read_uuid(call.request.path_params[name], name) for name in ("case_id", "event_id")]
        event = await self.case_reader.event(*ids)
        if event is None:
            raise BadInput("the log has no such event in this case", 404)
        return self.pages.page("event.html", call.user, here="cases", event=event, case_id=str(ids[0]))

    async def open_sealed(self, call: Call) -> Response:
        case_id = read_uuid(call.request.path_params["case_id"], "case")
        reason, sha256 = call.field("reason"), call.field("sha256", most=64)
        event = await self.case_reader.sealed_event(case_id, read_uuid(call.field("event_id", most=36), "event_id"))
        reference = find_reference(event or {}, sha256)
        if event is None or reference is None:
            raise BadInput("the event has no such artefact: reload the page", 404)
        opened, _ = await self.sealed.open(event, reference, opened_by=call.user.name, reason=reason)
        log.warning("console.opened", user=call.user.name, case_id=str(case_id), artefact=opened.name)
        return await self._case_page(call, opened)

    async def show_tail(self, call: Call) -> Response:
        entries = list(self.tail.entries)[-100:][::-1]
        cursor = entries[0].log_index if entries else self.tail.newest or 0
        return self.pages.page(
            "tail.html", call.user, here="tail", entries=entries, cursor=cursor, problem=self.tail.problem
        )

    async def stream_tail(self, call: Call) -> Response:
        text = call.request.headers.get("last-event-id") or call.query.get("after") or ""
        if text and not (text.isdecimal() and len(text) < 19):
            raise BadInput("after is no log index: write a number")
        ended = partial(self.pages.sessions.has_ended, call.user)
        events = self.tail.follow(int(text) if text else None, user=call.user.name, ended=ended)
        return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def show_failures(self, call: Call) -> Response:
        node, code = read_filter(call.query, "node"), read_filter(call.query, "code")
        found = await self.failures.read(self._today(), node, code)
        return self.pages.page("failures.html", call.user, here="failures", found=found, node=node, code=code)

    async def plan_redrive(self, call: Call) -> Response:
        chosen = [read_uuid(str(each), "case") for each in call.form.getlist("case")]
        if not 0 < len(chosen) <= MAX_REDRIVE:
            raise BadInput(f"{len(chosen)} cases are chosen: choose from 1 to {MAX_REDRIVE}")
        plan = await self.failures.plan(list(dict.fromkeys(chosen)))
        return self.pages.page("redrive.html", call.user, here="failures", plan=plan, results=None)

    async def redrive(self, call: Call) -> Response:
        reason, requested_at = call.field("reason"), call.field("signed_at", most=40)
        chosen = [read_uuid(str(each), "case") for each in call.form.getlist("case_id")]
        signatures = [str(each) for each in call.form.getlist("signature")]
        if not 0 < len(chosen) <= MAX_REDRIVE or len(chosen) != len(signatures):
            raise BadInput("each case needs one signature: sign again")
        rate = call.field("rate", most=5)
        if not rate.isdecimal() or not 1 <= int(rate) <= 20:
            raise BadInput("the rate is invalid: write from 1 to 20 cases a second")
        plan = await self.failures.plan(chosen)
        retries = []
        for step, signature in zip(plan, signatures, strict=True):
            if step.failure is None:
                raise BadInput(f"case {step.case_id} cannot be redriven any more: {step.why_not}", 409)
            retries.append(SignedRetry(step.case_id, step.failure, signature))
        log.warning("console.redrive", user=call.user.name, cases=len(retries), reason=reason)
        results = await self.commands.retry(
            retries, operator=call.user.name, reason=reason, requested_at=requested_at, per_second=float(rate)
        )
        return self.pages.page("redrive.html", call.user, here="failures", plan=plan, results=results)

    async def show_switches(self, call: Call) -> Response:
        return await self._switches_page(call)

    async def _switches_page(self, call: Call, done: str | None = None) -> Response:
        halted = {row["playbook"]: row for row in await self.work.with_queries(_WORK_SQL).rows("halted")}
        names = sorted({*self.playbooks, *halted})
        cancel = call.query.get("cancel", "")
        return self.pages.page(
            "switches.html",
            call.user,
            here="switches",
            playbooks=[(name, self.playbooks.get(name), halted.get(name)) for name in names],
            command_ids=[str(uuid4()) for _ in range(len(names) + 1)],
            cancel=str(read_uuid(cancel, "cancel")) if cancel else "",
            done=done,
        )

    async def hand_in_command(self, call: Call) -> Response:
        action = call.field("action", most=10)
        if action not in get_args(CommandAction):
            raise BadInput("the action is invalid: halt, resume or cancel")
        command = OperatorCommand(
            command_id=str(read_uuid(call.field("command_id", most=36), "command_id")),
            action=action,  # type: ignore[arg-type] # it is one of them
            target=call.field("target", most=60),
            operator=call.user.name,
            reason=call.field("reason"),
            signed_at=call.field("signed_at", most=40),
            signature=call.field("signature", most=200),
        )
        result = await self.commands.command(command)
        log.warning("console.command", user=call.user.name, action=action, target=command.target, result=result)
        stored = "stored; a stop is in effect, but the case manager has not answered yet"
        return await self._switches_page(call, f"{action} {command.target}: {result or stored}")

    async def list_approvals(self, call: Call) -> Response:
        return self.pages.page(
            "approvals.html", call.user, here="approvals", pending=await self.approvals.pending(), done=None
        )

    async def show_approval(self, call: Call) -> Response:
        approval_id = read_uuid(call.request.path_params["approval_id"], "approval")
        detail = await self.approvals.detail(approval_id, opened_by=call.user.name)
        return self.pages.page("approval.html", call.user, here="approvals", approval=detail)

    async def render_approval(self, call: Call) -> Response:
        approval_id = read_uuid(call.request.path_params["approval_id"], "approval")
        html = await self.approvals.rendered(approval_id, opened_by=call.user.name)
        return HTMLResponse(html, headers={"Content-Security-Policy": RENDERED_POLICY})

    async def decide(self, call: Call) -> Response:
        approval_id = read_uuid(call.request.path_params["approval_id"], "approval")
        verdict = call.field("verdict", most=10)
        if verdict not in get_args(ApprovalAnswer):
            raise BadInput("the verdict is invalid: granted or denied")
        approval = await self.approvals.find(approval_id)
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
        pending = await self.approvals.pending()
        return self.pages.page("approvals.html", call.user, here="approvals", pending=pending, done=done)

    async def show_dashboards(self, call: Call) -> Response:
        text = call.query.get("days", "7")
        if text not in {str(days) for days in DASHBOARD_DAYS}:
            raise BadInput(f"days is invalid: one of {', '.join(map(str, DASHBOARD_DAYS))}")
        found = await self.dashboards.read(self._today(), int(text))
        return self.pages.page(
            "dashboards.html", call.user, here="dashboards", found=found, days=int(text), choices=DASHBOARD_DAYS
        )

    async def show_proof(self, call: Call) -> Response:
        return await self._proof_page(call)

    async def verify(self, call: Call) -> Response:
        try:
            day = date.fromisoformat(call.field("day", most=10))
        except ValueError:
            raise BadInput("day is no day: write it as 2026-06-17") from None
        report = await self.days.verify(day)
        log.info("console.verified", user=call.user.name, day=day.isoformat(), ok=report.ok)
        return await self._proof_page(call, report)

    async def _proof_page(self, call: Call, report: Any = None) -> Response:
        audit = self.audit.with_queries(_PROOF_SQL)
        return self.pages.page(
            "proof.html",
            call.user,
            here="proof",
            checkpoint=await audit.row("checkpoint"),
            newest=await audit.row("newest"),
            alarms=await audit.rows("alarms"),
            erasures=await audit.rows("erasures"),
            holds=await audit.rows("holds"),
            report=report,
            today=self._today(),
        )

    async def show_signing_key(self, call: Call) -> Response:
        return self.pages.page("signing_key.html", call.user, here="signing_key")

    def _today(self) -> date:
        return self.clock.now().date()


def is_own_page(path: str) -> bool:
    """Whether a browser that is sent there stays with us."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()


def read_uuid(text: str, name: str) -> UUID:
    """A UUID. Raises `BadInput`, which names the field."""
    try:
        return UUID(text)
    except ValueError:
        raise BadInput(f"{name} is no id: expected a UUID") from None


def find_reference(event: Mapping[str, Any], sha256: str) -> Mapping[str, Any] | None:
    """The reference to an artefact in the payload of an event, at any depth."""
    pending = [event.get("payload")]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            if each.get("sha256") == sha256 and "media_type" in each:
                return each
            pending += each.values()
        elif isinstance(each, list):
            pending += each
    return None
