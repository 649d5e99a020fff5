"""Where an agent finds the identity service, and the certificate that names the agent there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from switchyard.identity.client import IdentityClient
from switchyard.identity.tls import client_tls
from switchyard.runtime.process.process import ServiceProcess

_TEXTS = TypeAdapter(dict[str, str])


class IdentityTlsSettings(BaseModel):
    """The files with which a process speaks mutual TLS: the identity service, and those who call it."""

    identity_files_secret_arn: str | None = Field(
        default=None,
        description="A secret with the texts of the process's certificate files, as JSON "
        '{"ca": "..", "certificate": "..", "key": ".."}; the identity service\'s has its "clients", too.',
    )
    identity_tls_ca: Path = Field(
        description="The authority that signs certificates of the identity service and its callers."
    )
    identity_tls_certificate: Path = Field(description="The process's own certificate; its common name is the process.")
    identity_tls_key: Path = Field(description="The key of that certificate.")

    def identity_files(self) -> dict[str, Path]:
        """The files by their names in the secret."""
        return {
            "ca": self.identity_tls_ca,
            "certificate": self.identity_tls_certificate,
            "key": self.identity_tls_key,
        }


class IdentityClientSettings(IdentityTlsSettings):
    """Read by agents that act on behalf of users."""

    identity_url: str = Field(description="The identity service.")


async def open_identity_client(process: ServiceProcess, settings: IdentityClientSettings) -> IdentityClient:
    """A client for this process, closed with it. Raises `ValueError` or `OSError` for invalid certificate files."""
    if settings.identity_files_secret_arn is not None:
        manager = await process.client("secretsmanager")
        await write_secret_files(manager, settings.identity_files_secret_arn, settings.identity_files())
    tls = client_tls(
        ca=settings.identity_tls_ca, certificate=settings.identity_tls_certificate, key=settings.identity_tls_key
    )
    http = aiohttp.ClientSession()
    await process.on_exit(http.close)
    return IdentityClient(http, settings.identity_url, agent=process.node, tls=tls)


async def write_secret_files(client: Any, secret_arn: str, files: Mapping[str, Path]) -> None:
    """Write what a secret holds to the files, each in one step. Raises `ValueError` for a secret of another form."""
    answer = await client.get_secret_value(SecretId=secret_arn)
    try:
        texts = _TEXTS.validate_json(answer["SecretString"])
    except ValidationError:
        texts = {}
    if missing := sorted(files.keys() - texts.keys()):
        raise ValueError(
            f"the secret of SWITCHYARD_IDENTITY_FILES_SECRET_ARN has no {', '.join(missing)}: "
            f"set it to a JSON object with the texts of {', '.join(files)}"
        )
    for name, file in files.items():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = file.with_name(f".{file.name}")
        written.touch(mode=0o600)
        written.write_text(texts[name], encoding="utf-8")
        written.rename(file)
