"""docs/operate/runbook.md has a section for every alarm of code and CloudWatch, and for no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.terraform.reading import MODULES, resources

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = ROOT / "docs" / "operate" / "runbook.md"
SOURCES = ("demo", "packages", "services", "switchyard")
_FIELD = re.compile(r"\balarm=(?P<value>\"[a-z_]+\"[^,\n)]*|[a-z_]+)")
_NAME = re.compile(r"\"([a-z_]+)\"")
_HEADING = re.compile(r"^### `alarm=([a-z_]+)`$", re.MULTILINE)
_COMPARED = re.compile(r"==\s*\"[a-z_]+\"")


def raised(source: str) -> set[str]:
    """The alarms that a module's text raises: `alarm="name"` of a log line, `alarm=name` of a printed one."""
    found = set()
    for field in _FIELD.finditer(source):
        value = _COMPARED.sub("", field["value"])
        found |= set(_NAME.findall(value)) or ({value} if value.islower() and '"' not in value else set())
    return found


def alarms() -> set[str]:
    """Every alarm of the product."""
    texts = [path.read_text(encoding="utf-8") for part in SOURCES for path in (ROOT / part).rglob("*.py")]
    return set().union(*map(raised, texts))


def test_alarms_are_found_in_both_notations() -> None:
    assert raised('log.error("x", alarm="a" if kind == "b" else "c", n=1)') == {"a", "c"}
    assert raised('print(f"alarm=hole {gap}")') == {"hole"}
    assert raised("Examined(alarm=None); f(alarm=found)") <= {"found"}


def test_alarms_and_runbook_sections_correspond() -> None:
    assert sorted(_HEADING.findall(RUNBOOK.read_text(encoding="utf-8"))) == sorted(alarms())


_PLACES = {
    "${var.process.name}": "NODE",
    "${var.consumer.name}": "NODE",
    "${var.server.name}": "NODE",
    "-case-${each.key}": "-case-PLAYBOOK",
    "${each.value.name}": "QUEUE",
    "${each.value}": "AGENT",
    "${var.name}": "DATABASE",
}


_EACH = {"dashboards": "OBJECTIVE", "dashboards.budget": "PERCENT", "database": "MEASURE", "operations": "JOB"}
"""What alarms of a module, or one of them, are repeated for, where it is no rule of the bus."""


def made_by_terraform() -> list[str]:
    """The names of CloudWatch's alarms, with words for what differs from one to the next."""
    named = []
    for module in MODULES:
        for (type_, resource), body in resources(module).items():
            if type_.endswith("_alarm"):
                name = body["alarm_name"]
                each = _EACH.get(f"{module.name}.{resource}") or _EACH.get(module.name, "RULE")
                for place, word in {**_PLACES, "${each.key}": each}.items():
                    name = name.replace(place, word)
                named.append(name)
    return named


def test_terraform_alarm_has_runbook_section() -> None:
    names = made_by_terraform()
    assert len(names) >= 9
    assert not [name for name in names if "$" in name]
    headings = re.findall(r"^### `(switchyard-[\w-]+)`$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(set(names)), "modules of processes share the alarm of a log line"


CONSOLE = RUNBOOK.parent / "console.md"
PAGES = {
    "One case": {"a-case"},
    "First: limit the damage": {"switches", "failures"},
    "`alarm=integrity`": {"failures", "proof"},
    "`alarm=dead_letter`": {"failures"},
    "`alarm=unended`": {"cases"},
    "`alarm=outcome_unknown`": {"switches"},
    "`alarm=completeness`": {"proof"},
    "`alarm=checkpoint`": {"proof"},
    "`switchyard-NODE-dead-letters`": {"failures"},
    "`switchyard-slo-OBJECTIVE`": {"dashboards", "failures"},
    "`switchyard-slo-latency-AGENT`": {"dashboards"},
    "`switchyard-slo-case-PLAYBOOK`": {"dashboards"},
    "`switchyard-slo-models-failed`": {"failures"},
    "Failover": {"switches", "dashboards", "failures"},
    "Dead letters": {"failures"},
}
"""The pages of the console that help with a section's trouble."""


@pytest.mark.parametrize("section", sorted(PAGES))
def test_section_of_the_runbook_links_to_its_pages_of_the_console(section: str) -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    _, _, rest = text.partition(f"# {section}\n")
    linked = set(re.findall(r"\(console\.md#([a-z-]+)\)", re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]))
    assert PAGES[section] <= linked


def test_runbook_links_to_pages_of_the_console_that_exist() -> None:
    page = CONSOLE.read_text(encoding="utf-8")
    headings = {each.lower().replace(" ", "-") for each in re.findall(r"^## (.+)$", page, re.MULTILINE)}
    there = headings | set(re.findall(r'<a id="([a-z-]+)">', page))
    assert set(re.findall(r"console\.md#([a-z-]+)", RUNBOOK.read_text(encoding="utf-8"))) <= there


_PAGE_OF = {
    "case retry": "failures",
    "case show": "a-case",
    "playbook halt": "switches",
    "halt the playbook": "switches",
    "email resolve": "switches",
    "email list-unresolved": "switches",
    "audit verify": "proof",
    "audit reconcile": "proof",
    "approval grant": "approvals",
    "quarantine](": "failures",
}
"""What a section tells a person to do, and the page of the console that does or shows it."""
_LINK = re.compile(r"console\.md#([\w-]+)")


@pytest.mark.parametrize("section", re.split(r"^(?=##+ )", RUNBOOK.read_text(encoding="utf-8"), flags=re.M)[1:])
def test_section_links_to_each_page_that_does_what_it_says(section: str) -> None:
    linked = set(_LINK.findall(section))
    assert {page for words, page in _PAGE_OF.items() if words in section} <= linked
    console = (RUNBOOK.parent / "console.md").read_text(encoding="utf-8")
    assert {page for page in linked if f'<a id="{page}"></a>' not in console} <= {"when-it-fails"}
