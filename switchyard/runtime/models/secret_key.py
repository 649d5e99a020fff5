"""OpenAI's key from Secrets Manager: read at a call, kept for some minutes, so that a rotated key counts without a
deployment and an agent starts without Secrets Manager."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KEY_CACHE_S = 300.0


@dataclass
class SecretKey:
    """The text of a secret. `client` makes the client of Secrets Manager; `now` is in seconds."""

    arn: str
    client: Callable[[], Any]
    now: Callable[[], float] = time.monotonic
    _key: str | None = field(default=None, repr=False)
    _read_at: float = 0.0

    async def __call__(self) -> str:
        """The key; the one known so far while it cannot be read. Raises `openai.APIConnectionError` without one, as for
        a vendor that cannot be reached: the other vendor answers."""
        if self._key is None or self.now() - self._read_at > KEY_CACHE_S:
            try:
                self._key, self._read_at = await asyncio.to_thread(self._read), self.now()
            except Exception as error:
                # The boundary: an answer that is not the service's raises what its parser makes of it.
                if self._key is None:
                    raise _unreachable(f"OpenAI's key cannot be read ({type(error).__name__})") from error
        return self._key

    def _read(self) -> str:
        text: str = self.client().get_secret_value(SecretId=self.arn)["SecretString"]
        return text


def _unreachable(message: str) -> Exception:
    import httpx2
    from openai import APIConnectionError

    return APIConnectionError(message=message, request=httpx2.Request("GET", "https://secretsmanager.invalid"))
