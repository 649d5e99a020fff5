"""`switchyard budget`."""

from __future__ import annotations

from typing import Annotated

import typer

from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.console import Field, console, print_rows
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.operator_commands import submit_command, unconfirmed
from switchyard.cli.app.options import EnvOption, JsonOption, KeyOption, OperatorOption, ReasonOption, WaitOption
from switchyard.cli.app.target import Env, resolve_target

app = CommandGroup()
Amount = Annotated[str | None, typer.Option(metavar="DOLLARS", help="US dollars, or `none`.")]
_FIELDS = (
    Field("tenant"),
    Field("day"),
    Field("day_limit", "limit"),
    Field("spent"),
    Field("observed"),
    Field("reserved"),
    Field("stopped_calls", "stopped"),
    Field("case_limit", wide=True),
    Field("unpriced_tokens", wide=True),
)
_ROWS = """
select tenant, day, budget.limit_of(tenant, 'day') as day_limit, budget.limit_of(tenant, 'case') as case_limit,
  coalesce(spent, 0) as spent, coalesce(observed, 0) as observed, coalesce(reserved, 0) as reserved,
  coalesce(stopped_calls, 0) as stopped_calls,
  coalesce(unpriced_tokens, 0) as unpriced_tokens
from (
  select tenant, day from budget.tenant_day where day > budget.today() - $1::integer
  union select tenant, budget.today() from budget.money_limit
) named left join budget.tenant_day using (tenant, day)
where $2::text is null or tenant = $2
order by day desc, tenant
"""


@app.command()
async def show(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    days: Annotated[int, typer.Option(min=1, max=400, help="Days to show, today included (UTC).")] = 1,
    as_json: JsonOption = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Show what tenants spend on models, and what they may spend. Amounts are US dollars."""
    from switchyard.protocol.budgets import format_dollars

    async with open_pool(resolve_target(env), "operator") as pool:
        found = await pool.fetch(_ROWS, days, tenant)
    amounts = ("day_limit", "case_limit", "spent", "observed", "reserved")
    rows = [
        dict(row) | {name: None if row[name] is None else format_dollars(row[name]) for name in amounts}
        for row in found
    ]
    print_rows(rows, _FIELDS, as_json=as_json)


@app.command("set")
async def set_limit(  # noqa: PLR0917 - options, each by its name
    tenant: Annotated[
        str, typer.Argument(metavar="TENANT", help="A tenant, or `every-tenant`: all without a limit of their own.")
    ],
    operator: OperatorOption,
    reason: ReasonOption,
    day: Amount = None,
    case: Amount = None,
    key: KeyOption = None,
    wait: WaitOption = 10.0,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Set what a tenant may spend on models in a day (UTC), or in one case. Signed by the operator."""
    from switchyard.protocol.budgets import NO_LIMIT, MoneyLimit, parse_dollars
    from switchyard.protocol.errors import InvalidEvent

    try:
        limits = [
            MoneyLimit.from_target(limit.target)
            for limit, amount in (
                (MoneyLimit(tenant, "day", parse_dollars(day or NO_LIMIT)), day),
                (MoneyLimit(tenant, "case", parse_dollars(case or NO_LIMIT)), case),
            )
            if amount is not None
        ]
    except InvalidEvent as problem:
        raise CommandFailed(problem.message, remedy=problem.remedy) from None
    if not limits:
        raise CommandFailed("no limit is given", remedy="add --day DOLLARS or --case DOLLARS")
    for limit in limits:
        result = await submit_command(
            resolve_target(env), "budget", limit.target, operator=operator, reason=reason, key_file=key, wait_s=wait
        )
        if result is None and wait > 0:
            raise unconfirmed("the case manager", "it counts once it is confirmed")
        console.print(f"{limit.target}: {result or 'stored, not confirmed'}")
