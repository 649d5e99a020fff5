"""In AWS the identity service's certificates and clients come from a secret, to files that only it may read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from aiobotocore.session import get_session

from switchyard.identity.client_registry import ClientRegistry
from switchyard.processes.identity import write_files
from switchyard.runtime.core.aws import create_aws_client

pytestmark = pytest.mark.integration

TEXTS = {"ca": "authority", "certificate": "certificate", "key": "key", "clients": '{"a": {"id": "i", "secret": "s"}}'}


@pytest.fixture
def secret(aws: None) -> Iterator[Any]:
    """A secret, and how to change it."""
    client = boto3.client("secretsmanager", region_name="us-east-1")
    arn = client.create_secret(Name="switchyard/identity_files", SecretString=json.dumps(TEXTS))["ARN"]
    yield SimpleNamespace(arn=arn, put=lambda text: client.put_secret_value(SecretId=arn, SecretString=text))
    client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    client.close()


@pytest.fixture
def settings(secret: Any, tmp_path: Path) -> Any:
    folder = tmp_path / "identity"
    return SimpleNamespace(
        identity_files_secret_arn=secret.arn,
        identity_tls_ca=folder / "ca.pem",
        identity_tls_certificate=folder / "identity.pem",
        identity_tls_key=folder / "identity.key",
        exchange_clients_file=folder / "clients.json",
    )


async def test_files_are_written_for_their_owner_only_and_new_clients_count_at_once(secret: Any, settings: Any) -> None:
    clients = ClientRegistry(settings.exchange_clients_file)
    async with create_aws_client(get_session(), "secretsmanager", region="us-east-1", endpoint_url=None) as client:
        await write_files(client, settings)
        assert settings.identity_tls_key.read_text() == "key"
        assert {file.stat().st_mode & 0o777 for file in settings.identity_tls_ca.parent.iterdir()} == {0o600}
        assert list(clients) == ["a"]
        secret.put(json.dumps(TEXTS | {"clients": '{"b": {"id": "i", "secret": "s"}}'}))
        await write_files(client, settings)
        assert list(clients) == ["b"]


@pytest.mark.parametrize("text", ["not json", "{}", json.dumps(TEXTS | {"key": 1}), json.dumps({"ca": "only"})])
async def test_secret_of_another_form_is_an_error_that_quotes_nothing(secret: Any, settings: Any, text: str) -> None:
    secret.put(text)
    async with create_aws_client(get_session(), "secretsmanager", region="us-east-1", endpoint_url=None) as client:
        with pytest.raises(ValueError, match=r"SWITCHYARD_IDENTITY_FILES_SECRET_ARN has no .*key") as error:
            await write_files(client, settings)
    assert "only" not in str(error.value)
    assert not settings.identity_tls_ca.parent.exists()
