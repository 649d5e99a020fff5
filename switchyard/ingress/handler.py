"""The function behind the API: API Gateway calls `handle`; where no API Gateway is, the process `api` serves it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from switchyard.api.callers import CallerRates, caller_rates
from switchyard.api.problems import (
    PROBLEM_TYPE,
    InvalidRequest,
    LoginRequired,
    NotFound,
    Problem,
    TemporarilyUnavailable,
)
from switchyard.api.user_tokens import AuthenticatedUser, TokenVerifier
from switchyard.app.application import App, load_app
from switchyard.identity.jwt_verifier import InvalidJwt, JwksUnavailable, JwtVerifier, fetch_jwks
from switchyard.ingress.grants import Grants
from switchyard.ingress.identity_service import IdentityService, TlsSource
from switchyard.ingress.principal import PrincipalSigner, bus_payload
from switchyard.ingress.settings import IngressSettings
from switchyard.ingress.submission import (
    ApiRequest,
    build_submission,
    read_api_request,
    read_feedback,
    read_forgetting,
    read_grant_id,
)
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.events.upstream import FeedbackGiven, ForgettingRequested, GrantRenewed
from switchyard.protocol.fields import Json
from switchyard.protocol.submissions import OpenCase, UserSubmission, case_id_for

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
    grants: Grants | None
    """None where no agent acts in a user's name."""
    put: PutEvent
    source: str
    kind: type[UserSubmission]
    """What users submit."""
    open_case: OpenCase
    rates: CallerRates = field(default_factory=lambda: caller_rates(300, 3_000, time.monotonic))
    reviewer_roles: frozenset[str] = frozenset()
    """Roles whose holders judge every case of their tenant."""

    def submit_case(self, call: ApiRequest, user: AuthenticatedUser) -> Answer:
        """Submit a case in the user's name: 202 once the bus has accepted it."""
        submission = build_submission(call, user, self.kind, grants=self.grants is not None)
        granted = {}
        if self.grants is not None:
            grant = self.grants.grant_of(user, self.signer.current_key(), call.headers.get(REFRESH_HEADER))
            submission = submission.model_copy(update={"grant": grant.statement})
            granted = {"grant": grant.claims.jti}
        try:
            submitted = self.signer.signed(submission, self.open_case)
        except InvalidEvent as error:
            remedy = error.remedy or "correct it"
            raise InvalidRequest(error.message, field=error.field or "body", remedy=remedy) from error
        self.put(self.kind.__name__, bus_payload(submitted))
        case_id = case_id_for(submitted.tenant, self.source, submitted.user_id, submitted.idempotency_key)
        return 202, {"case_id": case_id, "session_id": submitted.session_id, **granted}

    def give_consent(self, call: ApiRequest, user: AuthenticatedUser) -> Answer:
        """Renew a grant with a fresh log-in, and let the cases that wait for it go on: 202."""
        wanted, grants = read_grant_id(call), self._with_grants()
        grant = grants.renew(wanted, user, self.signer.current_key(), call.headers.get(REFRESH_HEADER))
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
        self._with_grants().revoke(wanted, user)
        return 200, {"grant": wanted, "revoked": True}

    def _with_grants(self) -> Grants:
        if self.grants is None:
            raise NotFound("no agent acts in a user's name here", field="path", remedy="see /v1/openapi.json")
        return self.grants


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
        ingress.rates.take(user)
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
    return build_ingress(load_app(), IngressSettings.read())


def open_ingress(
    app: App, settings: Mapping[str, str], now: Callable[[], float]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The function, with settings by name, for the process that serves it; `now` dates statements. It blocks. Raises
    `ValidationError` for a setting that is missing or invalid."""
    return partial(respond, ingress=build_ingress(app, IngressSettings.model_validate(settings), now=now))


def build_ingress(app: App, settings: IngressSettings, *, now: Callable[[], float] = time.time) -> Ingress:
    """The function's dependencies; `now` dates statements. The bus's and the secrets' clients are AWS's. Raises
    `ValueError` for an application in which users submit nothing."""
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
    grants = None
    if settings.grant_policy is not None and settings.identity_url and settings.identity_files_secret_arn:
        tls = TlsSource(partial(read_secret, secrets, settings.identity_files_secret_arn))
        grants = Grants(IdentityService(settings.identity_url, tls), settings.grant_policy, settings.source)
    kind = app.user_submission
    if kind is None:
        raise ValueError("the application has no subclass of UserSubmission: users submit nothing")
    return Ingress(
        tokens,
        PrincipalSigner(
            source=settings.source, fetch=partial(read_secret, secrets, settings.principal_key_secret_arn), now=now
        ),
        grants,
        partial(put_event, boto3.client("events", config=once), settings.bus, settings.source),
        settings.source,
        kind,
        app.submissions[kind],
        caller_rates(settings.user_requests_per_minute, settings.tenant_requests_per_minute, time.monotonic),
        frozenset(settings.reviewer_roles),
    )


def read_secret(client: Any, arn: str) -> str:
    """The text of a secret, read when needed, so that it is never stored in the function's environment."""
    text: str = client.get_secret_value(SecretId=arn)["SecretString"]
    return text
