"""Reading an email as its recipient sees it."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.specialists.compliance.email_text.characters import fold_text, illegible_characters, is_legible
from services.specialists.compliance.email_text.figures import read_figures
from services.specialists.compliance.email_text.lexicon import find_terms
from services.specialists.compliance.email_text.markup import read_markup
from services.specialists.compliance.email_text.message import read_message
from services.specialists.compliance.email_text.organisations import unknown_organisations
from services.specialists.compliance.pack import WordList
from services.specialists.compliance.review import evaluate_rules
from tests.unit.compliance.emails import SALT, Email, facts, pack, situation

GOOD = Email(facts()).build()


@given(st.binary(max_size=400))
def test_random_bytes_are_readable_and_have_obstacles(raw: bytes) -> None:
    assert read_message(raw, pack().email).obstacles


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_good_email_with_one_byte_changed_is_still_readable(where: int, byte: int) -> None:
    read_message(GOOD[:where] + bytes([byte]) + GOOD[where + 1 :], pack().email)


@pytest.mark.parametrize(
    "text",
    [
        "one ", "$1,", "1 111 ", "Aa ", "balance ", "614 555 0100 ", "a r ", "one and ", "owed to ", "a. ",
        "1" * 500 + " ", "a@" * 200 + " ", "a." * 200 + " ",
    ],
)  # fmt: skip
def test_checks_of_any_text_end_in_time(text: str) -> None:
    raw = Email(facts(), extra_text=text * (8_000 // len(text))).build()
    started = time.process_time()
    given = situation(email=raw)
    assert {result.rule.id for result in evaluate_rules(given, "email", SALT) if result.blocks} & {"R14", "R17"}
    assert time.process_time() - started < 10


def test_email_longer_than_mail_readers_show_has_an_obstacle() -> None:
    long = Email(facts(), extra_text="We are here for you. " * 5_000).build()
    assert "more than 100000 bytes, which mail readers cut off" in read_message(long, pack().email).obstacles


def test_mutated_emails_are_read_without_an_error() -> None:
    chance = random.Random(7)
    lines = GOOD.split(b"\r\n")
    for _ in range(60):
        spoilt = lines.copy()
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(spoilt))
            action = chance.randrange(3)
            if action == 0:
                spoilt[at] = bytes(chance.randrange(256) for _ in range(chance.randint(0, 60)))
            elif action == 1:
                spoilt.insert(at, lines[chance.randrange(len(lines))])
            else:
                del spoilt[at]
        read_message(b"\r\n".join(spoilt), pack().email)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("$1,234.50", "1234.50"), ("$1234.50", "1234.50"), ("US$12", "12.00"), ("USD 12", "12.00"), ("$ 7", "7.00"),
        ("12 dollars", "12.00"), ("1,000,000.00 USD", "1000000.00"), ("1.234,50 dollars", None), ("$1 234.50", None),
        ("$12,34", None), ("$1k", None), ("$2 million", None), ("12 bucks", None), ("50 cents", None),
        ("$1'234.50", None), ("USD 1.234", None), ("900 $", None),
    ],
)  # fmt: skip
def test_amount_is_read_in_the_ledgers_form_only(written: str, value: str | None) -> None:
    (amount,) = read_figures(f"We have {written} on file.").amounts
    assert amount.value == value


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("July 1, 2026", "2026-07-01"), ("July 1st, 2026", "2026-07-01"), ("1 July 2026", "2026-07-01"),
        ("the 1st of July 2026", "2026-07-01"), ("Jul 1", "2026-07-01"), ("Sept. 9, 2026", "2026-09-09"),
        ("07/01/2026", "2026-07-01"), ("7/1/26", "2026-07-01"), ("7/1", "2026-07-01"), ("2026-07-01", "2026-07-01"),
    ],
)  # fmt: skip
def test_date_in_any_usual_form_is_read(written: str, day: str) -> None:
    (date,) = read_figures(f"It was on {written}, as you know.").dates
    assert date.is_day(day)
    assert not date.is_day("2026-07-02")
    assert read_figures(f"It was on {written}, as you know.").others == ()


def test_impossible_date_is_no_day() -> None:
    (date,) = read_figures("by 31/12/2026").dates
    assert not date.is_day("2026-12-31")


@pytest.mark.parametrize("text", ["room 12", "1.5x", "5%", "#9", "2026", "24/7 help", "No1"])
def test_digits_outside_known_figures_are_left_over(text: str) -> None:
    figures = read_figures(f"Our {text} is here")
    assert figures.others or figures.dates


@pytest.mark.parametrize("text", ["may", "March on", "one of us", "the first step", "two ways", "no charge", "second"])
def test_words_similar_to_figures_are_no_figures(text: str) -> None:
    figures = read_figures(f"You {text} here.")
    assert (figures.amounts, figures.dates, figures.others) == ((), (), ())
    lists = (pack().lexicon[name] for name in ("number_word", "share", "relative_date"))
    assert [find_terms(f"You {text} here.", words) for words in lists] == [(), (), ()]


@given(st.characters(min_codepoint=0x80))
def test_legible_characters_exclude_control_marks_and_other_scripts(character: str) -> None:
    if is_legible(character):
        assert (
            character.isalpha()
            or character
            in "\u00a0\u00a7\u00a9\u00ae\u00b7\u2010\u2011\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026\u2122"
        )
        assert ord(character) < 0x2123


@pytest.mark.parametrize(
    "character",
    [
        "\u200b",
        "\u202e",
        "\u00ad",
        "\u2060",
        "\u0430",
        "\uff21",
        "\U0001d400",
        "\uff15",
        "\u00b2",
        "\u0131",
        "\U000e0041",
    ],
)
def test_illegible_characters_are_reported_by_name(character: str) -> None:
    assert illegible_characters(f"a{character}b")[0].startswith("U+")


def test_folded_text_has_no_accents_and_no_case() -> None:
    assert fold_text("ÁRRËST “now”") == 'arrest "now"'


LIST = WordList(terms=("jail", "arrest", "hell", "legal action", "don't delay", "ass"), unless=("free of arrest",))


@pytest.mark.parametrize(
    "text",
    [
        "Jail!",
        "j-a-i-l",
        "J A I L",
        "ja1l",
        "jaaail",
        "4rrest",
        "legal   action",
        "legal-action",
        "Don\u2019t delay",
        "a$$",
    ],
)
def test_term_in_any_disguise_is_found(text: str) -> None:
    assert find_terms(f"So: {text}, he said", LIST)


@pytest.mark.parametrize(
    "text",
    ["he'll", "hello", "assets", "class", "4.55", "455", "free of arrest", "as such", "a l a", "Hellen"],
)
def test_term_within_a_word_or_number_is_not_found(text: str) -> None:
    assert find_terms(f"So: {text}, he said", LIST) == ()


def test_organisation_unknown_and_owed_or_called_a_bank_is_found() -> None:
    known = ("Northfork Bank", "Elmgate Receivables LLC")
    assert unknown_organisations("Northfork Bank sold it to Elmgate Receivables LLC.", known) == ()
    assert unknown_organisations("It is owed to Meridian, not to you.", known) == ("Meridian",)
    assert unknown_organisations("First National Bank of Ohio opened it.", known) == ("First National Bank",)
    assert unknown_organisations("NORTHFORK BANK opened it.", known) == ()


@pytest.mark.parametrize(
    "style",
    [
        "display:none", "visibility:hidden", "opacity:0", "font-size:0", "font-size:4px", "color:#fff", "color:#fefefe",
        "color:transparent", "color:rgba(0,0,0,0)", "background:#000", "position:absolute", "left:-9999px",
        "max-height:0", "width:0", "max-width:1px", "text-indent:-999px", "line-height:0", "clip:rect(0,0,0,0)",
        "transform:scale(0)", "font:1px Arial", "margin-left:-900px", "background:url(https://x.example/a.png)",
        "font-size:xx-small", "color:var(--x)", r"dis\70lay:none", "color:/**/#1a1a1a", "color:hsl(0,0%,100%)",
        "color:White", "color:#1a1a1a00", "margin:2000cm", "margin:20em", "font:16px/0.1 Arial", "line-height:90%",
        "p{color:#1a1a1a}", "color:#1a1a1a}", "color:black !important;font-size:4px!important", "font-family:Wingdings",
    ],
)  # fmt: skip
def test_style_that_may_hide_text_is_an_obstacle(style: str) -> None:
    assert read_markup(f'<p style="{style}">x</p>', min_font_px=10).obstacles


@pytest.mark.parametrize(
    "style",
    [
        "color:navy", "COLOR:#0B5394", "line-height:1.5", "font:700 16px/1.5 'Open Sans',Arial", "margin:0 auto",
        "width:100%;max-width:600px", "color:#fff;background:#000", "padding:.5em 1em !important;", "",
    ],
)  # fmt: skip
def test_usual_style_is_no_obstacle(style: str) -> None:
    assert read_markup(f'<p style="{style}">x</p>', min_font_px=10).obstacles == []


@pytest.mark.parametrize(
    "markup",
    [
        "<p hidden>x</p>", "<!-- x -->", "<script>x</script>", "<style>x</style>", "<img src=x>",
        "<template>x</template>",
        "<details>x</details>", "<noscript>x</noscript>", "<iframe></iframe>", "<svg></svg>", "<p onclick=x>x</p>",
        '<p dir="rtl">x</p>', '<p title="x">x</p>', "<input value=x>", "<object></object>", "<?php x ?>",
        "<base href=x>",
        '<meta http-equiv="refresh" content="0">', "<marquee>x</marquee>", "<p aria-hidden=true>x</p>",
        "<p class=x>x</p>",
        "<select><option>x</select>", "<textarea>x</textarea>", "<math>x</math>", "<![CDATA[x]]>",
        "<div>" * 100 + "x",
    ],
)  # fmt: skip
def test_markup_with_an_ambiguous_display_is_an_obstacle(markup: str) -> None:
    assert read_markup(markup, min_font_px=10).obstacles


def test_usual_markup_is_read_as_displayed() -> None:
    page = read_markup(
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>A note</title></head>'
        '<body style="font-family:Arial,sans-serif;color:#1a1a1a;background:#fff"><p>One&nbsp;<b>two</b>&#32;three</p>'
        '<a href="https://x.example/?a=1&amp;b=2" style="color:#0b5394">four</a></body></html>',
        min_font_px=10,
    )
    assert page.text.split() == ["One", "two", "three", "four"]
    assert page.hidden == "A note"
    assert (page.links, page.obstacles) == (["https://x.example/?a=1&b=2"], [])


def test_links_added_by_mail_programs_are_found() -> None:
    raw = Email(facts(), extra_text="Go to evil-pay.com or write to x@evil.example, see www.evil.example").build()
    links = set(read_message(raw, pack().email).text_links)
    assert {"https://evil-pay.com", "mailto:x@evil.example", "www.evil.example"} <= links
