"""How long a campaign takes where several limits bind, hour by hour. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CampaignForecast:
    """Hours from the first email to the last, what bound in most of them, and vCPU hours."""

    hours: int
    bound_by: str
    vcpu_hours: float


def forecast_campaign(
    emails: int, *, cpu_ms: float, vcpus: float, limits_per_s: Mapping[str, float], window: tuple[int, int]
) -> CampaignForecast:
    """The forecast for a campaign that begins at the start of a day, in the time zone of its recipients.

    Emails are prepared at all hours, as fast as CPU and `limits_per_s` allow, and leave in the hours of `window` only.
    `limits_per_s` are emails per second, `sending` among them. Raises `ValueError` if a limit is not positive.
    """
    rates = {name: rate for name, rate in limits_per_s.items() if name != "sending"} | {"CPU": vcpus / cpu_ms * 1_000}
    sending = limits_per_s["sending"]
    if min(*rates.values(), sending) <= 0 or not 0 <= window[0] < window[1] <= 24:
        raise ValueError("limits are positive, and the window has at least one hour")
    preparing = min(rates, key=lambda name: rates[name])
    prepared = sent = 0.0
    hours, bound = 0, {preparing: 0, "sending": 0}
    while sent < emails:
        prepared = min(emails, prepared + rates[preparing] * 3_600)
        if window[0] <= hours % 24 < window[1]:
            ready = prepared - sent
            sent = min(prepared, sent + sending * 3_600)
            bound["sending" if ready > sending * 3_600 else preparing] += 1
        hours += 1
    return CampaignForecast(hours, max(bound, key=lambda name: bound[name]), emails * cpu_ms / 3_600_000)
