"""Reads open work orders and technicians from the operator's work-order service, as the user who asks."""

from __future__ import annotations

from typing import Annotated, TypeVar

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.specialists.field_routing.problem import Latitude, Longitude, Minute, Risk
from switchyard.protocol.canonical import parse_foreign_json
from switchyard.protocol.errors import InvalidEvent
from switchyard.protocol.fields import Day
from switchyard.runtime.core.errors import PermanentTaskError, RetryableTaskError

WORK_ORDER_SCOPES = ("technicians:read", "work_orders:read")
TIMEOUT_S = 15.0
MAX_ANSWER_BYTES = 4_000_000

_Text = Annotated[str, Field(min_length=1, max_length=200)]
_Skills = Annotated[tuple[_Text, ...], Field(max_length=50)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)


class _Located(_Answer):
    id: _Text
    area: _Text
    latitude: Latitude
    longitude: Longitude
    skills: _Skills


class OpenOrder(_Located):
    """An open work order with its well."""

    well: _Text
    api_number: _Text
    county: _Text
    work_type: _Text
    minutes: Annotated[int, Field(ge=0, le=1_440)]
    opens: Minute
    closes: Minute
    must_visit_by: Day | None = None
    """The last day on which safety or a regulator lets it wait."""
    must_reason: Annotated[str, Field(max_length=200)] = ""
    risk: Risk


class CrewMember(_Located):
    """A technician and the shift of the day."""

    name: _Text
    base: _Text
    shift_starts: Minute
    shift_ends: Minute
    on_duty: bool


class _OpenOrders(_Answer):
    as_of: Day
    total: int
    truncated: bool
    data_label: Annotated[str, Field(max_length=60)] = ""
    work_orders: tuple[OpenOrder, ...]


class _Crew(_Answer):
    technicians: tuple[CrewMember, ...]


class FieldData(BaseModel):
    """What the user may see, as of a day: `today` in their questions."""

    model_config = ConfigDict(frozen=True)

    as_of: str
    orders: tuple[OpenOrder, ...]
    truncated: bool
    data_label: str = ""


class TokenNotAccepted(PermanentTaskError):
    """The service does not accept the user's token: another one may be."""

    def __init__(self) -> None:
        message, remedy = "the work-order service did not accept the token", "compare issuer and audience with its own"
        super().__init__("token_not_accepted", message, "principal", remedy)


A = TypeVar("A", bound=_Answer)


class WorkOrderService:
    """The service at `url`. Every call carries the token of the user of the task in hand."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url.rstrip("/")

    async def open_orders(self, token: str) -> FieldData:
        """Every open work order that the user may see.

        Raises `TokenNotAccepted`, another `PermanentTaskError` if the user may see none, or `RetryableTaskError` if the
        service is unreachable.
        """
        return read_orders(await self._get("/work-orders", {"status": "open"}, token))

    async def technicians(self, token: str, day: str) -> tuple[CrewMember, ...]:
        """The technicians of the user's areas, with their shifts on a day. Raises like `open_orders`."""
        return read_crew(await self._get("/technicians", {"day": day}, token))

    async def _get(self, path: str, query: dict[str, str], token: str) -> bytes:
        try:
            async with self._http.get(
                self._url + path,
                params=query,
                headers={"Authorization": f"Bearer {token}"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as response:
                status, body = response.status, await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise _unreachable("did not answer") from None
        if status == 401:
            raise TokenNotAccepted
        if status == 403:
            message = "the work-order service denied the user"
            remedy = "ask its owner for access to an area; see the token's scopes"
            raise PermanentTaskError("not_authorized", message, "principal", remedy)
        if status != 200:
            raise _unreachable(f"answered {status}")
        return body


def read_orders(body: bytes) -> FieldData:
    """The open work orders in an answer. Raises `RetryableTaskError` that names the field."""
    found = _parse(body, _OpenOrders)
    return FieldData(
        as_of=found.as_of, orders=found.work_orders, truncated=found.truncated, data_label=found.data_label
    )


def read_crew(body: bytes) -> tuple[CrewMember, ...]:
    """The technicians in an answer. Raises `RetryableTaskError` that names the field."""
    return _parse(body, _Crew).technicians


def _parse(body: bytes, kind: type[A]) -> A:
    try:
        return kind.model_validate(parse_foreign_json(body))
    except (InvalidEvent, ValidationError) as error:
        field = ".".join(map(str, error.errors()[0]["loc"])) if isinstance(error, ValidationError) else "the body"
        message = f"the work-order service's answer is invalid: {field}"
        raise RetryableTaskError("bad_work_orders", message, remedy="inform the service's owner") from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in response.content.iter_chunked(65_536):
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            raise _unreachable("answered with too much")
    return bytes(body)


def _unreachable(what: str) -> RetryableTaskError:
    remedy = "see its health and the network"
    return RetryableTaskError("work_orders_unreachable", f"the work-order service {what}", remedy=remedy)
