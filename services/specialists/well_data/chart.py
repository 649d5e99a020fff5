"""Line charts as SVG, readable at 600 px: title, axes with labels, a legend, a shaded interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 600, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 46, 74
COLOURS = ("#0b5394", "#b45f06", "#38761d", "#741b47")
SHADE = "#9fc5e8"
MAX_TITLE = 78
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """A line, or with `dots` its points."""

    name: str
    points: tuple[Point, ...]
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A shaded interval: x, low, high."""

    name: str
    points: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class _Axes:
    x_low: float
    x_high: float
    y_low: float
    y_high: float
    log: bool

    def x(self, value: float) -> float:
        return LEFT + (value - self.x_low) / ((self.x_high - self.x_low) or 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high, at = self.y_low, self.y_high, max(value, self.y_low)
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        return HEIGHT - BOTTOM - (at - low) / ((high - low) or 1.0) * (HEIGHT - TOP - BOTTOM)


def draw_lines(
    title: str,
    x_label: str,
    y_label: str,
    series: Sequence[Series],
    *,
    band: Band | None = None,
    ticks: Mapping[int, str] | None = None,
    log: bool = False,
) -> str:
    """A chart. `ticks` names whole values of x; on a logarithmic axis values of zero and below are not drawn.

    Raises `ValueError` if there is nothing to draw.
    """
    series = [Series(each.name, tuple(p for p in each.points if _drawable(p[1], log)), each.dots) for each in series]
    shaded = tuple(p for p in band.points if _drawable(p[1], log) and _drawable(p[2], log)) if band else ()
    xs = [x for each in series for x, _ in each.points] + [x for x, _, _ in shaded]
    ys = [y for each in series for _, y in each.points] + [y for _, low, high in shaded for y in (low, high)]
    if not xs:
        raise ValueError("a chart needs at least one point")
    axes = _Axes(min(xs), max(xs), *_bounds(ys, log), log)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'role="img" aria-labelledby="title" font-family="sans-serif" font-size="12">',
        f'<title id="title">{escape(title)}</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(WIDTH / 2, 20, _cut(title), align="middle", size=14, bold=True),
        *_grid(axes, ticks),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 38, x_label, align="middle"),
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2:.1f}) rotate(-90)" text-align="middle">'
        f"{escape(y_label)}</text>",
    ]
    if shaded:
        there = [f"{axes.x(x):.1f},{axes.y(high):.1f}" for x, _, high in shaded]
        back = [f"{axes.x(x):.1f},{axes.y(low):.1f}" for x, low, _ in reversed(shaded)]
        parts.append(f'<polygon points="{" ".join(there + back)}" fill="{SHADE}" fill-opacity="0.5"/>')
    for number, each in enumerate(series):
        parts += _line(each, axes, COLOURS[number % len(COLOURS)])
    parts += _legend(series, band.name if band else None)
    return "\n".join([*parts, "</svg>"])


def _drawable(value: float, log: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not log)


def _bounds(values: Sequence[float], log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if log:
        return 10.0 ** math.floor(math.log10(low)), 10.0 ** max(
            math.ceil(math.log10(high)), math.floor(math.log10(low)) + 1
        )
    low = min(low, 0.0)
    step = _step(high - low)
    return low, max(math.ceil(high / step) * step, low + step)


def _step(span: float) -> float:
    if span <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    return next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 5)


def _grid(axes: _Axes, ticks: Mapping[int, str] | None) -> list[str]:
    parts = []
    if axes.log:
        first, last = round(math.log10(axes.y_low)), round(math.log10(axes.y_high))
        marks = [10.0**power for power in range(first, last + 1)]
    else:
        step = _step(axes.y_high - axes.y_low)
        start = math.ceil(axes.y_low / step)
        marks = [step * n for n in range(start, math.floor(axes.y_high / step + 1e-9) + 1)]
    for mark in marks:
        y = axes.y(mark)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{mark:,.10g}", align="end"))
    if ticks is None:
        step = _step(axes.x_high - axes.x_low)
        first = math.ceil(axes.x_low / step)
        shown = {step * n: f"{step * n:,.10g}" for n in range(first, math.floor(axes.x_high / step + 1e-9) + 1)}
    else:
        every = max(1, math.ceil(len(ticks) / 7))
        shown = {float(at): name for n, (at, name) in enumerate(sorted(ticks.items())) if n % every == 0}
    for at, name in shown.items():
        x = axes.x(at)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 4}" stroke="#333333"/>'
        )
        parts.append(_text(x, HEIGHT - BOTTOM + 18, name, align="middle"))
    frame = f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#333333"/>'
    return [*parts, frame]


def _line(series: Series, axes: _Axes, colour: str) -> list[str]:
    placed = [(axes.x(x), axes.y(y)) for x, y in series.points]
    if series.dots or len(placed) == 1:
        return [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    return [f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'] if placed else []


def _legend(series: Sequence[Series], band: str | None) -> list[str]:
    entries = [(each.name, COLOURS[n % len(COLOURS)]) for n, each in enumerate(series)] + (
        [(band, SHADE)] if band else []
    )
    parts, x = [], float(LEFT)
    for name, colour in entries:
        parts.append(f'<rect x="{x:.1f}" y="{HEIGHT - 24}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(x + 16, HEIGHT - 14, name))
        x += 28 + 6.4 * len(name)
    return parts


def _text(x: float, y: float, text: str, *, align: str = "start", size: int = 12, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{align}" font-size="{size}"{weight}>{escape(text)}</text>'


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TITLE else text[: MAX_TITLE - 1] + "…"
