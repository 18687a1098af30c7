"""Draw predicted against placed areas from the placements of the grid: ``python docs/area_figure.py``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from sheet import save

from xnorscan.designs.design import load_design
from xnorscan.energy_models.area import area_model, fpga_area, fpga_areas
from xnorscan.energy_models.area_fit import read_placed
from xnorscan.reports.plotting import BLUE, GREEN, GREY, INK, MUTED, PAPER, VERMILLION, Picture, finish, headline, style
from xnorscan.rtl.synth import read_placements

ROOT = Path(__file__).parents[1]
QUANTITIES = {"ff": ("flip-flops", GREEN, "^"), "lut4": ("LUT4", BLUE, "o"), "comb": ("logic cells", VERMILLION, "s")}
LARGER = {
    "ecp5-85-gemm": "ecp5-85-gemm",
    "ecp5-85-serial": "ecp5-85-serial",
    "ecp5-gemm-1024": str(ROOT / "examples" / "designs" / "ecp5-gemm-1024.yaml"),
}
"""Cores of ``rtl/results``, which are larger."""
LEAST, GREATEST = 400, 90_000
TICKS = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)


@dataclass(frozen=True)
class Points:
    """Cores of one look, of one quantity: ``of`` is ``training``, ``held out`` or ``larger``."""

    quantity: str
    of: str
    placed: np.ndarray[Any, Any]
    predicted: np.ndarray[Any, Any]


def main() -> None:
    """Write ``images/area.png``."""
    with style():
        save(draw())


def draw() -> Picture:
    """The picture, to be called inside ``plotting.style``."""
    model, found = area_model(), list(points())
    worst = max(part.worst for errors in model.errors.values() for part in (errors.training, errors.held_out))
    title = f"Without synthesis, the area of a core is known within {100 * worst:.1f} %"
    figure = Figure(figsize=(9.6, 4.7))
    headline(figure, title, f"Cores placed and routed on an LFE5U-85F; {model.held_out} were held out of the fit")
    parity, error = figure.add_axes((0.07, 0.2, 0.38, 0.6)), figure.add_axes((0.535, 0.2, 0.445, 0.6))
    _axes(parity, "Predicted against placed")
    _axes(error, "Error, % of what was placed")
    parity.set(yscale="log", ylim=(LEAST, GREATEST))
    _ticks(parity.yaxis)
    parity.plot([LEAST, GREATEST], [LEAST, GREATEST], color=GREY, linewidth=0.9, zorder=1)
    error.axhline(0, color=GREY, linewidth=0.9, zorder=1)
    for each in found:
        _draw(parity, each, each.predicted)
        _draw(error, each, 100 * (each.predicted - each.placed) / each.placed)
    _legend(figure)
    return finish(figure, name="area", title=title, caption="", alt=title)


def points() -> Iterator[Points]:
    """What is drawn, in drawing order."""
    placed = read_placed()
    predicted = fpga_areas(placed.core)
    for quantity in QUANTITIES:
        there, said = getattr(placed.areas, quantity), getattr(predicted, quantity)
        for of, chosen in (("training", ~placed.held_out), ("held out", placed.held_out)):
            yield Points(quantity, of, there[chosen], said[chosen])
    cores = [(read_placements(ROOT / "rtl" / "results" / f"{name}.csv")[0], design) for name, design in LARGER.items()]
    areas = [fpga_area(load_design(design)) for _, design in cores]
    lut4, comb = ([core.lut4 for core, _ in cores], [core.comb - core.harness_lut4 for core, _ in cores])
    yield Points("lut4", "larger", np.array(lut4), np.array([area.lut4 for area in areas]))
    yield Points("comb", "larger", np.array(comb), np.array([area.comb for area in areas]))


def _axes(axes: Axes, title: str) -> None:
    axes.set(xscale="log", xlim=(LEAST, GREATEST))
    axes.grid(True)
    axes.set_xlabel("placed", loc="right", labelpad=1)
    axes.text(0, 1.04, title, transform=axes.transAxes, weight="bold", fontsize=9.5, color=INK)
    _ticks(axes.xaxis)


def _ticks(axis: Any) -> None:
    axis.set_major_locator(FixedLocator(TICKS))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _look(of: str, colour: str) -> dict[str, Any]:
    if of == "larger":
        return {"facecolors": PAPER, "edgecolors": colour, "linewidths": 1.2, "s": 44, "marker": "D"}
    return {"facecolors": PAPER if of == "training" else colour, "edgecolors": colour, "linewidths": 0.9, "s": 20}


def _draw(axes: Axes, each: Points, y: np.ndarray[Any, Any]) -> None:
    _, colour, marker = QUANTITIES[each.quantity]
    axes.scatter(each.placed, y, **({"marker": marker} | _look(each.of, colour)), zorder=3)


def _legend(figure: Figure) -> None:
    colours = [
        Line2D([], [], linestyle="", marker=marker, color=colour, markersize=5.5, label=name)
        for name, colour, marker in QUANTITIES.values()
    ]
    looks = [
        Line2D([], [], linestyle="", marker="o", color=MUTED, markerfacecolor=fill, markersize=5.5, label=label)
        for label, fill in (("in the fit", PAPER), ("held out", MUTED))
    ]
    larger = Line2D([], [], linestyle="", marker="D", color=MUTED, markerfacecolor=PAPER, markersize=6.5)
    larger.set_label("larger core, not in the fit")
    figure.legend(
        handles=[*colours, *looks, larger], loc="lower left", bbox_to_anchor=(0.055, 0.01), ncols=6, frameon=False,
        fontsize=8.5, handletextpad=0.2, columnspacing=1.6,
    )  # fmt: skip


if __name__ == "__main__":
    main()
