"""`switchyard audit verify-principal`."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from switchyard.cli.app import audit_log
from switchyard.cli.app.console import console, print_json, print_text
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.keys import report_invalid_keys
from switchyard.cli.app.options import CaseArgument, EnvOption, JsonOption, RunOption
from switchyard.cli.app.target import Env, open_readable_target

if TYPE_CHECKING:
    from switchyard.case_manager.principals import PrincipalKeys
    from switchyard.protocol.fields import Json
    from switchyard.protocol.principals import PrincipalClaims
    from switchyard.runtime.storage.artefacts import Artefacts


async def verify_principal(
    case: CaseArgument, as_json: JsonOption = False, run: RunOption = None, env: EnvOption = Env.LOCAL
) -> None:
    """Verify who asked, by the statement that the ingress signed and its public key. Exit code 1 if it is invalid."""
    from switchyard.case_manager.principals import PrincipalKeys

    async with open_readable_target(env, run) as target:
        if not target.settings.principal_keys:
            remedy = "export SWITCHYARD_PRINCIPAL_KEYS, or use --env local with a running stack"
            raise CommandFailed(
                "SWITCHYARD_PRINCIPAL_KEYS is not set: expected the ingress' public keys", remedy=remedy
            )
        with report_invalid_keys():
            keys = PrincipalKeys(target.settings.principal_keys)
        async with audit_log.open_audit_reader(target) as log:
            case_id = await audit_log.resolve_case_id(log, case)
            events = await audit_log.read_events(log, case_id)
        first = next((event for event in events if not event["parents"]), None)
        if first is None:
            raise CommandFailed(f"the log has no first event of case {case_id}", remedy="see `switchyard case show`")
        async with audit_log.open_artefact_reader(target) as artefacts:
            claims, kid = await verify_principal_statement(first, artefacts, keys)
    if as_json:
        fields = ("sub", "tenant", "role", "session_id", "iss")
        print_json({"case_id": case_id, "kid": kid} | {name: getattr(claims, name) for name in fields})
        return
    print_text(f"case {case_id} was asked by {claims.sub} of {claims.tenant}")
    print_text(f"role {claims.role or '(no role)'}, session {claims.session_id}")
    console.print(f"signed by {claims.iss} with its key {kid}: [green]ok[/green]")


async def verify_principal_statement(
    first: Json, artefacts: Artefacts, keys: PrincipalKeys
) -> tuple[PrincipalClaims, str]:
    """The claims that a case was opened on, and the key's name. Raises `CommandFailed` naming what is invalid."""
    from switchyard.case_manager.rejections import PrincipalInvalid
    from switchyard.protocol.digest import event_digest
    from switchyard.protocol.envelope import Envelope
    from switchyard.protocol.events.case_manager import Attestation
    from switchyard.protocol.fields import ROLE_SCOPE
    from switchyard.protocol.principals import content_digest
    from switchyard.runtime.core.clock import moment

    event = Envelope.model_validate_json(json.dumps(first))
    submitted_by = str(event.payload.get("submitted_by"))
    if event.payload.get("attested") is None:
        remedy = "name it in SWITCHYARD_PRINCIPAL_KEYS"
        raise CommandFailed(f"{submitted_by} does not have to sign who asks", remedy=remedy)
    attested = Attestation.model_validate_json(json.dumps(event.payload["attested"]))
    reference = first["payload"]["attested"]["statement"]
    statement = (await audit_log.read_artefact(artefacts, first, reference)).decode()
    sealed = [value for value in first["payload"].values() if audit_log.is_artefact(value)]
    contents = [await audit_log.read_artefact(artefacts, first, each) for each in sealed]
    if hashlib.sha256(statement.encode()).hexdigest() != attested.statement_sha256:
        raise CommandFailed("the statement is not the one that the event names", remedy="see `alarm=integrity`")
    try:
        principal = keys.verified_principal(submitted_by, statement)
        principal.check_time(moment(event.occurred_at))
    except PrincipalInvalid as problem:
        raise CommandFailed(f"{problem.code}: {problem.message}", remedy=problem.remedy) from problem
    claims = principal.claims
    scopes = (ROLE_SCOPE + claims.role,) if claims.role else ()
    same = {
        "case_id": claims.case_id == event.case_id,
        "tenant": claims.tenant == event.tenant,
        "session_id": claims.session_id == event.session_id,
        "role": scopes == event.principal.scopes,
        "content_sha256": content_digest(*contents) == claims.content_sha256,
        "kid": principal.kid == attested.kid,
        # The pseudonym stands for `sub` only if the statement was sealed under its key.
        "subject": attested.statement.subject == event.principal.subject,
        # Unsigned fields (the agent, the deadline) are protected by the chain alone.
        "digest": event_digest(first) == event.digest,
    }
    if wrong := [name for name, holds in same.items() if not holds]:
        remedy = "treat it as an incident"
        raise CommandFailed(f"{', '.join(wrong)}: the signed statement and the log differ", remedy=remedy)
    return claims, principal.kid
