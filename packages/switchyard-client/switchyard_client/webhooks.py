"""Webhooks as their receiver checks them (standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from switchyard_client.errors import SwitchyardError

TOLERANCE_S = 300
_PREFIX = "whsec_"


class WebhookInvalid(SwitchyardError):
    """The webhook is not of the deployment, was altered, or is too old: answer with 400, and do nothing."""


def verify_webhook(headers: Mapping[str, str], body: bytes, secret: str, *, now: float | None = None) -> dict[str, Any]:
    """The webhook's JSON. Deliveries repeat: remember `webhook-id`. Raises `WebhookInvalid`.

    `secret` begins with `whsec_`; `now` is the time in seconds since 1970, the machine's by default.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        name, at, signatures = (lower[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
        age = (time.time() if now is None else now) - float(int(at))
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (KeyError, ValueError, OverflowError, binascii.Error):
        raise WebhookInvalid("a header of the webhook is missing or invalid, or the secret is") from None
    if abs(age) > TOLERANCE_S:
        raise WebhookInvalid("the webhook is older than five minutes, or a clock is wrong")
    signed = f"{name}.{at}.".encode(errors="replace") + body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    if not any(hmac.compare_digest(expected, each.encode(errors="replace")) for each in signatures.split(" ")):
        raise WebhookInvalid("the signature is invalid: compare the secret")
    found: dict[str, Any] = json.loads(body)
    return found
