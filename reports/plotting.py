"""The look that every figure shares: palette, type, axes, and how a figure becomes SVG, PNG and page markup.

Figures are built on :class:`matplotlib.figure.Figure` inside :func:`style`; pyplot is never imported and no global
setting survives. The colours are Okabe and Ito's (jfly.uni-koeln.de/color), chosen for readers with colour blindness.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

INK, MUTED, GRID, PAPER, ACCENT = "#1c2128", "#5d6672", "#d9dee4", "#ffffff", "#00639c"
BLUE, SKY, ORANGE, VERMILLION = "#0072b2", "#56b4e9", "#e69f00", "#d55e00"
GREEN, PURPLE, SAND, GREY = "#009e73", "#cc79a7", "#f0c98a", "#9aa3ad"
ONE_BIT, FP16 = BLUE, GREY

_PAGE_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", PAPER: "--paper", ACCENT: "--accent"}
"""Colours of a figure that follow the page's light or dark theme when the SVG stands inside the page."""

_RC: Any = {  # Any: matplotlib's types name every key from one release on, and not before
    "svg.hashsalt": "xnorscan",
    "svg.fonttype": "path",
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "xtick.labelsize": 8.5,
    "xtick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.color": INK,
    "ytick.labelsize": 9.0,
    "ytick.major.size": 0.0,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "figure.dpi": 100,
}


@dataclass(frozen=True)
class Picture:
    """A finished figure.

    ``name`` of its files, ``title`` that states the finding, ``caption`` that says how to read it, ``alt`` text, and
    its ``svg`` text and ``png`` bytes (light theme).
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    png: bytes

    def markup(self) -> str:
        """The SVG to stand inside the page: headline cropped, ids made unique, colours bound to the page's theme."""
        svg = self.svg[self.svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = re.sub(r'\bid="([^"]+)"', rf'id="{self.name}-\1"', svg)
        svg = re.sub(r'(href="|url\()#', rf"\1#{self.name}-", svg)
        for colour, variable in _PAGE_VARIABLES.items():
            svg = re.sub(rf"(fill|stroke): {colour}", rf"\1: var({variable})", svg)
        body = svg[svg.index(">") + 1 :].replace("xlink:href", "href")
        width, height = (float(x) for x in _VIEW_BOX.findall(svg)[0])
        box = f"0 {HEADLINE_POINTS} {width:g} {height - HEADLINE_POINTS:g}"
        return f'<svg viewBox="{box}" aria-hidden="true">{body}'


_VIEW_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults with ours on top, for the time of the block only."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def finish(figure: Figure, *, name: str, title: str, caption: str, alt: str) -> Picture:
    """Render ``figure`` (to be called inside :func:`style`); equal figures give equal bytes."""
    svg, png = io.StringIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    return Picture(name, title, caption, alt, svg.getvalue(), png.getvalue())


HEADLINE_POINTS = 44
"""Height of the headline above every figure; the page shows the same words as text and crops them from the picture."""


def headline(figure: Figure, title: str, subtitle: str) -> None:
    """Title (the finding) and subtitle (what is drawn, in which unit), left-aligned at the figure's edge."""
    top = figure.get_figheight() * 72
    for text, y, size, weight, colour in ((title, 7, 12, "bold", INK), (subtitle, 27, 9, "normal", MUTED)):
        figure.text(
            0.012, 1 - y / top, text, va="top", fontsize=size, fontweight=weight, color=colour, gid=f"headline-{y}"
        )


def key(axes: Axes, entries: Sequence[tuple[str, str]]) -> None:
    """Names in rows above the axes, each behind a square of its colour: (name, colour) in drawing order."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    width = axes.get_position().width * figure.get_figwidth() * 72
    height = axes.get_position().height * figure.get_figheight() * 72
    lines: list[list[tuple[float, str, str]]] = [[]]
    x = 0.0
    for name, colour in entries:
        length = 11 + text_width(name, 8.2)
        if lines[-1] and x + length > width:
            lines.append([])
            x = 0.0
        lines[-1].append((x, name, colour))
        x += length + 14
    for above, line in enumerate(reversed(lines)):
        y = 1 + (12 + 13 * above) / height
        for x, name, colour in line:
            axes.text(x / width, y, "■", color=colour, fontsize=9, transform=axes.transAxes, va="center")
            axes.text((x + 11) / width, y, name, color=INK, fontsize=8.2, transform=axes.transAxes, va="center")


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width in points of ``text`` set in the figures' face."""
    face = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    return float(TextPath((0, 0), text.replace(" ", "\u00a0"), prop=face).get_extents().width)


def ink_on(colour: str) -> str:
    """White or near-black, whichever reads better on ``colour`` (relative luminance of WCAG 2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b
    return "#fefefe" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 * 0.62 else "#101418"
