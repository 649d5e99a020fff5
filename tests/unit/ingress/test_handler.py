"""The function behind the API: which tokens are valid, which submissions are accepted, and what is published."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from http.client import IncompleteRead
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from contracts.events.upstream import CaseSubmitted
from services.ingress.handler import SubmissionNotPublished, put_event, respond
from services.ingress.principal import PrincipalSigner
from services.ingress.tokens import TokenVerifier
from switchyard.identity.jwt_verifier import (
    JWKS_CACHE_S,
    JWKS_MIN_REFETCH_S,
    InvalidJwt,
    JwksUnavailable,
    JwtVerifier,
    read_key_set,
)
from switchyard.protocol.submissions import case_id_for

NOW = 1_800_000_000
KEY = ECKey.generate_key("P-256", parameters={"kid": "a"})
OTHER = ECKey.generate_key("P-256", parameters={"kid": "a"})
CLAIMS: dict[str, Any] = {
    "iss": "https://login.acme.example/",
    "aud": "switchyard",
    "sub": "ana@acme.example",
    "exp": NOW + 60,
    "tenant": "acme",
    "warehouse_role": "FIELD_PERMIAN",
}
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


def ask(
    authorization: str | None = None,
    body: Any = BODY,
    session: str | None = "s-1",
    bus: Bus | None = None,
    **parts: Any,
) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    bus = bus or Bus()
    headers = {"Authorization": authorization or f"Bearer {token()}"} | ({"X-Session-Id": session} if session else {})
    event = {"headers": headers, "body": body if isinstance(body, str) else json.dumps(body)} | parts

    def put(submitted: CaseSubmitted) -> None:
        put_event(bus, "switchyard", "upstream.ingress", submitted)

    response = respond(event, tokens=tokens(), signer=signer(), put=put, source="upstream.ingress")
    return response["statusCode"], json.loads(response["body"]), bus.entries


def test_question_is_submitted_for_the_tokens_user_and_the_headers_session() -> None:
    status, answer, [entry] = ask()
    assert status == 202
    case_id = case_id_for("acme", "upstream.ingress", "ana@acme.example", "portal-17")
    assert answer == {"case_id": case_id, "session_id": "s-1"}
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"]) == (
        "switchyard",
        "upstream.ingress",
        "CaseSubmitted",
    )
    submitted = CaseSubmitted.model_validate_json(entry["Detail"])
    assert (submitted.tenant, submitted.user_id, submitted.role) == ("acme", "ana@acme.example", "FIELD_PERMIAN")
    assert (submitted.session_id, submitted.question) == ("s-1", BODY["question"])


@pytest.mark.parametrize("field", ["tenant", "user_id", "role", "session_id", "playbook", "principal"])
def test_body_with_an_identity_field_is_rejected(field: str) -> None:
    status, answer, entries = ask(body=BODY | {field: "mallory"})
    assert (status, entries) == (400, [])
    assert field in answer["error"]
    assert "mallory" not in answer["error"]


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
    assert (status, entries) == (400, [])
    assert named in answer["error"]


def test_body_in_base64_is_decoded() -> None:
    assert ask(body=base64.b64encode(json.dumps(BODY).encode()).decode(), isBase64Encoded=True)[0] == 202


@pytest.mark.parametrize("bus", [Bus(failed=1), Bus(error=EndpointConnectionError(endpoint_url="x"))])
def test_submission_is_not_accepted_when_the_bus_fails(bus: Bus) -> None:
    with pytest.raises(SubmissionNotPublished):
        put_event(
            bus,
            "switchyard",
            "upstream.ingress",
            CaseSubmitted(tenant="a", idempotency_key="k", session_id="s", user_id="u", question="q"),
        )
    status, answer, _ = ask(bus=bus)
    assert status == 503
    assert "again" in answer["error"]


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
    response = respond(
        {"headers": {"Authorization": f"Bearer {token()}", "X-Session-Id": "s"}, "body": json.dumps(BODY)},
        tokens=tokens(provider),
        signer=signer(),
        put=lambda _: pytest.fail("submitted without a checked token"),
        source="upstream.ingress",
    )
    assert response["statusCode"] == 503
