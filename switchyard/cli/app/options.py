"""The options and arguments that several commands take."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from switchyard.cli.app.target import Env

EnvOption = Annotated[Env, typer.Option(envvar="SWITCHYARD_ENV", help="The deployment.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
OperatorOption = Annotated[str, typer.Option(help="The name of the person who acts; stored in the audit log.")]
ReasonOption = Annotated[str, typer.Option(help="The reason, without personal data; stored in the audit log.")]
KeyOption = Annotated[Path | None, typer.Option(help="The operator's key file; else SWITCHYARD_OPERATOR_KEY.")]
WaitOption = Annotated[float, typer.Option(help="Seconds to wait for the confirmation; 0 does not wait.")]
RunOption = Annotated[
    str | None, typer.Option(metavar="demo|stack|PATH", help="The local run to read; by default the latest.")
]
CaseArgument = Annotated[str, typer.Argument(metavar="CASE", help="The case's id, or its first characters.")]
AnyCaseArgument = Annotated[
    str | None, typer.Argument(metavar="CASE", help="The case's id, or its first characters; all cases without it.")
]
DayOption = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only cases that were opened on this day (UTC).")
]
