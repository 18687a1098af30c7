"""Fits the coefficients of ``area.py`` to cores that were placed: which train, which are held out, least squares.

``areas/grid.csv`` says what to place, ``areas/TECH.csv`` what was found (``benchmarks/area_grid.py`` places and fits).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..designs.design import OneBitDesign
from .area import AREAS, CELLS_PER_RAM, FITTED, TECH, AreaModel, Errors, FpgaAreas, RelativeError, predict
from .core_sizes import CoreSizes, Ints
from .core_structure import control, datapath_luts, distributed_rams

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

HELD_OUT_EVERY = 3
"""Of the placed cores in the order of their names, every third is held out."""
GRID, PLACEMENTS = AREAS / "grid.csv", AREAS / f"{TECH}.csv"
DEVICE = "ecp5-85k"
MEASURED = ("lut4", "ff", "comb")
"""Quantities whose error is stated; block RAMs and multipliers have none."""
_IN_DESIGN = ("rows", "cols", "lanes")
_IN_RTL = ("cols_per_block", "rows_per_block", "levels_per_stage", "inputs_max", "weight_words", "activation_words")
_NAME = (
    "{activations}-{rows}x{cols}x{lanes}-{cols_per_block}x{rows_per_block}-"
    "{levels_per_stage}-{inputs_max}-{weight_words}-{activation_words}"
)
_COMMON = {
    "clock_mhz": 100,
    "weight_memory_kib": 0,
    "activation_memory_kib": 0,
    "state_memory_kib": 0,
    "vector_lanes": 1,
    "scan_lanes": 1,
    "technology": TECH,
}


def grid() -> list[OneBitDesign]:
    """The designs that are placed, in the order in which they are. A name says all sizes."""
    designs = []
    for row in _rows(GRID):
        sizes = {name: int(row[name]) for name in (*_IN_DESIGN, *_IN_RTL)}
        options = {"tech": TECH, "device": DEVICE} | {name: sizes[name] for name in _IN_RTL}
        own = {name: sizes[name] for name in _IN_DESIGN} | {"activations": row["activations"]}
        name = _NAME.format(activations=row["activations"], **sizes)
        designs.append(OneBitDesign.model_validate(_COMMON | own | {"name": name, "rtl": options}))
    return designs


@dataclass(frozen=True)
class Placed:
    """Cores of the grid that were placed, in the order of their names.

    ``areas``: of each without its harness; ``yosys``, ``nextpnr``: what placed all of them; ``sha256``: of the file.
    """

    names: tuple[str, ...]
    core: CoreSizes
    areas: FpgaAreas
    yosys: str
    nextpnr: str
    sha256: str

    @property
    def held_out(self) -> Bools:
        """[n]: what no coefficient is fitted to."""
        return np.arange(len(self.names)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


def read_placed(path: Path = PLACEMENTS) -> Placed:
    """What a table of placements says of the grid; of a core that was placed again, the last.

    Raises ``ValueError`` where it says nothing of it, or where versions of the tools are mixed, and ``OSError``.
    """
    designs = {design.name: design for design in grid()}
    rows = {row["design"]: row for row in _rows(path) if row["design"] in designs}
    if not rows:
        raise ValueError(f"{path}: has no core of the grid; benchmarks/area_grid.py places them")
    names = tuple(sorted(rows))
    found = [rows[name] for name in names]
    versions = {(row["yosys"], row["nextpnr"]) for row in found}
    if len(versions) > 1:
        raise ValueError(f"{path}: versions of Yosys and nextpnr are mixed: {sorted(versions)}; place the grid anew")

    def column(name: str) -> Ints:
        return np.array([int(row[name]) for row in found])

    areas = FpgaAreas(
        lut4=column("lut4"),
        ff=column("ff"),
        comb=column("comb") - column("harness_lut4"),
        ebr=column("ram"),
        dsp=column("dsp"),
    )
    core = CoreSizes.of_designs([designs[name] for name in names])
    return Placed(names, core, areas, *versions.pop(), sha256(path.read_bytes()).hexdigest())


def fit(placed: Placed) -> AreaModel:
    """The coefficients that the training cores give, with the errors on them and on those held out."""
    core, areas, training = placed.core, placed.areas, ~placed.held_out
    left = {
        "lut4": areas.lut4 - datapath_luts(core),
        "comb": areas.comb - areas.lut4 - CELLS_PER_RAM * distributed_rams(core),
    }
    numbers, coefficients = control(core), {}
    for quantity, kinds in FITTED.items():
        weight = 1 / getattr(areas, quantity)[training]
        columns = np.stack([numbers[kind][training] * weight for kind in kinds], axis=1)
        found = non_negative_least_squares(columns, left[quantity][training] * weight)
        coefficients[quantity] = {kind: round(float(value), 3) for kind, value in zip(kinds, found, strict=True)}
    predicted = predict(core, coefficients)
    return AreaModel(
        device=DEVICE,
        sha256=placed.sha256,
        yosys=placed.yosys,
        nextpnr=placed.nextpnr,
        training=int(training.sum()),
        held_out=int(placed.held_out.sum()),
        coefficients=coefficients,
        errors={name: errors(placed, predicted, name) for name in MEASURED},
    )


def errors(placed: Placed, predicted: FpgaAreas, quantity: str) -> Errors:
    """How far a quantity is off, of the training cores and of those held out."""
    found = np.abs(relative_error(placed, predicted, quantity))
    parts = (found[~placed.held_out], found[placed.held_out])
    training, held_out = (
        RelativeError(median=round(float(np.median(part)), 5), worst=round(float(part.max()), 5)) for part in parts
    )
    return Errors(training=training, held_out=held_out)


def relative_error(placed: Placed, predicted: FpgaAreas, quantity: str) -> Floats:
    """[n]: (predicted − placed) / placed."""
    there: Ints = getattr(placed.areas, quantity)
    return np.asarray((getattr(predicted, quantity) - there) / there)


def non_negative_least_squares(columns: Floats, target: Floats) -> Floats:
    """The non-negative x that brings ``columns`` · x nearest to ``target``; columns [n, k], for small k.

    At the solution some x are 0 and the others are those of plain least squares on their columns: each subset is tried.
    """
    k = columns.shape[1]
    best, least = np.zeros(k), float(target @ target)
    for size in range(1, k + 1):
        for chosen in combinations(range(k), size):
            part = columns[:, chosen]
            x, *_ = np.linalg.lstsq(part, target, rcond=None)
            square = float(np.sum((part @ x - target) ** 2))
            if (x >= 0).all() and square < least:
                least, best = square, np.zeros(k)
                best[list(chosen)] = x
    return best


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
