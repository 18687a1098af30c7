"""What the pictures of the documentation are made with: ``Sheet`` (boxes, wires, text on a grid), ``save``."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon
from matplotlib.path import Path as Line

from xnorscan.reports.plotting import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    PAPER,
    PURPLE,
    VERMILLION,
    Picture,
    finish,
    headline,
)

IMAGES = Path(__file__).parent / "images"
WIDTH_INCHES = 9.6
TINTS = {BLUE: "#e4f0f8", GREEN: "#e0f2ec", VERMILLION: "#fbe9dd", PURPLE: "#f7ebf2", GREY: "#f1f3f5", INK: PAPER}
"""Fill of a box by the colour of its edge: activations, weights, results, control, what is none of them."""
Point = tuple[float, float]


class Sheet:
    """A figure to draw on, ``width`` × ``height`` units from the lower left corner, ``WIDTH_INCHES`` wide."""

    def __init__(self, width: float, height: float, title: str, subtitle: str) -> None:
        self.title, self.figure = title, Figure(figsize=(WIDTH_INCHES, WIDTH_INCHES * height / width))
        self.axes: Axes = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set(xlim=(0, width), ylim=(0, height))
        self.axes.set_axis_off()
        headline(self.figure, title, subtitle)

    def text(
        self, x: float, y: float, text: str, *, size: float = 8.2, colour: str = INK, align: str = "center",
        bold: bool = False,
    ) -> None:  # fmt: skip
        weight = "bold" if bold else "normal"
        self.axes.text(
            x, y, text, fontsize=size, color=colour, ha=align, va="center", weight=weight, linespacing=1.35, zorder=5
        )

    def box(
        self, x: float, y: float, w: float, h: float, text: str = "", *, colour: str = GREY, size: float = 8.2,
        dashed: bool = False,
    ) -> None:  # fmt: skip
        """``dashed``: no fill, what stands inside belongs together; its text stands at the top left."""
        self.axes.add_patch(
            FancyBboxPatch(
                (x, y), w, h, boxstyle="round,pad=0,rounding_size=0.5", edgecolor=colour, linewidth=1.1,
                facecolor="none" if dashed else TINTS[colour], linestyle=(0, (4, 2.5)) if dashed else "-",
                zorder=1 if dashed else 3,
            )
        )  # fmt: skip
        if dashed:
            self.text(x + 1, y + h - 1.5, text, size=size, colour=MUTED, align="left")
        else:
            self.text(x + w / 2, y + h / 2, text, size=size)

    def wire(self, *points: Point, colour: str = INK, width: float = 1.4, head: bool = True) -> None:
        self.axes.add_patch(
            FancyArrowPatch(
                path=Line(points), arrowstyle="-|>" if head else "-", mutation_scale=8.5, color=colour, zorder=2,
                linewidth=width, joinstyle="miter", capstyle="butt",
            )
        )  # fmt: skip

    def dot(self, x: float, y: float, colour: str = INK) -> None:
        """Where a wire branches."""
        self.axes.plot([x], [y], "o", color=colour, markersize=3.6, zorder=4)

    def shape(self, *points: Point, colour: str = GREY) -> None:
        self.axes.add_patch(Polygon(points, closed=True, edgecolor=colour, facecolor=TINTS[colour], zorder=3))

    def finish(self, name: str, alt: str) -> Picture:
        """The picture, to be called inside ``plotting.style``."""
        return finish(self.figure, name=name, title=self.title, caption="", alt=alt)


def save(*pictures: Picture) -> None:
    """Write each as ``images/NAME.png`` and say so."""
    IMAGES.mkdir(exist_ok=True)
    for picture in pictures:
        path = IMAGES / f"{picture.name}.png"
        path.write_bytes(picture.png)
        print(f"{path}: {picture.title}")
