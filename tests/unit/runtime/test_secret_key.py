"""OpenAI's key from Secrets Manager: rotated without a deployment, and its absence is a vendor's, not the agent's."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from botocore.exceptions import EndpointConnectionError

from switchyard.runtime.models.clients import ModelSettings, openai_model
from switchyard.runtime.models.secret_key import KEY_CACHE_S, SecretKey

ARN = "arn:aws:secretsmanager:us-east-1:111122223333:secret:switchyard/openai_api_key-x"


class Secrets:
    """A fake of the client of Secrets Manager, with the method that is used."""

    def __init__(self, *answers: Any) -> None:
        self._answers, self.asked = list(answers), 0

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803 - boto3's name
        assert SecretId == ARN
        self.asked += 1
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"SecretString": answer}


async def test_key_is_read_again_after_some_minutes_so_that_a_rotated_one_counts() -> None:
    secrets, clock = Secrets("old", "new"), [0.0]
    key = SecretKey(ARN, lambda: secrets, lambda: clock[0])
    assert [await key(), await key()] == ["old", "old"]
    clock[0] = KEY_CACHE_S + 1
    assert await key() == "new"
    assert secrets.asked == 2


async def test_known_key_goes_on_while_secrets_manager_is_out_of_reach() -> None:
    secrets, clock = Secrets("old", EndpointConnectionError(endpoint_url="https://x")), [0.0]
    key = SecretKey(ARN, lambda: secrets, lambda: clock[0])
    assert await key() == "old"
    clock[0] = KEY_CACHE_S + 1
    assert await key() == "old"


async def test_key_that_was_never_read_is_an_unreachable_vendor_and_asked_again() -> None:
    secrets = Secrets(EndpointConnectionError(endpoint_url="https://x"), "late")
    key = SecretKey(ARN, lambda: secrets)
    with pytest.raises(openai.APIConnectionError, match="OpenAI's key cannot be read"):
        await key()
    assert await key() == "late"
    assert "late" not in repr(key)


def test_agent_starts_without_secrets_manager() -> None:
    assert openai_model(ModelSettings(openai_secret_arn=ARN)).model_name
