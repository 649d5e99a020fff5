"""The console's parts without a server: sessions, the table of endpoints, templates, artefacts, figures."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from starlette.responses import Response

from switchyard.console.access import ENDPOINTS, ROLES
from switchyard.console.app import ConsoleApp
from switchyard.console.case_detail import compare_states, find_artefacts
from switchyard.console.dashboards import wilson_interval
from switchyard.console.pages import HERE, format_duration
from switchyard.console.sealed import SealedArtefacts
from switchyard.console.sessions import Sessions
from switchyard.console.views.sessions import is_own_page
from tests.integration.manual_clock import ManualClock

NO_GUARD: Any = None

KEY, NEW_KEY = b"\x01" * 32, b"\x02" * 32


def sessions(clock: ManualClock, *, secure: bool = True, **keys: bytes) -> Sessions:
    return Sessions(keys or {"a": KEY}, secure, 3_600, clock)


def cookie(made: Sessions) -> tuple[dict[str, str], str]:
    response = Response()
    made.begin(response, "ana", ("viewer",))
    header = response.headers["set-cookie"]
    name, _, value = header.partition(";")[0].partition("=")
    return {name: value}, header


def test_session_ends_by_the_clock() -> None:
    clock = ManualClock()
    made = sessions(clock)
    cookies, _ = cookie(made)
    assert made.user(cookies) is not None
    clock.advance(3_601)
    assert made.user(cookies) is None


def test_session_of_an_older_key_is_valid_until_the_key_goes() -> None:
    clock = ManualClock()
    cookies, _ = cookie(sessions(clock, a=KEY))
    assert sessions(clock, b=NEW_KEY, a=KEY).user(cookies) is not None
    assert sessions(clock, b=NEW_KEY).user(cookies) is None


def test_cookie_over_tls_is_for_this_host_and_no_script() -> None:
    _, header = cookie(sessions(ManualClock()))
    assert header.startswith("__Host-session=")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(header.split("; "))


def test_cookie_of_a_log_in_is_no_session() -> None:
    made = sessions(ManualClock())
    response = Response()
    made.begin_login(response, {"name": "ana", "roles": "viewer"})
    value = response.headers["set-cookie"].partition(";")[0].partition("=")[2]
    assert made.user({made.cookie_name("session"): value}) is None


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "", "cases", "/a\r\nb"])
def test_page_of_another_host_is_not_gone_to_after_the_log_in(path: str) -> None:
    assert not is_own_page(path)
    assert is_own_page("/cases?tenant=acme")


def test_each_endpoint_has_one_handler_and_no_handler_is_without_an_endpoint() -> None:
    pages = cast("Any", None)
    with pytest.raises(ValueError, match="needs one handler"):
        ConsoleApp(pages, {}, {}, "http://127.0.0.1", NO_GUARD).build()
    extra = {name: cast("Any", None) for name in [*ENDPOINTS, "more"]}
    with pytest.raises(ValueError, match="needs one handler"):
        ConsoleApp(pages, extra, extra, "http://127.0.0.1", NO_GUARD).build()


def test_endpoint_that_changes_something_is_a_post_and_not_for_viewers() -> None:
    for name, endpoint in ENDPOINTS.items():
        # A search is kept in the browser of who saves it.
        if endpoint.method == "POST" and name not in {"logout", "save_search"}:
            assert endpoint.roles is not None
            assert "viewer" not in endpoint.roles, name
    assert all((endpoint.roles or set()) <= set(ROLES) for endpoint in ENDPOINTS.values())


def test_templates_have_no_inline_script_or_style_and_no_unescaped_value() -> None:
    found = list((HERE / "templates").glob("*.html"))
    assert len(found) > 10
    for template in found:
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"\sstyle=|\son\w+=|<style|javascript:|\|\s*safe|autoescape", text), template
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), template
        for form in re.findall(r'<form[^>]*method="post".*?</form>', text, re.DOTALL):
            assert "form_token" in form, template


def test_script_sets_text_and_never_markup() -> None:
    for script in (HERE / "static").glob("*.js"):
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?://", text), script


def describe(name: str, media_type: str, data: bytes) -> Any:
    def broken(_: bytes) -> str:
        raise KeyError("text")

    made = SealedArtefacts(cast("Any", None), cast("Any", None), {"answer": broken}, {"answer": broken})
    return made.describe(name, media_type, data)


def test_chart_is_an_image_and_not_markup() -> None:
    shown = describe("chart", "image/svg+xml", b"<svg onload='alert(1)'/>")
    assert shown.kind == "image"
    assert shown.text.startswith("data:image/svg+xml;base64,")


@pytest.mark.parametrize(
    ("media_type", "data", "kind"),
    [
        ("application/json", b'{"a": 1}', "text"),
        ("application/json", b"[" * 100_000, "text"),
        ("application/pdf", b"%PDF", "binary"),
        ("text/plain", b"\xff\xfe", "text"),
    ],
)
def test_artefact_of_any_bytes_is_shown(media_type: str, data: bytes, kind: str) -> None:
    assert describe("other", media_type, data).kind == kind


def test_artefact_that_its_reader_cannot_read_is_shown_as_it_is() -> None:
    assert describe("answer", "application/json", b"{}").text == "{}"


def test_states_are_compared_leaf_by_leaf() -> None:
    before = {"step": "a", "artefacts": {"q": {"name": "q", "sha256": "0" * 64}}, "gone": [1]}
    after = {"step": "b", "artefacts": {"q": {"name": "q", "sha256": "1" * 64}}}
    changes = {change.path: (change.before, change.after) for change in compare_states(before, after)}
    assert changes == {
        "step": ("a", "b"),
        "artefacts.q": ("q 000000000000…", "q 111111111111…"),
        "gone[0]": ("1", None),
    }


def test_artefacts_are_found_at_any_depth_with_their_seal() -> None:
    reference = {"name": "chart", "sha256": "0" * 64, "media_type": "image/svg+xml", "size": 3, "subject": "s"}
    [found] = find_artefacts({"a": [{"b": reference}]}, "e")
    assert (found.name, found.sealed, found.event_id) == ("chart", True, "e")


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(0, "0 ms"), (1_400, "1.4 s"), (185_000, "3 min 5 s"), (9e7, "1 d 1 h")]
)
def test_duration_is_written_as_people_say_it(milliseconds: float, text: str) -> None:
    assert format_duration(milliseconds) == text


def test_interval_of_a_share_is_wilsons() -> None:
    low, high = wilson_interval(28, 31)
    assert (round(low, 3), round(high, 3)) == (0.751, 0.967)
    assert wilson_interval(0, 0) == (0.0, 1.0)
