"""The retention role, a reviewer who trusts its key, and a case whose time is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from contracts.catalogue import CATALOGUE
from switchyard.audit.records.roles import READER, RETENTION, SCHEMA
from switchyard.audit.records.row_mac import MacKeys
from switchyard.audit.records.store import AuditStore
from switchyard.audit.retention.retention import CaseObjects, RetentionStore
from switchyard.audit.verification.audit_reader import AuditReader
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.fields import Json
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.crypto.signing import TrustedKeys
from switchyard.runtime.crypto.vault import LocalKeyWrapper
from switchyard.runtime.database.connections import Pool, connect_pool
from tests.integration.audit.aged import age, make_month
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.audit.proof import ROW_KEY
from tests.integration.audit.retention.retiring import LONG_AGO, MONTH, SIGNER
from tests.integration.cloud import Cloud
from tests.integration.manual_clock import ManualClock
from tests.unit.audit import cases


@pytest.fixture
async def retention(url_for: UrlFor, cloud: Cloud) -> AsyncIterator[RetentionStore]:
    """The log, as its retention role."""
    pool = await connect_pool(url_for(RETENTION), schema=SCHEMA)
    yield RetentionStore(pool, CATALOGUE, SIGNER, SystemClock(), objects=CaseObjects(cloud.s3, OBJECT_BUCKET))
    await pool.close()


@pytest.fixture
async def prover(url_for: UrlFor) -> AsyncIterator[AuditReader]:
    """A reviewer who trusts the key of the receipts."""
    pool = await connect_pool(url_for(READER), schema=SCHEMA)
    yield AuditReader(pool, CATALOGUE, trusted=TrustedKeys([SIGNER.public]))
    await pool.close()


@pytest.fixture
def row_clock() -> ManualClock:
    """The clock of the rows' keys: a row of long ago was authenticated then."""
    return ManualClock(LONG_AGO)


@pytest.fixture
def row_keys(writer: Pool, row_clock: ManualClock) -> MacKeys:
    """The keys of the rows' MACs, as the service had them."""
    return MacKeys(writer, LocalKeyWrapper(ROW_KEY), row_clock)


@pytest.fixture
async def events(store: AuditStore, owner: Owner, row_clock: ManualClock) -> list[Json]:
    """A case of long ago, beside a recent one."""
    await make_month(owner, MONTH)
    old = cases.answered(1, opened=LONG_AGO)
    await store.record(cases.bodies(old))
    await age(owner)
    row_clock.advance((datetime.now(UTC) - LONG_AGO).total_seconds())
    await store.record(cases.bodies(cases.answered(2)))
    return old
