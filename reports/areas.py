"""Areas of designs as rows: on an FPGA beside what was placed, in standard cells with their range."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..designs.design import ArrayDesign, Design, GpuDesign, OneBitDesign, load_design, preset_names
from ..energy_models.area import TECH, FpgaArea, RelativeError, area_model, fpga_area
from ..energy_models.asic_area import has_area, logic_area
from ..energy_models.devices import RESOURCES
from ..energy_models.technology import load_technology

Row = dict[str, Any]

RESULTS = Path(__file__).parents[1] / "rtl" / "results"
_ON_FPGA: Mapping[str, str] = {
    "lut4": "LUT4",
    "comb": "logic cells",
    "ff": "flip-flops",
    "ebr": "block RAMs",
    "dsp": "multipliers",
}
"""Field of ``FpgaArea`` → its name for a reader."""
_EXACT = RelativeError(median=0.0, worst=0.0)
"""Of what follows from the structure and was never off."""
_IN_CELLS: Mapping[str, str] = {
    "array": "array",
    "vector": "vector units",
    "scan": "scan units",
    "total": "all three",
}
"""Field of ``LogicArea`` → its name for a reader."""


def rows(designs: Iterable[Design]) -> list[Row]:
    """One row per design and resource of its FPGA, or part of its logic in standard cells.

    Fields: ``design``, ``technology``, ``quantity`` (field of ``FpgaArea`` or of ``LogicArea``), ``resource`` (in
    words), ``unit`` (``µm²``, or none of a number), ``predicted`` with ``low`` and ``high``. On an FPGA ``device``,
    what that has (``available``) and the ``share`` of it where the design names a device; ``placed`` and ``off``
    (predicted ÷ placed − 1) where it was placed; ``error_median`` and ``error_worst`` of the cores that the model was
    not fitted to, the worst of which makes ``low`` and ``high``. In cells ``nand2``, ``nand2_low`` and ``nand2_high``:
    in areas of a NAND2. Raises ``ValueError`` for the first design whose area is not known.
    """
    return [row for design in designs for row in _rows(design)]


def notes(found: Iterable[Row]) -> list[str]:
    """What the ranges of ``rows`` are, in a sentence for each kind of technology among them."""
    kinds = {row["quantity"] in _ON_FPGA for row in found}
    sentences = []
    if True in kinds:
        model = area_model()
        errors = ", ".join(
            f"{_ON_FPGA[name]} {100 * error.held_out.worst:.1f} % (median {100 * error.held_out.median:.1f} %)"
            for name, error in model.errors.items()
            if error.held_out.worst
        )
        sentences.append(
            "FPGA: the core (array, memories, sequencer), estimated without synthesis. Low–high: the greatest error of "
            f"{model.held_out} placed cores that were held out of the fit, {errors}; the rest is counted from the "
            "structure. Share: of the device. Placed: rtl/results, without the harness; the hardware may have changed."
        )
    if False in kinds:
        sentences.append(
            "µm²: standard cells alone, without wires, control and memories; low–high: of the areas of cells. Vector "
            "and scan units are estimates, that hardware does not exist yet. NAND2: in typical areas of one."
        )
    return sentences


def placed_area(design: OneBitDesign) -> FpgaArea | None:
    """The core of ``design`` as it was placed, without its harness; ``None`` where it was not.

    The results know a design by its name, device and clock; one that is named like a preset must be that preset.
    """
    if design.name in preset_names() and design != load_design(design.name):
        return None
    for path in sorted(RESULTS.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                same = (row["design"], row["device"], float(row["clock_mhz"]))
                if row["unit"] == "core" and same == (design.name, design.rtl.device, design.clock_mhz):
                    comb = int(row["comb"]) - int(row["harness_lut4"])
                    return FpgaArea(
                        lut4=int(row["lut4"]), ff=int(row["ff"]), comb=comb, ebr=int(row["ram"]), dsp=int(row["dsp"])
                    )
    return None


def _rows(design: Design) -> Iterator[Row]:
    if isinstance(design, OneBitDesign) and (design.rtl.tech == TECH or not has_area(design)):
        return _fpga_rows(design)
    if isinstance(design, GpuDesign):
        raise ValueError(f"{design.name} is of kind {design.kind}: areas are known of arrays")
    return _cell_rows(design)


def _fpga_rows(design: OneBitDesign) -> Iterator[Row]:
    area, placed, model = fpga_area(design), placed_area(design), area_model()
    available = RESOURCES.get(design.rtl.device or "")
    for name, words in _ON_FPGA.items():
        value: int = getattr(area, name)
        error = model.errors[name].held_out if name in model.errors else _EXACT
        row: Row = {
            "design": design.name,
            "technology": design.technology,
            "device": design.rtl.device,
            "quantity": name,
            "resource": words,
            "unit": "",
            "predicted": value,
            "low": round(value / (1 + error.worst)),
            "high": round(value / (1 - error.worst)),
            "error_median": error.median,
            "error_worst": error.worst,
        }
        if available:
            row |= {"available": getattr(available, name), "share": value / getattr(available, name)}
        if placed:
            there: int = getattr(placed, name)
            row |= {"placed": there, "off": value / there - 1 if there else None}
        yield row


def _cell_rows(design: ArrayDesign) -> Iterator[Row]:
    area, nand2 = logic_area(design), load_technology(design.technology).areas["nand2"].value
    for name, words in _IN_CELLS.items():
        low, typical, high = getattr(area, name).tolist()
        yield {
            "design": design.name,
            "technology": design.technology,
            "quantity": name,
            "resource": words,
            "unit": "µm²",
            "predicted": typical,
            "low": low,
            "high": high,
            "nand2": typical / nand2,
            "nand2_low": low / nand2,
            "nand2_high": high / nand2,
        }
