"""What stands for AWS: LocalStack for its services, PostgreSQL with TLS for RDS, and the network between them.

A task has no more than in AWS: its own variables, and those with which a machine of AWS gives it credentials and a
region. The login is not checked: PostgreSQL trusts every client over TLS, where RDS would ask IAM.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session
from docker import DockerClient
from docker.models.containers import Container
from docker.models.networks import Network

from switchyard.devstack.identity.certificates import CA_FILE, write_certificates
from switchyard.devstack.stack.endpoints import sdk_environment
from switchyard.devstack.stack.provision import (
    CHECKPOINT_BUCKET,
    OBJECT_BUCKET,
    client_options,
    provision_emulator,
)
from switchyard.infra.operations import OWNER
from switchyard.runtime.core.aws import create_aws_client
from tests.integration.infrastructure.containers import LOCALSTACK, POSTGRES
from tests.integration.infrastructure.in_docker import engine
from tests.task_containers.tasks import Task, deployment_facts
from tests.unit.terraform.reading import ROOT

SECOND_NS = 1_000_000_000
READY_S = 120.0
_BUILT_IN = {
    "text_to_sql": [
        f"{ROOT.resolve().parent}/demo/oil_field/data/schema.toml:/app/services/specialists/text_to_sql/schema.toml:ro"
    ]
}
"""What the deployment adds to an image before the build (docs/operate/deploy.md, step 4)."""

DATABASES = ("work", "audit")
SERVICES = "events,kms,s3,secretsmanager,sqs"
_WITH_TLS = (
    "install -o postgres -g postgres -m 600 /tls/$HOST.key /var/lib/own.key && exec docker-entrypoint.sh postgres"
    " -c ssl=on -c ssl_key_file=/var/lib/own.key -c ssl_cert_file=/tls/$HOST.pem -c max_connections=300"
)


@dataclass(frozen=True)
class Cloud:
    """The network in which tasks run, and what terraform and ECS would know of it."""

    client: DockerClient
    network: Network
    facts: dict[str, str]
    secrets: dict[str, str]
    folder: Path

    @contextmanager
    def started(self, task: Task) -> Iterator[Container]:
        """The task's container, started as ECS starts it; removed at the end."""
        made = task.container
        check = made.get("healthCheck")
        container = self.client.containers.run(
            f"switchyard/{made['name']}:dev",
            made.get("command"),
            detach=True,
            environment=task.environment(self.facts, self.secrets) | _machine(),
            user=made["user"],
            read_only=made["readonlyRootFilesystem"],
            cap_drop=made["linuxParameters"]["capabilities"]["drop"],
            cap_add=made["linuxParameters"]["capabilities"]["add"],
            init=made["linuxParameters"]["initProcessEnabled"],
            mem_limit=f"{task.memory_mib}m",
            nano_cpus=task.cpu_units * SECOND_NS // 1024,
            # Each is an empty volume, to which Docker, as ECS, copies the folder's mode from the image.
            volumes=[mount["containerPath"] for mount in made["mountPoints"]]
            + [f"{self.folder}/{CA_FILE}:{self.facts['db_ca_file']}:ro", *_BUILT_IN.get(task.name, ())],
            network=self.network.name,
            healthcheck=None
            if check is None
            else {
                "test": check["command"],
                "interval": check["interval"] * SECOND_NS,
                "timeout": check["timeout"] * SECOND_NS,
                "retries": check["retries"],
                "start_period": check["startPeriod"] * SECOND_NS,
                "start_interval": 2 * SECOND_NS,
            },
        )
        try:
            yield container
        finally:
            container.remove(force=True, v=True)


def _machine() -> dict[str, str]:
    """What Fargate sets in every container, or a network interface of AWS answers."""
    return {
        "AWS_ENDPOINT_URL": "http://aws:4566",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "task",
        "AWS_SECRET_ACCESS_KEY": "task",
    }


@contextmanager
def running_cloud(folder: Path) -> Iterator[Cloud]:
    """Start it, with keys, secrets, bus, queues and buckets; without a schema in the databases."""
    folder.chmod(0o755)
    write_certificates(folder, [*map(_host, DATABASES), "identity", "agent"])
    client = engine()
    with ExitStack() as running:
        running.callback(client.close)
        network = client.networks.create(f"switchyard-tasks-{secrets.token_hex(4)}")
        running.callback(network.remove)
        aws = client.containers.create(
            LOCALSTACK,
            environment={
                "SERVICES": SERVICES,
                "EAGER_SERVICE_LOADING": "1",
                "SQS_ENDPOINT_STRATEGY": "dynamic",
                "DISABLE_EVENTS": "1",
                "SKIP_SSL_CERT_DOWNLOAD": "1",
                "DNS_ADDRESS": "0",
            },
            ports={"4566/tcp": ("127.0.0.1", None)},
        )
        databases = {name: _create_database(client, name, folder) for name in DATABASES}
        for container, host in ((aws, "aws"), *((made, _host(name)) for name, made in databases.items())):
            running.callback(container.remove, force=True, v=True)
            network.connect(container, aliases=[host])
            container.start()
        _await(aws, "curl --silent --fail http://127.0.0.1:4566/_localstack/health")
        for name, made in databases.items():
            _await(made, f"pg_isready -h 127.0.0.1 -U {OWNER} -d {name}")
            # RDS has this role, which lets a user log in with IAM.
            _run(made, f"psql -h 127.0.0.1 -U {OWNER} -d {name} -c 'create role rds_iam'")
        aws.reload()
        port = aws.ports["4566/tcp"][0]["HostPort"]
        environment = sdk_environment(f"http://127.0.0.1:{port}")
        facts, values = asyncio.run(_provision(environment, folder))
        yield Cloud(client, network, facts, values, folder)


def _create_database(client: DockerClient, name: str, folder: Path) -> Container:
    return client.containers.create(
        POSTGRES,
        entrypoint=["bash", "-c", _WITH_TLS],
        environment={
            "HOST": _host(name),
            "POSTGRES_USER": OWNER,
            "POSTGRES_DB": name,
            "POSTGRES_HOST_AUTH_METHOD": "trust",
        },
        volumes=[f"{folder}:/tls:ro"],
    )


def _host(database: str) -> str:
    return f"{database}-db"


def _await(container: Container, command: str) -> None:
    deadline = time.monotonic() + READY_S
    while container.exec_run(command).exit_code:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not ready: {container.logs().decode()[-2_000:]}")
        time.sleep(0.5)


def _run(container: Container, command: str) -> None:
    code, output = container.exec_run(command)
    if code:
        raise RuntimeError(output.decode())


async def _provision(environment: dict[str, str], folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The facts of what was made, and the value of each secret by its ARN."""
    await provision_emulator(environment, visibility_s=30)
    topology = json.loads((ROOT / "generated" / "topology.json").read_text())
    session, options = get_session(), client_options(environment)
    facts = {
        "objects_bucket": OBJECT_BUCKET,
        "checkpoints_bucket": CHECKPOINT_BUCKET,
        **{f"{name}_db_host": _host(name) for name in DATABASES},
        "db_ca_file": "/etc/ssl/certs/rds-global-bundle.pem",
    }
    values: dict[str, str] = {}
    async with (
        create_aws_client(session, "kms", **options) as kms,
        create_aws_client(session, "secretsmanager", **options) as manager,
    ):
        for fact in ("vault_key_arn", "rows_key_arn", "identity_kms_key_id"):
            facts[fact] = (await kms.create_key())["KeyMetadata"]["Arn"]
        for name in ("checkpoint", "receipt"):
            key = await kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
            facts[f"{name}s_key_arn"] = key["KeyMetadata"]["Arn"]
            public = await kms.get_public_key(KeyId=key["KeyMetadata"]["Arn"])
            facts[f"{name}_public_key"] = base64.b64encode(public["PublicKey"]).decode()
        for name in topology["secrets"]:
            value = _secret_value(name, folder)
            made = await manager.create_secret(Name=f"switchyard/{name}", SecretString=value)
            facts[f"secret_{name}"] = made["ARN"]
            values[made["ARN"]] = value
        for name in DATABASES:
            password = await manager.create_secret(Name=f"rds-{name}", SecretString='{"password": "unused"}')
            facts[f"{name}_db_owner_secret"] = password["ARN"]
    return deployment_facts(**facts), values


def _secret_value(name: str, folder: Path) -> str:
    """A value of the form that the secret's description asks for."""
    key = secrets.token_hex(32)
    if name.endswith("identity_files"):
        own = "identity" if name == "identity_files" else "agent"
        files: dict[str, Any] = {"ca": CA_FILE, "certificate": f"{own}.pem", "key": f"{own}.key"}
        return json.dumps({kind: (folder / file).read_text() for kind, file in files.items()} | {"clients": "{}"})
    if name == "webhooks":
        return "{}"
    return json.dumps({"2026": key}) if name.endswith("_keys") or name == "principal_key" else key
