"""`switchyard audit principal`."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from switchyard.case_manager.principals import PrincipalKeys
from switchyard.case_manager.rejections import PrincipalInvalid
from switchyard.cli.app.audit_log import open_artefact_reader, open_audit_reader, read_artefact, resolve_case_id
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Env, Target, open_readable_target
from switchyard.protocol.digest import event_digest
from switchyard.protocol.envelope import Envelope
from switchyard.protocol.events.case_manager import Attestation
from switchyard.protocol.fields import WAREHOUSE_ROLE_SCOPE, Json
from switchyard.protocol.principals import PrincipalClaims, question_digest
from switchyard.runtime.core.clock import moment
from switchyard.runtime.storage.artefacts import Artefacts

PRINCIPAL_KEYS_VARIABLE = "SWITCHYARD_PRINCIPAL_KEYS"
_KEYS: TypeAdapter[dict[str, dict[str, str]]] = TypeAdapter(dict[str, dict[str, str]])


def principal(
    case_id: Annotated[str, typer.Argument(help="The case, or the beginning of its id.")],
    env: Annotated[Env, typer.Option(help="Which deployment.")] = Env.LOCAL,
) -> None:
    """Check who asked: the statement that the ingress signed, with its public key. Exit code 1 if it does not hold."""
    asyncio.run(_principal(env, case_id))


async def _principal(env: Env, named: str) -> None:
    async with open_readable_target(env) as target:
        keys = load_principals(target)
        async with open_audit_reader(target) as log:
            case_id = await resolve_case_id(log, named)
            first = next(
                (event for event in map(_event, await log.bodies(case_id)) if event["type"] == "CaseOpened"), None
            )
        if first is None:
            raise CommandFailed(f"the log has no CaseOpened of case {case_id}", remedy="see `switchyard case show`")
        async with open_artefact_reader(target) as artefacts:
            claims, kid = await verify_principal_statement(first, artefacts, keys)
    console.print(f"case {case_id} was asked by {claims.sub} of {claims.tenant}", markup=False, soft_wrap=True)
    console.print(f"role {claims.role or 'none'}, session {claims.session_id}", markup=False)
    console.print(f"signed by {claims.iss} with its key {kid}: [green]ok[/green]")


def load_principals(target: Target) -> PrincipalKeys:
    """The public keys, as the case manager has them, those included that sign no more. Raises `CommandFailed`."""
    try:
        named = _KEYS.validate_json(target.need(PRINCIPAL_KEYS_VARIABLE))
        return PrincipalKeys({source: _raw(keys) for source, keys in named.items()})
    except (ValidationError, ValueError) as error:
        remedy = 'JSON {"upstream.name": {"kid": "hex of 32 bytes"}}, from its owner and not from here'
        raise CommandFailed(f"{PRINCIPAL_KEYS_VARIABLE} holds no public keys", remedy=remedy) from error


async def verify_principal_statement(
    first: Json, artefacts: Artefacts, keys: PrincipalKeys
) -> tuple[PrincipalClaims, str]:
    """The claims that a case was opened on, and the key's name. Raises `CommandFailed` saying what does not hold."""
    event = Envelope.model_validate_json(json.dumps(first))
    submitted_by = str(event.payload["submitted_by"])
    if event.payload.get("attested") is None:
        raise CommandFailed(
            f"{submitted_by} did not have to sign who asks", remedy=f"name it in {PRINCIPAL_KEYS_VARIABLE}"
        )
    attested = Attestation.model_validate_json(json.dumps(event.payload["attested"]))
    reference = first["payload"]["attested"]["statement"]
    statement = (await read_artefact(artefacts, first, reference)).decode()
    question = (await read_artefact(artefacts, first, first["payload"]["question"])).decode()
    if hashlib.sha256(statement.encode()).hexdigest() != attested.statement_sha256:
        raise CommandFailed("the statement is not the one that the event names", remedy="see `alarm=integrity`")
    try:
        verified_principal = keys.verified_principal(submitted_by, statement)
        verified_principal.check_time(moment(event.occurred_at))
    except PrincipalInvalid as refused:
        raise CommandFailed(f"{refused.code}: {refused.message}", remedy=refused.remedy) from refused
    claims = verified_principal.claims
    scopes = (WAREHOUSE_ROLE_SCOPE + claims.role,) if claims.role else ()
    same = {
        "case_id": claims.case_id == event.case_id,
        "tenant": claims.tenant == event.tenant,
        "session_id": claims.session_id == event.session_id,
        "role": scopes == event.principal.scopes,
        "question_sha256": claims.question_sha256 == question_digest(question),
        "kid": verified_principal.kid == attested.kid,
        # The pseudonym stands for `sub` only as the one under whose key the statement was sealed.
        "subject": attested.statement.subject == event.principal.subject,
        # What nobody signed (the agent, the deadline) is held by the chain alone.
        "digest": event_digest(first) == event.digest,
    }
    if wrong := [name for name, holds in same.items() if not holds]:
        raise CommandFailed(f"{', '.join(wrong)}: the statement says otherwise than the log", remedy="an incident")
    return claims, verified_principal.kid


def _raw(keys: Mapping[str, str]) -> dict[str, bytes]:
    return {kid: bytes.fromhex(key) for kid, key in keys.items()}


def _event(body: str) -> Json:
    detail: Json = json.loads(body)["detail"]
    return detail
