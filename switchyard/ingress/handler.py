"""The function behind the API: API Gateway calls `handle`; where no API Gateway is, the process `api` serves it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from contracts.events.upstream import CaseSubmitted
from services.ingress.grants import Grants
from services.ingress.identity_service import IdentityService, TlsSource
from services.ingress.principal import PrincipalSigner, bus_payload
from services.ingress.settings import IngressSettings
from services.ingress.submission import (
    ApiRequest,
    build_submission,
    read_api_request,
    read_feedback,
    read_forgetting,
    read_grant_id,
)
from switchyard.api.problems import PROBLEM_TYPE, LoginRequired, NotFound, Problem, TemporarilyUnavailable
from switchyard.api.user_tokens import AuthenticatedUser, TokenVerifier
from switchyard.identity.jwt_verifier import InvalidJwt, JwksUnavailable, JwtVerifier, fetch_jwks
from switchyard.protocol.events.upstream import FeedbackGiven, ForgettingRequested, GrantRenewed
from switchyard.protocol.fields import Json
from switchyard.protocol.submissions import case_id_for

log = logging.getLogger(__name__)

CALL_TIMEOUT_S = 4
"""Time limit per call, within the function's 15 s, so that the caller gets a 503 with its remedy."""

REFRESH_HEADER = "x-refresh-token"
"""Optional: what renews the user's token while a case waits. It goes to the identity service and nowhere else."""

PutEvent = Callable[[str, Json], None]
"""Puts a detail on the bus under its detail-type. Raises `EventNotPublished`."""

Answer = tuple[int, dict[str, Any]]


class EventNotPublished(TemporarilyUnavailable):
    """The bus did not accept the event: send the request again; the idempotency key keeps it the same case."""


@dataclass(frozen=True)
class Ingress:
    """What requests are answered with."""

    tokens: TokenVerifier
    signer: PrincipalSigner
    grants: Grants
    put: PutEvent
    source: str
    reviewer_roles: frozenset[str] = frozenset()
    """Roles whose holders judge every case of their tenant."""

    def submit_case(self, call: ApiRequest, user: AuthenticatedUser) -> Answer:
        """Submit a question in the user's name: 202 once the bus has accepted it."""
        submission = build_submission(call, user)
        grant = self.grants.grant_of(user, self.signer.current_key(), call.headers.get(REFRESH_HEADER))
        submitted = self.signer.signed(submission.model_copy(update={"grant": grant.statement}))
        self.put(CaseSubmitted.__name__, bus_payload(submitted))
        case_id = case_id_for(submitted.tenant, self.source, submitted.user_id, submitted.idempotency_key)
        return 202, {"case_id": case_id, "session_id": submitted.session_id, "grant": grant.claims.jti}

    def give_consent(self, call: ApiRequest, user: AuthenticatedUser) -> Answer:
        """Renew a grant with a fresh log-in, and let the cases that wait for it go on: 202."""
        wanted = read_grant_id(call)
        grant = self.grants.renew(wanted, user, self.signer.current_key(), call.headers.get(REFRESH_HEADER))
        renewed = GrantRenewed(tenant=user.tenant, grant=grant.statement)
        self.put(GrantRenewed.__name__, renewed.model_dump(mode="json"))
        return 202, {"grant": wanted, "expires_at": grant.claims.exp}

    def give_feedback(self, call: ApiRequest, user: AuthenticatedUser) -> Answer:
        """Submit what the user says about a case: 202 once the bus has accepted it."""
        feedback = read_feedback(call)
        reviewer = not self.reviewer_roles.isdisjoint(user.roles)
        statement = self.signer.signed_feedback(feedback, user, reviewer=reviewer)
        given = FeedbackGiven(
            tenant=user.tenant,
            case_id=feedback.case_id,
            thumb=feedback.thumb,
            reason=feedback.reason,
            statement=statement,
        )
        self.put(FeedbackGiven.__name__, given.model_dump(mode="json", exclude_none=True))
        return 202, {"case_id": feedback.case_id}

    def forget(self, call: ApiRequest, user: AuthenticatedUser) -> Answer:
        """Ask memory to forget what it has of the user: 202 once the bus has accepted it."""
        requested = self.signer.signed_forgetting(read_forgetting(call), user)
        self.put(ForgettingRequested.__name__, requested.model_dump(mode="json", exclude_none=True))
        return 202, {"request_id": requested.request_id}

    def revoke_grant(self, call: ApiRequest, user: AuthenticatedUser) -> Answer:
        """Revoke a grant of the user: agents obtain no token for it from now on."""
        wanted = read_grant_id(call)
        self.grants.revoke(wanted, user)
        return 200, {"grant": wanted, "revoked": True}


ROUTES: Mapping[str, Callable[[Ingress, ApiRequest, AuthenticatedUser], Answer]] = {
    "POST cases": Ingress.submit_case,
    "POST consents": Ingress.give_consent,
    "POST revocations": Ingress.revoke_grant,
    "POST feedback": Ingress.give_feedback,
    "POST forgettings": Ingress.forget,
}


def handle(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """The entry point of Lambda."""
    return respond(event, _lambda_ingress())


def respond(event: Mapping[str, Any], ingress: Ingress) -> dict[str, Any]:
    """The response to a request, as API Gateway takes it; a problem names field and remedy."""
    try:
        call = read_api_request(event)
        route = ROUTES.get(call.route)
        if route is None:
            raise NotFound("there is no such route", field="path", remedy=f"use one of {', '.join(ROUTES)}")
        try:
            user = ingress.tokens.authenticated_user(call.headers.get("authorization"))
        except InvalidJwt as refused:
            raise LoginRequired(str(refused)) from refused
        except JwksUnavailable as unavailable:
            raise TemporarilyUnavailable(str(unavailable)) from unavailable
        status, answer = route(ingress, call, user)
    except Problem as problem:
        if isinstance(problem, TemporarilyUnavailable):
            log.error("%s: %s", type(problem).__name__, problem)  # noqa: TRY400 - a cause may quote a secret
        headers = _HEADERS | {"Content-Type": PROBLEM_TYPE} | problem.headers()
        return {"statusCode": problem.status, "headers": headers, "body": json.dumps(problem.body())}
    return {"statusCode": status, "headers": _HEADERS, "body": json.dumps(answer)}


_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


def put_event(client: Any, bus: str, source: str, detail_type: str, detail: Json) -> None:
    """Put an event on the bus. Raises `EventNotPublished` unless the bus confirms it."""
    entry = {"EventBusName": bus, "Source": source, "DetailType": detail_type, "Detail": json.dumps(detail)}
    try:
        (answer,) = client.put_events(Entries=[entry])["Entries"]
        refused = answer.get("ErrorCode")
        accepted = answer.get("EventId")
    except Exception as error:
        # The boundary: an answer that is not the bus's (a proxy's page) raises what its parser makes of it.
        raise EventNotPublished(f"the bus is unreachable ({type(error).__name__})") from error
    if refused or not accepted:
        raise EventNotPublished(f"the bus rejected the event ({refused})")


@cache
def _lambda_ingress() -> Ingress:
    return build_ingress(IngressSettings.read())


def open_ingress(
    settings: Mapping[str, str], now: Callable[[], float]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The function, with settings by name, for the process that serves it; `now` dates statements. It blocks. Raises
    `ValidationError` for a setting that is missing or invalid."""
    return partial(respond, ingress=build_ingress(IngressSettings.model_validate(settings), now=now))


def build_ingress(settings: IngressSettings, *, now: Callable[[], float] = time.time) -> Ingress:
    """The function's dependencies; `now` dates statements. The bus's and the secrets' clients are AWS's."""
    import boto3
    from botocore.config import Config

    once = Config(connect_timeout=1, read_timeout=CALL_TIMEOUT_S, retries={"total_max_attempts": 1})
    tokens = TokenVerifier(
        JwtVerifier(issuer=settings.issuer, fetch=partial(fetch_jwks, settings.jwks_url, CALL_TIMEOUT_S)),
        audience=settings.audience,
        tenant_claim=settings.tenant_claim,
        role_claim=settings.role_claim,
    )
    secrets = boto3.client("secretsmanager", config=once)
    identity = IdentityService(
        settings.identity_url, TlsSource(partial(read_secret, secrets, settings.identity_files_secret_arn))
    )
    return Ingress(
        tokens,
        PrincipalSigner(
            source=settings.source, fetch=partial(read_secret, secrets, settings.principal_key_secret_arn), now=now
        ),
        Grants(identity, settings.grant_policy, settings.source),
        partial(put_event, boto3.client("events", config=once), settings.bus, settings.source),
        settings.source,
        frozenset(settings.reviewer_roles),
    )


def read_secret(client: Any, arn: str) -> str:
    """The text of a secret, read when needed, so that it is never stored in the function's environment."""
    text: str = client.get_secret_value(SecretId=arn)["SecretString"]
    return text
