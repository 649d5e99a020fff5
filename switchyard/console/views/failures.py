"""The page of what did not work, and the redrive of failed cases."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from starlette.responses import Response

from switchyard.console.app import BadInput, Call, Handler, read_filter, read_uuid
from switchyard.console.failures import MAX_REDRIVE, FailureReader
from switchyard.console.pages import Pages
from switchyard.console.refused import RefusedReader
from switchyard.console.signed_commands import SignedCommands, SignedRetry

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class FailureViews:
    """Failures with their causes, the plan of a redrive and its result."""

    pages: Pages
    failures: FailureReader
    refused: RefusedReader
    commands: SignedCommands

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        return {
            "failures": self.show_failures,
            "refused": self.show_refused,
            "open_refused": self.open_refused,
            "redrive_plan": self.plan_redrive,
            "redrive": self.redrive,
        }

    async def show_failures(self, call: Call) -> Response:
        node, code = read_filter(call.query, "node"), read_filter(call.query, "code")
        # Empty says: no model was called.
        prompt = (read_filter(call.query, "prompt") or "") if "prompt" in call.query else None
        found, quarantine = await asyncio.gather(
            self.failures.read(self.pages.today(), call.user.tenants, node, code, prompt),
            self.refused.latest(call.user.tenants),
        )
        return self.pages.page(
            "failures.html",
            call.user,
            here="failures",
            found=found,
            quarantine=quarantine,
            node=node,
            code=code,
            prompt=prompt,
        )

    async def show_refused(self, call: Call) -> Response:
        path = call.request.path_params
        message = await self.refused.find(path["place"], path["key"])
        return self.pages.page("refused.html", call.user, here="failures", message=message, opened=False)

    async def open_refused(self, call: Call) -> Response:
        place, key, reason = *(call.request.path_params[name] for name in ("place", "key")), call.field("reason")
        message = await self.refused.open(place, key, opened_by=call.user.name, reason=reason)
        log.warning("console.opened", user=call.user.name, place=place, message=key)
        return self.pages.page("refused.html", call.user, here="failures", message=message, opened=True)

    async def plan_redrive(self, call: Call) -> Response:
        chosen = [read_uuid(str(each), "case") for each in call.form.getlist("case")]
        if not 0 < len(chosen) <= MAX_REDRIVE:
            raise BadInput(f"{len(chosen)} cases are chosen: choose from 1 to {MAX_REDRIVE}")
        await call.require_cases(chosen)
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
            raise BadInput("the rate is invalid: write from 1 to 20 cases per second")
        await call.require_cases(chosen)
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
