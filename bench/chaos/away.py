"""What a service or PostgreSQL that was killed looks like from outside."""

from __future__ import annotations

import aiohttp
import asyncpg

AWAY = (
    OSError,
    TimeoutError,
    aiohttp.ClientError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
