"""What approvers and operators sign, as bytes: the same for the signer, for the services that check and for auditors.
Each statement names its purpose, so that a signature for one purpose is invalid for another."""

from __future__ import annotations

from typing import Literal

from switchyard.protocol.canonical import canonical_json

ApprovalAnswer = Literal["granted", "denied", "returned"]
"""`returned` sends the content back to be written again; the reason is what to change."""


def approval_statement(
    *,
    approval_id: str,
    case_id: str,
    content_sha256: str,
    pack: str,
    verdict: ApprovalAnswer,
    approver: str,
    reason: str,
    signed_at: str,
) -> bytes:
    """A decision on exactly one content of one case, under one rule pack."""
    return _statement(
        "switchyard/approval/1",
        approval_id=approval_id,
        case_id=case_id,
        content_sha256=content_sha256,
        pack=pack,
        verdict=verdict,
        approver=approver,
        reason=reason,
        signed_at=signed_at,
    )


def retry_statement(
    *, case_id: str, failed: str, command: str, closed: str, operator: str, reason: str, requested_at: str
) -> bytes:
    """A request to have a failed task done again. `failed`, `command` and `closed` are digests of events of the log."""
    return _statement(
        "switchyard/retry/1",
        case_id=case_id,
        failed=failed,
        command=command,
        closed=closed,
        operator=operator,
        reason=reason,
        requested_at=requested_at,
    )


def command_statement(
    *, command_id: str, action: str, target: str, operator: str, reason: str, signed_at: str
) -> bytes:
    """A command of an operator on one target; `action` is halt, resume, cancel, forget or budget. `command_id` makes it
    usable once."""
    return _statement(
        "switchyard/command/1",
        command_id=command_id,
        action=action,
        target=target,
        operator=operator,
        reason=reason,
        signed_at=signed_at,
    )


def resolution_statement(
    *,
    resolution_id: str,
    case_id: str,
    content_sha256: str,
    provider_message_id: str | None,
    operator: str,
    evidence: str,
    signed_at: str,
) -> bytes:
    """What an operator found out about an email: sent under `provider_message_id`, or without one not sent."""
    return _statement(
        "switchyard/resolution/1",
        resolution_id=resolution_id,
        case_id=case_id,
        content_sha256=content_sha256,
        provider_message_id=provider_message_id or "",
        operator=operator,
        evidence=evidence,
        signed_at=signed_at,
    )


def _statement(purpose: str, **fields: str) -> bytes:
    return canonical_json({"purpose": purpose, **fields})
