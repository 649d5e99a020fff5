"""Parsers of documents from outside raise nothing but their own refusal, within bounds of time and memory."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from pydantic import ValidationError

from contracts.documents.accounts import AccountFacts
from contracts.documents.opt_out import OPT_OUT_PURPOSE, OptOutClaims
from contracts.events.upstream import CaseSubmitted
from contracts.submissions import SUBMISSIONS, open_question
from faststream_sqs.delivery import SQSDelivery
from faststream_sqs.envelope import open_envelope
from faststream_sqs.errors import UnreadableBody
from faststream_sqs.json_text import UnreadableJson, read_json
from faststream_sqs.parser import SQSParser
from faststream_sqs.queue_session import describe_mismatch
from faststream_sqs.retry import RetryPolicy
from services.drafter.agent import build_answer_prompt
from services.drafter.handlers import read_finding, read_input_document
from services.specialists.email_feedback.feedback import read_report, read_suppressions
from switchyard.api.user_tokens import TokenVerifier
from switchyard.identity.jwt_verifier import InvalidJwt, JwksUnavailable, JwtVerifier, read_key_set
from switchyard.ingress.grants import Grants
from switchyard.ingress.handler import Ingress, respond
from switchyard.ingress.principal import PrincipalSigner
from switchyard.ingress.submission import MAX_BODY_BYTES
from switchyard.protocol.canonical import canonical_json, parse_foreign_json, parse_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.principal_jws import PrincipalStatementInvalid, import_public_key, verify_principal
from switchyard.protocol.received import read_bus_event, read_envelope
from switchyard.runtime.core.errors import PermanentTaskError
from switchyard.runtime.crypto.tokens import InvalidToken, SignedTokens
from tests.fuzz.hostile import BOMBS, bodies, bounded, documents
from tests.reference import examine_message, read_event
from tests.unit.compliance.emails import GOOD
from tests.unit.ingress.test_handler import POLICY, Registry
from tests.unit.protocol.bus_events import delivered, golden

NOW = 1_800_000_000
KEY = ECKey.generate_key("P-256", parameters={"kid": "a"})
JWKS = KeySet([KEY]).as_dict(private=False)
CLAIMS = {"iss": "i", "aud": "a", "sub": "ana", "iat": NOW, "exp": NOW + 60, "tenant": "acme"}
EVENT = json.loads(delivered(golden("AnswerQuestion")))
SUBMITTED = {model.__name__: golden(model.__name__) for model in SUBMISSIONS}
QUESTION = {"question": "Which wells are shut in?", "idempotency_key": "portal-17", "deadline_ms": 5_000}
BOUNCE = {
    "eventType": "Bounce",
    "bounce": {
        "bounceType": "Permanent",
        "bouncedRecipients": [{"emailAddress": "ada@example.com", "status": "5.1.1", "diagnosticCode": "smtp; 550"}],
        "feedbackId": "f",
    },
    "mail": {
        "messageId": "m",
        "source": "a@agency.example",
        "destination": ["ada@example.com"],
        "commonHeaders": {"from": ["a@agency.example"]},
        "tags": {"ses:from-domain": ["agency.example"]},
    },
}
REPORT = {"source": "aws.ses", "detail-type": "Email Bounced", "detail": BOUNCE}
TOKENS = SignedTokens(OptOutClaims, purpose=OPT_OUT_PURPOSE, keys={"a": b"k" * 32})


def refuse_only(read: Callable[[], object], *own: type[Exception], size: int) -> None:
    """Run the parser: it may refuse in its own words, and only so."""
    with bounded(size), suppress(*own):
        read()


@pytest.mark.parametrize("text", BOMBS, ids=range(len(BOMBS)))
def test_parsers_of_engine_and_broker_refuse_bombs_with_their_own_errors(text: str) -> None:
    refuse_only(lambda: parse_json(text), InvalidEvent, size=len(text))
    refuse_only(lambda: parse_json(text.encode("utf-8", "surrogatepass")), InvalidEvent, size=len(text))
    refuse_only(lambda: parse_foreign_json(text), InvalidEvent, size=len(text))
    refuse_only(lambda: read_json(text), UnreadableJson, size=len(text))


@given(st.one_of(st.binary(max_size=300), bodies(EVENT).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_json_of_any_bytes_is_read_or_refused(data: bytes) -> None:
    def strict() -> None:
        canonical_json(parse_json(data))

    refuse_only(strict, InvalidEvent, size=len(data))

    def lenient() -> None:
        json.dumps(parse_foreign_json(data), ensure_ascii=False).encode()

    refuse_only(lenient, InvalidEvent, size=len(data))


@given(bodies(EVENT))
def test_sqs_body_is_read_or_refused(body: str) -> None:
    refuse_only(lambda: read_event(body, node="text_to_sql"), InvalidEvent, size=len(body))
    refuse_only(lambda: read_envelope(body), InvalidEvent, size=len(body))
    refuse_only(lambda: examine_message(body), size=len(body))


@given(bodies(EVENT), st.sampled_from([None, "application/json", "text/plain", "application/x"]))
def test_sqs_body_in_the_broker_is_decoded_or_refused(body: str, content_type: str | None) -> None:
    named = {} if content_type is None else {"content-type": {"DataType": "String", "StringValue": content_type}}
    raw = {"MessageId": "m", "ReceiptHandle": "r", "Body": body, "MessageAttributes": named}
    delivery = SQSDelivery(
        raw,
        queue="q",
        settlement=None,  # type: ignore[arg-type]
        retry=RetryPolicy(),
        release_lease=lambda _: None,
    )
    parser = SQSParser()

    async def decode() -> None:
        message = await parser.parse_message(delivery)
        message.body  # noqa: B018
        await parser.decode_message(message)

    with bounded(len(body)):
        describe_mismatch(delivery, ["Asked"], ["s"])
        open_envelope(body)
        assert delivery.size >= 0
    refuse_only(lambda: asyncio.run(decode()), UnreadableBody, UnreadableJson, UnicodeDecodeError, size=len(body))


@given(st.one_of(bodies(REPORT), bodies({"Type": "Notification", "Message": json.dumps(BOUNCE)}), bodies(BOUNCE)))
def test_ses_report_is_read_or_refused(body: str) -> None:
    def read() -> None:
        for each in read_suppressions(read_report(body), {"agency.example": "acme"}).suppressions:
            each.model_dump_json()

    refuse_only(read, InvalidEvent, size=len(body))


@given(st.one_of(st.binary(max_size=200), bodies(JWKS).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_key_set_is_read_or_refused(document: bytes) -> None:
    refuse_only(lambda: read_key_set(document), InvalidEvent, size=len(document))


def _base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).rstrip(b"=").decode()


def _signed(text: str) -> str:
    """A token that the issuer itself signed, with claims that it should not make."""
    try:
        claims = json.loads(text)
        return jwt.encode({"alg": "ES256", "kid": "a"}, claims if isinstance(claims, dict) else {"sub": claims}, KEY)
    except Exception:  # noqa: BLE001 (not a token that anybody can sign)
        return text


header_texts = bodies({"alg": "ES256", "kid": "a", "typ": "JWT"})
tokens = st.one_of(
    st.text(max_size=100),
    st.builds(lambda *parts: ".".join(map(_base64, parts)), header_texts, bodies(CLAIMS), st.text(max_size=20)),
    documents(CLAIMS).map(_signed),
)


def verifier() -> TokenVerifier:
    return TokenVerifier(
        JwtVerifier(issuer="i", fetch=lambda: json.dumps(JWKS).encode(), now=lambda: NOW),
        audience="a",
        tenant_claim="tenant",
        role_claim="role",
    )


@given(tokens)
def test_user_token_is_verified_or_refused(token: str) -> None:
    read = lambda: verifier().authenticated_user(f"Bearer {token}")  # noqa: E731
    refuse_only(read, InvalidJwt, JwksUnavailable, size=len(token))


@given(st.one_of(tokens, bodies({"alg": "EdDSA"})))
def test_principal_statement_and_link_token_are_verified_or_refused(token: str) -> None:
    keys = {"a": import_public_key(b"\x8a" * 31 + b"\x01")}
    refuse_only(lambda: verify_principal(token, keys), PrincipalStatementInvalid, size=len(token))
    refuse_only(lambda: TOKENS.verify(token), InvalidToken, size=len(token))


@given(bodies(QUESTION), st.booleans(), st.one_of(st.just("s-1"), st.text(max_size=20)))
def test_ingress_body_gets_an_answer(body: str, encoded: bool, session: str) -> None:
    token = jwt.encode({"alg": "ES256", "kid": "a"}, CLAIMS, KEY)
    event: dict[str, Any] = {
        "httpMethod": "POST",
        "path": "/v1/cases",
        "headers": {"Authorization": f"Bearer {token}", "X-Session-Id": session},
        "body": base64.b64encode(body.encode("utf-8", "surrogatepass")).decode() if encoded else body,
        "isBase64Encoded": encoded,
    }
    source = "upstream.ingress"
    signer = PrincipalSigner(source=source, fetch=lambda: json.dumps({"2026-11": "01" * 32}), now=lambda: NOW)
    grants = Grants(Registry(), POLICY, source, now=lambda: NOW)
    with bounded(len(body)):
        answer = respond(
            event, Ingress(verifier(), signer, grants, lambda *_: None, source, CaseSubmitted, open_question)
        )
    too_long = len(body.encode("utf-8", "surrogatepass")) > MAX_BODY_BYTES
    assert answer["statusCode"] in ({413, 400} if too_long else {202, 400})


@pytest.mark.parametrize("name", SUBMITTED)
@given(st.data())
def test_submission_is_opened_or_refused(name: str, data: st.DataObject) -> None:
    body = data.draw(bodies({"source": "upstream.x", "detail-type": name, "detail": SUBMITTED[name]}))

    def read() -> None:
        _, detail_type, detail = read_bus_event(body)
        for model, open_case in SUBMISSIONS.items():
            if model.__name__ == detail_type:
                open_case(model.model_validate_json(json.dumps(detail)))

    refuse_only(read, InvalidEvent, ValidationError, size=len(body))


@given(bodies(GOOD))
def test_facts_of_an_account_are_read_or_refused(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    refuse_only(lambda: AccountFacts.model_validate_json(data), ValidationError, size=len(text))
    refuse_only(lambda: read_input_document(AccountFacts, data, "account"), PermanentTaskError, size=len(text))


@given(bodies({"tables": ["wells"], "sql": "select 1", "rows": [{"bbl": 1}], "row_count": 1, "truncated": False}))
def test_finding_of_another_agent_is_read_or_refused(text: str) -> None:
    def read() -> None:
        build_answer_prompt("Which?", [read_finding(text.encode("utf-8", "surrogatepass"))])

    refuse_only(read, PermanentTaskError, size=len(text))
