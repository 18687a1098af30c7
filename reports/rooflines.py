"""The roofline plot of a design: every kind of operation beside its FP16 twin, under the roofs of units and DRAM."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..energy_models.roofline import ALL
from . import measures as m
from . import quantities as q
from .bars import WIDTH_INCHES
from .plotting import GRID, INK, MUTED, ONE_BIT, PAPER, Picture, finish, headline, style, text_width

_HEIGHT, _LEFT, _WIDTH, _BOTTOM, _TALL, _GAP = 4.9, 0.06, 0.45, 0.09, 0.725, 0.03
_PANEL = (WIDTH_INCHES * 72 * _WIDTH, _HEIGHT * 72 * _TALL)
"""Width and height of a panel in points."""
_WORDS = {"conv1d": "conv", "gated_rmsnorm": "gated norm", "rmsnorm": "norm", "linear": "linears"}
_COLOURS = {m.FP16: MUTED, m.ONE_BIT: ONE_BIT}
_SIZE = 8.0


@dataclass(frozen=True)
class Span:
    """Decades that a panel shows, x from ``left`` to ``right``, y from ``low`` to ``high``; the last ``still`` of x
    are for what moves nothing."""

    left: float
    right: float
    low: float
    high: float
    still: float

    def points(self, x: float, y: float) -> tuple[float, float]:
        """Where (x, y) stands, in points from the lower left corner of the panel."""
        across = (math.log10(x) - self.left) / (self.right - self.left)
        up = (math.log10(y) - self.low) / (self.high - self.low)
        return across * _PANEL[0], up * _PANEL[1]


@dataclass(frozen=True)
class _Box:
    """A rectangle in points."""

    x: float
    y: float
    w: float
    h: float

    def overlap(self, other: _Box) -> float:
        """Area that both cover."""
        wide = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        high = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        return max(wide, 0.0) * max(high, 0.0)


def roofline_plot(positions: pd.DataFrame, where: str) -> Picture:
    """Left decode, right prefill: attained operations a second over operations per DRAM byte, both logarithmic.

    ``positions``: rows of ``Results.roofline`` of one model and batch on one design and its FP16 twin, both phases.
    Some of them move bytes; kinds that move nothing stand at the right edge. ``where``: the memory system in words.
    """
    design = str(positions.loc[positions["role"] == m.ONE_BIT, "design"].iloc[0])
    first = positions.iloc[0]
    title = _title(positions)
    subtitle = f"{m.label(first['model'])}, batch {first['batch']:,}, on {design}: {where}"
    span = _limits(positions)
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, _HEIGHT))
        headline(figure, title, subtitle)
        for index, phase in enumerate(("decode", "prefill")):
            axes = figure.add_axes((_LEFT + index * (_WIDTH + _GAP), _BOTTOM, _WIDTH, _TALL))
            _panel(axes, positions[positions["phase"] == phase], phase, span)
            if index:
                axes.set_yticklabels([])
        return finish(
            figure,
            name=f"roofline-{design}",
            title=title,
            caption="A filled circle is a kind of operation on the one-bit design, an open one the same kind on its "
            "FP16 twin; a diamond is all of them. The slope is the DRAM, the level lines are the peaks of the units "
            "at the densest mix of operations they get. A kind far below its roof does not fill its unit: one decoded "
            "token uses one row of the array, and an int8 head takes eight passes. A kind just above the slope found "
            "its bytes in the double buffer.",
            alt="; ".join(
                f"{r.phase} {r.role} {r.kind}: {q.digits(r.intensity_ops_per_byte)} operations per byte, "
                f"{q.rate(r.attained_ops_per_s)} of {q.rate(r.attainable_ops_per_s)}"
                for r in positions.itertuples()
            ),
        )


def _title(positions: pd.DataFrame) -> str:
    whole = positions[(positions["kind"] == ALL) & (positions["role"] == m.ONE_BIT)].set_index("phase")
    part = (whole["attained_ops_per_s"] / whole["attainable_ops_per_s"]).map(q.share).to_dict()
    slope = (whole["intensity_ops_per_byte"] < whole["ridge_ops_per_byte"]).to_dict()
    roof = {phase: "the DRAM's slope" if slope[phase] else "the compute roof" for phase in slope}
    return (
        f"One-bit decode reaches {part['decode']} of {roof['decode']}, a prefill {part['prefill']} of {roof['prefill']}"
    )


def _limits(positions: pd.DataFrame) -> Span:
    """Both panels share them. Where a kind moves nothing there is room for it on the right."""
    moving = positions[positions["dram_bytes"] > 0]
    x = moving["intensity_ops_per_byte"].map(math.log10)
    y = positions["attained_ops_per_s"].map(math.log10)
    peaks = positions.loc[positions["kind"] != ALL, ["peak_ops_per_s", "ridge_ops_per_byte"]].max().map(math.log10)
    right = max(x.max(), peaks["ridge_ops_per_byte"]) + 0.75
    still = 0.1 * (right - x.min()) if len(moving) < len(positions) else 0.0
    return Span(x.min() - 0.45, right + still, y.min() - 0.45, peaks["peak_ops_per_s"] + 0.4, still)


def _panel(axes: Axes, rows: pd.DataFrame, phase: str, span: Span) -> None:
    axes.set(xscale="log", yscale="log", xlim=(10**span.left, 10**span.right), ylim=(10**span.low, 10**span.high))
    axes.grid(visible=True)
    axes.minorticks_off()
    axes.set_xticks([10.0**d for d in range(math.ceil(span.left), math.floor(span.right - span.still) + 1)])
    axes.set_yticks([10.0**d for d in range(math.ceil(span.low), math.floor(span.high) + 1)])
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:,.12g}")
    axes.yaxis.set_major_formatter(lambda v, _: f"{v / 1e12:,g} T" if v > 0.99e12 else f"{v / 1e9:,g} G")
    axes.tick_params(axis="y", labelcolor=MUTED, labelsize=8.5)
    axes.set_xlabel("operations per byte of DRAM traffic", loc="right", labelpad=1)
    axes.text(0, 1.035, phase, transform=axes.transAxes, weight="bold", fontsize=9.5, color=INK)
    if phase == "decode":
        after = (text_width(phase, 9.5, "bold") + 8) / _PANEL[0]
        axes.text(after, 1.035, "operations a second", transform=axes.transAxes, fontsize=8.5, color=MUTED)
    else:
        _key(axes, set(rows["role"]))
    if span.still:
        axes.axvspan(10 ** (span.right - span.still), 10**span.right, color=GRID, alpha=0.45, linewidth=0, zorder=0)
        axes.annotate(
            "no DRAM traffic", (10**span.right, 10**span.low), (-9, 5), textcoords="offset points", rotation=90,
            fontsize=_SIZE, color=MUTED, ha="center", va="bottom",
        )  # fmt: skip
    points = [_Point(row, span) for row in rows.to_dict("records")]
    for point in points:
        point.draw(axes)
    taken = [point.box for point in points]
    taken += _roofs(axes, rows, span, list(taken))
    for point in points:
        if point.role == m.ONE_BIT or point.stands_alone([p for p in points if p.role == m.ONE_BIT]):
            taken.append(point.name(axes, taken))


def _key(axes: Axes, roles: set[str]) -> None:
    x = 1.0
    for role, words in ((m.FP16, "FP16 twin"), (m.ONE_BIT, "one-bit design")):
        if role not in roles:
            continue
        x -= (text_width(words, 8.2) + 22) / _PANEL[0]
        fill = _COLOURS[role] if role == m.ONE_BIT else PAPER
        axes.plot(
            [x], [1.055], "o", color=_COLOURS[role], mfc=fill, mew=1.6, markersize=6, transform=axes.transAxes,
            clip_on=False,
        )  # fmt: skip
        axes.text(x + 0.02, 1.055, words, fontsize=8.2, color=INK, va="center", transform=axes.transAxes)


def _roofs(axes: Axes, rows: pd.DataFrame, span: Span, points: Sequence[_Box]) -> list[_Box]:
    """The slope of the DRAM up to the highest roof and a level line per unit; returns what they and their names
    cover. A name stands along its line where it covers least of ``points``."""
    parts = rows[rows["kind"] != ALL]
    peaks: Mapping[str, float] = parts.groupby("unit")["peak_ops_per_s"].max().to_dict()
    bandwidth, top = float((rows["peak_ops_per_s"] / rows["ridge_ops_per_byte"]).max()), max(peaks.values())
    boxes: list[_Box] = []
    if math.isfinite(bandwidth):
        start = max(10**span.left, 10**span.low / bandwidth)
        axes.plot([start, top / bandwidth], [start * bandwidth, top], color=INK, linewidth=1.5, zorder=2)
        (x0, y0), (x1, y1) = span.points(start, start * bandwidth), span.points(top / bandwidth, top)
        angle = math.atan2(y1 - y0, x1 - x0)
        boxes += _along(x0, y0, angle, math.hypot(x1 - x0, y1 - y0), 4.0)
        text = f"DRAM {bandwidth / 1e9:,.4g} GB/s"
        length = math.hypot(x1 - x0, y1 - y0) - text_width(text, _SIZE) - 12
        ways = [
            (x0 - 4 + s * math.cos(angle), y0 + 5 + s * math.sin(angle)) for s in (length * i / 12 for i in range(13))
        ]
        covers = [_along(x, y, angle, text_width(text, _SIZE), 10.0) for x, y in ways]
        best = min(range(1, 13), key=lambda i: (_covered(covers[i], points), i))
        axes.annotate(
            text, (0, 0), ways[best], xycoords="axes fraction", textcoords="offset points", fontsize=_SIZE, color=INK,
            rotation=math.degrees(angle), rotation_mode="anchor", va="bottom",
        )  # fmt: skip
        boxes += covers[best]
    for unit, peak in peaks.items():
        start = max(peak / bandwidth, 10**span.left)
        axes.plot([start, 10**span.right], [peak, peak], color=INK, linewidth=1.1, linestyle=(0, (5, 2)), zorder=2)
        text = f"{unit} {q.rate(peak)}"
        (x0, y), wide = span.points(start, peak), text_width(text, _SIZE) + 2
        boxes.append(_Box(x0, y - 1, _PANEL[0] - x0, 2))
        room = max(_PANEL[0] - 3 - wide - x0 - 14, 0.0)
        names = [_Box(_PANEL[0] - 3 - wide - room * i / 8, y + 2, wide, 10) for i in range(9)]
        best_name = min(names, key=lambda box: (_covered([box], points), -box.x))
        axes.annotate(
            text, (0, 0), (best_name.x, y + 3), xycoords="axes fraction", textcoords="offset points", fontsize=_SIZE,
            color=INK, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}, zorder=2.5,
        )  # fmt: skip
        boxes.append(best_name)
    return boxes


def _covered(boxes: Sequence[_Box], taken: Sequence[_Box]) -> float:
    return sum(box.overlap(other) for box in boxes for other in taken)


def _along(x: float, y: float, angle: float, length: float, thick: float) -> list[_Box]:
    """Boxes that cover a strip, ``thick`` above the line from (x, y), all in points."""
    steps = [i * 4.0 for i in range(int(length / 4) + 1)]
    return [_Box(x + s * math.cos(angle) - thick / 2, y + s * math.sin(angle), thick, thick) for s in steps]


class _Point:
    """A kind of operation on one design, drawn and named."""

    def __init__(self, row: Mapping[str, object], span: Span) -> None:
        self.kind, self.role = str(row["kind"]), str(row["role"])
        intensity = float(str(row["intensity_ops_per_byte"]))
        self.x = intensity if math.isfinite(intensity) else 10 ** (span.right - span.still / 2)
        self.y = float(str(row["attained_ops_per_s"]))
        at_x, at_y = span.points(self.x, self.y)
        self.box = _Box(at_x - 4.5, at_y - 4.5, 9, 9)

    def draw(self, axes: Axes) -> None:
        one_bit, whole = self.role == m.ONE_BIT, self.kind == ALL
        axes.plot(
            [self.x], [self.y], "D" if whole else "o", color=_COLOURS[self.role], mew=1.6,
            mfc=_COLOURS[self.role] if one_bit else PAPER, markersize=7.5 if whole else 6, zorder=4 if one_bit else 3,
        )  # fmt: skip

    def stands_alone(self, others: Sequence[_Point]) -> bool:
        """Whether the same kind among ``others`` stands elsewhere, so that this one needs its own name."""
        same = next(p for p in others if p.kind == self.kind)
        return math.hypot(same.box.x - self.box.x, same.box.y - self.box.y) > 26

    def name(self, axes: Axes, taken: Sequence[_Box]) -> _Box:
        """Write the name where it covers least of what is drawn already; returns where it stands."""
        text = _WORDS.get(self.kind, self.kind)
        wide = text_width(text, _SIZE) + 2
        x, y = self.box.x + 4.5, self.box.y - 0.5
        places = [
            _Box(x + dx * far - (0 if dx > 0 else wide if dx < 0 else wide / 2), y + dy * far, wide, 10)
            for far in (7.0, 12.0, 18.0, 25.0, 33.0, 42.0)
            for dx, dy in ((1, 0), (-1, 0), (0, 1.4), (0, -1.4), (0.8, 0.9), (-0.8, 0.9), (0.8, -0.9), (-0.8, -0.9))
        ]
        inside = [p for p in places if p.x > 0 and p.x + p.w < _PANEL[0] and p.y > 0 and p.y + p.h < _PANEL[1]]
        best = min(inside or places, key=lambda place: _covered([place], taken))
        dx, dy = best.x - self.box.x - 4.5, best.y - self.box.y - 4.5
        line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
        far = math.hypot(min(abs(dx), abs(dx + wide)), dy + 5) > 16
        axes.annotate(
            text, (self.x, self.y), (dx + 1, dy + 2), textcoords="offset points", fontsize=_SIZE, zorder=5,
            color=_COLOURS[self.role] if self.role == m.FP16 else INK, arrowprops=line if far else None,
        )  # fmt: skip
        return best
