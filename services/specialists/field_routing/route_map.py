"""The plan as a drawing: SVG without tiles, scripts or anything from outside."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape, quoteattr

from services.specialists.field_routing.document import clock
from services.specialists.field_routing.plan import DayPlan, dollars

WIDTH, HEIGHT, MARGIN, LEGEND = 900, 640, 40, 22
MILES_PER_DEGREE = 69.0
"""Of latitude."""
COLOURS = ("#0b6fb8", "#c2410c", "#15803d", "#7c3aed", "#b91c1c", "#0f766e", "#a16207", "#be185d")


def draw_map(plan: DayPlan) -> bytes:
    """Bases as squares, stops as numbered circles along each route, jobs that are not visited as empty circles."""
    problem = plan.problem
    places = [(each.longitude, each.latitude) for each in (*problem.technicians, *problem.jobs)] or [(0.0, 0.0)]
    project, pixels_per_mile = _projection(places)
    legend = len(plan.routes) * LEGEND + 30
    label = f"Routes of {problem.day}: {sum(len(route.visits) for route in plan.routes)} stops"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + legend}" role="img" '
        f'font-family="sans-serif" font-size="12" aria-label={quoteattr(label)}>',
        f"<title>{escape(label)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT + legend}" fill="#ffffff"/>',
    ]
    for each in plan.skipped:
        job = problem.jobs[each.job]
        x, y = project(job.longitude, job.latitude)
        tip = f"{job.id} {job.label}: not visited, {dollars(job.risk.cents)} per day at risk ({each.reason})"
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="5" fill="#ffffff" stroke="#6b7280"><title>{escape(tip)}</title></circle>'
        )
    for number, route in enumerate(plan.routes):
        person, colour = problem.technicians[route.technician], COLOURS[number % len(COLOURS)]
        home = project(person.longitude, person.latitude)
        stops = [project(problem.jobs[v.job].longitude, problem.jobs[v.job].latitude) for v in route.visits]
        line = " ".join(f"{x},{y}" for x, y in (home, *stops, home))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" stroke-opacity="0.7"/>')
        parts.append(
            f'<rect x="{home[0] - 6}" y="{home[1] - 6}" width="12" height="12" fill="#111827">'
            f"<title>{escape(person.base)}</title></rect>"
        )
        for stop, (visit, (x, y)) in enumerate(zip(route.visits, stops, strict=True), start=1):
            job = problem.jobs[visit.job]
            tip = f"{stop}. {clock(problem.lunch.begin(visit.begins))} {job.id} {job.label}, {person.name}"
            ring = ' stroke="#111827" stroke-width="2"' if job.must_visit else ""
            parts.append(
                f'<g><title>{escape(tip)}</title><circle cx="{x}" cy="{y}" r="9" fill="{colour}"{ring}/>'
                f'<text x="{x}" y="{y + 4}" text-anchor="middle" fill="#ffffff" font-size="10">{stop}</text></g>'
            )
        y = HEIGHT + number * LEGEND + 14
        words = f"{person.name}, {person.base}: {len(route.visits)} stops, {route.tenths / 10:.1f} mi"
        parts.append(f'<rect x="{MARGIN}" y="{y - 9}" width="14" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{MARGIN + 22}" y="{y}">{escape(words)}</text>')
    parts += _scale(pixels_per_mile)
    note = "square: base; ring: must-visit; empty circle: not visited; straight lines are not roads"
    parts.append(f'<text x="{MARGIN}" y="{HEIGHT + legend - 10}" fill="#4b5563">{note}</text></svg>')
    return "".join(parts).encode()


def _projection(places: list[tuple[float, float]]) -> tuple[_Project, float]:
    west, east = min(x for x, _ in places), max(x for x, _ in places)
    south, north = min(y for _, y in places), max(y for _, y in places)
    narrower = math.cos(math.radians((south + north) / 2))
    miles_wide = max((east - west) * narrower * MILES_PER_DEGREE, 1.0)
    miles_high = max((north - south) * MILES_PER_DEGREE, 1.0)
    scale = min((WIDTH - 2 * MARGIN) / miles_wide, (HEIGHT - 2 * MARGIN) / miles_high)
    return _Project(west, north, narrower * MILES_PER_DEGREE * scale, MILES_PER_DEGREE * scale), scale


class _Project:
    """Longitude and latitude to pixels."""

    def __init__(self, west: float, north: float, per_longitude: float, per_latitude: float) -> None:
        self._west, self._north = west, north
        self._per_longitude, self._per_latitude = per_longitude, per_latitude

    def __call__(self, longitude: float, latitude: float) -> tuple[float, float]:
        x = MARGIN + (longitude - self._west) * self._per_longitude
        return round(x, 1), round(MARGIN + (self._north - latitude) * self._per_latitude, 1)


def _scale(pixels_per_mile: float) -> list[str]:
    miles = next((each for each in (50, 20, 10, 5, 2, 1) if each * pixels_per_mile <= WIDTH / 4), 0.5)
    left, right = WIDTH - MARGIN - miles * pixels_per_mile, WIDTH - MARGIN
    return [
        f'<line x1="{left:.1f}" y1="{HEIGHT - 12}" x2="{right}" y2="{HEIGHT - 12}" stroke="#111827" stroke-width="2"/>',
        f'<text x="{right}" y="{HEIGHT - 18}" text-anchor="end">{miles:g} mi, north is up</text>',
    ]
