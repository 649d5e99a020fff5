"""`switchyard bundle`."""

from __future__ import annotations

from typing import Annotated

import typer

from switchyard.cli.app.bundles import read_bundle
from switchyard.cli.app.console import print_json, print_text
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.options import EnvOption, JsonOption
from switchyard.cli.app.target import Env, resolve_target

app = CommandGroup()


@app.callback()
def bundle_group() -> None:
    """The configuration bundles of agents."""


@app.command("show")
async def show_bundle(
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="Its digest, `bundle` in the log: 64 characters.")],
    as_json: JsonOption = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Show the bundle with which an agent made an event: code, card, models, settings and prompts."""
    bundle = await read_bundle(resolve_target(env), digest)
    if as_json:
        print_json(bundle.model_dump(mode="json"))
        return
    print_text(f"{bundle.agent}, code {bundle.code}")
    print_text(f"tools: {', '.join(map(str, bundle.card.get('tools') or [])) or 'none'}")  # type: ignore[arg-type]
    for name, value in ((bundle.models or {}) | bundle.settings).items():
        print_text(f"{name}: {value}")
    for name, text in bundle.prompts.items():
        print_text(f"\nprompt {name}:\n{text}")
