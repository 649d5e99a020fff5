"""A what-if as one HTML page: each case then and now, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from switchyard.audit.what_if.comparison import AnswerSide, CaseWhatIf


def total_dollars(sides: Iterable[AnswerSide | None]) -> float | None:
    """What the models of these answers cost; None if one of them has no list price, or no model was asked."""
    asked = [side for side in sides if side is not None and side.model is not None]
    prices = [side.dollars for side in asked]
    return None if not prices or None in prices else sum(price for price in prices if price is not None)


def format_dollars(dollars: float | None) -> str:
    """For a table."""
    return "" if dollars is None else f"{dollars:.4f}"


def count_cases(cases: Iterable[CaseWhatIf]) -> dict[str, int]:
    """How many cases are of each status."""
    return dict(Counter(case.status for case in cases))


def write_what_if_page(path: Path, cases: Sequence[CaseWhatIf], *, tried: str, shows_text: bool) -> None:
    """Write the page; texts, which may be personal, only if `shows_text`."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader

    def cost(case: CaseWhatIf, side: str) -> str:
        return format_dollars(total_dollars(getattr(task, side) for task in case.tasks))

    loader = ChoiceLoader([PackageLoader("switchyard.audit.what_if", "."), PackageLoader("switchyard.evals", ".")])
    page = Environment(loader=loader, autoescape=True, trim_blocks=True).get_template("what_if.html.jinja")
    shown = page.render(cases=cases, tried=tried, counts=count_cases(cases), cost=cost, shows_text=shows_text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(shown, encoding="utf-8")
