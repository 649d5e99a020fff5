"""Where the parts of a running stack answer, and the environment by which services find them."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass

from switchyard.devstack.stack.postgres import AUDIT_DATABASE, OWNER_ROLE, WORK_DATABASE
from switchyard.devstack.supervisor.ports import LOOPBACK

EMULATOR_REGION = "us-east-1"
EMULATOR_ACCESS_KEY = "local"
INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR")
"""What a process takes over from the shell: where programs are."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The ports of a stack and its database owner's password. A stack without a simulator has no `simulator_port`."""

    postgres_port: int
    emulator_port: int
    simulator_port: int | None
    password: str
    home: str = ""
    """The stack's folder."""

    def dsn(self, database: str, user: str = OWNER_ROLE, password: str | None = None) -> str:
        """A PostgreSQL address for `user`; both must be safe in a URL, as generated names and passwords are."""
        secret = self.password if password is None else password
        return f"postgresql://{user}:{secret}@{LOOPBACK}:{self.postgres_port}/{database}"

    def secret(self, purpose: str) -> str:
        """A key or password for one purpose, derived from the generated password, so that a restart finds the same."""
        return hmac.new(self.password.encode(), purpose.encode(), hashlib.sha256).hexdigest()

    def role_dsn(self, database: str, role: str) -> str:
        """A PostgreSQL address for a role whose password is its secret."""
        return self.dsn(database, role, self.secret(role))

    @property
    def aws(self) -> str:
        """The emulator's base URL."""
        return f"http://{LOOPBACK}:{self.emulator_port}"

    @property
    def simulator(self) -> str | None:
        """The model simulator's base URL, or None."""
        return None if self.simulator_port is None else f"http://{LOOPBACK}:{self.simulator_port}"

    def environment(self) -> dict[str, str]:
        """The variables to export to reach this stack from an operator's shell or a test, as the databases' owner."""
        return {
            **sdk_environment(self.aws),
            "SWITCHYARD_WORK_DB_OWNER_URL": self.dsn(WORK_DATABASE),
            "SWITCHYARD_AUDIT_DB_OWNER_URL": self.dsn(AUDIT_DATABASE),
        }


def inherited_environment() -> dict[str, str]:
    """What every process gets; all else is passed to it by name."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def sdk_environment(endpoint: str) -> dict[str, str]:
    """What makes the AWS SDKs talk to the emulator, and to nothing else: the user's own profiles are out of reach."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": EMULATOR_REGION,
        "AWS_DEFAULT_REGION": EMULATOR_REGION,
        "AWS_ACCESS_KEY_ID": EMULATOR_ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": EMULATOR_ACCESS_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
