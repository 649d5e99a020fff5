"""Computed style: what an element's attributes and inline style make of its text.

Only what every mail reader computes alike is known: inline declarations, presentational attributes and the defaults of
the elements. Anything else, such as a style sheet, cannot be computed: text under it is not taken for visible.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import tinycss2
from tinycss2.color3 import parse_color

_Rgb = tuple[float, float, float]
_BLACK: _Rgb = (0.0, 0.0, 0.0)
_WHITE: _Rgb = (1.0, 1.0, 1.0)
_LINK_COLOURS: tuple[_Rgb, ...] = ((0.0, 0.0, 238 / 255), (85 / 255, 26 / 255, 139 / 255))
"""Of a link that says nothing of its colour: new, and visited."""

_MIN_CONTRAST = 4.5
"""Contrast of text and background: WCAG 2.2, success criterion 1.4.3."""

_MIN_ROOM, _MIN_ROOM_EM = 100.0, 6.0
"""Room in a line, of the 600 pixels of an email: less leaves no room for words, which then lie over what is beside."""

_MAX_FONT, _MAX_LINE = 72.0, 120.0
_MAX_WIDTH = 800.0
"""Pixels: text beyond is off the screen."""

_MAX_INLINE_PADDING = 16.0
INLINE_ELEMENTS = frozenset({"a", "b", "em", "i", "small", "span", "strong", "u"})

_PX = {"px": 1.0, "pt": 4 / 3}
_SIZES = {
    "xx-small": 9.0, "x-small": 10.0, "small": 13.0, "medium": 16.0, "large": 18.0, "x-large": 24.0, "xx-large": 32.0,
}  # fmt: skip
_SIZE_OF = {"small": 5 / 6, "h1": 2.0, "h2": 1.5, "h3": 1.17, "h5": 0.83, "h6": 0.67}
"""Font size by element, relative to its parent's."""

_FAMILIES = frozenset({
    "-apple-system", "arial", "arial black", "blinkmacsystemfont", "calibri", "cambria", "cantarell", "consolas",
    "courier", "courier new", "fira sans", "garamond", "geneva", "georgia", "helvetica", "helvetica neue", "inter",
    "lato", "lucida grande", "lucida sans", "lucida sans unicode", "monospace", "montserrat", "open sans", "oxygen",
    "palatino", "palatino linotype", "roboto", "sans-serif", "segoe ui", "serif", "source sans pro", "system-ui",
    "tahoma", "times", "times new roman", "trebuchet ms", "ubuntu", "verdana",
})  # fmt: skip
"""Fonts in which a letter looks like itself."""

_HARMLESS: dict[str, re.Pattern[str]] = {
    name: re.compile(values)
    for names, values in {
        "visibility": "visible|inherit",
        "overflow": "visible",
        "position": "static",
        "max-height|min-height|height": "auto|none",
        "text-align": "left|center|right|justify|start|inherit",
        "text-decoration": "none|underline|inherit",
        "text-transform": "none|uppercase|capitalize|inherit",
        "font-style": "normal|italic|inherit",
        "font-weight": "normal|bold|bolder|lighter|inherit|[1-9]00",
        "vertical-align": "baseline|top|middle|bottom|inherit",
        "letter-spacing": r"normal|inherit|0|[0-2]?(?:\.\d+)?px|0?\.[01]\d*em",
        "white-space": "normal|inherit",
        "direction": "ltr",
        "list-style|list-style-type": "none|disc|circle|square|decimal",
        "border-collapse": "collapse|separate",
        "box-sizing": "border-box|content-box",
        "table-layout": "auto|fixed",
        "overflow-wrap|word-wrap|word-break": "normal|anywhere|break-word|break-all",
        "mso-line-height-rule": "exactly|at-least",
        "mso-table-lspace|mso-table-rspace": "0|0pt|0px",
        "-webkit-text-size-adjust|-ms-text-size-adjust|text-size-adjust": "100%|none",
        "-webkit-font-smoothing|-moz-osx-font-smoothing": "antialiased|grayscale|auto",
    }.items()
    for name in names.split("|")
}
"""Properties with the values that change nothing about what can be read."""

_NOTHING = re.compile("(?!)")
_FONT_WORDS = tuple(map(re.compile, ("italic", "small-caps", "bold|bolder|lighter|[1-9]00")))
"""What may come before the size in `font` beside `normal`: one of each kind, or the declaration is invalid."""
_SHOWN = frozenset({"block", "inline", "inline-block", "table", "table-row", "table-cell", "list-item"})
_SIDES = re.compile(r"(?:margin|padding|border)(?:-(top|bottom|left|right))?(?:-width)?")
_DECORATION = frozenset({
    "border-color", "border-bottom-color", "border-left-color", "border-radius", "border-right-color", "border-style",
    "border-top-color",
})  # fmt: skip


@dataclass(frozen=True)
class ComputedStyle:
    """The style of an element's text. Lengths are pixels. `hidden` says why no reader sees it, or may not."""

    font: float = 16.0
    line_factor: float = 1.2
    line: float | None = None
    """A line height that is inherited as a length; None if it is the factor."""

    colours: tuple[_Rgb, ...] = (_BLACK,)
    """Every colour that the text may have."""

    background: _Rgb = _WHITE
    """Behind the text."""

    canvas: _Rgb = _WHITE
    """Behind a block within this element: the background of an inline element is not."""

    room: float = 600.0
    above: float = 0.0
    """Empty room above and below this element's text, its own only."""

    padded: float = 0.0
    """The part of it that the element's own background covers."""

    painted: _Rgb | None = None
    """The element's own background."""

    inline: bool = False
    covers: bool = False
    """Whether it is inline with a background, which could cover the lines beside it."""

    hidden: str | None = None

    def hidden_by(self, why: str) -> ComputedStyle:
        """The same, hidden for a reason, if it is not hidden already."""
        return self if self.hidden is not None else replace(self, hidden=why)

    def obstacle(self, min_font: float) -> str | None:
        """Why a reader does not see text of this style, or None."""
        line = self.line if self.line is not None else self.line_factor * self.font
        faint = any(_contrast(colour, self.background) < _MIN_CONTRAST for colour in self.colours)
        checks = (
            (self.hidden is not None, self.hidden),
            (round(self.font, 2) < min_font, f"text under {min_font:g} px"),
            (self.font > _MAX_FONT or line > _MAX_LINE, "text too large to be read"),
            (line < 0.95 * self.font, "lines that lie over each other"),
            (faint, "text that hardly differs from its background"),
            (self.room < max(_MIN_ROOM, _MIN_ROOM_EM * self.font), "a width that leaves no room for text"),
        )
        return next((why for fails, why in checks if fails), None)


def child_style(parent: ComputedStyle, tag: str, attributes: dict[str, str | None]) -> tuple[ComputedStyle, list[str]]:
    """The style of an element within `parent`, and the names of what cannot be computed."""
    font = parent.font * _SIZE_OF.get(tag, 1.0)
    style = replace(parent, font=font, above=0.0, padded=0.0, painted=None, inline=tag in INLINE_ELEMENTS)
    if tag == "a" and attributes.get("href") is not None:
        style = replace(style, colours=_LINK_COLOURS)
    elif tag == "table":
        # Without a doctype, which some readers take away, a table does not inherit the colour.
        style = replace(style, colours=tuple({*style.colours, _BLACK}))
    elif tag in {"ul", "ol"}:
        style = replace(style, room=style.room - 40)
    style, unknown = _presented(style, attributes)
    declared = attributes.get("style")
    if declared is not None:
        style, more = _declared(style, parent, declared)
        unknown += more
    if style.inline and style.padded > _MAX_INLINE_PADDING:
        # It would be painted over the lines above and below.
        unknown.append("the padding of an inline element")
    background = style.painted or (parent.background if style.inline else parent.canvas)
    covers = style.inline and (style.painted is not None or parent.covers)
    canvas = parent.canvas if style.inline else background
    style = replace(style, background=background, canvas=canvas, covers=covers)
    return (style.hidden_by("text under what cannot be computed") if unknown else style), unknown


def _presented(style: ComputedStyle, attributes: dict[str, str | None]) -> tuple[ComputedStyle, list[str]]:
    unknown: list[str] = []
    if (width := attributes.get("width")) is not None:
        found = _width(style, tinycss2.parse_component_value_list(width))
        style, unknown = (found, unknown) if found else (style, ["the attribute width"])
    if (height := attributes.get("height")) is not None:
        number = re.fullmatch(r"(\d{1,4})(?:px)?", height)
        style = replace(style, above=style.above + float(number[1])) if number else style
        unknown += [] if number else ["the attribute height"]
    if (colour := attributes.get("bgcolor")) is not None:
        # The attribute has no functions: mail readers make another colour of the letters of `rgb(…)`.
        tokens = tinycss2.parse_component_value_list(colour)
        given = _opaque_colour(tokens) if all(token.type in {"hash", "ident"} for token in tokens) else None
        style = replace(style, painted=given)
        unknown += [] if given else ["the attribute bgcolor"]
    for name in {"border", "cellpadding", "cellspacing"} & attributes.keys():
        number = re.fullmatch(r"(\d{1,2})(?:px)?", attributes[name] or "")
        style = replace(style, room=style.room - 2 * float(number[1])) if number else style
        unknown += [] if number else [f"the attribute {name}"]
    if not {attributes.get("rowspan"), attributes.get("colspan")} <= {None, "1", "2", "3", "4", "5", "6"}:
        unknown.append("a cell over many others")
    if attributes.get("rowspan", "1") != "1":
        # Cells that span rows can lie over each other.
        unknown.append("the attribute rowspan")
    return style, unknown


def _declared(style: ComputedStyle, parent: ComputedStyle, text: str) -> tuple[ComputedStyle, list[str]]:
    if "\\" in text:
        return style, ["an escape in a style"]
    declarations, unknown = [], []
    for each in tinycss2.parse_blocks_contents(text, skip_comments=False, skip_whitespace=True):
        if each.type == "declaration":
            declarations.append(each)
        else:
            unknown.append(f"the style {each.type[:30]}")
    # In the order of the cascade: what is important comes last. The font's size is what lengths in em refer to.
    declarations.sort(key=lambda each: each.important)
    for first in (True, False):
        for each in declarations:
            if (each.lower_name in {"font", "font-size"}) is first:
                found = _applied(style, parent, each.lower_name, each.value)
                if found is None:
                    unknown.append(f"the style {each.lower_name[:30]}")
                style = found or style
    return style, unknown


def _applied(style: ComputedStyle, parent: ComputedStyle, name: str, tokens: list[Any]) -> ComputedStyle | None:
    """The style with one declaration; None if it cannot be computed."""
    values = [token for token in tokens if token.type != "whitespace"]
    if not values:
        return style
    if _HARMLESS.get(name, _NOTHING).fullmatch(_keyword(values)):
        return style
    if _SIDES.fullmatch(name):
        return _spaced(style, name, values)
    compute = _COMPUTED.get(name)
    return None if compute is None else compute(style, parent, values)


def _keyword(values: list[Any]) -> str:
    return " ".join(tinycss2.serialize([value]).lower() for value in values)


def _display(style: ComputedStyle, _: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    keyword = _keyword(values)
    if keyword == "none":
        return style.hidden_by("an element that is not displayed")
    return replace(style, inline=keyword == "inline") if keyword in _SHOWN else None


def _visibility(style: ComputedStyle, _: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    return style.hidden_by("an element that is not visible") if _keyword(values) in {"hidden", "collapse"} else None


def _opacity(style: ComputedStyle, _: ComputedStyle, values: list[Any]) -> ComputedStyle:
    opaque = len(values) == 1 and values[0].type in {"number", "percentage"} and _number(values[0]) >= 1
    return style if opaque else style.hidden_by("an element that is not opaque")


def _colour(style: ComputedStyle, parent: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    colours = parent.colours if _keyword(values) == "inherit" else (_opaque_colour(values),)
    known = tuple(each for each in colours if each is not None)
    return replace(style, colours=known) if known else None


def _background(style: ComputedStyle, parent: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    return replace(style, painted=None) if _keyword(values) == "none" else _background_color(style, parent, values)


def _background_color(style: ComputedStyle, _: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    if _keyword(values) == "transparent":
        return replace(style, painted=None)
    colour = _opaque_colour(values)
    return None if colour is None else replace(style, painted=colour)


def _font_family(style: ComputedStyle, _: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    return style if _keyword(values) == "inherit" or _families_known(values) else None


def _own_width(style: ComputedStyle, _: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    return style if _keyword(values) in {"auto", "none"} else _width(style, values)


def _min_width(style: ComputedStyle, _: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    return style if _own_width(style, style, values) is not None else None


def _decoration(style: ComputedStyle, _: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    return style if all(_is_plain(token) for token in values) else None


def _border_spacing(style: ComputedStyle, _: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    return _spaced(style, "border-spacing", values)


def _opaque_colour(tokens: list[Any]) -> _Rgb | None:
    """The colour of a value that is one colour; None for anything else, and for a colour that shows through."""
    colours = [parse_color(token) for token in tokens if token.type != "whitespace"]
    if len(colours) != 1 or colours[0] is None or isinstance(colours[0], str) or colours[0].alpha < 1:
        return None
    found = colours[0]
    return (found.red, found.green, found.blue) if all(0 <= each <= 1 for each in found[:3]) else None


def _families_known(values: list[Any]) -> bool:
    families: list[list[Any]] = [[]]
    for token in values:
        if token.type == "literal" and token.value == ",":
            families.append([])
        else:
            families[-1].append(token)
    return all(_family(each) in _FAMILIES for each in families)


def _family(tokens: list[Any]) -> str:
    """The name of one family: one string, or words."""
    if len(tokens) == 1 and tokens[0].type == "string":
        return str(tokens[0].value).lower()
    return " ".join(token.lower_value if token.type == "ident" else "?" for token in tokens)


def _font(style: ComputedStyle, parent: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    """The shorthand: style and weight, size, perhaps a line height, families."""
    at = next((n for n, token in enumerate(values) if token.type in {"dimension", "percentage"}), None)
    if at is None or not _font_words_valid([token.serialize().lower() for token in values[:at]]):
        return None
    given = _font_size(replace(style, line=None, line_factor=1.2), parent, values[at : at + 1])
    rest = values[at + 1 :]
    if given is not None and rest and rest[0].type == "literal" and rest[0].value == "/":
        given, rest = _line_height(given, parent, rest[1:2]), rest[2:]
    # Without families the whole declaration is invalid, and so what it says does not count.
    return given if given is not None and rest and _families_known(rest) else None


def _font_words_valid(words: list[str]) -> bool:
    kinds = [next((kind for kind in _FONT_WORDS if kind.fullmatch(word)), None) for word in words if word != "normal"]
    return len(words) <= 4 and None not in kinds and len(set(kinds)) == len(kinds)


def _font_size(style: ComputedStyle, parent: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    if len(values) != 1:
        return None
    if values[0].type == "ident":
        relative = {"smaller": parent.font / 1.2, "larger": parent.font * 1.2, "inherit": parent.font}
        size = _SIZES.get(values[0].lower_value, relative.get(values[0].lower_value))
    else:
        size = _length(values[0], parent.font, of=parent.font)
    return None if size is None else replace(style, font=size)


def _line_height(style: ComputedStyle, parent: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    if len(values) != 1:
        return None
    if values[0].type == "ident":
        match values[0].lower_value:
            case "normal":
                return replace(style, line=None, line_factor=1.2)
            case "inherit":
                return replace(style, line=parent.line, line_factor=parent.line_factor)
            case _:
                return None
    if values[0].type == "number":
        return replace(style, line=None, line_factor=values[0].value)
    length = _length(values[0], style.font, of=style.font)
    return None if length is None else replace(style, line=length)


def _width(style: ComputedStyle, values: list[Any]) -> ComputedStyle | None:
    tokens = [token for token in values if token.type != "whitespace"]
    if len(tokens) != 1:
        return None
    number = tokens[0].value if tokens[0].type == "number" else None
    width = number if number is not None else _length(tokens[0], style.font, of=style.room)
    return None if width is None or not 0 <= width <= _MAX_WIDTH else replace(style, room=min(style.room, width))


def _spaced(style: ComputedStyle, name: str, values: list[Any]) -> ComputedStyle | None:
    """Margins, paddings and borders: they take room from the line, and push what follows away."""
    if not all(_is_plain(token) for token in values):
        return None
    lengths = [0.0 if token.type == "ident" else _length(token, style.font, of=style.room) for token in values
               if token.type in {"number", "dimension", "percentage", "ident"}]  # fmt: skip
    known = [each for each in lengths if each is not None]
    if len(known) != len(lengths) or len(lengths) > 4:
        return None
    if not known:
        return style
    count = len(known)
    right = known[min(1, count - 1)]
    sides = {
        "top": known[0],
        "right": right,
        "bottom": known[2] if count > 2 else known[0],
        "left": known[3] if count > 3 else right,
    }
    found = _SIDES.fullmatch(name)
    if found is not None and found[1]:
        sides = {found[1]: max(known)}
    elif not name.startswith(("margin", "padding")):
        sides = dict.fromkeys(sides, max(known))
    across, along = (sum(sides.get(each, 0.0) for each in pair) for pair in (("left", "right"), ("top", "bottom")))
    padded = style.padded + (0.0 if name.startswith("margin") else along)
    return replace(style, room=style.room - across, above=style.above + along, padded=padded)


_COMPUTED: dict[str, Callable[[ComputedStyle, ComputedStyle, list[Any]], ComputedStyle | None]] = {
    "background": _background,
    "background-color": _background_color,
    "border-spacing": _border_spacing,
    "color": _colour,
    "display": _display,
    "font": _font,
    "font-family": _font_family,
    "font-size": _font_size,
    "line-height": _line_height,
    "max-width": _own_width,
    "min-width": _min_width,
    "opacity": _opacity,
    "visibility": _visibility,
    "width": _own_width,
    **dict.fromkeys(_DECORATION, _decoration),
}


def _is_plain(token: Any) -> bool:
    """A word, a length in a known unit or a colour: no URL, expression or negative number."""
    if token.type in {"number", "dimension", "percentage"}:
        return _number(token) >= 0 and (token.type != "dimension" or token.lower_unit in {*_PX, "em", "rem"})
    return token.type in {"ident", "hash"} or (token.type == "function" and parse_color(token) is not None)


def _length(token: Any, em: float, *, of: float) -> float | None:
    """Pixels. None for a negative length and an unknown unit."""
    if token.type == "number":
        return 0.0 if token.value == 0 else None
    if token.type == "percentage":
        return None if token.value < 0 else of * float(token.value) / 100
    if token.type != "dimension" or token.value < 0:
        return None
    unit = {**_PX, "em": em, "rem": 16.0}.get(token.lower_unit)
    return None if unit is None else float(token.value) * unit


def _number(token: Any) -> float:
    return float(token.value) / (100 if token.type == "percentage" else 1)


def _contrast(one: _Rgb, other: _Rgb) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: _Rgb) -> float:
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
