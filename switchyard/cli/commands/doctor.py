"""`switchyard doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from switchyard.cli.app.console import print_json, print_text
from switchyard.cli.app.options import EnvOption, JsonOption
from switchyard.cli.app.target import Env, resolve_target


async def examine_deployment(
    models: Annotated[
        bool, typer.Option("--models", help="Also ask the model of SWITCHYARD_MODEL_BEDROCK_ID for one token.")
    ] = False,
    as_json: JsonOption = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Check that a deployment has what it needs: bus, rules, queues, dead letters, buckets, secrets, keys, databases.

    Reads only. Secrets, keys and databases are those that this shell's SWITCHYARD_* variables name. Each bad line says
    what to do. Exit code 1 if there is one.
    """
    from switchyard.cli.app.deployment_checks import check_deployment, require_account

    checks = []
    async for check in check_deployment(resolve_target(env), ask_models=models):
        checks.append(check)
        require_account(checks)
        if not as_json:
            # One after the other: what is slow is seen to be at work.
            detail = f" ({check.detail})" if check.detail else ""
            print_text(
                f"ok   {check.what}{detail}" if check.ok else f"bad  {check.what}: {check.problem}",
                style=None if check.ok else "red",
            )
            if check.remedy:
                print_text(f"     remedy: {check.remedy}")
    bad = sum(not check.ok for check in checks)
    if as_json:
        print_json([check.fields() for check in checks])
    else:
        print_text(f"{len(checks)} checks, {bad} bad")
    if bad:
        raise typer.Exit(1)
