"""The opt-out link: looking changes nothing, one POST does, and it is on the bus before the page says so."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import aiohttp
import pytest

from contracts.documents.opt_out import OptOutClaims
from switchyard.protocol.events.upstream import SuppressionRequested
from switchyard.runtime.core.errors import Unavailable
from tests.integration.conftest import LogLines
from tests.integration.email_feedback.conftest import MailProcess, StartMail

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


async def test_get_shows_the_form_and_changes_nothing(
    mail: MailProcess, wanted: OptOutClaims, browser: aiohttp.ClientSession
) -> None:
    for method in ("GET", "HEAD", "GET"):
        async with browser.request(method, mail.link(wanted)) as answer:
            assert answer.status == 200
            page = await answer.text()
    assert '<form method="post">' in page
    assert "Yes, stop these emails" in page
    await mail.no_suppression()


async def test_one_click_post_reaches_the_case_manager(
    mail: MailProcess, wanted: OptOutClaims, browser: aiohttp.ClientSession
) -> None:
    """RFC 8058, section 3.2: no cookies, no further questions."""
    async with browser.post(mail.link(wanted), data=ONE_CLICK) as answer:
        assert answer.status == 200
        assert "Your request is recorded" in await answer.text()
    [event] = await mail.suppressions(1)
    assert (event["source"], event["detail-type"]) == ("upstream.email_feedback", "SuppressionRequested")
    refused = SuppressionRequested.model_validate(event["detail"])
    assert (refused.tenant, refused.address_key, refused.reason) == ("acme", wanted.address_key, "opted_out")
    assert refused.address is None


async def test_post_with_a_multipart_form_or_no_body_opts_out(
    mail: MailProcess, wanted: OptOutClaims, browser: aiohttp.ClientSession
) -> None:
    form = aiohttp.FormData(ONE_CLICK, default_to_multipart=True)
    for body in (form, None):
        async with browser.post(mail.link(wanted), data=body) as answer:
            assert answer.status == 200
    await mail.suppressions(2)


async def test_two_clicks_on_one_day_are_one_report(
    mail: MailProcess, wanted: OptOutClaims, browser: aiohttp.ClientSession
) -> None:
    for _ in range(2):
        async with browser.post(mail.link(wanted), data=ONE_CLICK) as answer:
            assert answer.status == 200
    first, second = await mail.suppressions(2)
    assert first["detail"] == second["detail"]


async def test_truncated_or_altered_link_is_refused_and_suppresses_no_address(
    mail: MailProcess, wanted: OptOutClaims, browser: aiohttp.ClientSession
) -> None:
    good = mail.link(wanted)
    for link in (good[:-1], good + "A", good.replace("/o/", "/o/e"), f"{mail.base}/o/nonsense"):
        for method in ("GET", "POST"):
            async with browser.request(method, link, data=ONE_CLICK if method == "POST" else None) as answer:
                assert answer.status == 400
                assert "This link does not work" in await answer.text()
    await mail.no_suppression()


async def test_opt_out_with_another_page_or_method_gets_the_bad_link_page(
    mail: MailProcess, wanted: OptOutClaims, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{mail.base}/admin") as answer:
        assert answer.status == 404
    async with browser.delete(mail.link(wanted)) as answer:
        assert answer.status == 405
    await mail.no_suppression()


async def test_page_confirms_only_after_the_bus_accepted_the_event(
    mail: MailProcess, wanted: OptOutClaims, browser: aiohttp.ClientSession
) -> None:
    async def publish(*_: object) -> None:
        raise Unavailable("publish_failed", "the bus refused an event")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.specialists.email_feedback.suppression.SuppressionPublisher.publish", publish)
        async with browser.post(mail.link(wanted), data=ONE_CLICK) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "60"
            assert "could not be recorded" in await answer.text()
    await mail.no_suppression()
    async with browser.post(mail.link(wanted), data=ONE_CLICK) as answer:
        assert answer.status == 200
    await mail.suppressions(1)


async def test_responses_are_private_and_run_no_script(
    mail: MailProcess, wanted: OptOutClaims, browser: aiohttp.ClientSession
) -> None:
    for link in (mail.link(wanted), f"{mail.base}/o/nonsense", f"{mail.base}/elsewhere"):
        async with browser.get(link) as answer:
            headers, page = answer.headers, await answer.text()
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "noindex" in headers["X-Robots-Tag"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "server" not in {name.lower() for name in headers}
        assert "<script" not in page
        assert not re.search(r'(src|href)="http', page)
        assert wanted.address_key not in page


async def test_pages_are_accessible(mail: MailProcess, wanted: OptOutClaims, browser: aiohttp.ClientSession) -> None:
    """Language, title, one main heading, width of the screen, no field without a name."""

    class Outline(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: list[tuple[str, dict[str, str | None]]] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append((tag, dict(attrs)))

    for link in (mail.link(wanted), f"{mail.base}/o/nonsense"):
        async with browser.get(link) as answer:
            outline = Outline()
            outline.feed(await answer.text())
        tags = [tag for tag, _ in outline.tags]
        assert ("html", {"lang": "en"}) in outline.tags
        assert [tags.count(each) for each in ("title", "main", "h1")] == [1, 1, 1]
        assert any(attributes.get("name") == "viewport" for tag, attributes in outline.tags if tag == "meta")
        assert {attributes["type"] for tag, attributes in outline.tags if tag == "input"} <= {"hidden"}


async def test_logs_have_neither_link_nor_address_key(
    start_mail: StartMail, wanted: OptOutClaims, browser: aiohttp.ClientSession, log_lines: LogLines
) -> None:
    mail = await start_mail()
    async with browser.post(mail.link(wanted), data=ONE_CLICK):
        pass
    async with browser.get(mail.link(wanted)[:-1]):
        pass
    async with browser.get(f"{mail.base}/o/health") as probe:
        assert probe.status == 400
    lines = log_lines()
    assert [line["event"] for line in lines].count("opt_out.bad_link") == 1, "the load balancer's probe is not logged"
    assert {"opt_out.taken", "opt_out.bad_link"} <= {line["event"] for line in lines}
    assert wanted.address_key not in str(lines)
    assert "/o/" not in str(lines)
