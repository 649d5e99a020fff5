"""The identity servers of the local stack: started for an application that has them, from files written once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

import switchyard.devstack.stack.local_stack
from services.app import APP
from switchyard.devstack.errors import StackError
from switchyard.devstack.identity import certificates
from switchyard.devstack.identity.certificates import ensure_certificates
from switchyard.devstack.identity.servers import SERVERS_VARIABLE
from switchyard.devstack.stack.endpoints import Endpoints
from switchyard.devstack.stack.identity import EXCHANGE, PROVIDER, prepare_identity
from switchyard.devstack.stack.local_stack import list_services
from tests.echo_app import echo


def endpoints(home: Path) -> Endpoints:
    return Endpoints(postgres_port=1, emulator_port=2, simulator_port=3, password="p", home=str(home))


def written(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_certificates_are_written_once_and_again_for_a_new_name_or_before_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "certificates"
    ensure_certificates(folder, ("identity", "ingress"))
    first = written(folder)
    assert first.keys() == {"ca.pem", "identity.pem", "identity.key", "ingress.pem", "ingress.key"}
    assert (folder / "identity.key").stat().st_mode & 0o777 == 0o600
    ensure_certificates(folder, ("identity", "ingress"))
    assert written(folder) == first
    ensure_certificates(folder, ("identity", "ingress", "text_to_sql"))
    second = written(folder)
    assert "text_to_sql.key" in second
    assert second["ca.pem"] != first["ca.pem"], "one authority for all"
    monkeypatch.setattr(certificates, "RENEWED_BEFORE", timedelta(days=31))
    ensure_certificates(folder, ("identity",))
    assert written(folder)["ca.pem"] != second["ca.pem"]


def test_servers_that_are_not_installed_are_an_error_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SERVERS_VARIABLE, str(tmp_path / "nothing"))
    assert APP.identity is not None
    with pytest.raises(StackError, match="nothing/nanoidp is missing: run `make env`"):
        prepare_identity(endpoints(tmp_path), APP.identity)
    assert list(tmp_path.iterdir()) == []


def test_application_without_identity_starts_no_server_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {service.name for service in list_services(endpoints(tmp_path))}
    assert {"identity", PROVIDER, EXCHANGE} <= ours
    monkeypatch.setattr(switchyard.devstack.stack.local_stack, "load_app", lambda: echo.APP)
    assert not {"identity", PROVIDER, EXCHANGE} & {service.name for service in list_services(endpoints(tmp_path))}


def test_no_secret_is_in_the_arguments_of_a_server(tmp_path: Path) -> None:
    place = endpoints(tmp_path)
    services = {service.name: service for service in list_services(place)}
    for name, purpose in ((PROVIDER, "idp_client_secret"), (EXCHANGE, "exchange_secret")):
        assert place.secret(purpose) in services[name].env.values()
        assert place.secret(purpose) not in " ".join(services[name].argv)
