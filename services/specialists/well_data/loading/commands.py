"""`switchyard wells`: loads well data from S3 or from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli.app.connections import open_aws_client, open_pool
from switchyard.cli.app.console import Field, console, print_rows
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.options import EnvOption, JsonOption
from switchyard.cli.app.target import Env, resolve_target

if TYPE_CHECKING:
    from services.specialists.well_data.loading.load import InputFile, LoadedFile

app = CommandGroup()
MAX_FILES = 10_000
S3_SCHEME = "s3://"
KINDS = (".csv", ".csv.gz", ".las")
_FIELDS = (
    Field("file"),
    Field("kind"),
    Field("accepted"),
    Field("refused"),
    Field("line"),
    Field("field"),
    Field("reason"),
)


@app.command()
async def load(  # noqa: PLR0917 - options, each by its name
    sources: Annotated[
        list[str], typer.Argument(help="s3://bucket/prefix, folders or files: every .csv, .csv.gz and .las there.")
    ],
    tenant: Annotated[str, typer.Option(help="Whose wells they are.")],
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day up to which the files are complete.")],
    refused: Annotated[int, typer.Option(help="Refused lines to list per file.")] = 20,
    as_json: JsonOption = False,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Load production, headers, downtime, lease meters, surveys and logs; list what was refused and why.

    Safe to repeat: the same files change nothing, a file that changed replaces its own rows. Ends with status 1 if a
    whole file was refused.
    """
    from services.specialists.well_data.loading.load import load_files

    target = resolve_target(env)
    async with open_aws_client(target, "s3") as s3, open_pool(target, "operator", "well_data") as pool:
        files = [
            file
            for source in sources
            for file in (await _fetch(s3, source) if source.startswith(S3_SCHEME) else _read_files(source))
        ]
        reports = await load_files(pool, tenant, files, as_of=as_of.date())
    print_reports(reports, refused=refused, as_json=as_json)


def print_reports(reports: Sequence[LoadedFile], *, refused: int, as_json: bool) -> None:
    """What was loaded and what was refused. Raises `typer.Exit` with status 1 if a whole file was refused."""
    rows: list[dict[str, Any]] = []
    for report in reports:
        state = "unchanged" if report.unchanged else report.accepted
        rows.append(
            {
                "file": report.uri, "kind": report.kind or "refused", "accepted": state, "refused": len(report.refused),
                "line": "", "field": "", "reason": report.problem or "; ".join(report.notes),
            }
        )  # fmt: skip
        rows += [
            {**dict.fromkeys(("file", "kind", "accepted", "refused"), ""), **asdict(bad)}
            for bad in report.refused[:refused]
        ]
    problems = sum(report.problem is not None for report in reports)
    total = sum(len(report.refused) for report in reports)
    footer = f"{len(reports)} files, {problems} refused as a whole, {total} lines refused"
    print_rows(rows, _FIELDS, as_json=as_json, footer=footer)
    if problems:
        console.print("nothing of the refused files was loaded: correct them and load again", style="red")
        raise typer.Exit(1)


def _read_files(source: str) -> list[InputFile]:
    """A file, or those below a folder."""
    from services.specialists.well_data.loading.load import InputFile

    path = Path(source)
    paths = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.name.lower().endswith(KINDS))
    if not paths:
        raise InvalidArgument(f"{source} has no .csv, .csv.gz or .las file", remedy="give a folder, a file or s3://…")
    return [InputFile(each.resolve().as_uri(), each.read_bytes()) for each in paths]


async def _fetch(s3: Any, source: str) -> list[InputFile]:
    bucket, _, prefix = source.removeprefix(S3_SCHEME).partition("/")
    from botocore.exceptions import ClientError

    from services.specialists.well_data.loading.load import InputFile

    files: list[InputFile] = []
    try:
        async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                if not entry["Key"].lower().endswith(KINDS):
                    continue
                if len(files) >= MAX_FILES:
                    raise CommandFailed(f"more than {MAX_FILES:,} files", remedy="load one folder after another")
                answer = await s3.get_object(Bucket=bucket, Key=entry["Key"])
                async with answer["Body"] as body:
                    files.append(InputFile(f"s3://{bucket}/{entry['Key']}", bytes(await body.read())))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise CommandFailed(f"S3 refused s3://{bucket}/{prefix} ({code})", remedy="check bucket and rights") from error
    if not files:
        raise CommandFailed(f"s3://{bucket}/{prefix} has no .csv, .csv.gz or .las file", remedy="check the prefix")
    return files
