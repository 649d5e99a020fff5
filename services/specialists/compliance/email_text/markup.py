"""HTML as a reader sees it: the visible text, the links, and every obstacle that could show something else.

Elements, attributes and styles are allow-lists: mail readers differ, but all of them show these in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import tinycss2
from selectolax.lexbor import LexborHTMLParser, LexborNode
from tinycss2.color3 import parse_color

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
MAX_MARKUP_DEPTH = 60
"""Elements within each other; our own emails need five."""

_MISLEADS = re.compile(r"wingdings|webdings|dingbats|symbol|line-through")
_NUMERIC = frozenset({"number", "dimension", "percentage"})
_PLAIN_TOKENS = _NUMERIC | {"ident", "hash", "string", "whitespace"}
_PX_PER_UNIT = {"px": 1.0, "pt": 4 / 3, "em": 16.0, "rem": 16.0, "%": 0.16}
_MIN_WIDTH = 10
"""Below this number a width leaves no room for text, in any unit."""

_Rgb = tuple[float, float, float]
_BLACK: _Rgb = (0.0, 0.0, 0.0)
_WHITE: _Rgb = (1.0, 1.0, 1.0)
_MIN_CONTRAST = 4.5
"""Contrast of text and background: WCAG 2.2, success criterion 1.4.3."""


@dataclass
class RenderedPage:
    """A page as its reader sees it."""

    text: str = ""
    links: list[str] = field(default_factory=list)
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
    page.text = "".join(_visible(root, page, min_font_px, _BLACK, _WHITE, depth=0))
    return page


def _visible(
    node: LexborNode, page: RenderedPage, min_font_px: int, colour: _Rgb, background: _Rgb, *, depth: int
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
    elif name == "width" and _is_narrow(tinycss2.parse_component_value_list(value)):
        page.obstacles.append("a width that leaves no room")
    elif name == "dir" and value != "ltr":
        page.obstacles.append("text that does not run from left to right")
    elif name == "http-equiv" and value.lower() != "content-type":
        page.obstacles.append("a <meta> that acts")


def _styled(style: str, page: RenderedPage, min_font_px: int, colour: _Rgb, background: _Rgb) -> tuple[_Rgb, _Rgb]:
    """Check a style attribute; returns the colours of text and background that it leaves in force."""
    if "\\" in style:
        page.obstacles.append("an escape in a style")
    for declaration in tinycss2.parse_blocks_contents(style, skip_whitespace=True):
        name = declaration.lower_name if declaration.type == "declaration" else declaration.type
        if name not in _STYLES or not all(_is_plain(token) for token in declaration.value):
            page.obstacles.append(f"the style {name[:30]}")
            continue
        if problem := _style_problem(name, declaration.value, min_font_px):
            page.obstacles.append(problem)
        if name in {"color", "background", "background-color"}:
            given = _opaque_colour(declaration.value)
            if given is None:
                page.obstacles.append(f"a {name} that is not an opaque colour by name or #rrggbb")
            colour, background = (given or colour, background) if name == "color" else (colour, given or background)
    if _contrast(colour, background) < _MIN_CONTRAST:
        page.obstacles.append("text that hardly differs from its background")
    return colour, background


def _is_plain(token: Any) -> bool:
    """A word, a length in a known unit, a colour or a string: no function, URL, comment or negative number."""
    if token.type in _NUMERIC:
        return token.value >= 0 and (token.type != "dimension" or token.lower_unit in _PX_PER_UNIT)
    return token.type in _PLAIN_TOKENS or (token.type == "literal" and token.value in {",", "/"})


def _style_problem(name: str, tokens: list[Any], min_font_px: int) -> str | None:
    text = tinycss2.serialize(tokens).strip().lower()
    if _MISLEADS.search(text) or (name.startswith(("margin", "padding", "border")) and any(map(_is_far, tokens))):
        return f"a {name} that shows other text than there is, or moves it away"
    if name == "display" and text not in _DISPLAYS:
        return "an element that is not displayed"
    if name in {"width", "max-width"} and _is_narrow(tokens):
        return f"a {name} that leaves no room"
    if name in {"line-height", "font"} and any(map(_is_flat, tokens)):
        return "lines that lie over each other"
    if name in {"font-size", "font"}:
        size = next((token for token in tokens if token.type in {"dimension", "percentage"}), None)
        if size is None or _pixels(size) < min_font_px:
            return f"a {name} under {min_font_px} px or in a unit that is not known"
    return None


def _pixels(token: Any) -> float:
    return float(token.value * _PX_PER_UNIT["%" if token.type == "percentage" else token.lower_unit])


def _is_narrow(tokens: list[Any]) -> bool:
    return any(token.type in _NUMERIC and token.value < _MIN_WIDTH for token in tokens)


def _is_far(token: Any) -> bool:
    """Moved by 1000 units, or by 10 em."""
    relative = token.type == "dimension" and token.lower_unit in {"em", "rem"}
    return token.type in _NUMERIC and token.value >= (10 if relative else 1_000)


def _is_flat(token: Any) -> bool:
    """A line height under one line: 1, 1em, 100 %, or 10 px."""
    return (token.type == "number" and token.value < 1) or (
        token.type in {"dimension", "percentage"} and _pixels(token) < (10 if token.type == "dimension" else 16)
    )


def _opaque_colour(tokens: list[Any]) -> _Rgb | None:
    """The colour of a value that is one colour; None for anything else, and for a colour that shows through."""
    colours = [parse_color(token) for token in tokens if token.type != "whitespace"]
    if len(colours) != 1 or colours[0] is None or isinstance(colours[0], str) or colours[0].alpha < 1:
        return None
    return colours[0].red, colours[0].green, colours[0].blue


def _contrast(one: _Rgb, other: _Rgb) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: _Rgb) -> float:
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
