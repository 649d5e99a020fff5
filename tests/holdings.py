"""What of an environment is secret, under any variable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from switchyard.runtime.core.settings import HiddenBytes, KeyRing, PublicKeys

PUBLIC = re.compile(r"SWITCHYARD_(OPERATORS|APPROVERS|\w*PUBLIC_KEYS|PRINCIPAL_KEYS)")
"""Variables with keys that anybody may know."""

SECRET = re.compile(r"\b[0-9a-f]{64}\b|(?<=//)[a-z_]+:[^@/]+(?=@)")
"""A key of 32 bytes in hex; the name and the password of a login."""

SIMULATED = re.compile(r"SWITCHYARD_MODEL_OPENAI_API_KEY")
"""What simulators accept in place of a secret: any text."""


def secrets_in(environment: Mapping[str, str]) -> dict[str, set[str]]:
    """The secrets in the values, by variable."""
    private = {name: value for name, value in environment.items() if not PUBLIC.fullmatch(name)}
    return {
        name: found
        for name, value in private.items()
        if (found := {value} if SIMULATED.fullmatch(name) else set(SECRET.findall(value)))
    }


def secret_variables(settings: type[BaseSettings]) -> set[str]:
    """The variables of a settings class whose type is a secret's."""
    prefix = settings.model_config["env_prefix"]
    return {
        f"{prefix}{name}".upper()
        for name, field in settings.model_fields.items()
        if _is_secret(field.annotation) and field.annotation != get_args(PublicKeys)[0]
    }


def _is_secret(annotation: Any) -> bool:
    if annotation in {SecretStr, HiddenBytes} or annotation == get_args(KeyRing)[0]:
        return True
    if get_origin(annotation) in {dict, list}:
        return False
    parts = get_args(annotation)
    return any(map(_is_secret, parts[:1] if get_origin(annotation) is Annotated else parts))
