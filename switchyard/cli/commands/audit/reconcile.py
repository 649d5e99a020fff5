"""`switchyard audit reconcile`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.connections import open_aws_client, open_pool
from switchyard.cli.app.console import Field, console, count, print_json, print_rows, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.lazy import load_app
from switchyard.cli.app.options import EnvOption, JsonOption
from switchyard.cli.app.target import Env, Target, resolve_target

if TYPE_CHECKING:
    from switchyard.audit.reconciliation.completeness import Gap
    from switchyard.audit.reconciliation.reconciler import Reconciler, ReconciliationReport

_SPAN = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MAX_SHOWN_GAPS = 20
OVERLAP = timedelta(hours=1)
"""How far a round of `--every` reaches back before the one before it, among what producers stored."""

_COLUMNS = ("producer", "published", "in_flight", "lag_s", "holes", "filled", "differ", "unclaimed")


async def reconcile(  # noqa: PLR0917 - options, each by its name
    since: Annotated[
        str | None, typer.Option(help="Narrow it to 30m, 24h, 7d, or since a day; else everything.")
    ] = None,
    after: Annotated[int, typer.Option(min=0, help="With --since: cases with a later log index, of any time.")] = 0,
    repair: Annotated[bool, typer.Option("--repair", help="Publish again what the log lacks.")] = False,
    grace: Annotated[float | None, typer.Option(help="Seconds that a delivery may take.")] = None,
    wait: Annotated[float, typer.Option(help="With --repair: seconds to wait for the log to be complete.")] = 60,
    every: Annotated[float | None, typer.Option(help="Repeat at this interval, in seconds, until stopped.")] = None,
    as_json: JsonOption = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Compare the events that producers published with the log: in flight, lost, different, or unclaimed.

    Also the credentials that the identity service issued with those that the log says were used. Exit code 1 if the log
    lacks an event that will not arrive by itself, has one that no producer published, or differs in a credential.
    """
    from asyncio import sleep

    import asyncpg

    from switchyard.audit.reconciliation.completeness import DELIVERY_GRACE, GapKind
    from switchyard.runtime.core.errors import Unavailable

    allowed = DELIVERY_GRACE if grace is None else timedelta(seconds=grace)
    start, indexed = None if since is None else parse_since(since, datetime.now(UTC)), after
    async with open_reconciler(resolve_target(env), allowed) as reconciler:
        while True:
            began = datetime.now(UTC)
            try:
                found = await reconciler.run(start, after_index=indexed)
                if repair and found.of(GapKind.HOLE):
                    await reconciler.repair(found, wait_s=wait)
                _print_report(found, as_json=as_json)
                if not found.open_gaps:
                    # The next round compares what is new; what is not settled is compared again.
                    start, indexed = began - OVERLAP, found.last_index
            except Exception as error:
                if every is None:
                    if not isinstance(error, Unavailable | asyncpg.PostgresError):
                        raise
                    remedy = "check that both databases run and are migrated by this version: switchyard migrate"
                    raise CommandFailed(f"the comparison failed: {error}", remedy=remedy) from error
                print_text(f"not compared: {error}", style="yellow")
            if every is None:
                break
            await sleep(every)
    if not found.ok:
        raise typer.Exit(1)


def parse_since(since: str, now: datetime) -> datetime:
    """The moment that `--since` names. Raises `InvalidArgument` for an invalid one."""
    span = _SPAN.fullmatch(since)
    try:
        if span is not None:
            return now - timedelta(seconds=int(span[1]) * _SECONDS[span[2]])
        return datetime.fromisoformat(since).replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        remedy = "write 30m, 24h, 7d, or 2026-11-21"
        raise InvalidArgument(f"--since {since} is invalid: expected a span or a day", remedy=remedy) from error


@asynccontextmanager
async def open_reconciler(target: Target, grace: timedelta) -> AsyncIterator[Reconciler]:
    """A reconciler of a deployment. Raises `CommandFailed` if a database cannot be reached."""
    from switchyard.audit.reconciliation.producers import Producers
    from switchyard.audit.reconciliation.reconciler import LogPresence, Reconciler
    from switchyard.protocol.catalogue import CASE_MANAGER
    from switchyard.protocol.topology import consumers
    from switchyard.runtime.core.clock import SystemClock

    async with (
        open_pool(target, "reconciler") as work,
        open_pool(target, "audit") as log,
        open_aws_client(target, "sqs") as sqs,
    ):
        app = load_app()

        async def count_queued() -> dict[str, int]:
            counts = {}
            for consumer in consumers(app.catalogue):
                counts[consumer.node] = 0
                for queue in (consumer.queue, *consumer.lanes, consumer.dead_letter_queue):
                    url = (await sqs.get_queue_url(QueueName=queue))["QueueUrl"]
                    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
                    answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
                    counts[consumer.node] += sum(int(answer["Attributes"][name]) for name in names)
            return counts

        producers = Producers(work, (CASE_MANAGER, *app.cards))
        yield Reconciler(producers, LogPresence(log), count_queued, SystemClock(), grace, app.routing_table)


def _print_report(found: ReconciliationReport, *, as_json: bool) -> None:
    from switchyard.audit.reconciliation.completeness import GapKind

    now = datetime.now(UTC)

    def counted(gaps: list[Gap], producer: str) -> int:
        return sum(gap.producer == producer for gap in gaps)

    rows = [
        {
            "producer": producer,
            "published": published,
            "in_flight": counted(found.of(GapKind.LAG), producer),
            "lag_s": round(found.lag(producer, now).total_seconds(), 1),
            "holes": counted(found.of(GapKind.HOLE), producer),
            "filled": counted(found.filled, producer),
            "differ": counted(found.of(GapKind.DIFFERS), producer),
            "unclaimed": counted(found.of(GapKind.UNCLAIMED), producer),
        }
        for producer, published in found.published.items()
    ]
    wrong = [gap for kind in GapKind if kind is not GapKind.LAG for gap in found.of(kind)]
    if as_json:
        gaps = [asdict(gap) for gap in wrong]
        print_json(
            {"cases": found.cases, "last_index": found.last_index, "producers": rows, "gaps": gaps, "ok": found.ok}
        )
        return
    print_rows(rows, map(Field, _COLUMNS))
    for gap in found.filled[:MAX_SHOWN_GAPS]:
        console.print(f"filled: case {gap.case_id} event {gap.event_id} ({gap.type} from {gap.producer})")
    for gap in wrong[:MAX_SHOWN_GAPS]:
        where = f"case {gap.case_id} event {gap.event_id} ({gap.type} from {gap.producer}, {gap.since:%F %T})"
        print_text(f"alarm=completeness {gap.kind}: {where}", style="red")
    verdict = "[green]complete[/green]" if found.ok else f"[red]{count(len(wrong), 'event')} not as published[/red]"
    console.print(f"{count(found.cases, 'case')}, log to index {found.last_index}: {verdict}")
