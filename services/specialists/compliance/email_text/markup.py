"""HTML as a reader sees it: the visible text by computed style, the links, and every obstacle to reading it so.

Elements and attributes are allow-lists: mail readers differ, but all of them show these in the same way. Title,
comments and attributes are not visible text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from services.specialists.compliance.email_text.style import INLINE_ELEMENTS, ComputedStyle, child_style

_BLOCKS = frozenset({
    "address", "body", "br", "center", "div", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
    "html", "li", "main", "ol", "p", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
"""Without those within which the size of a heading differs from reader to reader, such as section."""

_ELEMENTS = _BLOCKS | INLINE_ELEMENTS | {"head", "meta"}
_ATTRIBUTES = frozenset({
    "align", "bgcolor", "border", "cellpadding", "cellspacing", "charset", "colspan", "content", "dir", "height",
    "href", "http-equiv", "lang", "name", "rel", "role", "rowspan", "style", "target", "valign", "width",
})  # fmt: skip
_META = {
    "viewport": re.compile(r"width=device-width(?:,\s*initial-scale=1(?:\.0)?)?"),
    "color-scheme": re.compile("light(?: only)?"),
    "supported-color-schemes": re.compile("light(?: only)?"),
    "format-detection": re.compile(r"[a-z]+=no(?:,\s*[a-z]+=no)*"),
    "x-apple-disable-message-reformatting": re.compile(""),
}
_UTF_8 = re.compile(r"(?:text/html;\s*charset=)?utf-?8", re.IGNORECASE)
_ROLES = frozenset({"presentation", "none", "article", "main", "banner", "contentinfo"})
_LINES = frozenset({"br", "hr", "li", "p", "tr"})
"""Elements that take a line even without text."""

_LINE_PX = 20.0
_MAX_GAP_PX = 400.0
"""Empty room above a text: below more, a reader takes the email for finished."""

MAX_MARKUP_DEPTH = 60
"""Elements within each other; our own emails need five."""


@dataclass
class RenderedPage:
    """A page as its reader sees it. `hidden` is text that no reader sees, or perhaps not every one."""

    text: str = ""
    hidden: str = ""
    links: list[str] = field(default_factory=list)
    shown_links: list[str] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)


def read_markup(source: str, *, min_font_px: int) -> RenderedPage:
    """Read a page. Never raises: anything unknown is an obstacle."""
    page = RenderedPage()
    if re.search(r"<!(?!doctype)|<\?", source, re.IGNORECASE):
        page.obstacles.append("a comment or a declaration in the HTML, which no reader sees")
    root = LexborHTMLParser(source).root
    if root is None:
        page.obstacles.append("the HTML part is empty")
        return page
    renderer = _Renderer(page, min_font_px)
    renderer.render(root, ComputedStyle(), depth=0)
    page.text, page.hidden = "".join(renderer.shown), "\n".join(renderer.hidden)
    page.obstacles = list(dict.fromkeys(page.obstacles))
    return page


class _Renderer:
    def __init__(self, page: RenderedPage, min_font_px: int) -> None:
        self.page, self.min_font_px = page, min_font_px
        self.shown: list[str] = []
        self.hidden: list[str] = []
        self.letters, self.gap = 0, 0.0
        """Visible letters so far, and the empty room in pixels since the last one."""

    def render(self, node: LexborNode, style: ComputedStyle, *, depth: int) -> None:
        if node.is_text_node:
            self._text(node.text_content or "", style)
            return
        tag = node.tag or ""
        if tag == "title":
            self.hidden.append(node.text() or "")
            return
        if not node.is_element_node or tag not in _ELEMENTS or depth > MAX_MARKUP_DEPTH:
            self._unknown_element(node, tag)
            return
        style, unknown = child_style(style, tag, node.attributes)
        self.page.obstacles += unknown
        for name, value in node.attributes.items():
            style = self._attribute(tag, name, value or "", style)
        if tag == "meta":
            self._meta(node.attributes)
        edge = "\n" if tag in _BLOCKS else ""
        self.shown.append(edge)
        self.gap += style.above + (_LINE_PX if tag in _LINES else 0.0)
        before = self.letters
        child = node.child
        while child is not None:
            if tag == "head" and child.is_element_node and child.tag not in {"title", "meta"}:
                self._unknown_element(child, child.tag or "")
            else:
                self.render(child, style, depth=depth + 1)
            child = child.next
        self.shown.append(edge)
        href = node.attributes.get("href")
        if href is not None:
            self.page.links.append(href.strip())
            if self.letters > before:
                self.page.shown_links.append(href.strip())

    def _text(self, text: str, style: ComputedStyle) -> None:
        if not text.strip() and not (style.covers and "\u00a0" in text):
            self.shown.append(text)
            return
        obstacle = style.obstacle(self.min_font_px)
        if obstacle is not None:
            self.page.obstacles.append(obstacle)
            self.hidden.append(text)
            return
        if self.gap > _MAX_GAP_PX and self.letters:
            self.page.obstacles.append("text far below the text before it")
        if any(map(str.isalnum, text)):
            # A dot in every empty screen is no text that makes a reader go on.
            self.gap = 0.0
        self.letters += len(text.strip())
        self.shown.append(text)

    def _unknown_element(self, node: LexborNode, tag: str) -> None:
        self.page.obstacles.append(f"the element <{tag[:20]}>" if node.is_element_node else "markup that is no element")
        self.hidden.append(node.text() or "" if node.is_element_node else "")

    def _attribute(self, tag: str, name: str, value: str, style: ComputedStyle) -> ComputedStyle:
        problem = None
        if name not in _ATTRIBUTES or (name in {"name", "http-equiv", "content", "charset"} and tag != "meta"):
            problem = f"the attribute {name[:20]} of <{tag}>"
            self.hidden.append(value)
        elif name == "dir" and value.lower() != "ltr":
            problem = "text that does not run from left to right"
        elif name == "role" and value.lower() not in _ROLES:
            problem = "a role that readers aloud may leave out"
        if problem is None:
            return style
        self.page.obstacles.append(problem)
        return style.hidden_by("text under what cannot be computed")

    def _meta(self, attributes: dict[str, str | None]) -> None:
        name, content = (attributes.get("name") or "").lower(), attributes.get("content") or ""
        if attributes.get("charset") is not None and not _UTF_8.fullmatch(attributes.get("charset") or ""):
            self.page.obstacles.append("a <meta> with another charset than UTF-8")
        if (acts := attributes.get("http-equiv")) is not None and (
            acts.lower() != "content-type" or not _UTF_8.fullmatch(content)
        ):
            self.page.obstacles.append("a <meta> that acts")
        if name and (name not in _META or not _META[name].fullmatch(content.strip())):
            self.page.obstacles.append(f"the <meta> {name[:20]}")
            self.hidden.append(content)
