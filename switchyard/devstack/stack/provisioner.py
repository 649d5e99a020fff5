"""`python -m switchyard.devstack.stack.provisioner`.

Keeps a stack's databases migrated and its bus provisioned, for docker compose.

Its container keeps running: the others wait until it is healthy, and an emulator that lost its state (LocalStack's free
edition keeps nothing over a restart) is provisioned again.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from aiobotocore.session import get_session
from pydantic import Field, SecretStr

from switchyard.app.application import load_app
from switchyard.devstack.identity.certificates import ensure_certificates
from switchyard.devstack.stack.ingress_secrets import provide_ingress_secrets
from switchyard.devstack.stack.provision import (
    EXPIRY_INTERVAL_S,
    client_options,
    expire_quarantine,
    provision_emulator,
)
from switchyard.processes.databases import migrate_audit, migrate_work
from switchyard.protocol.topology import BUS, VISIBILITY_SECONDS
from switchyard.runtime.core.aws import create_aws_client
from switchyard.runtime.core.logs import configure_logs
from switchyard.runtime.core.periodic import run_periodically
from switchyard.runtime.core.settings import EnvironmentSettings
from switchyard.runtime.process.web import Readiness, WebServer, build_health_app

log = structlog.get_logger(__name__)
BUS_CHECK_INTERVAL_S = 5.0
PROVISION_RETRY_S = 1.0


class ProvisionerSettings(EnvironmentSettings):
    """The emulator's address and credentials are in `AWS_*`. Commands in its container read other variables, too."""

    work_db_owner_url: SecretStr = Field(description="The work database, as its owner.")
    audit_db_owner_url: SecretStr = Field(description="The audit database, as its owner.")
    role_password: SecretStr = Field(description="The password that every role of both databases gets.")
    visibility_s: float = Field(
        default=VISIBILITY_SECONDS, ge=1, description="Visibility of queues, and lease, in seconds."
    )
    certificates_folder: Path | None = Field(
        default=None, description="Where the certificates of those who speak mutual TLS are written."
    )
    ingress_key: SecretStr | None = Field(
        default=None, description="The key with which the ingress signs, 32 bytes in hex; it is put into the emulator."
    )
    health_host: str = Field(default="127.0.0.1", description="Address of the health page.")
    health_port: int = Field(default=0, ge=0, le=65_535, description="Port of the health page; 0 picks a free port.")


class Provisioner:
    """`provisioned` is whether the emulator has the bus, as far as is known."""

    def __init__(self, settings: ProvisionerSettings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = environment
        self.migrated = False
        self.provisioned = False

    async def run(self, *, check_every_s: float = BUS_CHECK_INTERVAL_S) -> None:
        """Migrate, provision, and then look every few seconds whether the bus is still there; until cancelled."""
        async with create_aws_client(get_session(), "events", **client_options(self._environment)) as events:
            while True:
                try:
                    await self._provision_if_missing(events)
                except Exception as error:  # noqa: BLE001 (this loop must go on: without it nothing is ready)
                    # Without its text, which may name an address with a password.
                    log.warning("provisioner.waiting", error=type(error).__name__)
                await asyncio.sleep(check_every_s if self.provisioned else PROVISION_RETRY_S)

    async def _provision_if_missing(self, events: Any) -> None:
        if not self.migrated:
            await self._migrate()
            self._write_certificates()
            self.migrated = True
        if self.provisioned:
            try:
                await events.describe_event_bus(Name=BUS)
            except events.exceptions.ResourceNotFoundException:
                log.warning("provisioner.bus_gone", why="the emulator was restarted: what was in its queues is lost")
                self.provisioned = False
        if not self.provisioned:
            await provision_emulator(self._environment, visibility_s=self._settings.visibility_s)
            if self._settings.ingress_key is not None:
                key = self._settings.ingress_key.get_secret_value()
                await provide_ingress_secrets(self._environment, self._settings.certificates_folder, key)
            self.provisioned = True
            log.info("provisioner.provisioned")

    def _write_certificates(self) -> None:
        folder, identity = self._settings.certificates_folder, load_app().identity
        if folder is not None and identity is not None:
            ensure_certificates(folder, identity.certificate_names())

    async def _migrate(self) -> None:
        password = self._settings.role_password.get_secret_value()
        for migrate, url in (
            (migrate_work, self._settings.work_db_owner_url),
            (migrate_audit, self._settings.audit_db_owner_url),
        ):
            applied = await migrate(url.get_secret_value(), password_for=lambda _: password)
            log.info("provisioner.migrated", applied=len(applied))


async def serve_provisioner() -> None:
    """Provision until SIGTERM or SIGINT. Ready means migrated and provisioned."""
    settings = ProvisionerSettings()
    configure_logs("provisioner", "INFO")
    provisioner = Provisioner(settings, os.environ)
    checks = {"databases": lambda: provisioner.migrated, "bus": lambda: provisioner.provisioned}
    health = WebServer(build_health_app(Readiness(checks)), settings.health_host, settings.health_port)
    provisioning = asyncio.ensure_future(provisioner.run())
    expire = partial(expire_quarantine, os.environ)
    expiring = asyncio.ensure_future(run_periodically("quarantine", expire, every_s=EXPIRY_INTERVAL_S))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, provisioning.cancel)
    try:
        await asyncio.wait({provisioning})
    finally:
        expiring.cancel()
        await health.stop()
    if not provisioning.cancelled():
        provisioning.result()


if __name__ == "__main__":
    asyncio.run(serve_provisioner())
