"""Runs guarded queries in Snowflake as the asking user.

Every query has its own connection, because it carries the user's token and role and must not serve another user. The
connector blocks, so it runs in a thread.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from contracts.documents.findings import CellValue, ResultColumn
from services.specialists.text_to_sql.guarded_query import GuardedQuery, OutputColumn
from services.specialists.text_to_sql.rows import TYPE_NAMES, Rows, clean_text, safe_value
from switchyard.identity.client import UserToken
from switchyard.runtime.core.clock import Clock, SystemClock
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError
from switchyard.runtime.core.telemetry import client_span

LOGIN_TIMEOUT_S = 15
MAX_RESULT_BYTES = 4_000_000
"""Bytes of a result after which no more rows are taken."""
FETCHED_ROWS = 100
"""Rows taken at a time."""
CANCEL_GRACE_S = 10
"""How much longer than the statement's own timeout we wait, so that Snowflake cancels first and reports it."""

# Snowflake's error numbers. Those for tokens are named in snowflake.connector.network, those for roles are not: with
# another number the task would be retried before it fails.
_TOKEN_NUMBERS = frozenset({390303, 390318, 390195, 390144})
_ROLE = ("role_not_granted", "the warehouse role does not exist or is not granted to the user", "role", "name another")
_TIMEOUT = ("query_timeout", "the query took too long and was cancelled", None, "ask for a shorter period")
_ACCESS = (
    "not_authorized",
    "the role may not read what the query needs",
    "role",
    "ask the warehouse's owner for access",
)
_FAILURES = (
    dict.fromkeys((390186, 390189, 390317), _ROLE)
    | dict.fromkeys((604, 630), _TIMEOUT)
    | dict.fromkeys((2003, 3001), _ACCESS)
)


AGENT = "text_to_sql"


class TokenNotAccepted(RetryableTaskError):
    """Snowflake did not accept the user's token, which was valid when it was issued: no statement was sent."""

    def __init__(self, number: int) -> None:
        super().__init__(
            "token_not_accepted",
            f"Snowflake did not accept the user's token (Snowflake error {number})",
            remedy="compare the token exchange with the account's OAuth integration",
        )


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Limits of one query."""

    max_rows: int = 200
    timeout_s: int = 30
    """Seconds after which Snowflake cancels the statement."""


@dataclass(frozen=True, slots=True)
class WarehouseEndpoint:
    """The Snowflake account. Host, port and protocol are set for the simulator only."""

    account: str
    database: str
    namespace: str
    warehouse: str | None = None
    host: str | None = None
    port: int | None = None
    protocol: str = "https"

    def arguments(self) -> dict[str, Any]:
        """The connector's arguments."""
        given = {"account": self.account, "database": self.database, "schema": self.namespace}
        optional = {"warehouse": self.warehouse, "host": self.host, "port": self.port}
        return given | {"protocol": self.protocol} | {key: value for key, value in optional.items() if value}


@dataclass(frozen=True)
class SnowflakeWarehouse:
    """Snowflake as one user: made for each question with the user's token, which is cheap."""

    address: WarehouseEndpoint
    token: UserToken
    renew: Callable[[], Awaitable[UserToken]] | None = None
    """Gets another token when Snowflake does not accept the first; once a query."""
    executor: Executor | None = None
    """Threads of the blocking calls; default: asyncio's."""
    clock: Clock = field(default_factory=SystemClock)
    connect: Callable[..., Any] | None = None
    """Opens a connection; default: the connector."""

    async def run(self, query: GuardedQuery, *, case_id: str, role: str, limits: QueryLimits) -> Rows:
        """Run a query in a role.

        Raises `PermanentTaskError` for a query or user that cannot succeed, otherwise `RetryableTaskError`; and what
        `renew` raises.
        """
        attempt = partial(self._attempt, query, case_id=case_id, role=role, limits=limits)
        try:
            return await attempt(self.token)
        except TokenNotAccepted:
            if self.renew is None:
                raise
        return await attempt(await self.renew())

    async def _attempt(
        self, query: GuardedQuery, token: UserToken, *, case_id: str, role: str, limits: QueryLimits
    ) -> Rows:
        work = partial(self._run, query, self._arguments(token, case_id, role, limits), limits)
        try:
            async with asyncio.timeout(limits.timeout_s + LOGIN_TIMEOUT_S + CANCEL_GRACE_S):
                with client_span("snowflake", "query"):
                    return await asyncio.get_running_loop().run_in_executor(self.executor, work)
        except TimeoutError as error:
            # The thread goes on until Snowflake ends the statement at its own timeout.
            raise _unreachable() from error

    def _run(self, query: GuardedQuery, login: dict[str, Any], limits: QueryLimits) -> Rows:
        # Importing the connector takes 0.4 s of CPU, so it is imported where it is used.
        import snowflake.connector
        from snowflake.connector import errors

        try:
            connection = (self.connect or snowflake.connector.connect)(**login)
            with connection, connection.cursor() as cursor:
                # Secondary roles of the user must not add rows.
                cursor.execute("USE SECONDARY ROLES NONE")
                started = self.clock.monotonic()
                cursor.execute(query.sql)
                rows, size, more = _fetch(cursor, limits.max_rows)
                elapsed = self.clock.monotonic() - started
                columns = _columns(cursor.description, query.output)
        except errors.Error as error:
            raise _translate_error(error, errors) from error
        return Rows(
            columns=columns,
            rows=rows,
            row_count=len(rows),
            truncated=more,
            sql=query.sql,
            elapsed_ms=round(elapsed * 1000),
            size=size,
        )

    def _arguments(self, token: UserToken, case_id: str, role: str, limits: QueryLimits) -> dict[str, Any]:
        return self.address.arguments() | {
            "authenticator": "oauth",
            "token": token.token,
            "role": role,
            "session_parameters": {
                "QUERY_TAG": json.dumps({"case": case_id, "agent": AGENT, "user": token.access.subject}),
                "STATEMENT_TIMEOUT_IN_SECONDS": limits.timeout_s,
                "TIMEZONE": "UTC",
                "CLIENT_TELEMETRY_ENABLED": False,
            },
            "application": "switchyard",
            "login_timeout": LOGIN_TIMEOUT_S,
            "network_timeout": limits.timeout_s + CANCEL_GRACE_S,
            "client_store_temporary_credential": False,
            # Otherwise the connector calls the metadata services of three clouds.
            "platform_detection_timeout_seconds": 0,
        }


def _fetch(cursor: Any, max_rows: int) -> tuple[tuple[tuple[CellValue, ...], ...], int, bool]:
    """The rows, their size in bytes, and whether there are more. Raises `PermanentTaskError` for a value that Python
    has no form for, such as a date after the year 9999."""
    rows: list[tuple[CellValue, ...]] = []
    size = 0
    while True:
        try:
            found = cursor.fetchmany(FETCHED_ROWS)
        except (ValueError, OverflowError, TypeError, ArithmeticError) as error:
            raise _unreadable_result() from error
        for row in found:
            values = tuple(map(safe_value, row))
            size += sum(len(str(value).encode()) for value in values)
            if len(rows) == max_rows or size > MAX_RESULT_BYTES:
                return tuple(rows), size, True
            rows.append(values)
        if len(found) < FETCHED_ROWS:
            return tuple(rows), size, False


def _columns(description: Any, output: tuple[OutputColumn, ...]) -> tuple[ResultColumn, ...]:
    from snowflake.connector.constants import FIELD_ID_TO_NAME

    # Units belong to columns by position: with another number of columns, none is certain.
    units = [column.unit for column in output] if len(output) == len(description) else [None] * len(description)
    return tuple(
        ResultColumn(
            name=clean_text(str(meta.name)),
            type=TYPE_NAMES.get(FIELD_ID_TO_NAME.get(meta.type_code, ""), "other"),
            unit=unit,
        )
        for meta, unit in zip(description, units, strict=True)
    )


def _translate_error(error: Any, errors: Any) -> PermanentTaskError | RetryableTaskError:
    """The task error for an error of the connector, without its text, which may quote the query."""
    from snowflake.connector.errorcode import ER_FAILED_TO_CONVERT_ROW_TO_PYTHON_TYPE, ER_FAILED_TO_READ_ARROW_STREAM

    number = int(error.errno) if str(error.errno).lstrip("-").isdigit() else -1
    if number in _TOKEN_NUMBERS:
        return TokenNotAccepted(number)
    if number in _FAILURES:
        code, message, subject, remedy = _FAILURES[number]
        return PermanentTaskError(code, f"{message} (Snowflake error {number})", subject, remedy)
    if number in {ER_FAILED_TO_CONVERT_ROW_TO_PYTHON_TYPE, ER_FAILED_TO_READ_ARROW_STREAM}:
        return _unreadable_result()
    if isinstance(error, errors.ProgrammingError):
        message = f"Snowflake could not run the query (error {number})"
        return PermanentTaskError("query_failed", message, remedy="rephrase the question")
    return _unreachable()


def _unreachable() -> RetryableTaskError:
    remedy = "check its status page and the network"
    return RetryableTaskError("warehouse_unreachable", "Snowflake did not answer", remedy=remedy)


def _unreadable_result() -> PermanentTaskError:
    message = "the result holds a value that cannot be read, such as a date outside the years 1 to 9999"
    return PermanentTaskError("unreadable_result", message, remedy="ask for a shorter period, or for the date as text")
