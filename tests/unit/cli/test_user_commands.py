"""`switchyard ask --user`, `consent` and `grant`: what is refused before anything is asked."""

from __future__ import annotations

import pytest

from services.ask import ask_question
from services.user_requests import UserSettings, local_password, log_in
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.target import Env, Target


@pytest.mark.parametrize(("role", "tenant"), [("FIELD_ALL", None), (None, "acme")])
async def test_user_with_a_role_or_tenant_of_the_command_line_is_refused(role: str | None, tenant: str | None) -> None:
    with pytest.raises(InvalidArgument, match="of their token") as refused:
        await ask_question("Which wells are shut in?", user="ana.morales", role=role, tenant=tenant, env=Env.AWS)
    assert refused.value.remedy is not None
    assert "--role" in refused.value.remedy


def test_unknown_user_of_the_local_stack_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidArgument, match="mallory is not a user") as refused:
        local_password("mallory")
    assert "ana.morales" in str(refused.value.remedy)


async def test_log_in_without_an_address_names_the_variable() -> None:
    with pytest.raises(CommandFailed, match="SWITCHYARD_LOGIN_URL is not set"):
        async with log_in(Target({}), "ana.morales"):
            pytest.fail("logged in")


def test_secret_of_the_client_is_not_shown() -> None:
    settings = UserSettings.read({"SWITCHYARD_LOGIN_CLIENT_SECRET": "c-secret"})
    assert UserSettings.model_fields["login_client_secret"].json_schema_extra == {"needed": True, "secret": True}
    assert settings.login_client_secret == "c-secret"
