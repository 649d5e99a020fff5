"""`switchyard audit replay --what-if`: past cases with another model, prompt, rule pack or playbook. Reads only."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.console import Field, console, count, print_json, print_rows, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.lazy import load_app
from switchyard.cli.app.target import Env, Target, open_readable_target
from switchyard.cli.app.what_if_models import WhatIfModels

if TYPE_CHECKING:
    from switchyard.audit.verification.audit_reader import AuditReader
    from switchyard.audit.what_if.agents import WhatIfAgent
    from switchyard.audit.what_if.case_run import AgentPlan, WhatIf
    from switchyard.audit.what_if.comparison import CaseWhatIf
    from switchyard.router.playbook import Playbook

_FIELDS = (
    Field("case", short=8),
    Field("task", wraps=True),
    Field("then", wraps=True),
    Field("what_if", "what if", wraps=True),
    Field("text"),
    Field("tokens"),
    Field("dollars", "$"),
)
_COLOURS = {"refused": "yellow", "unknown": "yellow"}


@dataclass(frozen=True)
class WhatIfOptions:
    """What is tried, on which cases, and how it is shown."""

    case: str | None = None
    day: date | None = None
    outcome: str | None = None
    session: str | None = None
    limit: int = 50
    agents: tuple[str, ...] = ()
    model: str | None = None
    base_url: str | None = None
    prompts: tuple[str, ...] = ()
    pack: str | None = None
    playbook: str | None = None
    shows_text: bool = False
    page: Path | None = None

    @property
    def tried(self) -> str:
        """What is tried, for people."""
        parts = (
            ("model", self.model), ("prompt", ", ".join(self.prompts)), ("rule pack", self.pack),
            ("playbook", self.playbook),
        )  # fmt: skip
        return "; ".join(f"{name} {value}" for name, value in parts if value)


async def show_what_if(options: WhatIfOptions, *, env: Env, run: str | None, as_json: bool) -> None:
    """Run the cases and print them. Raises `typer.Exit` with 1 if a chain is broken, and `InvalidArgument`."""
    from switchyard.audit.what_if.page import count_cases, write_what_if_page

    if not options.tried:
        raise InvalidArgument("nothing is tried", remedy="give --model, --prompt, --pack or --playbook")
    cases = await run_what_if(options, env=env, run=run)
    if options.page is not None:
        write_what_if_page(options.page, cases, tried=options.tried, shows_text=options.shows_text)
    counts = count_cases(cases)
    if as_json:
        shown = [_as_json(case, shows_text=options.shows_text) for case in cases]
        print_json({"tried": options.tried, "counts": counts, "cases": shown})
    else:
        _print_cases(cases, options)
        console.print(", ".join(f"{number} {status.replace('_', ' ')}" for status, number in sorted(counts.items())))
        console.print("nothing was published, sent or stored")
    if any(case.refused.startswith(audit_log.BROKEN_CHAIN) for case in cases):
        raise typer.Exit(1)


async def run_what_if(options: WhatIfOptions, *, env: Env, run: str | None = None) -> list[CaseWhatIf]:
    """The cases of a filter, each run again in memory. Raises `InvalidArgument` and `CommandFailed`."""
    from switchyard.audit.what_if.agents import InvalidWhatIf

    chosen = _playbook(options.playbook)
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(open_readable_target(env, run))
        models = await stack.enter_async_context(WhatIfModels(target, options.model, options.base_url))
        plans = _plans(options, models)
        log = await stack.enter_async_context(audit_log.open_audit_reader(target))
        from switchyard.audit.what_if.case_run import WhatIf

        what_if = WhatIf(
            load_app().routing_table,
            plans,
            await stack.enter_async_context(audit_log.open_artefact_reader(target)),
            audit_log.artefact_text,
            chosen,
        )
        try:
            return [await _run_case(log, target, what_if, *each) for each in await _select(log, options)]
        except InvalidWhatIf as error:
            raise InvalidArgument(str(error), remedy="see `switchyard audit replay --help`") from error


async def _select(log: AuditReader, options: WhatIfOptions) -> list[tuple[str, str]]:
    """The cases with how they ended."""
    if options.case is not None:
        case_id = await audit_log.resolve_case_id(log, options.case)
        summary = await log.summary(case_id)
        return [(case_id, (summary.outcome or str(summary.status)) if summary else "retired")]
    found = await log.list_cases(
        session_id=options.session, day=options.day, outcome=options.outcome, limit=options.limit
    )
    return [(case.case_id, case.outcome or str(case.status)) for case in found]


async def _run_case(log: AuditReader, target: Target, what_if: WhatIf, case_id: str, outcome: str) -> CaseWhatIf:
    from switchyard.audit.what_if.comparison import CaseWhatIf

    bodies, problem = await audit_log.read_proved_bodies(log, case_id)
    if problem is not None:
        return CaseWhatIf(case_id, outcome, refused=problem)
    if what_if.plans and (forgotten := await audit_log.list_forgotten_inputs(target, case_id)):
        return CaseWhatIf(case_id, outcome, refused=f"gone: {forgotten[0]} was forgotten")
    return await what_if.run(case_id, outcome, bodies)


def _playbook(version: str | None) -> Playbook | None:
    if version is None:
        return None
    known = load_app().playbooks
    if version not in known:
        raise InvalidArgument(f"there is no playbook {version}", remedy=f"name one of {', '.join(sorted(known))}")
    return known[version]


def _plans(options: WhatIfOptions, models: WhatIfModels) -> dict[str, AgentPlan]:
    """How each agent takes part. Raises `InvalidArgument`."""
    from switchyard.app.application import load_reference
    from switchyard.audit.what_if.case_run import AgentPlan

    if not (options.model or options.prompts or options.pack):
        return {}
    try:
        known: dict[str, WhatIfAgent] = {name: load_reference(each) for name, each in load_app().what_if.items()}
    except ImportError as error:
        missing = f"this installation cannot run agents: {error.name or error} is missing"
        raise CommandFailed(missing, remedy="run it in a checkout") from error
    prompts = _read_prompts(options.prompts, known)
    if options.prompts and options.model is None:
        raise InvalidArgument("a prompt is tried on a model", remedy="name one with --model")
    if unknown := sorted(set(options.agents) - known.keys()):
        remedy = f"name one of {', '.join(known)}: the others work on data that the log does not have"
        raise InvalidArgument(f"{unknown[0]} cannot be run again", remedy=remedy)
    takers = {name for name, agent in known.items() if options.pack is not None and agent.takes_pack}
    asked = set(options.agents) or set(prompts) or (set(known) if options.model else set())
    return {
        name: AgentPlan(
            agent,
            again=name in asked | takers,
            model=models.open,
            prompts={**agent.prompts, **prompts.get(name, {})},
            pack=options.pack if agent.takes_pack else None,
            asks=options.model is not None,
        )
        for name, agent in known.items()
    }


def _read_prompts(given: tuple[str, ...], known: dict[str, WhatIfAgent]) -> dict[str, dict[str, str]]:
    """`AGENT/NAME=FILE`, by agent and name."""
    found: dict[str, dict[str, str]] = {}
    for each in given:
        place, _, file = each.partition("=")
        agent, _, name = place.partition("/")
        if agent not in known or name not in known[agent].prompts:
            names = [f"{one}/{prompt}" for one, each_agent in known.items() for prompt in each_agent.prompts]
            raise InvalidArgument(
                f"{place} names no prompt", remedy=f"write AGENT/NAME=FILE, one of {', '.join(names)}"
            )
        try:
            found.setdefault(agent, {})[name] = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            from switchyard.protocol.errors import why_unreadable

            raise InvalidArgument(
                f"{file or 'the prompt'} cannot be read: {why_unreadable(error)}", remedy="name a text file"
            ) from error
    return found


def _print_cases(cases: list[CaseWhatIf], options: WhatIfOptions) -> None:
    from switchyard.audit.what_if.page import format_dollars, total_dollars

    rows: list[dict[str, Any]] = []
    for case in cases:
        # Of cases that would have gone the same way, the count says enough.
        for task in case.tasks if len(cases) == 1 or case.status != "same" else ():
            plus, minus = task.changed_lines
            sides = [side for side in (task.then, task.now) if side is not None]
            rows.append(
                {
                    "case": case.case_id,
                    "task": f"{task.node}: {task.task}",
                    "then": task.then.outcome if task.then else "",
                    "what_if": task.now.outcome if task.now else "unknown",
                    "text": "" if task.same_text else f"+{plus} -{minus}",
                    "tokens": " > ".join(str(side.tokens) for side in sides) if any(s.tokens for s in sides) else "",
                    "dollars": format_dollars(total_dollars([task.now])),
                }
            )
    if rows:
        print_rows(rows, _FIELDS)
    for case in cases:
        for task in case.tasks:
            lines = [*task.changes, *([task.why] if task.why else []), *(task.diff if options.shows_text else ())]
            for line in lines:
                print_text(f"{case.case_id[:8]} {task.task}: {line}")
        if case.then_goes_to:
            print_text(f"{case.case_id[:8]} ended as {case.outcome}; from the difference on it {case.then_goes_to}")
        if case.refused:
            print_text(f"{case.case_id[:8]} refused: {case.refused}", style=_COLOURS["refused"])
    for side, label in (("then", "then"), ("now", "what if")):
        dollars = total_dollars(getattr(task, side) for case in cases for task in case.tasks)
        tokens = sum(getattr(task, side).tokens for case in cases for task in case.tasks if getattr(task, side))
        if tokens:
            price = "no list price" if dollars is None else f"${dollars:.4f}"
            print_text(f"{label}: {count(tokens, 'token')}, {price}")


def _as_json(case: CaseWhatIf, *, shows_text: bool) -> dict[str, Any]:
    tasks = []
    for task in case.tasks:
        sides = {}
        for name, side in (("then", task.then), ("what_if", task.now)):
            shown = None if side is None else asdict(side) | {"dollars": side.dollars}
            if shown is not None:
                shown.pop("payload")
                if not shows_text:
                    shown.pop("text")
            sides[name] = shown
        plus, minus = task.changed_lines
        tasks.append(
            {"node": task.node, "task": task.task, "why": task.why, "changes": task.changes}
            | {"lines_added": plus, "lines_removed": minus, **sides}
        )
    fields = ("case_id", "outcome", "status", "then_goes_to", "refused")
    return {name: getattr(case, name) for name in fields} | {"tasks": tasks}


def refuse_without_what_if(options: WhatIfOptions) -> None:
    """Raise `InvalidArgument` if a plain replay is given an option of a what-if."""
    if options != WhatIfOptions(case=options.case, day=options.day):
        raise InvalidArgument("this option is for a what-if", remedy="add --what-if")
