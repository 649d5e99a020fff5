"""The web server with mutual TLS: the caller is the common name of its certificate."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from switchyard.devstack.identity.certificates import CA_FILE, write_certificates
from switchyard.identity.tls import client_tls
from switchyard.runtime.process.web import MutualTls, WebServer, peer_name


async def who(request: Request) -> PlainTextResponse:
    return PlainTextResponse(peer_name(request.scope))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder, ("identity", "text_to_sql", "drafter"))
    return folder


@pytest.fixture
async def url(certificates: Path) -> AsyncIterator[str]:
    tls = MutualTls(certificates / CA_FILE, certificates / "identity.pem", certificates / "identity.key")
    server = WebServer(Starlette(routes=[Route("/", who)]), "127.0.0.1", 0, tls=tls)
    yield f"https://127.0.0.1:{server.port}/"
    await server.stop()


def context_of(folder: Path, name: str, *, ca: Path | None = None) -> ssl.SSLContext:
    return client_tls(ca=(ca or folder) / CA_FILE, certificate=folder / f"{name}.pem", key=folder / f"{name}.key")


@pytest.mark.parametrize("name", ["text_to_sql", "drafter"])
async def test_caller_with_a_certificate_is_named(certificates: Path, url: str, name: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(url, ssl=context_of(certificates, name)) as answer:
        assert await answer.text() == name


async def test_caller_without_a_certificate_is_refused(certificates: Path, url: str) -> None:
    context = ssl.create_default_context(cafile=str(certificates / CA_FILE))
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(url, ssl=context)


async def test_caller_of_another_authority_is_refused(certificates: Path, url: str, tmp_path: Path) -> None:
    write_certificates(tmp_path, ("text_to_sql",))
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(url, ssl=context_of(tmp_path, "text_to_sql", ca=certificates))


async def test_server_of_another_authority_is_refused_by_the_client(
    certificates: Path, url: str, tmp_path: Path
) -> None:
    write_certificates(tmp_path, ("identity",))
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(url, ssl=context_of(certificates, "text_to_sql", ca=tmp_path))
