"""The pages behind the opt-out link: one column, large type, no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

_STYLE = """
:root { color-scheme: light dark }
body { margin: 0; font: 1.125rem/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff }
main { max-width: 34rem; margin: 0 auto; padding: 2rem 1.25rem }
h1 { font-size: 1.5rem; line-height: 1.25 }
button { font: inherit; font-weight: 600; min-height: 3rem; width: 100%; padding: .75rem 1.25rem; border: 0;
  border-radius: .5rem; color: #fff; background: #0b5394; cursor: pointer }
button:focus-visible { outline: .2rem solid #f1a208; outline-offset: .15rem }
@media (prefers-color-scheme: dark) { body { color: #f2f2f2; background: #161616 } button { background: #1f6fc0 } }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
"""For every answer. The link is a key: no cache, referrer or index may keep it."""


def _page(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


# The form goes back to the page's own address, so the token stands nowhere in the page. Its one field is RFC 8058's.
CONFIRM_PAGE = _page(
    "Stop these emails?",
    "<p>We will not email this address about your account any more. Other ways in which we may contact you do not "
    "change.</p>\n"
    '<form method="post">\n<input type="hidden" name="List-Unsubscribe" value="One-Click">\n'
    '<button type="submit">Yes, stop these emails</button>\n</form>\n'
    "<p>If you opened this page by mistake, close it. Nothing has changed.</p>",
)
DONE_PAGE = _page(
    "You will get no more emails",
    '<p role="status">Your request is recorded. An email that is on its way at this moment may still reach you.</p>\n'
    "<p>You may close this page.</p>",
)
BAD_LINK_PAGE = _page(
    "This link does not work",
    '<p role="alert">It is not complete, or it is not one of ours. Nothing has changed.</p>\n'
    "<p>Open the link in the email again or copy all of it. You can also write to the postal address or call the "
    "number at the end of the email.</p>",
)
TRY_AGAIN_PAGE = _page(
    "Please try again in a minute",
    '<p role="alert">Your request could not be recorded. Nothing has changed yet.</p>\n'
    '<form method="post">\n<input type="hidden" name="List-Unsubscribe" value="One-Click">\n'
    '<button type="submit">Try again</button>\n</form>',
)
