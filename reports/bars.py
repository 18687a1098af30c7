"""The pieces the figures are built of: a figure of rows, a stacked bar, a bar with its range."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import measures as m
from . import quantities as q
from .plotting import BLUE, GREEN, GREY, INK, ORANGE, PAPER, PURPLE, SAND, SKY, VERMILLION, headline, ink_on

COLOURS: Mapping[str, str] = {
    m.LINEAR: BLUE,
    m.HEAD: ORANGE,
    m.STATE: VERMILLION,
    m.OTHER_DRAM: SAND,
    m.SRAM: SKY,
    m.ARRAY: GREEN,
    m.VECTOR: PURPLE,
    m.LEAKAGE: GREY,
    "projections": BLUE,
    "head and embedding": ORANGE,
    "scan": VERMILLION,
    "attention": VERMILLION,
    "convolution": GREEN,
    "norms and gates": PURPLE,
    "linear weights": BLUE,
    m.BINARY: BLUE,
    "embedding and head": ORANGE,
    "state": VERMILLION,
    m.SCALES: SKY,
    "other linears": GREEN,
    "other": PURPLE,
    m.REST: SAND,
    "compute": GREEN,
    "weights": BLUE,
    "head": ORANGE,
    "activations": SAND,
}
"""One colour for one thing: linear weights blue, the head orange, the state vermillion, in every figure."""

PAIR = ((-0.19, m.FP16), (0.19, m.ONE_BIT))
"""Where the two bars of a model stand, above and below its row."""

WIDTH_INCHES = 9.6
_RIGHT, _BOTTOM = 0.985, 0.46
_FITS_INSIDE = 0.12


def rows_figure(
    labels: Sequence[str],
    title: str,
    subtitle: str,
    *,
    panels: int = 1,
    left: float = 0.165,
    row_inches: float = 0.62,
    key_lines: int = 1,
) -> tuple[Figure, list[Axes]]:
    """A figure of ``panels`` side by side that share rows with ``labels``, the first on top, below room for the key."""
    above = 0.76 + 0.18 * key_lines
    height = above + _BOTTOM + row_inches * len(labels)
    figure = Figure(figsize=(WIDTH_INCHES, height))
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0].tolist()
    figure.subplots_adjust(left=left, right=_RIGHT, top=1 - above / height, bottom=_BOTTOM / height, wspace=0.08)
    axes[0].set_yticks(range(len(labels)), labels)
    axes[0].set_ylim(len(labels) - 0.45, -0.55)
    for each in axes:
        each.grid(axis="x")
    headline(figure, title, subtitle)
    return figure, axes


def stack(
    axes: Axes,
    y: float,
    amounts: Mapping[str, float],
    order: Sequence[str],
    scale: float,
    height: float,
    inside: Callable[[float], str] | None = None,
) -> float:
    """A bar of ``amounts`` ÷ ``scale`` stacked in ``order``; returns its end.

    ``inside`` writes an amount where it fits.
    """
    total = sum(amounts.values())
    end = 0.0
    for part in order:
        amount = amounts.get(part, 0.0)
        if amount <= 0:
            continue
        colour = COLOURS[part]
        axes.barh(y, amount / scale, left=end, height=height, color=colour, edgecolor=PAPER, linewidth=0.6)
        if inside and amount > _FITS_INSIDE * total:
            middle = end + amount / scale / 2
            axes.text(middle, y, inside(amount), ha="center", va="center_baseline", fontsize=8, color=ink_on(colour))
        end += amount / scale
    return end


def bar_with_range(axes: Axes, y: float, row: Mapping[str, Any], scale: float, colour: str, height: float) -> None:
    """A bar of the typical energy and a whisker from low to high."""
    low, typical, high = (row[f"energy{end}_uj"] / scale for end in ("_low", "", "_high"))
    axes.barh(y, typical, height=height, color=colour, linewidth=0)
    axes.plot([low, high], [y, y], color=INK, linewidth=1.1)
    for end in (low, high):
        axes.plot([end, end], [y - 0.22 * height, y + 0.22 * height], color=INK, linewidth=1.1)


def beside(axes: Axes, x: float, y: float, text: str, *, gap: float = 7, **font: Any) -> None:
    """``text`` that starts ``gap`` points right of the point (x, y), or ends left of it where ``gap`` is negative."""
    axes.annotate(
        text,
        (x, y),
        (gap, 0),
        textcoords="offset points",
        va="center_baseline",
        ha="left" if gap > 0 else "right",
        **font,
    )


def amounts(frame: pd.DataFrame, value: str, column: str, **keys: str) -> dict[str, float]:
    """The column ``value`` of ``frame`` summed by ``column`` over the rows where each key has its value."""
    chosen = frame
    for name, wanted in keys.items():
        chosen = chosen[chosen[name] == wanted]
    return {str(k): float(v) for k, v in chosen.groupby(column, sort=False)[value].sum().items()}


def models_in(frame: pd.DataFrame) -> list[str]:
    """Models in order of appearance."""
    return list(dict.fromkeys(frame["model"]))


def span(values: Sequence[float], show: Callable[[float], str] = q.factor) -> str:
    """``7.5–9.7×`` from the least to the greatest value, or one of them where they read the same."""
    low, high = show(min(values)), show(max(values))
    return low if low == high else f"{low.rstrip('× %')}–{high}"
