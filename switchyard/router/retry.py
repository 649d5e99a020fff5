"""A failed task again: the router's own command, as the log has it, under a new id. Pure.

`TaskFailed` carries no state, so the state comes from the command itself. The router believes it because it knows its
own seal, and issues it in the place of the operator's retry in the chain.
"""

from __future__ import annotations

import json

from pydantic import ValidationError

from switchyard.protocol.catalogue import CASE_MANAGER, ROUTER, Catalogue
from switchyard.protocol.derive import derive_event
from switchyard.protocol.digest import event_digest
from switchyard.protocol.envelope import Envelope, event_id_for
from switchyard.protocol.errors import InvalidEvent, forged
from switchyard.protocol.events.case_manager import TaskRetried
from switchyard.protocol.events.failures import TaskFailed
from switchyard.protocol.events.router import GatherBranches
from switchyard.protocol.fields import Contract, Json
from switchyard.protocol.received import ReceivedEvent, find_event_type, first_validation_error, read_payload
from switchyard.router.state_seal import StateSeal

_COPIED_FIELDS = ("case_id", "tenant", "session_id", "opened_on", "playbook_version", "case_deadline", "principal")
"""Facts of the case: a command of another case, or of other facts, is not what failed."""


def quoted_command(event: ReceivedEvent[Contract], seal: StateSeal) -> tuple[Envelope, Json]:
    """The command that a `TaskRetried` quotes. Raises `InvalidEvent`: forged, if the router never issued that command,
    or the retry stands elsewhere than its failure puts it."""
    quoted: Json = event.raw["payload"]["command"]
    command = _command(quoted)
    seal.check_issued(quoted)
    for name in _COPIED_FIELDS:
        if getattr(command, name) != getattr(event.envelope, name):
            raise _forged(f"the command's {name} is not that of the case", f"payload.command.{name}")
    failed = event_id_for(command.event_id, command.node_to, TaskFailed.__name__)
    here, seq = event_id_for(failed, CASE_MANAGER, TaskRetried.__name__), event.envelope.seq
    # The failure of a gather follows from its branches, too.
    in_place = seq >= command.seq + 2 if command.type == GatherBranches.__name__ else seq == command.seq + 2
    if event.envelope.event_id != here or not in_place:
        raise _forged("the retry does not follow from a failure of the command that it quotes", "event_id")
    return command, quoted


def reissue_command(
    event: ReceivedEvent[Contract], command: Envelope, quoted: Json, seal: StateSeal, catalogue: Catalogue
) -> Json:
    """A quoted command, as the retry's child."""
    sent = derive_event(
        catalogue,
        event.envelope,
        read_payload(find_event_type(catalogue, command), quoted),
        node_from=ROUTER,
        node_to=command.node_to,
        state=quoted["state"],
        storage_refs=event.envelope.storage_refs,
        time_limit_ms=command.time_limit_ms,
        budget=command.budget,
    )
    return sent | {"state_seal": seal.seal(sent)}


def _command(quoted: Json) -> Envelope:
    try:
        command = Envelope.model_validate_json(json.dumps(quoted))
    except ValidationError as error:
        field, message = first_validation_error(error)
        raise _forged(f"the quoted command is no event: {message}", f"payload.command.{field}") from None
    if event_digest(quoted) != command.digest or command.node_from != ROUTER:
        raise _forged("the quoted command is not the router's, or was altered", "payload.command.digest")
    return command


def _forged(message: str, field: str) -> InvalidEvent:
    return forged(message, field, "ask with `switchyard case retry`, which quotes the log")
