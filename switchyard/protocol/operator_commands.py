"""Commands of operators: halt, resume, cancel, forget, budget; signed by one, and verified by all who act on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid5

from switchyard.protocol.signing import OperatorKeys, sign_statement
from switchyard.protocol.statements import command_statement

CommandAction = Literal["halt", "resume", "cancel", "forget", "budget"]
_RETRIES = UUID("4f1f9a53-7f2f-5d07-8a2b-0f7cf1f0a7d2")


def retry_request_id(signature: str) -> UUID:
    """The id of a signed request to retry a case: the same request, handed in again, is the same row."""
    return uuid5(_RETRIES, signature)


@dataclass(frozen=True)
class OperatorCommand:
    """A command on one target: a playbook, a case to cancel, a person to forget, or a limit (`MoneyLimit.target`).
    `command_id` is used once; `signed_at` is a timestamp as events have it, `signature` is in hex."""

    command_id: str
    action: CommandAction
    target: str
    operator: str
    reason: str
    signed_at: str
    signature: str = ""

    def statement(self) -> bytes:
        """What the operator signs."""
        return command_statement(
            command_id=self.command_id,
            action=self.action,
            target=self.target,
            operator=self.operator,
            reason=self.reason,
            signed_at=self.signed_at,
        )

    def verify(self, operators: OperatorKeys) -> None:
        """Raise `InvalidEvent` (forged) unless this operator signed this command."""
        operators.verify(self.operator, self.statement(), self.signature)

    def sign(self, private_key: bytes) -> str:
        """The signature, in hex. Raises `ValueError` for a private key that is not 32 bytes."""
        return sign_statement(private_key, self.statement())
