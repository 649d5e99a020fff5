"""HTML from templates: everything that is shown is escaped, and a page gets what every page needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from switchyard.console.access import ENDPOINTS
from switchyard.console.sessions import FORM_FIELD, Sessions, User
from switchyard.runtime.core.clock import Clock, timestamp

HERE = Path(__file__).parent
STATIC_FOLDER = HERE / "static"

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer. `data:` images are the charts of artefacts: an image runs no script."""


HEADERS_OVER_TLS = HEADERS | {"Strict-Transport-Security": "max-age=31536000"}
"""The same where browsers come over TLS: they never come without it again."""


@dataclass(frozen=True)
class Pages:
    """Makes pages for one deployment. `outcome_classes` gives outcomes their colour."""

    sessions: Sessions
    clock: Clock
    deployment: str
    outcome_classes: Mapping[str, str]

    def today(self) -> date:
        """The day in UTC, by the deployment's clock."""
        return self.clock.now().date()

    def page(
        self, template: str, user: User | None = None, *, status: int = 200, here: str = "", **values: Any
    ) -> HTMLResponse:
        """One page. `here` is the entry of the navigation that is current."""
        context = {
            "user": user,
            "here": here,
            "deployment": self.deployment,
            "form_field": FORM_FIELD,
            "form_token": self.sessions.form_token(user) if user else "",
            "now": self.clock.now(),
            "allowed": lambda name: user is not None and ENDPOINTS[name].allows(user.roles),
            "outcome_class": lambda outcome: self.outcome_classes.get(outcome, outcome),
            "server_time": timestamp(self.clock.now()),
        }
        return HTMLResponse(_templates().get_template(template).render(context | values), status_code=status)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "moment": format_moment,
        "clock_time": format_clock_time,
        "duration": format_duration,
        "pretty": format_json,
        "count": format_count,
        "query": urlencode,
    }
    made.globals["asset"] = _asset
    return made


@cache
def _asset(name: str) -> str:
    """The address of a static file, new whenever the file is."""
    return f"/static/{name}?v={sha256((STATIC_FOLDER / name).read_bytes()).hexdigest()[:12]}"


def format_moment(value: datetime | None) -> str:
    """A time in UTC, to the second."""
    return "" if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def format_clock_time(value: datetime | None) -> str:
    """The time of day in UTC, to the millisecond."""
    return "" if value is None else value.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]


def format_duration(milliseconds: float | None) -> str:
    """A duration as people say it: 12 ms, 1.4 s, 3 min 5 s, 2 h 4 min, 3 d 1 h."""
    if milliseconds is None:
        return ""
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1_000:.1f} s"
    whole = timedelta(milliseconds=milliseconds)
    minutes, seconds = divmod(int(whole.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def format_count(value: float | None) -> str:
    """A number with thin groups of thousands."""
    return "" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def format_json(value: Any) -> str:
    """A JSON value for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
