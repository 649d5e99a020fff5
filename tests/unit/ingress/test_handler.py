"""The function behind the API: which tokens are valid, which submissions are accepted, and what is published."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.client import IncompleteRead
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import EndpointConnectionError
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from contracts.events.upstream import CaseSubmitted
from contracts.submissions import open_question
from switchyard.api.callers import caller_rates
from switchyard.api.problems import GrantForbidden, NotFound, Problem
from switchyard.api.user_tokens import AuthenticatedUser, TokenVerifier
from switchyard.identity.jwt_verifier import (
    JWKS_CACHE_S,
    JWKS_MIN_REFETCH_S,
    InvalidJwt,
    JwksUnavailable,
    JwtVerifier,
    read_key_set,
)
from switchyard.ingress.grants import Grants
from switchyard.ingress.handler import EventNotPublished, Ingress, put_event, respond
from switchyard.ingress.identity_service import IdentityUnavailable
from switchyard.ingress.principal import PrincipalSigner
from switchyard.ingress.settings import GrantPolicy
from switchyard.protocol.events.upstream import GrantRenewed
from switchyard.protocol.grants import GrantClaims
from switchyard.protocol.principal_jws import import_public_key, verify_grant
from switchyard.protocol.signing import derive_public_key
from switchyard.protocol.submissions import case_id_for

NOW = 1_800_000_000
KEY = ECKey.generate_key("P-256", parameters={"kid": "a"})
OTHER = ECKey.generate_key("P-256", parameters={"kid": "a"})
CLAIMS: dict[str, Any] = {
    "iss": "https://login.acme.example/",
    "aud": "switchyard",
    "sub": "ana@acme.example",
    "iat": NOW - 60,
    "exp": NOW + 60,
    "tenant": "acme",
    "warehouse_role": "FIELD_PERMIAN",
}
POLICY = GrantPolicy(
    agents=("text_to_sql",), audiences=("https://warehouse.example",), role_scope="session:role:", hours=8
)
SOURCE = "upstream.ingress"
SIGNING_KEY = json.dumps({"2026-11": "01" * 32})
BODY = {"question": "Which wells are shut in?", "idempotency_key": "portal-17"}


class Provider:
    """An identity provider that counts the requests for its keys."""

    def __init__(self) -> None:
        self.asked = 0
        self.down = False

    def __call__(self) -> bytes:
        self.asked += 1
        if self.down:
            raise OSError("no route")
        return json.dumps(KeySet([KEY]).as_dict(private=False)).encode()


class Registry:
    """The identity service: what it was sent, or how it fails."""

    def __init__(self, problem: Problem | None = None) -> None:
        self.registered: list[tuple[GrantClaims, str | None, bool]] = []
        self.revoked: list[tuple[str, str]] = []
        self.problem = problem

    def register(self, statement: str, user: AuthenticatedUser, *, refresh_token: str | None, renewal: bool) -> None:
        if self.problem is not None:
            raise self.problem
        self.registered.append((read(statement), refresh_token, renewal))

    def revoke(self, grant: str, user: AuthenticatedUser) -> None:
        if self.problem is not None:
            raise self.problem
        self.revoked.append((grant, user.user_id))


def read(statement: str) -> GrantClaims:
    return verify_grant(statement, {"2026-11": import_public_key(bytes.fromhex(derive_public_key(b"\1" * 32)))})[1]


class Bus:
    """A fake of EventBridge's client, with the method that the function uses."""

    def __init__(self, failed: int = 0, error: Exception | None = None) -> None:
        self.entries: list[dict[str, Any]] = []
        self._failed, self._error = failed, error

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if self._error is not None:
            raise self._error
        self.entries += Entries
        entry = {"ErrorCode": "ThrottlingException"} if self._failed else {"EventId": "e-1"}
        return {"FailedEntryCount": self._failed, "Entries": [entry]}


def token(key: Any = KEY, algorithm: str = "ES256", **changed: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": "a"}, claims, key)


def tokens(provider: Callable[[], bytes] | None = None, now: Any = lambda: NOW) -> TokenVerifier:
    return TokenVerifier(
        JwtVerifier(issuer=CLAIMS["iss"], fetch=provider or Provider(), now=now),
        audience="switchyard",
        tenant_claim="tenant",
        role_claim="warehouse_role",
    )


def signer() -> PrincipalSigner:
    return PrincipalSigner(source="upstream.ingress", fetch=lambda: SIGNING_KEY, now=lambda: NOW)


def ingress(bus: Any = None, registry: Registry | None = None, verifier: TokenVerifier | None = None) -> Ingress:
    put = partial(put_event, bus or Bus(), "switchyard", SOURCE)
    grants = Grants(registry or Registry(), POLICY, SOURCE, now=lambda: NOW)
    return Ingress(verifier or tokens(), signer(), grants, put, SOURCE, CaseSubmitted, open_question)


def ask(
    authorization: str | None = None,
    body: Any = BODY,
    session: str | None = "s-1",
    bus: Bus | None = None,
    route: str = "cases",
    function: Ingress | None = None,
    headers: dict[str, str] | None = None,
    **parts: Any,
) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    bus = bus or Bus()
    sent = {"Authorization": authorization or f"Bearer {token()}"} | ({"X-Session-Id": session} if session else {})
    event = {
        "httpMethod": "POST",
        "path": f"/dev/v1/{route}",
        "headers": sent | (headers or {}),
        "body": body if isinstance(body, str) else json.dumps(body),
    } | parts
    response = respond(event, function or ingress(bus))
    return response["statusCode"], json.loads(response["body"]), bus.entries


def test_question_is_submitted_for_the_tokens_user_and_the_headers_session() -> None:
    status, answer, [entry] = ask()
    assert status == 202
    case_id = case_id_for("acme", "upstream.ingress", "ana@acme.example", "portal-17")
    submitted = CaseSubmitted.model_validate_json(entry["Detail"])
    assert answer == {"case_id": case_id, "session_id": "s-1", "grant": read(str(submitted.grant)).jti}
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"]) == (
        "switchyard",
        "upstream.ingress",
        "CaseSubmitted",
    )
    assert (submitted.tenant, submitted.user_id, submitted.role) == ("acme", "ana@acme.example", "FIELD_PERMIAN")
    assert (submitted.session_id, submitted.question) == ("s-1", BODY["question"])


@pytest.mark.parametrize("field", ["tenant", "user_id", "role", "session_id", "playbook", "principal"])
def test_body_with_an_identity_field_is_rejected(field: str) -> None:
    status, answer, entries = ask(body=BODY | {field: "mallory"})
    assert (status, entries) == (400, [])
    assert (answer["field"], "leave" in answer["remedy"]) == (field, True)
    assert "mallory" not in json.dumps(answer)


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": NOW - 60},
        {"exp": None},
        {"iss": "https://login.evil.example/"},
        {"aud": "another"},
        {"aud": None},
        {"sub": None},
        {"tenant": None},
        {"tenant": ["acme"]},
        {"nbf": NOW + 3_600},
        {"warehouse_role": 7},
        {"warehouse_role": ["FIELD_PERMIAN", 7]},
        {"warehouse_role": "FIELD PERMIAN"},
        {"iat": None},
        {"iat": NOW + 3_600},
        {"iat": NOW - 8 * 3_600, "exp": NOW + 60},
    ],
)
def test_token_with_foreign_claims_is_rejected(changed: dict[str, Any]) -> None:
    status, _, entries = ask(f"Bearer {token(**changed)}")
    assert (status, entries) == (401, [])


def test_token_of_another_key_or_without_signature_is_rejected() -> None:
    unsigned = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none", "kid": "a"}, CLAIMS)
    )
    shared = OctKey.import_key("0" * 64, {"kid": "a"})
    for text in (token(OTHER), unsigned + ".", token(shared, "HS256"), "x.y.z", ""):
        assert ask(f"Bearer {text}")[0] == 401
    assert ask(f"Basic {token()}")[0] == 401
    assert ask(f"Bearer {token()}")[0] == 202


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"session": None}, "x-session-id"),
        ({"body": "{"}, "JSON"),
        ({"body": "[]"}, "object"),
        ({"body": {"question": "x"}}, "idempotency_key"),
        ({"body": BODY | {"deadline_ms": 1}}, "deadline_ms"),
        ({"body": BODY | {"question": "x" * 40_000}}, "32768"),
        ({"body": "%", "isBase64Encoded": True}, "base64"),
        ({"body": BODY | {"question": "a\x00b"}}, "NUL"),
        ({"body": BODY | {"question": "\ud800"}}, "UTF-8"),
        ({"body": "\ud800"}, "UTF-8"),
        ({"body": "é", "isBase64Encoded": True}, "base64"),
        ({"body": "[" * 5_000}, "nested"),
        ({"body": '{"question":' * 2_000}, "nested"),
        ({"body": '{"question":"q","question":"r"}'}, "twice"),
        ({"body": '{"deadline_ms":' + "9" * 20_000 + "}"}, "2**53"),
        ({"body": '{"deadline_ms":NaN}'}, "finite"),
        ({"body": '\ufeff{"question":"q"}'}, "JSON"),
    ],
)
def test_invalid_submission_is_rejected_with_the_invalid_part(parts: dict[str, Any], named: str) -> None:
    status, answer, entries = ask(**parts)
    assert (status, entries) == (413 if named == "32768" else 400, [])
    assert named in json.dumps(answer)
    assert answer["field"]
    assert answer["remedy"]


def test_user_over_the_limit_gets_429_with_retry_after_and_no_other_user_does() -> None:
    bus, clock = Bus(), [1_000.0]
    function = replace(ingress(bus), rates=caller_rates(2, 100, lambda: clock[0]))
    assert [ask(function=function)[0] for _ in range(3)] == [202, 202, 429]
    event = {"httpMethod": "POST", "path": "/v1/cases", "headers": {"Authorization": f"Bearer {token()}"}, "body": ""}
    refused = respond(event, function)
    assert refused["headers"]["Content-Type"] == "application/problem+json"
    assert int(refused["headers"]["Retry-After"]) == 30
    assert json.loads(refused["body"])["code"] == "too_many_requests"
    assert len(bus.entries) == 2
    assert ask(f"Bearer {token(sub='bo@acme.example')}", function=function)[0] == 202
    clock[0] += 30
    assert [ask(function=function)[0] for _ in range(2)] == [202, 429]


def test_users_of_a_tenant_share_its_limit_and_one_flood_spares_the_others() -> None:
    function = replace(ingress(), rates=caller_rates(2, 4, lambda: 1_000.0))
    assert [ask(function=function)[0] for _ in range(9)].count(202) == 2
    assert [ask(f"Bearer {token(sub=user)}", function=function)[0] for user in ("bo", "cy", "dee")] == [202, 202, 429]
    assert ask(f"Bearer {token(sub='bo', tenant='other')}", function=function)[0] == 202


def test_invalid_token_uses_up_nobodys_limit() -> None:
    function = replace(ingress(), rates=caller_rates(1, 1, lambda: 1_000.0))
    assert [ask(f"Bearer {token(OTHER)}", function=function)[0] for _ in range(3)] == [401] * 3
    assert ask(function=function)[0] == 202


def test_without_an_identity_service_a_case_is_signed_and_has_neither_grant_nor_role() -> None:
    bus = Bus()
    function = replace(ingress(bus), grants=None)
    status, answer, _ = ask(function=function)
    assert (status, "grant" in answer) == (202, False)
    submitted = CaseSubmitted.model_validate_json(bus.entries[0]["Detail"])
    assert (submitted.user_id, submitted.role, submitted.grant) == ("ana@acme.example", None, None)
    assert submitted.principal is not None
    for route in ("consents", "revocations"):
        assert ask(body={"grant": str(uuid4())}, function=function, route=route)[0] == 404


def test_submission_that_no_case_follows_from_is_the_callers_400() -> None:
    status, answer, entries = ask(body=BODY | {"agent": "nobody"})
    assert (status, answer["field"], entries) == (400, "agent", [])


def test_body_in_base64_is_decoded() -> None:
    assert ask(body=base64.b64encode(json.dumps(BODY).encode()).decode(), isBase64Encoded=True)[0] == 202


@pytest.mark.parametrize("bus", [Bus(failed=1), Bus(error=EndpointConnectionError(endpoint_url="x"))])
def test_submission_is_not_accepted_when_the_bus_fails(bus: Bus) -> None:
    with pytest.raises(EventNotPublished):
        put_event(
            bus,
            "switchyard",
            "upstream.ingress",
            "CaseSubmitted",
            {},
        )
    status, answer, _ = ask(bus=bus)
    assert status == 503
    assert "again" in answer["remedy"]


@pytest.mark.parametrize("answer", [{}, {"Entries": []}, {"Entries": [None]}, {"Entries": [{}]}, {"Entries": "<html>"}])
def test_invalid_answer_of_the_bus_is_no_acceptance(answer: dict[str, Any]) -> None:
    bus = Bus()
    bus.put_events = lambda **_: answer  # type: ignore[method-assign]
    assert ask(bus=bus)[0] == 503


@pytest.mark.parametrize("header", ["[" * 5_000, '{"a":' * 5_000, "5", '{"kid":{"alg":1}}'])
def test_token_whose_header_is_hostile_is_rejected(header: str) -> None:
    head = base64.urlsafe_b64encode(header.encode()).rstrip(b"=").decode()
    assert ask(f"Bearer {head}.e30.c2ln")[0] == 401


def rotated(name: str) -> ECKey:
    return ECKey.generate_key("P-256", parameters={"kid": name})


def token_of(key: ECKey) -> str:
    return jwt.encode({"alg": "ES256", "kid": key.kid}, CLAIMS | {"exp": NOW + 3_600}, key)


def test_token_of_a_new_key_fetches_the_keys_at_once() -> None:
    keys: list[Any] = [KEY]
    clock, asked = [float(NOW)], []

    def fetch() -> bytes:
        asked.append(clock[0])
        return json.dumps(KeySet(keys).as_dict(private=False)).encode()

    verifier = tokens(fetch, now=lambda: clock[0])
    verifier.authenticated_user(f"Bearer {token(exp=NOW + 3_600)}")
    clock[0] += JWKS_MIN_REFETCH_S
    keys.append(new := rotated("b"))
    assert verifier.authenticated_user(f"Bearer {token_of(new)}").tenant == "acme"
    assert len(asked) == 2


def test_tokens_of_unknown_keys_fetch_the_keys_at_a_limited_rate() -> None:
    provider, clock = Provider(), [float(NOW)]
    verifier = tokens(provider, now=lambda: clock[0])
    for _ in range(50):
        # Right after a fetch it may be a key that is newer still: to be tried again.
        with pytest.raises((InvalidJwt, JwksUnavailable)):
            verifier.authenticated_user(f"Bearer {token_of(rotated('x'))}")
        clock[0] += 0.5
    assert provider.asked <= 4
    provider.down = True
    assert verifier.authenticated_user(f"Bearer {token(exp=NOW + 3_600)}").tenant == "acme"


def test_key_set_omits_unreadable_keys() -> None:
    listed = [{"kty": "AKP", "kid": "new"}, {"kty": "EC"}, 7, None, KEY.as_dict(private=False)]
    assert [key.kid for key in read_key_set(json.dumps({"keys": listed}).encode()).keys] == ["a"]


@pytest.mark.parametrize(
    "document",
    [b"<html>", b"", b"{}", b"[]", b'{"keys":{}}', b'{"keys":[]}', b"[" * 5_000, b'{"keys":' * 5_000, b"\xff"],
)
def test_key_set_of_another_document_is_unavailable(document: bytes) -> None:
    with pytest.raises(JwksUnavailable):
        tokens(lambda: document).authenticated_user(f"Bearer {token()}")


def test_key_set_that_was_cut_is_unavailable() -> None:
    def cut() -> bytes:
        raise IncompleteRead(b"{")

    with pytest.raises(JwksUnavailable):
        tokens(cut).authenticated_user(f"Bearer {token()}")


def test_provider_keys_are_cached_and_refreshed() -> None:
    provider, clock = Provider(), [float(NOW)]
    kept = tokens(provider, now=lambda: clock[0])
    for _ in range(3):
        kept.authenticated_user(f"Bearer {token(exp=NOW + 3_600)}")
    assert provider.asked == 1
    clock[0] += JWKS_CACHE_S + 1
    kept.authenticated_user(f"Bearer {token(exp=NOW + 3_600)}")
    assert provider.asked == 2


def test_caller_gets_503_when_the_provider_keys_are_unavailable() -> None:
    provider = Provider()
    provider.down = True
    status, answer, entries = ask(function=ingress(verifier=tokens(provider)))
    assert (status, entries) == (503, [])
    assert "again" in answer["remedy"]


def test_grant_covers_what_the_token_and_the_policy_say_and_holds_no_token() -> None:
    registry, bus = Registry(), Bus()
    text = token(warehouse_role=["FIELD_PERMIAN", "FIELD_EAGLE_FORD"])
    ask(f"Bearer {text}", function=ingress(bus, registry))
    [(grant, refresh, renewal)] = registry.registered
    assert grant == GrantClaims(
        iss=SOURCE,
        jti=grant.jti,
        sub="ana@acme.example",
        tenant="acme",
        agents=("text_to_sql",),
        scopes=("session:role:FIELD_PERMIAN", "session:role:FIELD_EAGLE_FORD"),
        audiences=("https://warehouse.example",),
        iat=NOW - 60,
        exp=NOW - 60 + 8 * 3_600,
    )
    assert (refresh, renewal) == (None, False)
    assert text not in json.dumps(bus.entries)
    assert text not in repr(tokens().authenticated_user(f"Bearer {text}"))


def test_same_token_has_the_same_grant_however_it_is_signed() -> None:
    registry = Registry()
    for text in (token(), token()):  # ECDSA: each signature is another
        ask(f"Bearer {text}", function=ingress(registry=registry))
    ask(f"Bearer {token(exp=NOW + 61)}", function=ingress(registry=registry))
    first, again, other = (grant.jti for grant, _, _ in registry.registered)
    assert first == again != other


def test_grant_of_a_token_is_registered_once_by_a_process() -> None:
    registry = Registry()
    function, text = ingress(registry=registry), token()
    for key in ("k-1", "k-2"):
        assert ask(f"Bearer {text}", body=BODY | {"idempotency_key": key}, function=function)[0] == 202
    assert len(registry.registered) == 1


def test_refresh_token_goes_to_the_identity_service_and_not_on_the_bus() -> None:
    registry, bus = Registry(), Bus()
    ask(function=ingress(bus, registry), headers={"X-Refresh-Token": "r-secret"})
    assert registry.registered[0][1] == "r-secret"
    assert "r-secret" not in json.dumps(bus.entries)


def test_submission_without_the_identity_service_is_unavailable_until_a_retry() -> None:
    registry, bus = Registry(IdentityUnavailable("the identity service is unreachable (OSError)")), Bus()
    function, text = ingress(bus, registry), token()
    status, problem, _ = ask(f"Bearer {text}", function=function)
    assert (status, bus.entries) == (503, [])
    assert problem == {
        "title": "Temporarily unavailable",
        "status": 503,
        "code": "temporarily_unavailable",
        "detail": "the identity service is unreachable (OSError)",
        "remedy": "send the same request again, under the same idempotency key",
    }
    registry.problem = None
    answers = [ask(f"Bearer {text}", function=function)[:2] for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 202
    cases = {case_of(entry) for entry in bus.entries}
    assert cases == {answers[0][1]["case_id"]}


def case_of(entry: dict[str, Any]) -> str:
    submitted = CaseSubmitted.model_validate_json(entry["Detail"])
    return case_id_for(submitted.tenant, SOURCE, submitted.user_id, submitted.idempotency_key)


GRANT = "6d3f0e5a-3f4b-5c0e-9a53-8f1f5a8d1c01"


def test_consent_renews_the_grant_with_the_new_log_in_and_reports_it() -> None:
    registry, bus = Registry(), Bus()
    status, answer, _ = ask(body={"grant": GRANT}, route="consents", function=ingress(bus, registry))
    assert (status, answer) == (202, {"grant": GRANT, "expires_at": NOW - 60 + 8 * 3_600})
    [(grant, _, renewal)] = registry.registered
    assert (grant.jti, grant.sub, renewal) == (GRANT, "ana@acme.example", True)
    [entry] = bus.entries
    renewed = GrantRenewed.model_validate_json(entry["Detail"])
    assert (entry["DetailType"], entry["Source"]) == ("GrantRenewed", SOURCE)
    assert (renewed.tenant, read(renewed.grant)) == ("acme", grant)


@pytest.mark.parametrize("route", ["consents", "revocations"])
@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (GrantForbidden("the grant belongs to another user", field="grant", remedy="name your own"), 403),
        (NotFound("no grant of that id is registered", field="grant", remedy="name your own"), 404),
        (IdentityUnavailable("the identity service is unreachable"), 503),
    ],
)
def test_consent_that_the_identity_service_refuses_reports_nothing(route: str, problem: Problem, status: int) -> None:
    bus = Bus()
    answered, answer, _ = ask(body={"grant": GRANT}, route=route, function=ingress(bus, Registry(problem)))
    assert (answered, bus.entries) == (status, [])
    assert answer["remedy"]


@pytest.mark.parametrize("route", ["consents", "revocations"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "grant"),
        ({"grant": "../x"}, "grant"),
        ({"grant": 7}, "grant"),
        ({"grant": GRANT, "sub": "ben"}, "sub"),
        ({"grant": GRANT, "tenant": "other"}, "tenant"),
    ],
)
def test_request_about_a_grant_names_the_grant_and_nobody(route: str, body: dict[str, Any], field: str) -> None:
    registry, bus = Registry(), Bus()
    status, answer, _ = ask(body=body, route=route, function=ingress(bus, registry))
    assert (status, answer["field"]) == (400, field)
    assert (registry.registered, registry.revoked, bus.entries) == ([], [], [])


def test_revocation_is_of_the_tokens_user() -> None:
    registry = Registry()
    status, answer, entries = ask(body={"grant": GRANT}, route="revocations", function=ingress(registry=registry))
    assert (status, answer, entries) == (200, {"grant": GRANT, "revoked": True}, [])
    assert registry.revoked == [(GRANT, "ana@acme.example")]


@pytest.mark.parametrize("route", ["cases", "consents", "revocations"])
def test_route_without_a_valid_token_is_refused(route: str) -> None:
    registry, bus = Registry(), Bus()
    status, answer, _ = ask("Bearer x.y.z", body={"grant": GRANT}, route=route, function=ingress(bus, registry))
    assert (status, answer["field"]) == (401, "authorization")
    assert (registry.registered, registry.revoked, bus.entries) == ([], [], [])


@pytest.mark.parametrize("parts", [{"path": "/dev/v1/grants"}, {"httpMethod": "GET"}, {"path": None}])
def test_unknown_route_is_not_found(parts: dict[str, Any]) -> None:
    status, answer, entries = ask(**parts)
    assert (status, entries) == (404, [])
    assert "POST cases" in answer["remedy"]
