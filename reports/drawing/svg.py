"""Drawings of matplotlib as SVG to be put into a page.

Text stays text, colours are the page's variables, and the same data give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.text import is_right_to_left

WIDTH_PX = 900
LINE_STYLES = ("", "9 8", "2 3", "9 3 2 3", "12 4", "4 2 1 2 1 2", "1 2", "6 6")
"""Dashes of the series in order, so that they can be told apart without colour."""

# Placeholder colours: they show in matplotlib's output what each element is, and become classes of the page.
INK = "#010203"
FAULT = "#010304"
MARK = "#010305"
GAP = "#010306"
_CLASSES = {INK: "grid", FAULT: "fault", MARK: "mark", GAP: "gap"}
_LINE = re.compile(r"#02(\d\d)(\d\d)")
_ELEMENT = re.compile(
    r'<path d="(?P<points>[^"]*)"[^>]*?style="(?P<style>[^"]*)"[^>]*/>'
    r'|<text style="(?P<text_style>[^"]*)" x="(?P<x>[^"]*)" y="(?P<y>[^"]*)"[^>]*>(?P<words>[^<]*)</text>'
)
_NUMBER = re.compile(r"-?\d+\.\d+")
_POINTS_PER_INCH = 72


@dataclass(frozen=True, slots=True)
class Line:
    """Style of a series: one of the page's colours, and one of LINE_STYLES. Both count from 0."""

    colour: int
    dashes: int

    @property
    def mark(self) -> str:
        """Placeholder colour, which is replaced by the page's own."""
        return f"#02{self.colour:02}{self.dashes:02}"


def drawn(draw: Callable[[Axes], None], *, height_px: int, salt: str) -> Markup:
    """Return the drawing that `draw` makes on axes WIDTH_PX wide, as the inside of an <svg> element of that size.

    Texts are not escaped, so `draw` must not take any from data. They are centred, or end at their position.
    `salt` keeps the ids of several plots in one page apart.
    """
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 11}):
        figure = Figure(figsize=(WIDTH_PX / _POINTS_PER_INCH, height_px / _POINTS_PER_INCH))
        axes = figure.add_axes((0.065, 31.68 / height_px, 0.915, 1 - 43.2 / height_px))
        draw(axes)
        for side, spine in axes.spines.items():
            spine.set_color(INK)
            spine.set_visible(side == "bottom")
        axes.grid(visible=True, color=INK, linewidth=0.8)
        axes.tick_params(length=0, labelcolor=INK, pad=6)
        axes.patch.set_visible(False)
        figure.patch.set_visible(False)
        written = io.StringIO()
        figure.savefig(
            written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return Markup(_fit_for_page(written.getvalue()))  # noqa: S704 - numbers and the drawing's own words only


def _fit_for_page(svg: str) -> str:
    """Return the paths and texts in the <svg> element, with the page's classes and colours instead of styles."""
    svg = svg[svg.index("</metadata>") if "</metadata>" in svg else 0 : svg.rindex("</svg>")]
    parts = []
    for element in _ELEMENT.finditer(svg):
        if element["words"] is None:
            points = _NUMBER.sub(
                lambda number: f"{float(number[0]):.1f}", " ".join(element["points"].split())
            )
            parts.append(
                f'<path {_look(element["style"])} d="{points.replace(" L ", "L").replace("M ", "M")}"/>'
            )
        else:
            x, y = (f"{float(element[name]):.1f}" for name in ("x", "y"))
            side = "end" if "text-anchor: end" in element["text_style"] else "middle"
            parts.append(f'<text class="{side}" x="{x}" y="{y}">{_isolated(element["words"])}</text>')
    return "\n".join(parts)


def _isolated(words: str) -> str:
    """Isolate words from right to left, since a plot runs from left to right."""
    return f"\u2068{words}\u2069" if is_right_to_left(words) else words


def _look(style: str) -> str:
    """Return the attributes that draw a path as its style says."""
    if line := _LINE.search(style):
        colour, dashes = int(line[1]), LINE_STYLES[int(line[2])]
        return f'stroke="var(--series-{colour + 1})"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
    known = next((name for mark, name in _CLASSES.items() if mark in style), "grid")
    return f'class="{known}"'
