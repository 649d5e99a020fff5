"""The outbound email as bytes: read for its addresses, never changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from email import policy
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.parser import BytesHeaderParser

from switchyard.runtime.core.errors import PermanentTaskError

_PARSER = BytesHeaderParser(EmailMessage, policy=policy.SMTP)


@dataclass(frozen=True)
class OutboundEmail:
    """A reviewed email and its two addresses."""

    raw: bytes
    sender: str
    recipient: str

    @property
    def domain_key(self) -> str:
        """SHA-256 of the recipient's domain: the key of its rate limit."""
        return hashlib.sha256(self.domain.encode()).hexdigest()

    @property
    def domain(self) -> str:
        """The recipient's domain, in lower case."""
        return self.recipient.rpartition("@")[2].lower()


def read_outbound_email(raw: bytes, content_sha256: str) -> OutboundEmail:
    """Read an email. Raises `PermanentTaskError` unless these bytes passed and have exactly one recipient."""
    if hashlib.sha256(raw).hexdigest() != content_sha256:
        message = "the email's bytes are not those that passed the review"
        raise PermanentTaskError("content_altered", message, "content_sha256", "have the email reviewed again")
    headers = _PARSER.parsebytes(raw)
    for name in ("Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"):
        if name in headers:
            message, remedy = f"the email has a {name} header", "address the email to one person only"
            raise PermanentTaskError("more_recipients", message, name, remedy)
    return OutboundEmail(raw, sender=_single_address(headers, "From"), recipient=_single_address(headers, "To"))


def _single_address(headers: EmailMessage, name: str) -> str:
    found = headers.get_all(name, [])
    addresses = [address for header in found if isinstance(header, AddressHeader) for address in header.addresses]
    if len(found) != 1 or len(addresses) != 1 or found[0].defects or not addresses[0].domain:
        raise PermanentTaskError("bad_address", f"the email's {name} header does not hold exactly one address", name)
    return addresses[0].addr_spec
