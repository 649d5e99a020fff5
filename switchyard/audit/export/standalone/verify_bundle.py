#!/usr/bin/env python3
"""Verify a case that `switchyard audit export` wrote. One file: Python 3.9, its standard library and `cryptography`.

    python3 -I verify_bundle.py case.json --key PUBLIC_KEY

It imports nothing of the system that it checks, and needs no network. PUBLIC_KEY is the base64 of the key's DER, as
`aws kms get-public-key --query PublicKey --output text` prints it, or a file with that or PEM; repeat it for older
keys. Get it from the key's owner, not from the person who gave you the bundle.

Approvals and operators' retries are signed by people, and what a user who is logged in asks for by the source that
took it. Name their public keys, as the owner of the system publishes them, with --signers FILE:
{"approvers": {"ana": "32 bytes in hex"}, "operators": {…}, "sources": {…}}.

Exit code 0: the bundle is valid and signed by a key that you named. 1: the bundle is invalid; each line names an error.
2: the bundle or a key cannot be read. 3: the bundle is consistent, but without --key its author is
unknown, or without --signers those who signed in it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

UNDIGESTED_FIELDS = {"digest", "occurred_at", "trace", "storage_refs", "state_seal"}
ENDINGS = {
    "BudgetReached",
    "BudgetSet",
    "CaseClosed",
    "ContactSuppressed",
    "MemoryForgotten",
    "PlaybookHalted",
    "PlaybookResumed",
    "RejectionsCounted",
    "SubmissionRejected",
}
REQUEST = {
    "request_id": "payload.request.request_id",
    "tenant": "tenant",
    "person": "payload.request.person",
    "signed_by": "payload.request.signed_by",
    "signed_at": "payload.request.signed_at",
    "purpose": "=switchyard/forgetting/1",
}
SIGNED_EVENTS: dict[str, list[dict[str, Any]]] = {
    "ApprovalGranted": [
        {
            "ring": "approvers",
            "signer": "payload.approver",
            "signature": "payload.signature",
            "statement": {
                "approval_id": "payload.approval_id",
                "case_id": "case_id",
                "content_sha256": "payload.content_sha256",
                "pack": "cause.payload.pack",
                "approver": "payload.approver",
                "signed_at": "payload.signed_at",
                "purpose": "=switchyard/approval/1",
                "verdict": "=granted",
                "reason": "payload.reason",
            },
            "also": "payload.co_approvals",
            "when": {},
        }
    ],
    "ApprovalDenied": [
        {
            "ring": "approvers",
            "signer": "payload.approver",
            "signature": "payload.signature",
            "statement": {
                "approval_id": "payload.approval_id",
                "case_id": "case_id",
                "content_sha256": "payload.content_sha256",
                "pack": "cause.payload.pack",
                "approver": "payload.approver",
                "signed_at": "payload.signed_at",
                "purpose": "=switchyard/approval/1",
                "verdict": "=denied",
                "reason": "payload.message",
            },
            "also": None,
            "when": {},
        }
    ],
    "ApprovalReturned": [
        {
            "ring": "approvers",
            "signer": "payload.approver",
            "signature": "payload.signature",
            "statement": {
                "approval_id": "payload.approval_id",
                "case_id": "case_id",
                "content_sha256": "payload.content_sha256",
                "pack": "cause.payload.pack",
                "approver": "payload.approver",
                "signed_at": "payload.signed_at",
                "purpose": "=switchyard/approval/1",
                "verdict": "=returned",
                "reason": "payload.instructions",
            },
            "also": None,
            "when": {},
        }
    ],
    "TaskRetried": [
        {
            "ring": "operators",
            "signer": "payload.operator",
            "signature": "payload.signature",
            "statement": {
                "case_id": "case_id",
                "failed": "parents.0",
                "command": "payload.command.digest",
                "closed": "payload.closed",
                "operator": "payload.operator",
                "reason": "payload.reason",
                "requested_at": "payload.requested_at",
                "purpose": "=switchyard/retry/1",
            },
            "also": None,
            "when": {},
        }
    ],
    "PlaybookHalted": [
        {
            "ring": "operators",
            "signer": "payload.operator",
            "signature": "payload.signature",
            "statement": {
                "command_id": "payload.command_id",
                "target": "payload.playbook",
                "operator": "payload.operator",
                "reason": "payload.why",
                "signed_at": "payload.signed_at",
                "purpose": "=switchyard/command/1",
                "action": "=halt",
            },
            "also": None,
            "when": {},
        }
    ],
    "PlaybookResumed": [
        {
            "ring": "operators",
            "signer": "payload.operator",
            "signature": "payload.signature",
            "statement": {
                "command_id": "payload.command_id",
                "target": "payload.playbook",
                "operator": "payload.operator",
                "reason": "payload.why",
                "signed_at": "payload.signed_at",
                "purpose": "=switchyard/command/1",
                "action": "=resume",
            },
            "also": None,
            "when": {},
        }
    ],
    "BudgetSet": [
        {
            "ring": "operators",
            "signer": "payload.operator",
            "signature": "payload.signature",
            "statement": {
                "command_id": "payload.command_id",
                "target": "payload.target",
                "operator": "payload.operator",
                "reason": "payload.why",
                "signed_at": "payload.signed_at",
                "purpose": "=switchyard/command/1",
                "action": "=budget",
            },
            "also": None,
            "when": {},
        }
    ],
    "CaseClosed": [
        {
            "ring": "operators",
            "signer": "payload.cancellation.operator",
            "signature": "payload.cancellation.signature",
            "statement": {
                "command_id": "payload.cancellation.command_id",
                "action": "=cancel",
                "target": "case_id",
                "operator": "payload.cancellation.operator",
                "reason": "payload.cancellation.reason",
                "signed_at": "payload.cancellation.signed_at",
                "purpose": "=switchyard/command/1",
            },
            "also": None,
            "when": {"payload.outcome": "cancelled"},
        }
    ],
    "SendingResolved": [
        {
            "ring": "operators",
            "signer": "payload.operator",
            "signature": "payload.signature",
            "statement": {
                "resolution_id": "payload.resolution_id",
                "case_id": "case_id",
                "content_sha256": "payload.content_sha256",
                "provider_message_id": "payload.provider_message_id",
                "operator": "payload.operator",
                "evidence": "payload.evidence",
                "signed_at": "payload.signed_at",
                "purpose": "=switchyard/resolution/1",
            },
            "also": None,
            "when": {"payload.operator": "!service:"},
        }
    ],
    "MemoryForgotten": [
        {
            "ring": "operators",
            "signer": "payload.operator",
            "signature": "payload.signature",
            "statement": {
                "command_id": "payload.command_id",
                "target": "payload.target",
                "operator": "payload.operator",
                "reason": "payload.why",
                "signed_at": "payload.signed_at",
                "purpose": "=switchyard/command/1",
                "action": "=forget",
            },
            "also": None,
            "when": {"payload.reason": "operator"},
        },
        {
            "ring": "sources",
            "signer": "payload.request.signed_by",
            "signature": "payload.request.signature",
            "statement": {**REQUEST, "scope": "=one", "memory": "payload.items.0.id", "besides": "payload.items.1"},
            "also": None,
            "when": {"payload.reason": "user_request", "payload.request.scope": "one"},
        },
        {
            "ring": "sources",
            "signer": "payload.request.signed_by",
            "signature": "payload.request.signature",
            "statement": {**REQUEST, "scope": "=all", "memory": "=", "besides": "="},
            "also": None,
            "when": {"payload.reason": "user_request", "payload.request.scope": "!one"},
        },
    ],
}
"""Which events a person, or a source for its user, signed, and where each field of the statement is; a value itself
after `=`. `when` says which of them must be signed, by how the values of paths begin, or after `!` do not begin."""

CLOCK_SKEW = timedelta(minutes=5)
FULL_CHECKPOINT = 16_384
CASE_FACTS = ("case_id", "opened_on", "tenant", "session_id", "playbook_version", "case_deadline")
JsonObject = dict[str, Any]


class InvalidBundle(ValueError):
    """An error in the bundle."""


def parse_json(text: str) -> JsonObject:
    """Read JSON strictly: no fraction, no name twice. Raises `InvalidBundle`."""

    def number(_: str) -> Any:
        raise InvalidBundle("a number is not an integer")

    def names(pairs: list[tuple[str, Any]]) -> JsonObject:
        if len({name for name, _ in pairs}) != len(pairs):
            raise InvalidBundle("an object has a name twice")
        return dict(pairs)

    try:
        read = json.loads(text, parse_float=number, parse_constant=number, object_pairs_hook=names)
    except (ValueError, RecursionError) as error:
        raise InvalidBundle(f"it is not strict JSON ({error})") from error
    if not isinstance(read, dict):
        raise InvalidBundle("it is not a JSON object")
    return read


def canonical_json(value: Any) -> str:
    """RFC 8785 without floats, which the contracts do not allow."""
    if isinstance(value, dict):
        # Names are in the order of their UTF-16 code units.
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{canonical_json(name)}:{canonical_json(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def event_digest(event: JsonObject) -> str:
    """The event's digest: over all its fields but the undigested ones."""
    return sha256_hex(canonical_json({name: value for name, value in event.items() if name not in UNDIGESTED_FIELDS}))


def moment(text: str) -> datetime:
    """A time in ISO 8601. Python reads the letter Z since 3.11 only."""
    return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)


def sha256_hex(data: str | bytes) -> str:
    """In hex; of a text, over its UTF-8."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def require_names(where: str, found: Any, names: str) -> JsonObject:
    """The object, if it has these names and no others: a bundle has nothing unchecked. Raises `InvalidBundle`."""
    if not isinstance(found, dict) or set(found) != set(names.split()):
        raise InvalidBundle(f"{where} must have {names} and nothing else")
    return found


def root_from_proof(leaf: bytes, index: int, size: int, proof: list[str]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2). Raises `InvalidBundle`."""
    node, last, left = leaf, size - 1, index
    if not 0 <= index < size:
        raise InvalidBundle("its log index is outside the checkpoint")
    for step in proof:
        if last == 0:
            raise InvalidBundle("its inclusion proof is too long")
        sibling = bytes.fromhex(step)
        if left % 2 or left == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while left % 2 == 0 and left:
                left, last = left // 2, last // 2
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        left, last = left // 2, last // 2
    if last:
        raise InvalidBundle("its inclusion proof is too short")
    return node


class BundleKeys:
    """The trusted keys, by the SHA-256 of their DER."""

    def __init__(self) -> None:
        self._keys: dict[str, Any] = {}

    def add(self, text: str) -> None:
        """Base64 of DER, or PEM. Raises `ValueError`."""
        data = text.strip().encode()
        pem = data.startswith(b"-----")
        load = serialization.load_pem_public_key if pem else serialization.load_der_public_key
        key = load(data if pem else base64.b64decode(data))
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._keys[sha256_hex(der)] = key

    def invalid_reason(self, body: JsonObject, signature: bytes) -> str | None:
        """Why the signature of a checkpoint's body is invalid; None if it is valid."""
        key, message = self._keys.get(str(body["key"])), canonical_json(body).encode()
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, message)
            elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
                key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
            else:
                return f"is signed by the key {body['key']}, which is not trusted"
        except InvalidSignature:
            return "is not signed by the key that it names"
        return None


def check_checkpoints(found: Any, keys: BundleKeys) -> dict[int, JsonObject]:
    """The bodies by number, each signed and linked to the one before. Raises `InvalidBundle`."""
    bodies: dict[int, JsonObject] = {}
    before: JsonObject | None = None
    for each in found:
        checkpoint = require_names("a checkpoint", each, "body signature")
        body = require_names(
            "a checkpoint's body",
            checkpoint["body"],
            "format log number first last root previous not_before made_at key",
        )
        name = f"checkpoint {body['number']}"
        if invalid_reason := keys.invalid_reason(body, base64.b64decode(checkpoint["signature"], validate=True)):
            raise InvalidBundle(f"{name} {invalid_reason}")
        if body["format"] != "switchyard-checkpoint/1":
            raise InvalidBundle(f"{name} has an unknown format")
        if before is not None:
            goes_on = (before["log"], before["number"] + 1, before["last"] + 1, sha256_hex(canonical_json(before)))
            if (*goes_on, next_not_before(before)) != (
                *(body[name] for name in ("log", "number", "first", "previous", "not_before")),
            ):
                raise InvalidBundle(f"{name} does not continue checkpoint {before['number']}")
        bodies[body["number"]] = before = body
    return bodies


def next_not_before(body: JsonObject) -> Any:
    """`not_before` of the next checkpoint: what it covers waited for its log index no longer than `CLOCK_SKEW`, unless
    this one was full."""
    if body["last"] - body["first"] + 1 >= FULL_CHECKPOINT:
        return body["not_before"]
    return (moment(body["made_at"]) - CLOCK_SKEW).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def check_time(recorded_at: str, body: JsonObject) -> None:
    """Raises `InvalidBundle` for an event that was not recorded between the checkpoints around it."""
    recorded = moment(recorded_at)
    if body["not_before"] is not None and recorded < moment(body["not_before"]):
        raise InvalidBundle(f"it was recorded before the checkpoint before: {recorded_at} is backdated")
    if recorded - moment(body["made_at"]) > CLOCK_SKEW:
        raise InvalidBundle(f"it was recorded after its checkpoint was made: {recorded_at}")


def check_event(entry: JsonObject, checkpoints: dict[int, JsonObject]) -> JsonObject:
    """The event that an entry proves. Raises `InvalidBundle`."""
    bus = parse_json(entry["body"])
    event = bus.get("detail")
    if not isinstance(event, dict) or event_digest(event) != event.get("digest"):
        raise InvalidBundle("the body does not match its digest")
    if (bus.get("source"), bus.get("detail-type")) != (f"switchyard.{event['node_from']}", event["type"]):
        raise InvalidBundle("its bus source or detail-type is not that of its producer")
    for sha256, storage_ref in event.get("storage_refs", {}).items():
        if "inline" in storage_ref and sha256_hex(base64.b64decode(storage_ref["inline"])) != sha256:
            raise InvalidBundle(f"the artefact {sha256} does not match its hash")
    body = checkpoints.get(entry["checkpoint"])
    if body is None:
        raise InvalidBundle(
            "no checkpoint of the bundle covers it; export the case again once the log has a checkpoint for it"
        )
    leaf = {
        "log_index": entry["log_index"],
        "opened_on": event["opened_on"],
        "event_id": event["event_id"],
        "digest": event["digest"],
        "recorded_at": entry["recorded_at"],
        "body_sha256": sha256_hex(entry["body"]),
        "mac": entry["mac"],
        "mac_key": entry["mac_key"],
    }
    node = hashlib.sha256(b"\x00" + canonical_json(leaf).encode()).digest()
    size, index = body["last"] - body["first"] + 1, entry["log_index"] - body["first"]
    if root_from_proof(node, index, size, entry["inclusion_proof"]).hex() != body["root"]:
        raise InvalidBundle(
            f"it differs from what checkpoint {body['number']} of {body['made_at']} covers at this log index"
        )
    check_time(entry["recorded_at"], body)
    return event


Signers = dict[str, dict[str, str]]


def must_be_signed(event: JsonObject) -> bool:
    """Whether this event must be signed."""
    return bool(rules_for(event))


def rules_for(event: JsonObject) -> list[dict[str, Any]]:
    """What must be signed of this event."""

    def applies(rule: dict[str, Any]) -> bool:
        values = [(value_at(event, None, path), value) for path, value in rule["when"].items()]
        return all(str(found).startswith(value.lstrip("!")) != value.startswith("!") for found, value in values)

    return [rule for rule in SIGNED_EVENTS.get(event["type"], []) if applies(rule)]


def check_signatures(event: JsonObject, cause: JsonObject | None, signers: Signers) -> Iterator[str]:
    """The signatures that are not those of the people that the event names."""
    for rule in rules_for(event):
        yield from check_rule(event, cause, rule, signers)


def check_rule(event: JsonObject, cause: JsonObject | None, signed: dict[str, Any], signers: Signers) -> Iterator[str]:
    """The same for one rule of `SIGNED_EVENTS`."""
    further = value_at(event, cause, signed["also"]) if signed["also"] else ()
    for each in ({}, *(further if isinstance(further, list) else ())):
        one = event | {"payload": event["payload"] | each}
        signer = value_at(one, cause, signed["signer"])
        statement = {name: value_at(one, cause, path) for name, path in signed["statement"].items()}
        key = signers.get(signed["ring"], {}).get(signer)
        if key is None:
            yield f"{event['type']} {event['event_id']}: {signer} is not among the {signed['ring']} that you named"
            continue
        try:
            signature = bytes.fromhex(value_at(one, cause, signed["signature"]))
            public = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
            public.verify(signature, canonical_json(statement).encode())
        except InvalidSignature:
            yield f"{event['type']} {event['event_id']}: it is not signed by {signer}"


def value_at(event: JsonObject, cause: JsonObject | None, path: str) -> Any:
    """What a path of `SIGNED_EVENTS` leads to; an empty text if it leads nowhere."""
    if path.startswith("="):
        return path[1:]
    found: Any = event
    for name in path.split("."):
        if name == "cause":
            found = cause
        elif isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and name.isdigit():
            found = found[int(name)] if int(name) < len(found) else None
        else:
            return ""
    return "" if found is None else found


def check_case_events(case_id: str, events: list[JsonObject]) -> Iterator[str]:
    """The errors between the events of the case."""
    by_digest = {event["digest"]: event for event in events}
    firsts = [event for event in events if not event["parents"]]
    endings = [event for event in events if event["type"] in ENDINGS]
    if len(by_digest) != len(events) or len({event["event_id"] for event in events}) != len(events):
        yield "an event is in the bundle twice"
    attempts = 1 + sum(event["type"] == "TaskRetried" for event in events)
    for what, found, count in (("first event", firsts, 1), ("ending", endings, attempts)):
        if len(found) != count:
            yield f"the case must have {what}s: {count}, and has {len(found)}"
    facts = facts_of((firsts or events)[0]) | {"case_id": case_id}
    families: dict[Any, list[JsonObject]] = defaultdict(list)
    for event in events:
        name = f"{event['type']} {event['event_id']}"
        differing = [fact for fact, value in facts_of(event).items() if value != facts[fact]]
        yield from (f"{name}: its {fact} is not that of the case" for fact in differing)
        yield from (f"{name}: {why}" for why in check_causes(event, by_digest))
        own_failure = (event["node_from"], event["type"]) == ("router", "TaskFailed")
        notice = event["type"] == "ConsentRequested"
        families[tuple(event["parents"]), event["node_from"], own_failure, notice].append(event)
    for family in families.values():
        ordinals = sorted(event["ordinal"] for event in family)
        if any(event["siblings"] != len(family) for event in family) or ordinals != list(range(len(family))):
            yield f"{family[0]['type']} {family[0]['event_id']}: siblings are missing or surplus"


def facts_of(event: JsonObject) -> JsonObject:
    """The values that a whole case shares. An empty claim counts as a missing one."""
    principal = {claim: value for claim, value in event["principal"].items() if value}
    return {fact: event[fact] for fact in CASE_FACTS} | {"principal": principal}


def check_causes(event: JsonObject, by_digest: dict[str, JsonObject]) -> Iterator[str]:
    """The errors between an event and its parents."""
    known = [by_digest[digest] for digest in event["parents"] if digest in by_digest]
    if len(known) != len(event["parents"]):
        yield "a parent is not in the bundle"
    elif event["seq"] != max((cause["seq"] for cause in known), default=-1) + 1:
        yield "its seq does not follow from its parents"
    elif known:
        label = f"{event['node_from']}/{event['type']}/{event['ordinal']}"
        if event["event_id"] != str(uuid.uuid5(uuid.UUID(known[0]["event_id"]), label)):
            yield "its id is not derived from its parent"
        if len(known) > 1 or event["type"] == "BranchesJoined":
            yield from check_join(event, known)


def check_join(event: JsonObject, causes: list[JsonObject]) -> Iterator[str]:
    """The errors of an event with several parents: its gather and the end of each branch, in order."""
    gather, *ends = causes
    if (gather["type"], event["node_from"]) != ("GatherBranches", "case_manager"):
        yield "it has several parents, and is no join of the case manager's"
        return
    branches, may_be_late = gather["siblings"] - 1, "time_limit_ms" in gather
    if len(ends) > branches or (len(ends) < branches and not may_be_late):
        yield "it does not join every branch"
    found: dict[int, JsonObject] = {}
    for place, end in enumerate(ends):
        number = (end.get("branch") or {}).get("number", place) if may_be_late else place
        is_end = end["type"] == "JoinBranch" and number not in found and number == max((*found, number))
        if not is_end or end.get("branch") != {"gather": gather["event_id"], "number": number}:
            yield f"its parent {end['event_id']} is not the end of branch {number}"
        found[number] = {name: end["payload"][name] for name in ("answer", "failure") if name in end["payload"]}
    results = event["payload"].get("results") or []
    joined = {
        number: {name: each[name] for name in ("answer", "failure") if name in each}
        for number, each in enumerate(results)
        if number in found or each.get("failure", {}).get("code") != "late" or not may_be_late
    }
    if (event["type"] != "TaskFailed" and (joined != found or len(results) != branches)) or (
        event["type"] == "TaskFailed" and any("answer" in end for end in found.values())
    ):
        yield "its results are not those of its branches"


def references(value: Any) -> Iterator[JsonObject]:
    """Every artefact that a payload names."""
    if isinstance(value, dict) and {"name", "sha256", "size", "media_type"} <= set(value):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(item)


def verify_bundle(bundle: JsonObject, keys: BundleKeys, signers: Signers | None = None) -> Iterator[str]:
    """The errors in a bundle. Without `signers` people's signatures are not checked."""
    require_names("the bundle", bundle, "format case_id public_keys checkpoints events artefacts")
    if bundle["format"] != "switchyard-bundle/1":
        raise InvalidBundle("its format is unknown")
    checkpoints = check_checkpoints(bundle["checkpoints"], keys)
    events = []
    for number, each in enumerate(bundle["events"], start=1):
        entry = require_names(
            f"event {number}", each, "log_index recorded_at mac mac_key body checkpoint inclusion_proof"
        )
        try:
            events.append(check_event(entry, checkpoints))
        except InvalidBundle as error:
            yield f"event {number} (log index {entry['log_index']}): {error}"
    if not bundle["events"]:
        yield "the bundle has no event"
    elif len(events) == len(bundle["events"]):
        yield from check_case_events(bundle["case_id"], events)
        by_digest = {event["digest"]: event for event in events}
        for event in events:
            if signers is not None and must_be_signed(event):
                yield from check_signatures(event, by_digest.get((event["parents"] or [""])[0]), signers)
        used = {entry["checkpoint"] for entry in bundle["events"]}
        if set(checkpoints) != set(range(min(used), max(used) + 1)):
            yield "the bundle has checkpoints that cover none of its events"
        named = {canonical_json(reference) for event in events for reference in references(event["payload"])}
        if sorted(named) != sorted(map(canonical_json, bundle["artefacts"])):
            yield "its list of artefacts differs from those that the events name"


def event_of(entry: JsonObject) -> JsonObject:
    """The event in an entry."""
    event: JsonObject = parse_json(entry["body"])["detail"]
    return event


def _write(line: str) -> None:
    """Print one line. What a bundle says can neither begin another one nor move the terminal's cursor."""
    sys.stdout.write("".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in line) + "\n")


def main(arguments: list[str]) -> int:
    """Read the bundle, verify it and print the result."""
    parser = argparse.ArgumentParser(description="Verify an exported case.", epilog="See the top of this file.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--key", action="append", default=[], help="a trusted public key: base64 of DER, or a file")
    parser.add_argument("--signers", type=Path, help="a file with people's public keys; see the top of this file")
    options = parser.parse_args(arguments)
    keys = BundleKeys()
    try:
        bundle = parse_json(options.bundle.read_text(encoding="utf-8"))
        for key in options.key or bundle.get("public_keys", []):
            keys.add(Path(key).read_text(encoding="utf-8") if options.key and Path(key).is_file() else key)
        signers = parse_json(options.signers.read_text(encoding="utf-8")) if options.signers else None
    except Exception as error:  # noqa: BLE001 - the boundary: a file of somebody else
        _write(f"cannot read the bundle or a key: {error}")
        return 2
    try:
        findings = list(verify_bundle(bundle, keys, signers))
    except Exception as error:  # noqa: BLE001 - the boundary: what is nested, missing or out of range is no proof
        findings = [f"the bundle is malformed: {type(error).__name__}: {error}"]
    for finding in findings:
        _write(f"BROKEN  {finding}")
    if findings:
        return 1
    last = bundle["checkpoints"][-1]["body"]
    what = f"case {bundle['case_id']}: {len(bundle['events'])} events, as they were on {last['made_at']}"
    _write(what)
    _write(f"signed by the key {last['key']}")
    signed = filter(must_be_signed, map(event_of, bundle["events"]))
    unchecked = [event["type"] for event in signed] if not signers else []
    if unchecked:
        named = ", ".join(sorted(set(unchecked)))
        _write(f"NOT PROVEN  the signatures of {named}; name the people's keys with --signers")
    if not options.key:
        _write("NOT PROVEN  the bundle is consistent; name the key that you trust with --key")
    if unchecked or not options.key:
        return 3
    _write("PROVEN  nothing altered, nothing inserted, every cause and sibling there, and the ending")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
