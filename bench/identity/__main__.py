"""`python -m bench.identity`: how long an agent waits for a token; writes bench/results/identity.json and identity.md.

The identity service, the identity provider and the token exchange are processes of their own, with a database. Cold:
each call has a grant of its own, so that the user's credential is opened and exchanged. Cached: the grant is the same.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import platform
import ssl
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import aiohttp
import asyncpg

from services.app import IDENTITY, LOCAL_IDENTITY, WAREHOUSE_AUDIENCE
from switchyard.devstack.identity.certificates import CA_FILE
from switchyard.devstack.identity.exchange import CLIENTS_FILE
from switchyard.devstack.identity.provider import FRONT_END
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.home import temporary_home
from switchyard.devstack.stack.identity import EXCHANGE, PROVIDER, prepare_identity
from switchyard.devstack.stack.local_stack import list_services
from switchyard.devstack.stack.postgres import WORK_DATABASE
from switchyard.devstack.stack.provision import provision_emulator
from switchyard.devstack.stack.stack import EmbeddedStack
from switchyard.devstack.supervisor.process import ServiceSpec
from switchyard.identity.tls import client_tls
from switchyard.processes.databases import migrate_work
from switchyard.protocol.grants import GrantClaims
from switchyard.protocol.principal_jws import import_private_key, sign_grant
from switchyard.protocol.signing import derive_public_key

IDENTITY_RESULTS = Path(__file__).resolve().parents[1] / "results"
SOURCE, KEY_ID, SEED = "upstream.bench", "bench", bytes(range(32))
USER, SCOPE = "ana.morales", "session:role:FIELD_PERMIAN"
AGENT = "text_to_sql"
WARM_UP = 10


@dataclass
class Asker:
    """The calls of the ingress and of an agent, over mutual TLS."""

    http: aiohttp.ClientSession
    owner: asyncpg.Connection[Any]
    url: str
    certificates: Path

    async def post(self, caller: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask as this caller. Raises `RuntimeError` for any answer but success."""
        async with self.http.post(f"{self.url}{path}", json=body, ssl=self.tls(caller)) as answer:
            found: dict[str, Any] = await answer.json()
            if answer.status >= 300:
                raise RuntimeError(f"{path} answered {answer.status}: {found}")
            return found

    def tls(self, caller: str) -> ssl.SSLContext:
        """The caller's certificate."""
        return client_tls(
            ca=self.certificates / CA_FILE,
            certificate=self.certificates / f"{caller}.pem",
            key=self.certificates / f"{caller}.key",
        )

    @cached_property
    def agents_tls(self) -> ssl.SSLContext:
        """An agent makes it once."""
        return self.tls(AGENT)

    async def token(self, request: Mapping[str, Any]) -> None:
        """Ask for a token as the agent does."""
        async with self.http.post(f"{self.url}/token", json=request, ssl=self.agents_tls) as answer:
            answer.raise_for_status()
            await answer.read()

    async def open_task(self, grant: str) -> dict[str, Any]:
        """A case of this grant's user and a task that the agent holds, as a request for a token."""
        case_id, task_id = str(uuid.uuid4()), str(uuid.uuid4())
        principal = {"grant_ref": grant, "scopes": ["role:FIELD_PERMIAN"]}
        facts = {"pinned": {"tenant": "northfork", "principal": principal}, "payload": {}}
        await self.owner.execute(
            "insert into case_manager.submission (case_id, payload_mac, playbook, facts, opened_id)"
            " values ($1, '', 'assist', $2, $1)",
            case_id,
            json.dumps(facts),
        )
        await self.owner.execute(
            "insert into text_to_sql.inbox (event_id, digest, case_id, type, token, claims, lease_until)"
            " values ($1, '', $2, 'AnswerQuestion', 1, 1, now() + interval '1 hour')",
            task_id,
            case_id,
        )
        return {
            "grant": grant,
            "case_id": case_id,
            "task_id": task_id,
            "audience": WAREHOUSE_AUDIENCE,
            "scopes": [SCOPE],
        }

    async def grant(self, token: str) -> str:
        """Register a new grant with a log-in's token."""
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        statement = sign_grant(
            GrantClaims(
                iss=SOURCE,
                jti=str(uuid.uuid4()),
                sub=USER,
                tenant=claims["tenant"],
                agents=(AGENT,),
                scopes=(SCOPE,),
                audiences=(WAREHOUSE_AUDIENCE,),
                iat=claims["iat"],
                exp=claims["exp"],
            ),
            KEY_ID,
            import_private_key(SEED),
        )
        return str((await self.post("ingress", "/grants", {"grant": statement, "token": token}))["grant"])


async def run_identity_bench(calls: int) -> dict[str, Any]:
    """Measure both kinds of call, one after another, each so often."""
    with temporary_home() as home:
        async with EmbeddedStack(home, services=identity_services, prepare=prepare) as stack:
            while not (home / "identity" / "exchange" / CLIENTS_FILE).exists():  # noqa: ASYNC110 - written elsewhere
                await asyncio.sleep(0.1)
            await listening(stack.ports()[f"{IDENTITY}_http"])
            token = await asyncio.to_thread(log_in, stack.endpoints, stack.ports()[PROVIDER])
            owner = await asyncpg.connect(stack.endpoints.dsn(WORK_DATABASE))
            async with aiohttp.ClientSession() as http:
                asker = Asker(
                    http,
                    owner,
                    f"https://127.0.0.1:{stack.ports()[f'{IDENTITY}_http']}",
                    home / "identity" / "certificates",
                )
                shared = await asker.grant(token)

                async def cold() -> dict[str, Any]:
                    return await asker.open_task(await asker.grant(token))

                async def login() -> str:
                    return token

                async def cached() -> dict[str, Any]:
                    return await asker.open_task(shared)

                exchange = f"http://127.0.0.1:{stack.ports()[EXCHANGE]}/token"
                client = json.loads((home / "identity" / "exchange" / CLIENTS_FILE).read_text())[AGENT]
                waits = {
                    "cold": await measure(asker.token, cold, calls),
                    "the exchange alone": await measure(partial(exchange_alone, http, exchange, client), login, calls),
                    "cached": await measure(asker.token, cached, calls),
                }
            await owner.close()
    return {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load_1m": os.getloadavg()[0]},
        "calls": calls,
        "waits_ms": {name: percentiles(found) for name, found in waits.items()},
    }


async def listening(port: int) -> None:
    """Wait until the service accepts connections: it does so a moment after its health page."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


async def measure(
    call: Callable[[Any], Awaitable[None]], prepared: Callable[[], Awaitable[Any]], calls: int
) -> list[float]:
    """The milliseconds of each call; the first ones, with connections and keys to fetch, do not count."""
    found = []
    for _ in range(WARM_UP + calls):
        request = await prepared()
        started = time.perf_counter()
        await call(request)
        found.append((time.perf_counter() - started) * 1_000)
    return found[WARM_UP:]


async def exchange_alone(http: aiohttp.ClientSession, url: str, client: Mapping[str, str], token: str) -> None:
    """What the identity service asks of the token exchange."""
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "audience": WAREHOUSE_AUDIENCE,
        "resource": WAREHOUSE_AUDIENCE,
        "scope": SCOPE,
    }
    headers = {"Authorization": aiohttp.encode_basic_auth(client["id"], client["secret"])}
    async with http.post(url, data=form, headers=headers) as answer:
        answer.raise_for_status()
        await answer.read()


def percentiles(waits: Sequence[float]) -> dict[str, float]:
    """The figures of one kind of call."""
    cuts = quantiles(waits, n=100)
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "max": round(max(waits), 1)}


def identity_services(endpoints: Endpoints) -> list[ServiceSpec]:
    """The identity service and the servers that it asks."""
    keys = {"SWITCHYARD_PRINCIPAL_KEYS": json.dumps({SOURCE: {KEY_ID: derive_public_key(SEED)}})}
    return [
        replace(service, env={**service.env, **keys}) if service.name == IDENTITY else service
        for service in list_services(endpoints)
        if service.name in {PROVIDER, EXCHANGE, IDENTITY}
    ]


async def prepare(endpoints: Endpoints) -> None:
    """Certificates, tables and the bus, which every process looks for."""
    prepare_identity(endpoints, LOCAL_IDENTITY)
    await migrate_work(endpoints.dsn(WORK_DATABASE), password_for=endpoints.secret)
    await provision_emulator(endpoints.environment(), visibility_s=30)


def log_in(endpoints: Endpoints, port: int) -> str:
    """The user's token."""
    basic = base64.b64encode(f"{FRONT_END}:{endpoints.secret('idp_client_secret')}".encode()).decode()
    form = {"grant_type": "password", "username": USER, "password": USER.partition(".")[0], "scope": "openid"}
    request = Request(f"http://127.0.0.1:{port}/token", urlencode(form).encode(), {"Authorization": f"Basic {basic}"})
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - our own loopback address
        return str(json.load(answer)["access_token"])


def identity_markdown(found: dict[str, Any]) -> str:
    """The page for `bench/results/identity.md`."""
    machine = found["machine"]
    rows = (
        f"| {name} | {wait['p50']:.1f} | {wait['p95']:.1f} | {wait['max']:.1f} |"
        for name, wait in found["waits_ms"].items()
    )
    return "\n".join(
        [
            "# What a user's token adds to a step",
            "",
            f"`python -m bench.identity --calls {found['calls']}`: one call after another, over mutual TLS, with "
            f"nanoidp, authgent-server and PostgreSQL as processes. {machine['cores']} cores, Python "
            f"{machine['python']}, load {machine['load_1m']:.1f}.",
            "",
            "| call | P50 ms | P95 ms | most ms |",
            "|---|---:|---:|---:|",
            *rows,
            "",
            "Cold opens the user's credential and exchanges it; cached hands out the token of another task of the "
            "same grant, until a minute before its end. Both check the task and record the hand-out. The exchange "
            "alone is measured by calls of its own, straight to the server: nearly all of a cold call is spent there.",
            "",
        ]
    )


def main() -> None:
    """Run and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=250)
    found = asyncio.run(run_identity_bench(parser.parse_args().calls))
    IDENTITY_RESULTS.mkdir(parents=True, exist_ok=True)
    (IDENTITY_RESULTS / "identity.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    text = identity_markdown(found)
    (IDENTITY_RESULTS / "identity.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
