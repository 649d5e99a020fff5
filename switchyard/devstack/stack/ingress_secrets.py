"""What the ingress reads from Secrets Manager, put into the emulator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from switchyard.devstack.identity.certificates import CA_FILE
from switchyard.devstack.stack.provision import client_options
from switchyard.infra.nodes import INGRESS
from switchyard.runtime.core.aws import create_aws_client

KEY_SECRET, TLS_SECRET = "switchyard/principal_key", "switchyard/ingress_identity_files"
LOCAL_KEY = "local"
"""The id of the key that signs principals and grants here."""


async def provide_ingress_secrets(environment: Mapping[str, str], certificates: Path | None, key: str) -> None:
    """Put the ingress's key, in hex, and its certificate for an identity service, if there is one, into the emulator,
    where the function reads them."""
    files = {"ca": CA_FILE, "certificate": f"{INGRESS}.pem", "key": f"{INGRESS}.key"}
    values = {KEY_SECRET: {LOCAL_KEY: key}}
    if certificates is not None:
        values[TLS_SECRET] = {name: (certificates / file).read_text(encoding="ascii") for name, file in files.items()}
    async with create_aws_client(get_session(), "secretsmanager", **client_options(environment)) as secrets:
        for name, value in values.items():
            try:
                await secrets.create_secret(Name=name, SecretString=json.dumps(value))
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceExistsException":
                    raise
                await secrets.put_secret_value(SecretId=name, SecretString=json.dumps(value))
