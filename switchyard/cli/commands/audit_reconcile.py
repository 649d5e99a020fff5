"""`switchyard audit reconcile`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import asyncpg
import typer
from aiobotocore.session import get_session
from rich.table import Table

from switchyard.app.application import load_app
from switchyard.audit.reconciliation.completeness import DELIVERY_GRACE, GapKind
from switchyard.audit.reconciliation.presence import LogPresence
from switchyard.audit.reconciliation.producers import Producers
from switchyard.audit.reconciliation.reconciler import Reconciler, ReconciliationReport
from switchyard.audit.records.roles import SCHEMA
from switchyard.cli.app.audit_log import open_pool
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Env, EnvOption, Target, resolve_target
from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.protocol.topology import DEAD_LETTER_RETENTION_SECONDS, consumers
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.core.errors import Unavailable

_AGO = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MAX_SHOWN_GAPS = 20
MAX_LOOKBACK = timedelta(seconds=DEAD_LETTER_RETENTION_SECONDS)
"""Beyond it no queue holds anything that could still come."""


def reconcile(  # noqa: PLR0917 - options, each by its name
    since: Annotated[str, typer.Option(help="How far back: 30m, 24h, 7d, or a day; 14 days at most.")] = "24h",
    repair: Annotated[bool, typer.Option("--repair", help="Have what is lost published again.")] = False,
    grace: Annotated[float, typer.Option(help="Seconds that an event may take.")] = DELIVERY_GRACE.total_seconds(),
    wait: Annotated[float, typer.Option(help="With --repair: seconds to wait for the log to be complete.")] = 60,
    every: Annotated[float | None, typer.Option(help="Do it again every so many seconds, until stopped.")] = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Compare what the producers published with what the log holds: late, lost, different, or claimed by nobody.

    Exit code 1 unless the log holds everything, or will by itself.
    """
    ok = asyncio.run(_reconcile(resolve_target(env), since, timedelta(seconds=grace), wait if repair else None, every))
    if not ok:
        raise typer.Exit(1)


async def _reconcile(
    target: Target, since: str, grace: timedelta, repair_wait_s: float | None, every_s: float | None
) -> bool:
    parse_since(since, datetime.now(UTC))  # refused before anything is opened
    async with open_reconciler(target, grace) as reconciler:
        while True:
            try:
                found = await reconciler.run(parse_since(since, datetime.now(UTC)))
                if repair_wait_s is not None and found.of(GapKind.HOLE):
                    await reconciler.repair(found, wait_s=repair_wait_s)
                _show(found)
            except (Unavailable, asyncpg.PostgresError) as error:
                if every_s is None:
                    raise CommandFailed(f"a database does not answer as it should: {error}", remedy=_REMEDY) from error
                console.print(f"not compared: {error}", style="yellow", markup=False)
            else:
                if every_s is None:
                    return found.ok
            await asyncio.sleep(every_s)


_REMEDY = "see that both databases are up, and migrated by this version: switchyard migrate"


def parse_since(since: str, now: datetime) -> datetime:
    """The moment that `--since` names. Raises `CommandFailed` for what is none, or is longer ago than queues keep."""
    ago = _AGO.fullmatch(since)
    try:
        if ago is not None:
            moment = now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        else:
            moment = datetime.fromisoformat(since).replace(tzinfo=UTC)
    except ValueError as error:
        raise CommandFailed(f"{since} is no time", remedy="write 30m, 24h, 7d, or a day as 2026-11-21") from error
    if now - moment > MAX_LOOKBACK:
        # Retention lets bodies go from then on, and what it let go must not be published into the log again.
        days = MAX_LOOKBACK // timedelta(days=1)
        raise CommandFailed(f"--since {since} is more than {days} days ago", remedy=f"compare at most {days} days")
    return moment


@asynccontextmanager
async def open_reconciler(target: Target, grace: timedelta) -> AsyncIterator[Reconciler]:
    """A reconciler of a deployment. Raises `CommandFailed` if a database cannot be reached."""
    region, endpoint = target.get("AWS_REGION") or "us-east-1", target.get("AWS_ENDPOINT_URL")
    client = get_session().create_client(
        "sqs",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=target.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=target.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=target.get("AWS_SESSION_TOKEN"),
    )
    async with (
        open_pool(target, "SWITCHYARD_RECONCILER_DB_URL", CASE_MANAGER) as work,
        open_pool(target, "SWITCHYARD_AUDIT_DB_URL", SCHEMA) as log,
        client as sqs,
    ):
        app = load_app()

        async def waiting() -> dict[str, int]:
            counts = {}
            for consumer in consumers(app.catalogue):
                counts[consumer.node] = 0
                for queue in (consumer.queue, consumer.dead_letter_queue):
                    url = (await sqs.get_queue_url(QueueName=queue))["QueueUrl"]
                    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
                    answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
                    counts[consumer.node] += sum(int(answer["Attributes"][name]) for name in names)
            return counts

        yield Reconciler(
            Producers(work, (CASE_MANAGER, *app.cards)),
            LogPresence(log),
            waiting,
            SystemClock(),
            grace,
            app.routing_table,
        )


def _show(found: ReconciliationReport) -> None:
    now = datetime.now(UTC)
    table = Table("producer", "published", "on their way", "lag s", "holes", "filled", "differ", "unclaimed")
    for producer, count in found.published.items():

        def of(kind: GapKind, producer: str = producer) -> str:
            return str(sum(gap.producer == producer for gap in found.of(kind)))

        filled = str(sum(gap.producer == producer for gap in found.filled))
        lag = f"{found.lag(producer, now).total_seconds():.1f}"
        kinds = (GapKind.DIFFERS, GapKind.UNCLAIMED)
        table.add_row(producer, str(count), of(GapKind.LAG), lag, of(GapKind.HOLE), filled, *map(of, kinds))
    console.print(table)
    for gap in found.filled[:MAX_SHOWN_GAPS]:
        console.print(f"filled: case {gap.case_id} event {gap.event_id} ({gap.type} from {gap.producer})")
    wrong = [gap for kind in (GapKind.HOLE, GapKind.DIFFERS, GapKind.UNCLAIMED) for gap in found.of(kind)]
    for gap in wrong[:MAX_SHOWN_GAPS]:
        since = gap.since.strftime("%Y-%m-%d %H:%M:%S")
        told = f"case {gap.case_id} event {gap.event_id} ({gap.type} from {gap.producer}, {since})"
        console.print(f"alarm=completeness {gap.kind}: {told}", style="red", markup=False)
    verdict = "[green]complete[/green]" if found.ok else f"[red]{len(wrong)} events are not as published[/red]"
    console.print(f"{found.cases} cases, log: {verdict}")
