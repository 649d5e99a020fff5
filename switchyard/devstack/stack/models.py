"""Which models the local stack's agents call: the simulator, or what the shell's SWITCHYARD_MODEL_* variables name.

A variable of the shell is never overridden: a vendor that no variable names is simulated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from switchyard.devstack.errors import StackError
from switchyard.devstack.stack.endpoints import EMULATOR_REGION, Endpoints

PREFIX = "SWITCHYARD_MODEL_"
BEDROCK = "bedrock:"
"""Before a model's id: Bedrock's, with the credentials of this shell."""
SIMULATED_TTFT_MS = "1500"
NO_KEY = "none"
"""Local servers want no key, but the client insists on one."""
_ADDRESSES = {"bedrock": "BEDROCK_ENDPOINT_URL", "openai": "OPENAI_BASE_URL"}
_OWN = {"bedrock": "BEDROCK_ACCESS_KEY_ID", "openai": "OPENAI_API_KEY"}


def given_model_variables() -> dict[str, str]:
    """The SWITCHYARD_MODEL_* variables of this shell that have a value."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX) and value}


def choose_model(model: str, *, url: str | None = None, key_variable: str | None = None) -> None:
    """Set this process's SWITCHYARD_MODEL_* variables to one model: `bedrock:ID`, or any other at an address.

    Raises `StackError` for what is missing, or contradicts a variable that is set.
    """
    if model.startswith(BEDROCK):
        if url is not None or key_variable is not None:
            raise StackError(
                "Bedrock is reached with this shell's AWS credentials: leave --model-url and --key-env out"
            )
        chosen = {"PRIMARY": "bedrock", "BEDROCK_ID": model.removeprefix(BEDROCK), **_aws_credentials()}
    else:
        if url is None:
            raise StackError(
                f"the address of {model} is missing: give --model-url, or a model of Bedrock as {BEDROCK}ID"
            )
        if not url.startswith(("http://", "https://")):
            raise StackError(f"--model-url {url} is not an address: write it as http://127.0.0.1:11434/v1")
        if key_variable is not None and not os.environ.get(key_variable):
            raise StackError(
                f"{key_variable} is not set: export the server's key under this name, or leave --key-env out"
            )
        key = os.environ[key_variable] if key_variable else NO_KEY
        chosen = {"PRIMARY": "openai", "OPENAI_ID": model, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": key}
    given = given_model_variables()
    for name, value in {**chosen, "FALLBACK": "none"}.items():
        if given.get(PREFIX + name, value) != value:
            raise StackError(f"{PREFIX}{name} is set to something else in this shell: unset it, or leave --model out")
        os.environ[PREFIX + name] = value


def model_environment(endpoints: Endpoints) -> dict[str, str]:
    """The SWITCHYARD_MODEL_* variables of a process that calls models."""
    given = given_model_variables()
    addresses = {vendor: _address(vendor, given, endpoints) for vendor in _ADDRESSES}
    simulated = all(address == _simulator(vendor, endpoints) for vendor, address in addresses.items())
    patience = {f"{PREFIX}TTFT_LIMIT_MS": SIMULATED_TTFT_MS} if simulated else {}
    return patience | given | {PREFIX + _ADDRESSES[vendor]: address for vendor, address in addresses.items()}


def describe_models(endpoints: Endpoints) -> str:
    """What is in use, for people: vendors, ids and addresses, and which of them are simulated. No key."""
    given = given_model_variables()
    first = _described(given.get(f"{PREFIX}PRIMARY", "bedrock"), given, endpoints)
    second = given.get(f"{PREFIX}FALLBACK", "openai")
    return f"{first}, no fallback" if second == "none" else f"{first}, then {_described(second, given, endpoints)}"


def _described(vendor: str, given: Mapping[str, str], endpoints: Endpoints) -> str:
    from switchyard.runtime.models.clients import ModelSettings

    address = _address(vendor, given, endpoints)
    name = given.get(f"{PREFIX}{vendor.upper()}_ID") or ModelSettings.model_fields[f"{vendor}_id"].default
    where = "simulated" if address == _simulator(vendor, endpoints) else f"at {address or 'the vendor'}"
    return f"{vendor} {name} ({where})"


def _address(vendor: str, given: Mapping[str, str], endpoints: Endpoints) -> str:
    """The one that is given; with credentials of one's own the vendor's; else the simulator's."""
    if address := given.get(PREFIX + _ADDRESSES[vendor]):
        return address
    if PREFIX + _OWN[vendor] not in given:
        return _simulator(vendor, endpoints)
    region = given.get(f"{PREFIX}BEDROCK_REGION", EMULATOR_REGION)
    # The SDK's own address would be the emulator's here; OpenAI's client knows its own.
    return f"https://bedrock-runtime.{region}.amazonaws.com" if vendor == "bedrock" else ""


def _simulator(vendor: str, endpoints: Endpoints) -> str:
    return (endpoints.simulator or "") if vendor == "bedrock" else f"{endpoints.simulator}/v1"


def _aws_credentials() -> dict[str, str]:
    """Those of this shell, frozen: of an environment, a profile or a login. Raises `StackError` without any."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        session = Session()
        found = session.get_credentials()
        keys = found.get_frozen_credentials() if found is not None else None
        region = session.get_config_variable("region")
    except BotoCoreError as error:
        raise StackError(f"AWS: {error}") from error
    if keys is None:
        raise StackError("this shell has no AWS credentials: log in with the AWS CLI, or export AWS_PROFILE")
    if not region:
        raise StackError("this shell has no AWS region: export AWS_REGION, one where the model is offered")
    session_token = {"BEDROCK_SESSION_TOKEN": keys.token} if keys.token else {}
    return {
        "BEDROCK_REGION": region,
        "BEDROCK_ACCESS_KEY_ID": keys.access_key,
        "BEDROCK_SECRET_ACCESS_KEY": keys.secret_key,
        **session_token,
    }
