"""With IAM every new connection brings a token of its own, and only over TLS that was verified.

RDS is not here: the token is checked by a PostgreSQL whose role gets it as its password just before it is sent, behind
a TLS endpoint as RDS has one (the embedded server is built without TLS).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiobotocore.session import AioSession
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from contracts.catalogue import CATALOGUE
from switchyard.cli.app.connections import select_database_login
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Target
from switchyard.runtime.core.errors import Unavailable
from switchyard.runtime.core.settings import ProcessSettings
from switchyard.runtime.database.connections import connect_pool
from switchyard.runtime.database.login import (
    DatabaseEndpoint,
    IamLogin,
    InvalidDatabaseUrl,
    PasswordLogin,
    TokenSource,
    parse_endpoint,
    rds_token_source,
)
from switchyard.runtime.database.owner_login import let_owner_use_iam, record_owner_statements
from switchyard.runtime.process.process import ServiceProcess
from tests.integration.infrastructure import Infrastructure, Owner

pytestmark = pytest.mark.integration
ROLE = "iam_role"
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""https://www.postgresql.org/docs/current/protocol-message-formats.html, SSLRequest."""

PLACE = DatabaseEndpoint("audit.abc.eu-central-1.rds.example", 5432, "audit")


@pytest.fixture
def tokens(aws: None, aws_session: AioSession) -> TokenSource:
    """As the processes sign them, with the environment's credentials."""
    return rds_token_source(aws_session, region="eu-central-1")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rds")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    crt, pem = tmp_path / "ca.pem", tmp_path / "key.pem"
    crt.write_bytes(made.public_bytes(Encoding.PEM))
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return crt, pem


@pytest.fixture
async def tls_port(infrastructure: Infrastructure, certificate: tuple[Path, Path]) -> AsyncIterator[int]:
    """The embedded PostgreSQL behind TLS."""
    upstream = urlsplit(infrastructure.owner_url())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
            if await reader.readexactly(8) != SSL_REQUEST:
                writer.close()  # as rds.force_ssl does
                return
            writer.write(b"S")
            await writer.start_tls(context)
            server_reader, server_writer = await asyncio.open_connection(upstream.hostname, upstream.port)
            await asyncio.gather(pump(reader, server_writer), pump(server_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()


@pytest.fixture
async def rds(
    tokens: TokenSource, owner: Owner
) -> AsyncIterator[tuple[Callable[[DatabaseEndpoint], Awaitable[str]], list[str]]]:
    """Hands out real tokens and makes PostgreSQL accept the last one, and none before it; the tokens so far."""
    given: list[str] = []
    await owner.execute(f"drop role if exists {ROLE}")
    await owner.execute(f"create role {ROLE} login")

    async def token_for(place: DatabaseEndpoint) -> str:
        token = await tokens(place)
        given.append(f"{token}&n={len(given)}")  # two within a second would be the same
        await owner.execute(f"alter role {ROLE} password '{given[-1]}'")
        return given[-1]

    yield token_for, given
    await owner.execute(f"drop role {ROLE}")


async def test_iam_token_is_presigned_for_user_and_endpoint_for_15_minutes(
    tokens: TokenSource,
) -> None:
    token = await tokens(PLACE)

    parts = urlsplit(f"https://{token}")
    answer = {name: value for name, (value,) in parse_qs(parts.query).items()}
    assert (parts.hostname, parts.port) == (PLACE.host, PLACE.port)
    assert (answer["Action"], answer["DBUser"], answer["X-Amz-Expires"]) == ("connect", "audit", "900")
    assert answer["X-Amz-Credential"].endswith("/eu-central-1/rds-db/aws4_request")
    assert len(answer["X-Amz-Signature"]) == 64


async def test_iam_token_equals_botocores_for_rds(tokens: TokenSource, aws_session: AioSession) -> None:
    async with aws_session.create_client("rds", region_name="eu-central-1") as rds:
        for _ in range(3):  # the two are signed in the same second, or we look again
            ours = await tokens(PLACE)
            theirs = await rds.generate_db_auth_token(PLACE.host, PLACE.port, PLACE.user)
            if _date(ours) == _date(theirs):
                break
    assert parse_qs(urlsplit(f"https://{ours}").query) == parse_qs(urlsplit(f"https://{theirs}").query)


def _date(token: str) -> list[str]:
    return parse_qs(urlsplit(f"https://{token}").query)["X-Amz-Date"]


async def test_new_connection_gets_a_new_token_and_open_ones_stay(
    tls_port: int, certificate: tuple[Path, Path], rds: tuple[TokenSource, list[str]]
) -> None:
    token_for, given = rds
    login = IamLogin(token_for, ca_file=certificate[0])
    pool = await connect_pool(f"postgresql://{ROLE}@127.0.0.1:{tls_port}/postgres", schema="public", login=login)

    async with pool.acquire() as first, pool.acquire() as second:
        assert [await each.fetchval("select current_user") for each in (first, second)] == [ROLE, ROLE]
    assert len(set(given)) == len(given) == 2
    await pool.expire_connections()
    assert await pool.fetchval("select current_user") == ROLE
    assert len(given) == 3
    await pool.close()


async def test_expired_token_does_not_log_in(
    tls_port: int, certificate: tuple[Path, Path], rds: tuple[TokenSource, list[str]]
) -> None:
    token_for, given = rds
    await token_for(PLACE)
    await token_for(PLACE)

    async def old(place: DatabaseEndpoint) -> str:
        return given[0]

    with pytest.raises(Unavailable, match="InvalidPasswordError"):
        await connect_pool(
            f"postgresql://{ROLE}@127.0.0.1:{tls_port}/postgres",
            schema="public",
            login=IamLogin(old, ca_file=certificate[0]),
        )


async def test_token_is_not_sent_without_tls(infrastructure: Infrastructure) -> None:
    parts = urlsplit(infrastructure.owner_url())

    async def token_for(place: DatabaseEndpoint) -> str:
        return "secret"

    with pytest.raises(Unavailable, match="unreachable"):
        await connect_pool(
            f"postgresql://{ROLE}@{parts.hostname}:{parts.port}/postgres", schema="public", login=IamLogin(token_for)
        )


async def test_token_is_not_sent_to_an_untrusted_server(tls_port: int, rds: tuple[TokenSource, list[str]]) -> None:
    with pytest.raises((Unavailable, ssl.SSLCertVerificationError)):
        await connect_pool(
            f"postgresql://{ROLE}@127.0.0.1:{tls_port}/postgres", schema="public", login=IamLogin(rds[0])
        )


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("postgresql://audit:secret@db.example/audit", "take it out"),
        ("postgresql://db.example/audit", "name both"),
        ("postgresql:///audit", "name both"),
    ],
)
def test_iam_login_with_unusable_address_raises_with_remedy(url: str, remedy: str) -> None:
    with pytest.raises(InvalidDatabaseUrl, match=remedy) as reported:
        parse_endpoint(url)
    assert "secret" not in str(reported.value)


def test_login_of_commands_follows_their_environment() -> None:
    assert isinstance(select_database_login(Target({})), PasswordLogin)
    assert isinstance(select_database_login(Target({"SWITCHYARD_DB_AUTH": "password"})), PasswordLogin)
    assert isinstance(select_database_login(Target({"SWITCHYARD_DB_AUTH": "iam"})), IamLogin)
    with pytest.raises(CommandFailed, match="SWITCHYARD_DB_AUTH") as reported:
        select_database_login(Target({"SWITCHYARD_DB_AUTH": "magic"}))
    assert "'password' or 'iam'" in reported.value.message
    assert reported.value.remedy == "correct or unset SWITCHYARD_DB_AUTH"


def test_login_of_processes_follows_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(ServiceProcess(CATALOGUE, "toy", ProcessSettings()).login(), PasswordLogin)
    monkeypatch.setenv("SWITCHYARD_DB_AUTH", "iam")
    assert isinstance(ServiceProcess(CATALOGUE, "toy", ProcessSettings()).login(), IamLogin)


async def test_owner_grants_itself_iam_with_rdss_password_once(
    tls_port: int, certificate: tuple[Path, Path], owner: Owner
) -> None:
    first, name = "the password that RDS keeps", f"{ROLE}_owner"
    await owner.execute(f"drop role if exists {name}; drop role if exists rds_iam; create role rds_iam")
    await owner.execute(f"create role {name} login superuser password '{first}'")
    read: list[str] = []

    async def token_for(place: DatabaseEndpoint) -> str:
        return "a token"

    async def read_secret(arn: str) -> str:
        read.append(arn)
        return json.dumps({"username": name, "password": first})

    async def allow() -> bool:
        return await let_owner_use_iam(
            f"postgresql://{name}@127.0.0.1:{tls_port}/postgres",
            IamLogin(token_for, ca_file=certificate[0]),
            secret_arn="arn:rds",
            read_secret=read_secret,
            ca_file=certificate[0],
        )

    assert await allow()
    [row] = await owner.fetch(f"select pg_has_role('{name}', 'rds_iam', 'member') as member")
    assert row["member"]
    # From now on RDS takes tokens and no password.
    await owner.execute(f"alter role {name} password 'a token'")
    assert not await allow()
    assert read == ["arn:rds"]
    await owner.execute(f"drop role {name}; drop role rds_iam")


async def test_owner_is_recorded_where_the_server_has_pgaudit(owner: Owner) -> None:
    own = "select rolconfig from pg_roles where rolname = current_user"
    before = await owner.fetchval(own)
    assert not await record_owner_statements(owner)
    assert await owner.fetchval(own) == before
    # As RDS's parameter group sets it for everybody.
    await owner.execute("set pgaudit.log = 'ddl,role'")
    try:
        assert await record_owner_statements(owner)
        assert await record_owner_statements(owner), "it may be repeated"
        assert "pgaudit.log=all" in await owner.fetchval(own)
    finally:
        await owner.execute("alter role current_user reset pgaudit.log; reset pgaudit.log")
