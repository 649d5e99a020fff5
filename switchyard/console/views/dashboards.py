"""The page of dashboards."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from switchyard.console.app import BadInput, Call, Handler
from switchyard.console.dashboards import DASHBOARD_DAYS, DashboardReader
from switchyard.console.pages import Pages


@dataclass(frozen=True)
class DashboardViews:
    """Tokens, cost, latency, failover and goal success."""

    pages: Pages
    dashboards: DashboardReader

    def handlers(self) -> dict[str, Handler]:
        """By the names of `ENDPOINTS`."""
        return {
            "dashboards": self.show_dashboards,
        }

    async def show_dashboards(self, call: Call) -> Response:
        text = call.query.get("days", "7")
        if text not in {str(days) for days in DASHBOARD_DAYS}:
            raise BadInput(f"days is invalid: one of {', '.join(map(str, DASHBOARD_DAYS))}")
        found = await self.dashboards.read(self.pages.today(), int(text), call.user.tenants)
        return self.pages.page(
            "dashboards.html", call.user, here="dashboards", found=found, days=int(text), choices=DASHBOARD_DAYS
        )
