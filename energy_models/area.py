"""Area of the generated core on an FPGA: LUT4s, flip-flops, logic cells, block RAMs and multipliers, without synthesis.

Nearly all of a core is exact by its structure (``core_structure.py``). What synthesis makes of the control logic, and
the logic cells that a placement takes beyond its LUT4s, is fitted to cores that were placed and routed: few
coefficients, each for one kind of logic, none negative, by least squares on the relative error.

    LUT4 = datapath + Σ lut4[kind] · number[kind]
    COMB = LUT4 + 2 · distributed RAMs + Σ comb[kind] · number[kind]

A distributed RAM of 16 × 4 bits takes the write ports of two more logic cells (nextpnr-ecp5). The coefficients are
``areas/TECH.yaml``, the placements ``areas/TECH.csv``, what was placed ``areas/grid.csv``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..designs.design import Design, OneBitDesign
from .core_sizes import CoreSizes, Ints
from .core_structure import block_rams, control, datapath_luts, distributed_rams, flip_flops
from .technology import read_table

AREAS = Path(__file__).parent / "areas"
TECH = "ecp5"
CELLS_PER_RAM = 2
"""Logic cells of a DPR16X4 beyond its LUT4s."""
FITTED: dict[str, tuple[str, ...]] = {
    "lut4": ("fifo_bit", "piece", "loop_bit", "height_bit", "capacity_bit", "core"),
    "comb": ("fifo", "core"),
}
"""Quantity → kinds of ``control`` that it has a coefficient for."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RelativeError(_Value):
    """Of |predicted − placed| / placed: the median and the greatest."""

    median: Annotated[float, Field(ge=0)]
    worst: Annotated[float, Field(ge=0)]


class Errors(_Value):
    """Of the cores that the coefficients were fitted to, and of those that were held out."""

    training: RelativeError
    held_out: RelativeError


class AreaModel(_Value):
    """Coefficients by quantity and kind of control logic, what they were fitted to, and how far off they are.

    ``sha256``: of the placements. ``yosys``, ``nextpnr``: what placed them.
    """

    device: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    yosys: str
    nextpnr: str
    training: Annotated[int, Field(ge=1)]
    held_out: Annotated[int, Field(ge=1)]
    coefficients: dict[str, dict[str, Annotated[float, Field(ge=0)]]]
    errors: dict[str, Errors]

    @model_validator(mode="after")
    def _has_every_coefficient(self) -> AreaModel:
        if {quantity: tuple(kinds) for quantity, kinds in self.coefficients.items()} != FITTED:
            wanted = "; ".join(f"{quantity}: {', '.join(kinds)}" for quantity, kinds in FITTED.items())
            raise ValueError(f"coefficients must be {wanted}")
        return self


@dataclass(frozen=True)
class FpgaArea:
    """Area of a core, alone and without a harness.

    ``ff``, ``ebr`` and ``dsp`` follow from the structure, ``lut4`` and ``comb`` are estimates. ``lut4``: as mapped, a
    CCU2C being two and a DPR16X4 four; ``comb``: logic cells (TRELLIS_COMB) as placed; ``ebr``: DP16KD; ``dsp``:
    MULT18X18D.
    """

    lut4: int
    ff: int
    comb: int
    ebr: int
    dsp: int


@dataclass(frozen=True)
class FpgaAreas:
    """``FpgaArea`` of many cores: integer arrays of the shape of their sizes."""

    lut4: Ints
    ff: Ints
    comb: Ints
    ebr: Ints
    dsp: Ints


def fpga_area(design: Design) -> FpgaArea:
    """Area of the core (array, memories, sequencer) of ``design`` on its FPGA.

    Raises ``ValueError`` for a design that is not of one-bit hardware, is built of other primitives than those of
    placements, or has a size that cannot be built.
    """
    if not isinstance(design, OneBitDesign):
        raise ValueError(f"{design.name} is of kind {design.kind}: an FPGA's area is known for designs of kind one_bit")
    if design.rtl.tech != TECH:
        raise ValueError(f"{design.name} is built of {design.rtl.tech} primitives, its area is known for {TECH} only")
    found = fpga_areas(CoreSizes.of_designs([design]))
    return FpgaArea(**{field.name: int(getattr(found, field.name)[0]) for field in fields(FpgaAreas)})


def fpga_areas(core: CoreSizes) -> FpgaAreas:
    """Areas of cores on an ECP5, as many as their sizes are long."""
    return predict(core, area_model().coefficients)


def predict(core: CoreSizes, coefficients: dict[str, dict[str, float]]) -> FpgaAreas:
    """Areas of cores, the coefficients given by quantity and kind of control logic."""
    lut4 = datapath_luts(core) + _estimate(core, coefficients["lut4"])
    return FpgaAreas(
        lut4=lut4,
        ff=flip_flops(core),
        comb=lut4 + CELLS_PER_RAM * distributed_rams(core) + _estimate(core, coefficients["comb"]),
        ebr=block_rams(core),
        dsp=np.zeros_like(lut4),
    )


@cache
def area_model() -> AreaModel:
    """The coefficients for the ECP5. Raises ``ValueError`` and ``OSError`` as every table does."""
    return read_table(AreaModel, AREAS / f"{TECH}.yaml")


def _estimate(core: CoreSizes, coefficients: dict[str, float]) -> Ints:
    numbers = control(core)
    weighted = [value * numbers[kind] for kind, value in coefficients.items()]
    return np.asarray(np.rint(np.sum(weighted, axis=0)), np.int64)
