"""The list of cases and the page of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import structlog
from starlette.responses import RedirectResponse, Response

from switchyard.console.app import BadInput, Call, Handler, read_uuid
from switchyard.console.case_detail import CaseReader, find_reference
from switchyard.console.case_list import MAX_COUNTED, TEXT_FILTERS, CaseFilter, CaseList
from switchyard.console.case_step import StepReader
from switchyard.console.pages import Pages
from switchyard.console.sealed import SealedArtefacts
from switchyard.console.waterfall import LEGEND

log = structlog.get_logger(__name__)
TIMELINE_SQL = """select step, event_ts, node_from, node_to, transition, model_id, outcome
from audit.case_timeline
where case_id = '{case_id}'
order by step;"""
"""For a person to copy."""


@dataclass(frozen=True)
class CaseViews:
    """Finding cases, and everything about one."""

    pages: Pages
    cases: CaseList
    case_reader: CaseReader
    sealed: SealedArtefacts
    steps: StepReader

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        return {
            "home": self.show_home,
            "cases": self.list_cases,
            "case": self.show_case,
            "save_search": self.save_search,
            "event": self.show_event,
            "open_sealed": self.open_sealed,
            "step": self.show_step,
            "open_step": self.open_step,
        }

    async def show_home(self, call: Call) -> Response:
        return RedirectResponse("/cases", 303)

    async def list_cases(self, call: Call) -> Response:
        wanted = CaseFilter.parse(call.query, self.pages.today())
        page = await self.cases.page(wanted, call.user.tenants)
        return self.pages.page(
            "cases.html",
            call.user,
            here="cases",
            wanted=wanted,
            page=page,
            filters=TEXT_FILTERS,
            most=MAX_COUNTED,
            saved=list(self.pages.sessions.saved_searches(call.request.cookies).items()),
        )

    async def save_search(self, call: Call) -> Response:
        """Keep a search in this browser under a name, or forget it."""
        name, query = call.field("name", most=40), str(call.form.get("query", ""))
        wanted = CaseFilter.parse(dict(parse_qsl(query)), self.pages.today())
        saved = self.pages.sessions.saved_searches(call.request.cookies)
        saved.pop(name, None)
        if call.field("act", most=10) == "save":
            saved[name] = wanted.saved_query()
        answer = RedirectResponse(wanted.link(), 303)
        if not self.pages.sessions.save_searches(answer, saved):
            raise BadInput("this browser keeps no more searches: remove one first", 409)
        return answer

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

    async def show_step(self, call: Call) -> Response:
        return await self._step_page(call)

    async def open_step(self, call: Call) -> Response:
        return await self._step_page(call, reason=call.field("reason"))

    async def _step_page(self, call: Call, reason: str | None = None) -> Response:
        case_id, event_id = (read_uuid(call.request.path_params[name], name) for name in ("case_id", "event_id"))
        step = await self.steps.read(case_id, event_id)
        opened = None
        if reason is not None:
            opened = await self.steps.open(step, opened_by=call.user.name, reason=reason)
            log.warning("console.opened", user=call.user.name, case_id=str(case_id), step=str(event_id))
        return self.pages.page("step.html", call.user, here="cases", step=step, case_id=str(case_id), opened=opened)
