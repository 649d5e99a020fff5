"""TLS of those who call the identity service."""

from __future__ import annotations

import ssl
from pathlib import Path


def client_tls(*, ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS with the process's own certificate; only servers of this authority are believed."""
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(certificate, key)
    return context
