"""Questions for several specialists in the demo: at once, one after another, and with a part that fails."""

from __future__ import annotations

import asyncio
import json
import re
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import Any

from demo.figures import TERMINAL_WIDTH
from switchyard.cli.app.audit_log import open_artefact_reader, open_audit_reader, read_artefact, read_events
from switchyard.cli.app.console import print_text
from switchyard.cli.app.opened_artefacts import list_files
from switchyard.cli.app.target import Target
from switchyard.protocol.fields import Json

SHOWN = {
    "demo-035": "Three specialists at once",
    "demo-036": "One after another, with what the first one found",
    "demo-037": "One part fails, and the answer says so",
}
SHOWN_CHARS = 150
"""Of what each finding gave the answer; `case show` has all of it."""

WHOLE_S = 20
"""How long the log may take to have the whole of a case whose ending it has."""

_CITED = re.compile(r"\S.*?\[F\d+\]")


async def show_several(target: Target, questions: Sequence[Json], cases: Sequence[str]) -> dict[str, Any]:
    """Print what became of the questions for several specialists; by key, how many parts ended how and the files."""
    found = {}
    async with open_audit_reader(target) as log, open_artefact_reader(target) as artefacts:
        for question, case in zip(questions, cases, strict=True):
            key = question["idempotency_key"]
            if key not in SHOWN:
                continue
            events = await _read_whole_case(log, case)
            print_text(f"\n{SHOWN[key]}. {question['user_id']} asks:", style="bold")
            _print_wrapped(question["question"])
            parts = list_parts(events)
            print_text("case " + case[:8] + ": " + ", ".join(f"{agent} {how}" for agent, how in parts))
            # What memory keeps follows the ending.
            ending = next(event for event in reversed(events) if event["type"] == "CaseClosed")
            if ending["payload"].get("answer"):
                _print_answer(json.loads(await read_artefact(artefacts, ending, ending["payload"]["answer"])))
            files = [each.file for each in list_files(events) if "-findings" not in each.file]
            if files:
                _print_wrapped("beside it: " + ", ".join(files))
            found[key] = {"outcome": ending["payload"].get("outcome"), "parts": parts, "files": files}
    if found:
        print_text("`case show CASE --open --save FOLDER` writes charts and plans.", style="dim")
    return found


async def _read_whole_case(log: Any, case: str) -> list[Json]:
    """The events of a case that has ended. Its ending may be recorded before what led to it: waits until all is."""
    until = time.monotonic() + WHOLE_S
    while True:
        events = await read_events(log, case)
        recorded = {event["digest"] for event in events}
        if time.monotonic() > until or all(recorded.issuperset(event["parents"]) for event in events):
            return events
        await asyncio.sleep(0.2)


def list_parts(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The specialists of a case in the order of its parts, and how each one ended."""
    # Each step of a sequence numbers its branches anew.
    ends: dict[tuple[int, str], str] = {}
    for event in events:
        branch = event.get("branch")
        if branch is not None and event["type"] in {"FindingsReady", "TaskFailed"}:
            how = "found it" if event["type"] == "FindingsReady" else f"failed: {event['payload']['code']}"
            ends[branch["number"], event["node_from"]] = how
    return [(agent, how) for (_, agent), how in sorted(ends.items(), key=lambda end: end[0][0])]


def _print_answer(answer: Mapping[str, Any]) -> None:
    lines = answer["text"].splitlines()
    missing = [line for line in lines if line.startswith("Not answered: ")]
    text = " ".join(line for line in lines if line not in missing)
    for found in _CITED.findall(text) or [text]:
        _print_wrapped(textwrap.shorten(found, SHOWN_CHARS, placeholder=" …"))
    for line in missing:
        _print_wrapped(line)


def _print_wrapped(text: str) -> None:
    for line in textwrap.wrap(text, TERMINAL_WIDTH - 2):
        print_text(f"  {line}")
