"""Commands of operators: halt, resume and cancel, as they are signed by one and verified by all who act on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from switchyard.protocol.signing import OperatorKeys, sign_statement
from switchyard.protocol.statements import command_statement

CommandAction = Literal["halt", "resume", "cancel"]


@dataclass(frozen=True)
class OperatorCommand:
    """A command on one target: a playbook, or a case to cancel. `command_id` is used once; `signed_at` is a timestamp
    as events have it, `signature` is in hex."""

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
