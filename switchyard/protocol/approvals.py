"""What an approver signs, as bytes: the same for the signer, for the case manager and for an auditor years later."""

from __future__ import annotations

from typing import Literal

from switchyard.protocol.canonical import canonical_json

APPROVAL_STATEMENT_TYPE = "switchyard/approval/1"
"""Stands in the statement, so that a signature for one purpose is none for another."""

ApprovalAnswer = Literal["granted", "denied"]


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
    return canonical_json(
        {
            "purpose": APPROVAL_STATEMENT_TYPE,
            "approval_id": approval_id,
            "case_id": case_id,
            "content_sha256": content_sha256,
            "pack": pack,
            "verdict": verdict,
            "approver": approver,
            "reason": reason,
            "signed_at": signed_at,
        }
    )
