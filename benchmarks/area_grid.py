"""Places a grid of small cores on an LFE5U-85F, and fits the coefficients of the area model to what they take.

    python benchmarks/area_grid.py          # places what has not been placed; can be interrupted and run again
    python benchmarks/area_grid.py --fit    # fits, writes the coefficients, prints the errors

The grid is ``energy_models/areas/grid.csv``, the placements stand in ``ecp5.csv``, the coefficients in ``ecp5.yaml``
beside it. Cores whose Verilog has changed since are placed again. A core takes a quarter to two minutes.
"""

from __future__ import annotations

import os
import sys

import yaml
from rich.console import Console
from rich.table import Table

from xnorscan.energy_models.area import AREAS, TECH, AreaModel
from xnorscan.energy_models.area_fit import DEVICE, PLACEMENTS, fit, grid, read_placed
from xnorscan.rtl.synth import Placement, read_placements, synthesize_design, write_placements

SEED = 1
MODEL = AREAS / f"{TECH}.yaml"
HEADER = "# Written by benchmarks/area_grid.py --fit; energy_models/area.py says what each figure is.\n"


def place() -> None:
    """Place the grid, the smallest cores first; what the table had of older hardware goes once all are placed."""
    designs, current = grid(), []
    for number, design in enumerate(designs, 1):
        (placed,) = synthesize_design(design, "core", DEVICE, [SEED], kept=PLACEMENTS).placements
        current.append(placed)
        print(f"{number}/{len(designs)} {placed.design}: {_said(placed)}", flush=True)
    if len(read_placements(PLACEMENTS)) > len(current):
        write_placements(current, PLACEMENTS)


def write_fit(console: Console) -> None:
    """Fit, and write the coefficients whole or not at all."""
    model = fit(read_placed())
    partial = MODEL.with_name(f".{MODEL.name}.partial")
    partial.write_text(HEADER + yaml.safe_dump(model.model_dump(), sort_keys=False), encoding="utf-8")
    os.replace(partial, MODEL)
    console.print(_errors(model))


def _said(placed: Placement) -> str:
    own = placed.comb - placed.harness_lut4
    return f"{placed.lut4:,} LUT4, {placed.ff:,} FF, {own:,} logic cells, {placed.ram} EBR, {placed.seconds:.0f} s"


def _errors(model: AreaModel) -> Table:
    title = f"Relative errors on {model.training} cores that were fitted, {model.held_out} that were held out"
    table = Table(title=title, title_justify="left")
    for column in ("", "fitted, median", "worst", "held out, median", "worst"):
        table.add_column(column, justify="right" if column else "left")
    for quantity, errors in model.errors.items():
        parts = (errors.training, errors.held_out)
        table.add_row(quantity, *(f"{value:.2%}" for part in parts for value in (part.median, part.worst)))
    return table


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--fit"]):
        sys.exit(__doc__)
    if sys.argv[1:]:
        write_fit(Console())
    else:
        place()
