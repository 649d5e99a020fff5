"""Opening the audit log, and what is sealed in it, for a command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from switchyard.audit.records.roles import SCHEMA
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.cli.app.aws import open_aws_client
from switchyard.cli.app.database_login import select_database_login
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.receipt_keys import load_receipt_keys
from switchyard.cli.app.target import Target
from switchyard.protocol.fields import Artefact, Json, StorageRef
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.core.errors import PermanentTaskError, TaskError, Unavailable
from switchyard.runtime.crypto.vault import KeyWrapper, KmsKeyWrapper, LocalKeyWrapper, Vault
from switchyard.runtime.database.connections import Pool, connect_pool
from switchyard.runtime.database.login import InvalidDatabaseUrl
from switchyard.runtime.storage.artefacts import Artefacts
from switchyard.runtime.storage.objects import ObjectStore

_DECRYPTS = ("question", "findings", "answer", "account", "email", "review", "principal")


@asynccontextmanager
async def open_audit_reader(target: Target) -> AsyncIterator[AuditReader]:
    """The log, as a reader. Raises `CommandFailed` if it cannot be reached."""
    async with open_pool(target, "SWITCHYARD_AUDIT_DB_URL", SCHEMA) as pool:
        try:
            yield AuditReader(pool, trusted=load_receipt_keys(target))
        except Unavailable as error:
            raise CommandFailed(str(error)) from error


async def resolve_case_id(log: AuditReader, named: str) -> str:
    """The case that an id, or the beginning of one, names. Raises `CommandFailed` if there is none, or several."""
    found = await log.find_case_ids(named)
    if len(found) == 1:
        return found[0]
    what = "the log has no case" if not found else "the log has several cases"
    raise CommandFailed(f"{what} whose id begins with {named}", remedy="see `switchyard case list`")


@asynccontextmanager
async def open_artefact_reader(target: Target) -> AsyncIterator[Artefacts]:
    """What can open sealed artefacts: it needs the vault and what wraps people's keys, in AWS the right to ask KMS."""
    async with open_pool(target, "SWITCHYARD_WORK_DB_OWNER_URL", "vault") as pool, _wrapper(target) as wrapper:
        yield Artefacts(_NoObjects(), Vault(pool, wrapper, SystemClock()), decrypts=_DECRYPTS)


@asynccontextmanager
async def _wrapper(target: Target) -> AsyncIterator[KeyWrapper]:
    key_id = target.get("SWITCHYARD_KMS_KEY_ID")
    if key_id is None:
        yield LocalKeyWrapper(bytes.fromhex(target.need("SWITCHYARD_VAULT_KEY")))
        return
    async with open_aws_client(target, "kms") as kms:
        yield KmsKeyWrapper(kms, key_id)


async def read_artefact(artefacts: Artefacts, event: Json, reference: Mapping[str, Any]) -> bytes:
    """The plain bytes of an artefact that an event of the log refers to. Raises `CommandFailed` saying why not."""
    places = {sha256: StorageRef.model_validate(place) for sha256, place in event.get("storage_refs", {}).items()}
    try:
        return await artefacts.read_from(places, event["case_id"], Artefact.model_validate(reference))
    except TaskError as error:
        raise CommandFailed(error.message, remedy=error.remedy) from error


@asynccontextmanager
async def open_pool(target: Target, variable: str, schema: str) -> AsyncIterator[Pool]:
    """A small pool to the address in a variable. Raises `CommandFailed` if the database cannot be reached."""
    url, login = target.need(variable), select_database_login(target)
    try:
        pool = await connect_pool(url, schema=schema, size=2, login=login)
    except InvalidDatabaseUrl as error:
        raise CommandFailed(f"{variable}: {error}") from error
    except (Unavailable, asyncpg.PostgresError) as error:
        raise CommandFailed(f"the database is out of reach ({type(error).__name__})") from error
    try:
        yield pool
    finally:
        await pool.close()


class _NoObjects(ObjectStore):
    """Answers are small and travel inline; what lies in S3 is read with the AWS console or CLI."""

    async def put(self, key: str, data: bytes, *, content_type: str) -> str:
        """Not for reading."""
        raise Unavailable("object_store", "the command line writes no artefacts")

    async def get(self, uri: str) -> bytes:
        """Refuse, and say where it is."""
        raise PermanentTaskError(
            "artefact_in_s3", f"the artefact is not inline but at {uri}", remedy="fetch it from S3"
        )
