"""Any draft gets a verdict, within a bound of time and memory, and never an exception."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.documents.reviews import ReviewStage
from services.specialists.compliance.email_text.message import read_message
from services.specialists.compliance.review import blocking_results, evaluate_rules
from services.specialists.compliance.rules.rule import RuleInput
from tests.unit.compliance.emails import SALT, Email, drafted, facts, first_contact, pack, situation

SECONDS = 10.0
MEGABYTES = 150.0

GOOD = Email(facts()).build()
STAGES: tuple[ReviewStage, ...] = ("contact", "email", "sending")
FRAGMENTS = (
    "<p style='", "'>", "</p>", "<div>", "</div>", "<a href='", "<table width='", "<td bgcolor='", "<small>", "<!--",
    "-->", "<title>", "</title>", "<style>", "<template>", "font:12px/0 Arial", "color:rgb(", "color:#fff", ")", ";",
    "display:none", "!important", "width:1e999px", "font-size:-1em", "opacity:1e9", "margin:9e9em", "&shy;", "&#0;",
    "&#x110000;", "https://[website]/pay", "http://[::1", "https://x:port/", "{{name}}", "[NAME]", "9999-12-31",
    "0000-00-00", "99/99/9999", "$1e9", "$9,9,9", "May 99, 2026", "a third of", "f i f t y", "cøurt", "\u0441ourt",
    "\u200b", "\u202e", "\u00ad", "ﬁ", "½", "٣", "\U0001d7d3", "\ud7ff", "'", '"', "\\", "\n", "\t", " ", "$", "@", "%",
    "(614) 555-0100", "owed to ", "Bank", "1 111 ", "j.a.i.l", "balance is ", "mailto:", "x@y.example", "www.", "rn",
    "qxq", "\u00a7",
)  # fmt: skip
hostile = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=8)), max_size=40).map("".join)
printable = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=80)
line = st.one_of(printable, st.sampled_from(["[NAME]", "{{x}}", "9999-12-31", "(", "\\", "*", "Sue", "Loan", "$$"]))
days = st.one_of(st.dates().map(str), st.sampled_from(["9999-12-31", "0001-01-01", "2026-02-28"]))


def judge(given_situation: RuleInput, stage: ReviewStage = "email") -> None:
    """Every rule answers."""
    results = evaluate_rules(given_situation, stage, SALT)
    assert {result.verdict.kind for result in results} <= {"pass", "block", "warn", "unknown", "reschedule"}


@given(hostile, hostile, hostile)
def test_hostile_text_and_markup_get_a_verdict(text: str, markup: str, subject: str) -> None:
    clean = subject.replace("\n", " ").replace("\r", " ").encode("utf-8", "replace").decode()
    raw = Email(facts(), extra_text=text.encode("utf-8", "replace").decode(), extra_html=markup).build()
    subject_line = b"Subject: " + clean.encode()
    judge(situation(email=raw.replace(b"Subject: Information about your account", subject_line)))


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=20), st.binary(max_size=300))
def test_hostile_headers_get_a_verdict(values: list[str], tail: bytes) -> None:
    value = "".join(values).replace("\n", "").encode("utf-8", "replace") + tail
    names = (b"From", b"To", b"Reply-To", b"List-Unsubscribe", b"Content-Type")
    judge(situation(email=b"".join(name + b": " + value + b"\r\n" for name in names) + GOOD))


@example("0", "0", "0", "0", "<p style=''>")
@example("0", "0", "0", "0", "the 's 's '' ''' 's.")
@given(line, line, line, line, hostile)
def test_hostile_names_on_file_get_a_verdict(first: str, last: str, agency: str, creditor: str, text: str) -> None:
    account = facts(
        consumer__first_name=first, consumer__last_name=last, agency__name=agency, ledger__original_creditor=creditor
    )
    message = read_message(Email(facts(), extra_text=text.encode("utf-8", "replace").decode()).build(), pack().email)
    judge(replace(situation(account), message=message))


@given(st.data())
def test_days_on_file_of_any_value_get_a_verdict(data: Any) -> None:
    names = (
        "history__first_contact_on", "history__validation_notice_on", "history__validation_ends_on",
        "history__last_activity_on", "ledger__itemization_on", "ledger__limitation_ends_on", "ledger__last_payment_on",
        "email__consumer_used_on", "email__creditor_notice_on", "email__notice_opt_out_until",
    )  # fmt: skip
    changes: dict[str, Any] = {name: data.draw(days, name) for name in names if data.draw(st.booleans())}
    changes["email__obtained"] = data.draw(st.sampled_from(["consumer", "creditor_notice", "prior_collector"]))
    base = data.draw(st.sampled_from([facts, first_contact]))
    message = read_message(Email(facts()).build(), pack().email)
    for stage in STAGES:
        judge(replace(situation(base(**changes)), message=message if stage == "email" else None), stage)


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<div>" * 15_000, ""),
        ("<p style='" + "(" * 20_000 + "'>x</p>", ""),
        ("<p style='" + "a:b;" * 15_000 + "'>x</p>", ""),
        ("<p style='font:" + "12px/" * 10_000 + "'>x</p>", ""),
        ("<table><tr><td>" * 4_000 + "x", ""),
        ("<a href='https://[" * 3_000, ""),
        ("", "a b " * 4_900),
        ("", "[" * 19_000),
        ("", "{" * 19_000),
        ("", "owed to Bank of " * 1_200),
        ("", "one two three half of the " * 700),
        ("", "4444 1111 $$ !!! " * 1_100),
        ("", "Monday to Friday from 9 a.m. " * 650),
        ("", "\u00f8" * 500 + " " + "c\u00f8urt " * 2_000),
        ("", "\n" * 18_000 + "x"),
        ("", "a-" * 290 + " " + "a.b " * 4_000),
    ],
    ids=range(16),
)
def test_bomb_gets_a_verdict_within_time_and_memory(markup: str, text: str) -> None:
    raw = Email(facts(), extra_text=text, extra_html=markup).build()
    judge(drafted())  # the lists are read once
    tracemalloc.start()
    started = time.process_time()
    given_situation = situation(email=raw)
    assert blocking_results(evaluate_rules(given_situation, "email", SALT))
    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert seconds < SECONDS
    assert peak < MEGABYTES


@pytest.mark.parametrize(
    "raw",
    [
        b"From: " + b"(" * 3_000 + b"\r\n\r\nx",
        b"From: " + b"a," * 40_000 + b"\r\n\r\nx",
        b"To: " + b"<" * 3_000 + b"\r\n\r\nx",
        b"Subject: " + b"=?utf-8?q?x?=" * 300 + b"\r\n\r\nx",
        b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(1_500)),
        b"Content-Type: text/html; " + b"a*0=b;" * 600 + b"\r\n\r\nx",
        b"X: y\r\n" * 12_000,
        b"Content-Type: \xff\xfe; charset=\x00\r\n\r\n",
        b"",
    ],
    ids=range(9),
)
def test_message_attacking_the_parser_gets_a_verdict_in_time(raw: bytes) -> None:
    started = time.process_time()
    given_situation = situation(email=raw)
    assert given_situation.message is not None
    assert given_situation.message.obstacles
    judge(given_situation)
    assert time.process_time() - started < SECONDS
