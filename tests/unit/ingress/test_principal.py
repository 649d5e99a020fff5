"""The statement that the ingress signs, verified by the case manager's own code."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey

from contracts.events.upstream import CaseSubmitted
from contracts.submissions import open_question
from switchyard.case_manager.principals import PRINCIPAL_LEEWAY_S, PrincipalKeys, VerifiedPrincipal, check_principal
from switchyard.case_manager.rejections import PrincipalExpired, PrincipalInvalid
from switchyard.ingress.handler import read_secret
from switchyard.ingress.principal import SIGNING_KEY_CACHE_S, PrincipalSigner, SigningKeyUnavailable, bus_payload
from switchyard.protocol.canonical import parse_json
from switchyard.protocol.fields import Json
from switchyard.protocol.principals import PRINCIPAL_TOKEN_TYPE, PRINCIPAL_VALID_S
from switchyard.protocol.signing import derive_public_key
from switchyard.protocol.submissions import case_id_for
from tests.grants import granted
from tests.unit.ingress.test_handler import CLAIMS, NOW, Bus, Registry, ask, ingress, token

SOURCE, OTHER_SOURCE = "upstream.ingress", "upstream.portal"
SEED, OTHER_SEED = b"\x01" * 32, b"\x02" * 32
KEYS = PrincipalKeys(
    {
        SOURCE: {"2026-11": bytes.fromhex(derive_public_key(SEED))},
        OTHER_SOURCE: {"2026-11": bytes.fromhex(derive_public_key(OTHER_SEED))},
    }
)
ASKED = CaseSubmitted(
    tenant="acme",
    idempotency_key="portal-17",
    session_id="s-1",
    user_id="ana@acme.example",
    question="Which wells are shut in?",
    role="FIELD_PERMIAN",
)


SECRET = json.dumps({"2026-11": SEED.hex()})


def signer(source: str = SOURCE, secret: str = SECRET) -> PrincipalSigner:
    return PrincipalSigner(source=source, fetch=lambda: secret, now=lambda: NOW)


def sent(submitted: CaseSubmitted = ASKED, by: PrincipalSigner | None = None) -> Json:
    """A signed submission as published, in the form that the case manager receives."""
    signed = (by or signer()).signed(submitted.model_copy(update={"grant": grant_of(submitted)}), open_question)
    return parse_json(json.dumps(bus_payload(signed)))


def grant_of(submitted: CaseSubmitted, source: str = SOURCE, seed: bytes = SEED) -> str:
    """The grant of the submission's user."""
    return granted(submitted, source=source, seed=seed, kid="2026-11", at=NOW)


def believed(detail: Json, source: str = SOURCE) -> VerifiedPrincipal:
    """The case manager's result for a submission of a source."""
    submitted = CaseSubmitted.model_validate_json(json.dumps(detail))
    verified_principal = KEYS.verified_principal(source, submitted.principal, submitted.grant)
    check_principal(verified_principal, source, submitted, open_question(submitted), detail)
    return verified_principal


def rejection(detail: Json, source: str = SOURCE) -> str:
    with pytest.raises(PrincipalInvalid) as refused:
        believed(detail, source)
    assert refused.value.field == "principal"
    assert refused.value.remedy
    return refused.value.code


def resigned(head: Json | None = None, seed: bytes = SEED, **claims: Any) -> Json:
    """The submission with a statement that differs in some parts; None removes a part."""
    whole = sent()
    first, second, _ = whole["principal"].split(".")
    header, payload = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (first, second))
    header = {name: value for name, value in (header | (head or {})).items() if value is not None}
    payload = {name: value for name, value in (payload | claims).items() if value is not None}
    text = jws.serialize_compact(
        {"alg": "Ed25519"} | header,
        json.dumps(payload),
        OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", **raw(seed)}),
        algorithms=["Ed25519"],
        registry=LAX,
    )
    return whole | {"principal": text}


LAX = jws.JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)


def raw(seed: bytes) -> Json:
    parts = {"d": seed, "x": bytes.fromhex(derive_public_key(seed))}
    return {name: base64.urlsafe_b64encode(value).rstrip(b"=").decode() for name, value in parts.items()}


def test_statement_of_the_ingress_is_accepted() -> None:
    verified_principal = believed(sent())
    assert verified_principal.kid == "2026-11"
    assert verified_principal.claims.model_dump() == {
        "iss": SOURCE,
        "sub": "ana@acme.example",
        "tenant": "acme",
        "session_id": "s-1",
        "role": "FIELD_PERMIAN",
        "case_id": case_id_for("acme", SOURCE, "ana@acme.example", "portal-17"),
        "content_sha256": "d327e3da9bc97210ee53c5a9269656af52ec7fa3694bb8a465e9a3eb4341f153",
        "submission": verified_principal.claims.submission,
        "iat": NOW,
        "exp": NOW + PRINCIPAL_VALID_S,
    }
    verified_principal.check_time(datetime.fromtimestamp(NOW, UTC))


def test_statement_is_a_standard_jws() -> None:
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": raw(SEED)["x"]})
    token = jws.deserialize_compact(sent()["principal"], key, algorithms=["Ed25519"])
    assert token.headers() == {"alg": "Ed25519", "kid": "2026-11", "typ": PRINCIPAL_TOKEN_TYPE}


def test_order_of_fields_does_not_change_the_hash() -> None:
    assert believed(dict(reversed(sent().items()))) == believed(sent())


@pytest.mark.parametrize(
    "changes",
    [
        {"question": "Which wells are shut in."},
        {"user_id": "mallory@acme.example"},
        {"tenant": "globex"},
        {"role": "FIELD_WILLISTON"},
        {"session_id": "s-2"},
        {"idempotency_key": "portal-18"},
        {"agent": "text_to_sql"},
        {"deadline_ms": 60_000},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_statement_of_another_submission_is_rejected(changes: Json) -> None:
    assert rejection(sent() | changes) == "principal_mismatch"
    assert believed(sent(ASKED.model_copy(update=changes)))


@pytest.mark.parametrize("claim", ["sub", "tenant", "session_id", "role", "case_id", "content_sha256", "submission"])
def test_claim_that_differs_from_the_submission_is_rejected(claim: str) -> None:
    differing = {"tenant": "t", "user_id": "u", "role": "r", "session_id": "s", "question": "q"}
    other = sent(ASKED.model_copy(update=differing))
    claims = json.loads(base64.urlsafe_b64decode(other["principal"].split(".")[1] + "=="))
    assert rejection(resigned(**{claim: claims[claim]})) == "principal_mismatch"
    assert believed(resigned())


def test_submission_without_a_statement_is_rejected() -> None:
    assert rejection({name: value for name, value in sent().items() if name != "principal"}) == "principal_missing"


def test_signature_of_another_key_is_rejected() -> None:
    assert rejection(resigned(seed=OTHER_SEED)) == "principal_forged"


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "claims", "signature"])
def test_statement_with_one_altered_bit_is_rejected(part: int) -> None:
    whole = sent()
    parts = [bytearray(base64.urlsafe_b64decode(each + "==")) for each in whole["principal"].split(".")]
    parts[part][-3] ^= 1
    text = ".".join(base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in parts)
    assert rejection(whole | {"principal": text}) in {"principal_forged", "principal_unreadable", "principal_foreign"}


def test_key_of_another_source_is_rejected() -> None:
    foreign = sent(by=signer(OTHER_SOURCE, json.dumps({"2026-11": OTHER_SEED.hex()})))
    assert rejection(foreign) == "principal_forged"
    own = foreign | {"grant": grant_of(ASKED, OTHER_SOURCE, OTHER_SEED)}
    assert believed(own, OTHER_SOURCE)
    assert rejection(sent(by=signer(OTHER_SOURCE))) == "principal_foreign"


def test_unknown_key_is_rejected_as_unknown() -> None:
    assert rejection(resigned({"kid": "2026-12"})) == "principal_unknown_key"


def test_token_of_another_type_is_rejected() -> None:
    assert rejection(resigned({"typ": "JWT"})) == "principal_foreign"


@pytest.mark.parametrize(
    "head", [{"typ": None}, {"kid": None}, {"crit": ["b64"], "b64": True}, {"jwk": {"kty": "OKP"}}], ids=str
)
def test_header_with_other_fields_is_rejected(head: Json) -> None:
    assert rejection(resigned(head)) == "principal_unreadable"


def test_algorithms_none_and_hmac_are_rejected() -> None:
    whole = sent()
    body = whole["principal"].split(".")[1]
    for name in ("none", "EdDSA", "HS256"):
        head = base64.urlsafe_b64encode(
            json.dumps({"alg": name, "kid": "2026-11", "typ": PRINCIPAL_TOKEN_TYPE}).encode()
        ).decode()
        assert rejection(whole | {"principal": f"{head.rstrip('=')}.{body}.AA"}) == "principal_unreadable"
    shared = OctKey.import_key(bytes.fromhex(derive_public_key(SEED)))
    text = jws.serialize_compact({"alg": "HS256", "kid": "2026-11", "typ": PRINCIPAL_TOKEN_TYPE}, b"{}", shared)
    assert rejection(whole | {"principal": text}) == "principal_unreadable"


@pytest.mark.parametrize("claims", [{"exp": None}, {"iat": None}, {"exp": str(NOW)}, {"admin": True}], ids=str)
def test_claims_that_violate_the_contract_are_rejected(claims: Json) -> None:
    assert rejection(resigned(**claims)) == "principal_unreadable"


@pytest.mark.parametrize("text", ["a.b.c", "e30.e30.AA", "e30.e31.AA", "bnVsbA.e30.AA"])
def test_malformed_statement_is_rejected(text: str) -> None:
    assert rejection(sent() | {"principal": text}) == "principal_unreadable"


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("claims", "last"),
    [({}, PRINCIPAL_VALID_S), ({"exp": NOW + 60}, 60), ({"exp": NOW + 10 * PRINCIPAL_VALID_S}, PRINCIPAL_VALID_S)],
    ids=["as signed", "shorter", "for ever"],
)
def test_statement_expires_at_its_end_and_at_the_limit_of_the_contract(claims: Json, last: int) -> None:
    verified_principal = believed(resigned(**claims))
    verified_principal.check_time(at(last + PRINCIPAL_LEEWAY_S))
    with pytest.raises(PrincipalExpired) as late:
        verified_principal.check_time(at(last + PRINCIPAL_LEEWAY_S + 1))
    assert late.value.code == "principal_expired"


def test_statement_of_the_future_is_rejected() -> None:
    verified_principal = believed(sent())
    verified_principal.check_time(at(-PRINCIPAL_LEEWAY_S))
    with pytest.raises(PrincipalExpired) as early:
        verified_principal.check_time(at(-PRINCIPAL_LEEWAY_S - 1))
    assert early.value.code == "principal_not_yet_valid"


def test_source_with_an_empty_key_set_is_rejected_and_unlisted_need_not_sign() -> None:
    named = PrincipalKeys({SOURCE: {}})
    assert (named.must_sign(SOURCE), named.must_sign(OTHER_SOURCE)) == (True, False)
    with pytest.raises(PrincipalInvalid) as refused:
        named.verified_principal(SOURCE, sent()["principal"])
    assert refused.value.code == "principal_unknown_key"


class Vault:
    """A fake of Secrets Manager, with the method that the function uses."""

    def __init__(self, text: str = "", error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.text, self.error = text, error

    def get_secret_value(self, *, SecretId: str) -> Json:  # noqa: N803 - boto3's name
        self.asked.append(SecretId)
        if self.error is not None:
            raise self.error
        return {"SecretString": self.text}


def test_signing_key_is_cached_until_its_secret_changes() -> None:
    vault, clock = Vault(json.dumps({"old": SEED.hex()})), [float(NOW)]
    kept = PrincipalSigner(source=SOURCE, fetch=lambda: read_secret(vault, "arn"), now=lambda: clock[0])
    kids = [header(kept)["kid"]]
    vault.text = json.dumps({"new": OTHER_SEED.hex(), "old": SEED.hex()})
    kids.append(header(kept)["kid"])
    clock[0] += SIGNING_KEY_CACHE_S + 1
    kids.append(header(kept)["kid"])
    assert (kids, vault.asked) == (["old", "old", "new"], ["arn", "arn"])


def header(by: PrincipalSigner) -> Json:
    return parse_json(base64.urlsafe_b64decode(sent(by=by)["principal"].split(".")[0] + "=="))


@pytest.mark.parametrize(
    "vault",
    [
        Vault(error=EndpointConnectionError(endpoint_url="x")),
        Vault(error=ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")),
        *(Vault(text) for text in ("", "{}", "[]", '"x"', '{"k": "00"}', '{"k": 7}', '{"k": "' + "zz" * 32 + '"}')),
        Vault(json.dumps({"of 2026": SEED.hex()})),
    ],
    ids=lambda vault: type(vault.error).__name__ if vault.error else f"<{vault.text[:12]}>",
)
def test_function_without_its_key_submits_nothing_and_logs_no_secret(
    vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    registry, bus = Registry(), Bus()
    unable = replace(
        ingress(bus, registry),
        signer=PrincipalSigner(source=SOURCE, fetch=lambda: read_secret(vault, "arn"), now=lambda: NOW),
    )
    status, answer, _ = ask(function=unable)
    assert (status, bus.entries, registry.registered) == (503, [], [])
    assert "zz" not in json.dumps(answer)
    [line] = caplog.messages
    assert line.startswith("SigningKeyUnavailable: the s")
    assert "zz" not in caplog.text
    with pytest.raises(SigningKeyUnavailable) as failed:
        PrincipalSigner(source=SOURCE, fetch=lambda: read_secret(vault, "arn"), now=lambda: NOW).signed(
            ASKED, open_question
        )
    if vault.error is None:
        assert failed.value.__cause__ is None


def submitted_through_the_function(**claims: Any) -> Json:
    """What the function puts on the bus for a user with these claims."""
    status, _, [entry] = ask(f"Bearer {token(**claims)}")
    assert status == 202
    return parse_json(entry["Detail"])


def test_submission_of_the_function_is_accepted_for_the_user_of_the_token() -> None:
    verified = believed(submitted_through_the_function())
    claims, grant = verified.claims, verified.grant
    assert (claims.sub, claims.tenant, claims.role) == (CLAIMS["sub"], CLAIMS["tenant"], CLAIMS["warehouse_role"])
    assert grant is not None
    assert (grant.sub, grant.tenant, grant.scopes) == (claims.sub, claims.tenant, ("session:role:FIELD_PERMIAN",))


@pytest.mark.parametrize("other", [{"sub": "ben@acme.example"}, {"tenant": "rival"}])
def test_submission_with_another_users_grant_is_refused(other: dict[str, Any]) -> None:
    stolen = submitted_through_the_function(**other)["grant"]
    with pytest.raises(PrincipalInvalid) as refused:
        believed(submitted_through_the_function() | {"grant": stolen})
    assert (refused.value.code, "grant" in refused.value.message) == ("principal_mismatch", True)


def test_submission_with_a_wider_role_than_the_tokens_is_refused() -> None:
    for wider in ({"role": "ACCOUNTADMIN"}, {"role": "FIELD_ALL"}):
        with pytest.raises(PrincipalInvalid) as refused:
            believed(submitted_through_the_function() | wider)
        assert refused.value.code == "principal_mismatch"


def test_submission_with_a_role_and_without_a_grant_is_refused() -> None:
    submitted = submitted_through_the_function()
    del submitted["grant"]
    with pytest.raises(PrincipalInvalid) as refused:
        believed(submitted)
    assert refused.value.code == "grant_missing"


def test_submission_with_an_altered_grant_is_refused() -> None:
    submitted = submitted_through_the_function()
    head, payload, signature = submitted["grant"].split(".")
    widened = base64.urlsafe_b64encode(
        base64.urlsafe_b64decode(payload + "==").replace(b"FIELD_PERMIAN", b"ACCOUNTADMINS")
    )
    for altered in (f"{head}.{widened.decode().rstrip('=')}.{signature}", f"{head}.{payload}.{signature[:-4]}AAAA"):
        with pytest.raises(PrincipalInvalid) as refused:
            believed(submitted | {"grant": altered})
        assert refused.value.code == "grant_forged"
