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
from switchyard.identity.client_settings import write_secret_files
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
def files(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "identity"
    return {name: folder / name for name in TEXTS}


async def test_files_are_written_for_their_owner_only_and_new_clients_count_at_once(
    secret: Any, files: dict[str, Path]
) -> None:
    clients = ClientRegistry(files["clients"])
    async with create_aws_client(get_session(), "secretsmanager", region="us-east-1", endpoint_url=None) as client:
        await write_secret_files(client, secret.arn, files)
        assert files["key"].read_text() == "key"
        assert {file.stat().st_mode & 0o777 for file in files["ca"].parent.iterdir()} == {0o600}
        assert list(clients) == ["a"]
        secret.put(json.dumps(TEXTS | {"clients": '{"b": {"id": "i", "secret": "s"}}'}))
        await write_secret_files(client, secret.arn, files)
        assert list(clients) == ["b"]


@pytest.mark.parametrize("text", ["not json", "{}", json.dumps(TEXTS | {"key": 1}), json.dumps({"ca": "only"})])
async def test_secret_of_another_form_is_an_error_that_quotes_nothing(
    secret: Any, files: dict[str, Path], text: str
) -> None:
    secret.put(text)
    async with create_aws_client(get_session(), "secretsmanager", region="us-east-1", endpoint_url=None) as client:
        with pytest.raises(ValueError, match=r"SWITCHYARD_IDENTITY_FILES_SECRET_ARN has no .*key") as error:
            await write_secret_files(client, secret.arn, files)
    assert "only" not in str(error.value)
    assert not files["ca"].parent.exists()
