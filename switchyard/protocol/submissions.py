"""What an upstream can know before its case exists."""

from __future__ import annotations

import json
import uuid

CASE_ID_NAMESPACE = uuid.UUID("6d3f0e5a-3f4b-5c0e-9a53-8f1f5a8d1c01")
"""Namespace of case ids."""


def case_id_for(tenant: str, source: str, idempotency_key: str) -> str:
    """The id of the case that a submission opens: the same submission is the same case, on any machine."""
    return str(uuid.uuid5(CASE_ID_NAMESPACE, json.dumps([tenant, source, idempotency_key])))
