"""The agents' registrations with the token exchange, from a file that may change while the process runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from switchyard.identity.token_exchange import OAuthClient
from switchyard.runtime.core.errors import Unavailable

_CLIENTS: TypeAdapter[dict[str, OAuthClient]] = TypeAdapter(dict[str, OAuthClient])


class ClientRegistry(Mapping[str, OAuthClient]):
    """Registrations by agent, read again when the file has changed: a rotated secret needs no restart."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._modified = 0
        self._clients: dict[str, OAuthClient] = {}

    def __getitem__(self, agent: str) -> OAuthClient:
        return self._current()[agent]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def _current(self) -> dict[str, OAuthClient]:
        """Raises `Unavailable` while the file is missing or invalid."""
        try:
            modified = self._file.stat().st_mtime_ns
            if modified != self._modified:
                self._clients = _CLIENTS.validate_json(self._file.read_bytes())
                self._modified = modified
        except (OSError, ValidationError) as error:
            message = f"{self._file.name} with the exchange's clients is missing or invalid ({type(error).__name__})"
            raise Unavailable("exchange_clients", message, remedy="see SWITCHYARD_EXCHANGE_CLIENTS_FILE") from None
        return self._clients
