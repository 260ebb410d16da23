"""One matplotlib figure as one `<svg>` element that takes its colours from the page."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairjax.report.wording import printable

# CSS variable: (light, dark). Every colour is written once here; the page's style is made from it.
PALETTE = {
    "ink": ("#18202b", "#e9eef5"),
    "muted": ("#566272", "#a3b0c0"),
    "line": ("#c9d1db", "#3a4655"),
    "paper": ("#ffffff", "#161c24"),
    "page": ("#f4f6f9", "#0d1218"),
    "accent": ("#1d5fb4", "#7db4ff"),
    "warn": ("#a63d00", "#ffab73"),
    "group-0": ("#0068a8", "#62b6f0"),
    "group-1": ("#b84a00", "#ff9d5c"),
    "group-2": ("#007556", "#4fd0a5"),
    "group-3": ("#9b3d84", "#e79bd3"),
    "group-4": ("#6e5a00", "#dfc657"),
    "group-5": ("#3d4652", "#c6d0dc"),
}
INK, MUTED, LINE, PAPER, ACCENT, WARN = (
    PALETTE[name][0] for name in ("ink", "muted", "line", "paper", "accent", "warn")
)
GROUPS = [light for name, (light, _) in PALETTE.items() if name.startswith("group-")]
WIDTH = 400  # CSS pixels: as wide as a phone; a desk shows them side by side, a bit larger
GROWTH = 1.3  # how much larger than its natural size a plot may be shown

_STYLE = {
    "font.size": 12,
    "svg.fonttype": "none",
    "svg.hashsalt": "fairjax",  # matplotlib's element ids follow from the content alone
    "text.parse_math": False,  # a group may be called "$x$"
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.facecolor": "none",
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "hatch.linewidth": 0.7,
    "hatch.color": LINE,
}
# A reader's own matplotlibrc must not change a report; the backend is no matter of style.
_DEFAULTS = {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")}
RC: dict[Any, Any] = _DEFAULTS | _STYLE
_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"


def new_figure(width: float | int, height: float | int) -> Figure:
    """A figure of so many CSS pixels: matplotlib's SVG has 72 a inch."""
    figure = Figure(figsize=(width / 72, height / 72))
    figure.patch.set_visible(False)
    return figure


def add_axes(
    figure: Figure, left: float | int, top: float | int, width: float | int, height: float | int
) -> Axes:
    """Axes at a place given in CSS pixels from the top left corner."""
    full_width, full_height = (72 * side for side in figure.get_size_inches())
    bottom = full_height - top - height
    return figure.add_axes(
        (left / full_width, bottom / full_height, width / full_width, height / full_height)
    )


def render(figure: Figure, key: str, title: str, description: str) -> str:
    """The figure as one `<svg>` element, with a title and a description for those who can't see it.

    Args:
      figure: Drawn in the light palette, under `RC`.
      key: Begins every element id: unique on the page, a valid id.
      title: One line.
      description: What the picture shows, in words and numbers.
    """
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Text stays text: the reader's browser has the glyph that matplotlib's font lacks.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    root = ElementTree.fromstring(re.sub(r"<!DOCTYPE.*?>", "", buffer.getvalue(), flags=re.S))
    width = figure.get_size_inches()[0] * 72
    for style in root.findall(f"{{{_SVG}}}defs/{{{_SVG}}}style/.."):
        root.remove(style)  # a `*{...}` rule that would reach the whole page
    for name in ("version", "width", "height"):
        del root.attrib[name]
    _theme(root, key)
    root.set("class", "plot")
    root.set("style", f"max-width:{GROWTH * width:.0f}px")
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title {key}-desc")
    for index, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{key}-{tag}"})
        element.text = printable(text)
        root.insert(index, element)
    ElementTree.register_namespace("", _SVG)
    text = re.sub(r"\s*\n\s*", " ", ElementTree.tostring(root, encoding="unicode"))
    if (collected := _collected.get()) is not None:
        collected.append(Drawn(key, title, figure, text))
    return text


class Drawn(NamedTuple):
    """A figure that was drawn for a page.

    Attributes:
      key: Beginning of its element ids, unique on the page.
      title: What is shown, one line.
      figure: The figure in the light palette.
      svg: The `<svg>` element of the page.
    """

    key: str
    title: str
    figure: Figure
    svg: str

    def alone(self, note: str = "") -> str:
        """The `<svg>` element as a file of its own: light colours, a font, white behind it.

        Args:
          note: Small words in the upper right corner, without characters that XML escapes.
        """
        text = re.sub(r"var\(--[\w-]+,(#[0-9a-f]{6})\)", r"\1", self.svg)
        width, height = (72 * side for side in self.figure.get_size_inches())
        size = f'width="{width:.0f}" height="{height:.0f}" font-family="sans-serif" '
        text = text.replace("<svg ", f"<svg {size}", 1)
        paper = f'<rect width="100%" height="100%" fill="{PAPER}" />'
        if note:
            corner = 'x="99%" y="8" text-anchor="end" font-size="7" fill="#444444"'
            text = text.replace("</svg>", f"<text {corner}>{note}</text></svg>")
        return text.replace("</desc>", f"</desc>{paper}", 1) + "\n"


_collected: ContextVar[list[Drawn] | None] = ContextVar("collected", default=None)


@contextmanager
def collect() -> Iterator[list[Drawn]]:
    """Collects every figure that is rendered while the context is open."""
    drawn: list[Drawn] = []
    token = _collected.set(drawn)
    try:
        yield drawn
    finally:
        _collected.reset(token)


def _theme(root: ElementTree.Element, key: str) -> None:
    """Colours become CSS variables; ids that something refers to begin with the key."""
    variable = {light: f"var(--{name},{light})" for name, (light, _) in PALETTE.items()}
    used = set(re.findall(r"#([\w.-]+)[\")]", ElementTree.tostring(root, encoding="unicode")))
    for element in root.iter():
        name = element.attrib.pop("id", "")
        if name in used:
            element.set("id", f"{key}-{name}")
        if _LINK in element.attrib:
            element.set("href", f"#{key}-{element.attrib.pop(_LINK)[1:]}")
        for attribute in ("style", "clip-path"):
            if value := element.get(attribute):
                value = re.sub(r"font-family: [^;]*;? ?", "", value)  # the page's font
                value = re.sub(r"#[0-9a-f]{6}\b", lambda c: variable.get(c[0], c[0]), value)
                element.set(attribute, value.replace("url(#", f"url(#{key}-"))
