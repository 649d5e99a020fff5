"""HTML as a reader sees it: the visible text, the links, and everything that could show them something else.

An allow-list of elements, attributes and styles: mail readers differ, but what is on it looks the same in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

_BLOCKS = frozenset({
    "address", "article", "body", "br", "center", "div", "footer", "h1", "h2", "h3", "header", "hr", "html", "li",
    "main", "ol", "p", "section", "table", "tbody", "td", "th", "thead", "tr", "ul",
})  # fmt: skip
_INLINE = frozenset({"a", "b", "em", "i", "small", "span", "strong", "u"})
_ELEMENTS = _BLOCKS | _INLINE | {"head", "meta", "title"}
_ATTRIBUTES = frozenset({
    "align", "border", "cellpadding", "cellspacing", "charset", "colspan", "content", "dir", "href", "http-equiv",
    "lang", "name", "rel", "role", "rowspan", "style", "target", "valign", "width",
})  # fmt: skip
_STYLES = frozenset({
    "background", "background-color", "border", "border-bottom", "border-collapse", "border-left", "border-radius",
    "border-right", "border-spacing", "border-top", "color", "display", "font", "font-family", "font-size",
    "font-style", "font-weight", "line-height", "margin", "margin-bottom", "margin-left", "margin-right",
    "margin-top", "max-width", "min-width", "overflow-wrap", "padding", "padding-bottom", "padding-left",
    "padding-right", "padding-top", "text-align", "text-decoration", "vertical-align", "width", "word-break",
})  # fmt: skip
_DISPLAYS = frozenset({"block", "inline", "inline-block", "table", "table-row", "table-cell"})
_HEX = re.compile(r"^#([0-9a-f]{3}|[0-9a-f]{6})$")
MAX_MARKUP_DEPTH = 60
"""Elements within each other; our own emails need five."""

_NARROW = re.compile(r"^\d?(?:\.\d+)?(?:px|pt|em|rem|%)?$")
_MISLEADS = re.compile(r"wingdings|webdings|dingbats|symbol|line-through")
_FAR = re.compile(r"\d{4,}|\d{2,}(?:\.\d+)?(?:em|rem)")
_FLAT = re.compile(r"^(?:0?\.\d+|0(?:\.\d+)?|\d{1,2}%|\d(?:\.\d+)?(?:px|pt))(?:em|rem)?$")
_NAMED = {"black": "#000000", "white": "#ffffff"}
_MIN_CONTRAST = 4.5
"""Between text and background: WCAG 2.2, success criterion 1.4.3."""


@dataclass
class RenderedPage:
    """A page as it is read."""

    text: str = ""
    links: list[str] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)


def read_markup(source: str, *, min_font_px: int) -> RenderedPage:
    """Read a page. Never raises: what is not understood is an obstacle."""
    page = RenderedPage()
    if re.search(r"<!(?!doctype)|<\?", source, re.IGNORECASE):
        page.obstacles.append("a comment or a declaration in the HTML, which no reader sees")
    root = LexborHTMLParser(source).root
    if root is None:
        page.obstacles.append("the HTML part is empty")
        return page
    page.text = "".join(_visible(root, page, min_font_px, "#000000", "#ffffff", depth=0))
    return page


def _visible(
    node: LexborNode, page: RenderedPage, min_font_px: int, colour: str, background: str, *, depth: int
) -> Iterator[str]:
    if node.is_text_node:
        yield node.text_content or ""
        return
    tag = node.tag or ""
    if tag not in _ELEMENTS or depth > MAX_MARKUP_DEPTH:
        page.obstacles.append(f"the element <{tag[:20]}>")
        return
    for name, value in node.attributes.items():
        _attribute(tag, name, value or "", page)
    style = node.attributes.get("style")
    if style is not None:
        colour, background = _styled(style, page, min_font_px, colour, background)
    edge = "\n" if tag in _BLOCKS or tag == "title" else ""
    yield edge
    child = node.child
    while child is not None:
        if tag == "head" and child.is_element_node and child.tag not in {"title", "meta"}:
            page.obstacles.append(f"<{(child.tag or '')[:20]}> in the head")
        else:
            yield from _visible(child, page, min_font_px, colour, background, depth=depth + 1)
        child = child.next
    yield edge


def _attribute(tag: str, name: str, value: str, page: RenderedPage) -> None:
    if name not in _ATTRIBUTES or (name in {"name", "http-equiv", "content"} and tag != "meta"):
        page.obstacles.append(f"the attribute {name[:20]} of <{tag}>")
    elif name == "href":
        page.links.append(value.strip())
    elif name == "width" and _NARROW.match(value):
        page.obstacles.append("a width that leaves no room")
    elif name == "dir" and value != "ltr":
        page.obstacles.append("text that does not run from left to right")
    elif name == "http-equiv" and value.lower() != "content-type":
        page.obstacles.append("a <meta> that acts")


def _styled(style: str, page: RenderedPage, min_font_px: int, colour: str, background: str) -> tuple[str, str]:
    for declaration in filter(None, (each.strip().lower() for each in style.split(";"))):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        value = value.removesuffix("!important").strip()
        if name not in _STYLES or re.search(r"url|expression|calc|var\(|\\|-\d", value):
            page.obstacles.append(f"the style {name[:30]}")
        elif _MISLEADS.search(value) or (name.startswith(("margin", "padding", "border")) and _FAR.search(value)):
            page.obstacles.append(f"a {name} that shows other text than there is, or moves it away")
        elif name == "display" and value not in _DISPLAYS:
            page.obstacles.append("an element that is not displayed")
        elif name in {"width", "max-width"} and _NARROW.match(value):
            page.obstacles.append(f"a {name} that leaves no room")
        elif name == "line-height" and _FLAT.match(value):
            page.obstacles.append("lines that lie over each other")
        elif name in {"font-size", "font"}:
            _sized(name, value, page, min_font_px)
        elif name in {"color", "background", "background-color"}:
            given = _hex(value)
            if given is None:
                page.obstacles.append(f"a {name} that is not written as #rrggbb")
            colour, background = (given or colour, background) if name == "color" else (colour, given or background)
    if _contrast(colour, background) < _MIN_CONTRAST:
        page.obstacles.append("text that hardly differs from its background")
    return colour, background


def _sized(name: str, value: str, page: RenderedPage, min_font_px: int) -> None:
    size = re.search(r"(?<![\w.])(\d+(?:\.\d+)?|\.\d+)(px|pt|em|rem|%)", value)
    scale = {"px": 1.0, "pt": 4 / 3, "em": 16.0, "rem": 16.0, "%": 0.16}
    if size is None or float(size[1]) * scale[size[2]] < min_font_px:
        page.obstacles.append(f"a {name} under {min_font_px} px or in a unit that is not known")


def _hex(value: str) -> str | None:
    value = _NAMED.get(value, value)
    if not _HEX.match(value):
        return None
    return "#" + "".join(each * 2 for each in value[1:]) if len(value) == 4 else value


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
