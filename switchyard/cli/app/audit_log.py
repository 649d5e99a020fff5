"""Reading the audit log, its checkpoints and its sealed artefacts."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from switchyard.cli.app.connections import open_aws_client, open_pool
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.keys import load_checkpoint_keys, load_receipt_keys, open_row_trust
from switchyard.cli.app.target import Target

if TYPE_CHECKING:
    from switchyard.audit.export.bundle import Exporter
    from switchyard.audit.verification.audit_reader import AuditReader, TimelineStep
    from switchyard.audit.verification.checkpoint_verifier import CheckpointVerifier
    from switchyard.cli.app.rejections import Rejections
    from switchyard.protocol.fields import Json
    from switchyard.runtime.storage.artefacts import Artefacts

POLL_INTERVAL_S = 0.2
BROKEN_CHAIN = "its chain is broken"


@asynccontextmanager
async def open_audit_reader(target: Target) -> AsyncIterator[AuditReader]:
    """The audit log, for reading."""
    from switchyard.app.application import load_app
    from switchyard.audit.verification.audit_reader import AuditReader

    async with open_pool(target, "audit") as pool, open_row_trust(target, pool) as rows:
        yield AuditReader(pool, load_app().catalogue, trusted=load_receipt_keys(target), rows=rows)


async def resolve_case_id(log: AuditReader, prefix: str) -> str:
    """The one case whose id begins with `prefix`. Raises `CommandFailed` if the number of such cases is not 1."""
    found = await log.find_case_ids(prefix)
    if len(found) == 1:
        return found[0]
    what = "several cases have" if found else "no case has"
    raise CommandFailed(f"{what} an id that begins with {prefix}", remedy="see `switchyard case list`")


async def read_events(log: AuditReader, case_id: str) -> list[Json]:
    """The events of a case in causal order, without those whose bodies were retired."""
    return [json.loads(body)["detail"] for body in await log.bodies(case_id)]


async def read_event(log: AuditReader, case_id: str, step: TimelineStep) -> Json:
    """The event of a step: a case's last event is not always its ending, for others may follow it."""
    return next(event for event in await read_events(log, case_id) if event["event_id"] == step.event_id)


async def follow_case(
    log: AuditReader,
    case_id: str,
    seen: set[str],
    wait_s: float,
    *,
    until: frozenset[str] = frozenset(),
    rejections: Rejections | None = None,
) -> TimelineStep:
    """Print each step that is not in `seen` until the case ends, or a transition of `until`; return the last.

    Raises `CommandFailed` after `wait_s`, or when the submission was refused and there is no such case.
    """
    from asyncio import sleep

    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        for step in await log.timeline(case_id):
            if step.event_id not in seen:
                seen.add(step.event_id)
                console.print(f"  {step.node_from} → {step.node_to}: {step.transition}", style="dim")
                if step.terminal or step.transition in until:
                    return step
        if rejections is not None and not seen and (refused := await rejections.new()):
            raise await rejections.explain(refused[0])
        await sleep(POLL_INTERVAL_S)
    remedy = f"see `switchyard case show {case_id}`"
    raise CommandFailed(f"the case has not ended within {wait_s:g} s; it continues", remedy=remedy)


@asynccontextmanager
async def open_checkpoint_verifier(target: Target) -> AsyncIterator[CheckpointVerifier]:
    """Verification of the log against its checkpoints."""
    from switchyard.audit.verification.checkpoint_verifier import CheckpointVerifier
    from switchyard.runtime.crypto.signing import TrustedKeys
    from switchyard.runtime.storage.locked_objects import LockedObjects

    settings, keys = target.settings, TrustedKeys(load_checkpoint_keys(target))
    async with (
        open_aws_client(target, "s3") as s3,
        open_pool(target, "audit") as pool,
        open_row_trust(target, pool) as rows,
    ):
        yield CheckpointVerifier(
            pool,
            LockedObjects(s3, settings.checkpoint_bucket, mode=settings.checkpoint_lock_mode),
            keys,
            log=settings.checkpoint_log,
            locks=settings.checkpoint_require_lock,
            mode=settings.checkpoint_lock_mode,
            receipts=load_receipt_keys(target),
            macs=rows.macs,
            clock=target.clock,
        )


@asynccontextmanager
async def open_exporter(target: Target) -> AsyncIterator[Exporter]:
    """Writes the bundles that auditors verify."""
    from switchyard.audit.export.bundle import Exporter
    from switchyard.runtime.storage.locked_objects import LockedObjects

    settings, keys = target.settings, load_checkpoint_keys(target)
    async with open_aws_client(target, "s3") as s3, open_pool(target, "audit") as pool:
        yield Exporter(pool, LockedObjects(s3, settings.checkpoint_bucket), keys, log=settings.checkpoint_log)


@asynccontextmanager
async def open_artefact_reader(target: Target) -> AsyncIterator[Artefacts]:
    """Decrypts sealed artefacts: needs the role reviewer, the key that wraps the vault's keys (in AWS, KMS), and for a
    large one the right to read the bucket of objects."""
    from switchyard.app.application import load_app
    from switchyard.case_manager.feedback import FEEDBACK_ARTEFACT
    from switchyard.case_manager.openings import STATEMENT_ARTEFACT
    from switchyard.runtime.core.clock import SystemClock
    from switchyard.runtime.crypto.vault import KmsKeyWrapper, LocalKeyWrapper, Vault
    from switchyard.runtime.storage.artefacts import Artefacts
    from switchyard.runtime.storage.objects import S3Objects

    key_id = target.settings.kms_key_id
    async with (
        open_aws_client(target, "s3") as s3,
        open_pool(target, "reviewer", "vault") as pool,
        open_aws_client(target, "kms") if key_id else nullcontext() as kms,
    ):
        wrapper = KmsKeyWrapper(kms, key_id) if key_id else LocalKeyWrapper(target.settings.vault_key)
        decrypts = (*load_app().decrypts, STATEMENT_ARTEFACT, FEEDBACK_ARTEFACT)
        objects = S3Objects(s3, target.settings.objects_bucket)
        yield Artefacts(objects, Vault(pool, wrapper, SystemClock(), use="review"), decrypts=decrypts)


async def read_artefact(artefacts: Artefacts, event: Json, reference: Mapping[str, Any]) -> bytes:
    """The plain bytes of an artefact that an event refers to. Raises `CommandFailed` with the cause."""
    from switchyard.protocol.fields import Artefact, StorageRef
    from switchyard.runtime.core.errors import TaskError

    refs = {sha256: StorageRef.model_validate(ref) for sha256, ref in event.get("storage_refs", {}).items()}
    try:
        return await artefacts.read_from(refs, event["case_id"], Artefact.model_validate(reference))
    except TaskError as error:
        raise CommandFailed(error.message, remedy=error.remedy) from error


async def read_proved_bodies(log: AuditReader, case_id: str) -> tuple[list[str], str | None]:
    """The received texts of a case in causal order; or why they are not to be used: retired, or not proved."""
    from contextlib import aclosing
    from datetime import UTC, datetime

    from switchyard.app.application import load_app
    from switchyard.audit.verification.case_verifier import VERIFICATION_GRACE, verify_case

    rows = []
    async with aclosing(log.cases(case_id=case_id)) as cases:
        async for each in cases:
            rows += each
    if not rows or any(row.retired for row in rows):
        return [], "gone: retention has retired its bodies"
    verdict = verify_case(load_app().catalogue, rows, now=datetime.now(UTC), grace=VERIFICATION_GRACE)
    if verdict.findings:
        return [], f"{BROKEN_CHAIN}: {verdict.findings[0].why}"
    return [row.row.body for row in rows], None


async def list_forgotten_inputs(target: Target, case_id: str) -> list[str]:
    """What steps of a case were given and is gone since, by the application's view."""
    from switchyard.app.application import load_app

    view = load_app().forgotten_inputs
    if view is None:
        return []
    sql = (
        f"select kind, input_id, reason, forgotten_at from {view} where case_id = $1::text::uuid order by forgotten_at"  # noqa: S608 - named by the App
    )
    async with open_pool(target, "audit") as pool:
        rows = await pool.fetch(sql, case_id)
    return [f"{row['kind']} {row['input_id']} ({row['reason']}, {row['forgotten_at']:%Y-%m-%d})" for row in rows]


def is_artefact(value: Any) -> bool:
    """Whether a field of an event refers to an artefact."""
    return isinstance(value, dict) and {"name", "sha256", "media_type"} <= value.keys()


def list_given(event: Mapping[str, Any]) -> list[dict[str, str]]:
    """The artefacts that a command of the router gives to its node, by name and digest, each once."""
    from switchyard.protocol.catalogue import ROUTER

    found: dict[str, dict[str, str]] = {}

    def collect(value: Any) -> None:
        if is_artefact(value):
            found.setdefault(value["sha256"], {"name": value["name"], "sha256": value["sha256"]})
        elif isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                collect(each)

    if event["node_from"] == ROUTER:
        collect(event["payload"])
    return list(found.values())


def artefact_text(reference: Mapping[str, Any], data: bytes) -> str | None:
    """What a person reads of an artefact; None if it is of no text type and the App does not say."""
    from switchyard.app.application import load_app, load_reference

    if reader := load_app().artefact_texts.get(reference["name"]):
        return str(load_reference(reader)(data))
    return data.decode(errors="replace") if reference["media_type"].startswith("text/") else None
