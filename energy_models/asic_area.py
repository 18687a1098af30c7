"""Area of a design's logic in standard cells, and the baselines that have the area of a one-bit design's array.

An array is its elements, counted in the gates of :mod:`.gates`; a lane of an FP16 or quantized array is what follows:

    FP16    gates.fp_multiply_add(5, 10, 32) and 32 operand register bits
    int8    8 × 8 multiplier, 32-bit adder and sum, 16 operand register bits; half an FP16 lane, for head and attention
    W4A16   an FP16 lane; each column has for every lane one FP16 multiplier more, shared by its rows, that dequantizes

The one-bit array is counted in the same way, so what is left out (wires, the space between cells, control) is left out
on both sides. Published areas of FP16 arithmetic, which are of placed blocks, are larger than the gates counted here
(:func:`published_fp16_lane`): a baseline by them would have fewer lanes. On-chip memories are equal and not counted.

A vector lane of a one-bit design multiplies 18 × 18 bits, adds 24, quantizes and looks up; of the others it is one FP16
multiply-add and the same lookup. A scan lane has three multipliers and two adders. Both are estimates: that hardware
does not exist yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..designs.design import (
    ACHIEVED,
    TWINS,
    ArrayDesign,
    Design,
    Fp16ArrayDesign,
    GpuDesign,
    OneBitDesign,
    QuantizedArrayDesign,
    Twin,
    fp16_array,
    load_design,
    load_designs,
    preset_names,
    quantized_array,
)
from .energy import FACTOR_BITS, FP32_BITS, INT8_BITS, INT8_MULTIPLY_ADD, UNIT_BITS
from .gates import Gates, area_um2, element, fp_multiply_add, multiplier, piecewise_linear, quantizer
from .ops import FP16_BITS
from .technology import Figure, Price, Technology, load_technology, read_table

FP16_EXPONENT_BITS, FP16_MANTISSA_BITS = 5, 10
LOOKUP_SEGMENTS = 16
"""Of the piecewise-linear unit in a vector lane."""
_PUBLISHED = Path(__file__).parent / "published_areas.yaml"


class UnknownAreaError(ValueError):
    """A baseline of equal area was asked for where the technology has no areas of cells."""


@dataclass(frozen=True, eq=False)
class LogicArea:
    """µm², low, typical, high each: of the array and of all vector and scan lanes."""

    array: Price
    vector: Price
    scan: Price

    @property
    def total(self) -> Price:
        """[3]: all three."""
        return np.asarray(self.array + self.vector + self.scan)


class PublishedAreas(BaseModel):
    """Published areas of FP16 arithmetic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fp16_multiply: Figure
    fp16_add: Figure


@cache
def published_areas() -> PublishedAreas:
    """The figures that come with the package."""
    return read_table(PublishedAreas, _PUBLISHED)


def fp16_lane() -> Gates:
    """One FP16 multiply-add into an FP32 sum, with its operand registers."""
    operands = Gates(register_bits=2 * FP16_BITS)
    return fp_multiply_add(FP16_EXPONENT_BITS, FP16_MANTISSA_BITS, FP32_BITS) + operands


def int8_lane() -> Gates:
    """One int8 multiply-add into a 32-bit sum, with its registers, and half an FP16 lane."""
    return INT8_MULTIPLY_ADD + Gates(register_bits=2 * INT8_BITS + FP32_BITS) + fp16_lane() * 0.5


def w4a16_lane(rows: int) -> Gates:
    """An FP16 lane and its share of the dequantizer in front of a column of ``rows`` elements."""
    significand = FP16_MANTISSA_BITS + 1
    dequantizer = multiplier(significand, significand) + Gates(
        full_adder=FP16_EXPONENT_BITS + 1, half_adder=significand, register_bits=FP16_BITS
    )
    return fp16_lane() + dequantizer * (1 / rows)


def published_fp16_lane(technology: Technology) -> Price:
    """[3]: µm² of an FP16 lane with the published multiplier and adder, scaled from their node by the area of a NAND2.

    Raises ``ValueError`` as :func:`array_area` does.
    """
    registers = area_um2(Gates(register_bits=2 * FP16_BITS + FP32_BITS), _with_areas(technology, technology.name))
    published = published_areas()
    there = load_technology(f"asic-{published.fp16_add.node_nm:g}nm").areas["nand2"].value
    shrink = technology.areas["nand2"].value / there
    return np.asarray(registers + (published.fp16_multiply.price + published.fp16_add.price) * shrink)


def lane(design: ArrayDesign) -> Gates:
    """One lane of an FP16 or quantized array."""
    if not isinstance(design, QuantizedArrayDesign):
        return fp16_lane()
    return int8_lane() if design.arithmetic == "int8" else w4a16_lane(design.rows)


def array_area(design: ArrayDesign) -> Price:
    """[3]: µm² of the array, low, typical, high.

    Raises ``UnknownAreaError`` where the technology has no areas of cells, as one of an FPGA has not.
    """
    technology = _with_areas(load_technology(design.technology), design.name)
    if isinstance(design, OneBitDesign):
        return area_um2(element(design) * (design.rows * design.cols), technology)
    return area_um2(lane(design) * (design.rows * design.cols * design.lanes), technology)


def logic_area(design: ArrayDesign) -> LogicArea:
    """Area of the array and the units of ``design``. Raises as :func:`array_area` does."""
    array, technology = array_area(design), load_technology(design.technology)
    lookup = piecewise_linear(LOOKUP_SEGMENTS, FP16_BITS)
    if isinstance(design, OneBitDesign):
        product = multiplier(FACTOR_BITS, FACTOR_BITS) + Gates(register_bits=2 * FACTOR_BITS)
        add = Gates(full_adder=UNIT_BITS)
        vector, scan = product + add + lookup + quantizer(FACTOR_BITS), product * 3 + add * 2
    else:
        product_add = fp_multiply_add(FP16_EXPONENT_BITS, FP16_MANTISSA_BITS, FP16_BITS)
        vector, scan = product_add + lookup, product_add * 3
    return LogicArea(
        array, area_um2(vector * design.vector_lanes, technology), area_um2(scan * design.scan_lanes, technology)
    )


def has_area(design: Design) -> bool:
    """Whether the area of the array of ``design`` is known."""
    return not isinstance(design, GpuDesign) and bool(load_technology(design.technology).areas)


def equal_area_baseline(design: OneBitDesign, suffix: str = "fp16-area") -> Fp16ArrayDesign | QuantizedArrayDesign:
    """The array ``suffix`` (``fp16-area``, ``w8a8-area``, ``w4a16-area``) that fits into the area of ``design``'s.

    Same rows, clock, units, memories, DRAM and technology. As many lanes as the typical areas let in, in the shape that
    has most of them, no element with more than ``design.lanes``; at least one, so that only an array that is smaller
    than one lane a row has a larger baseline. Raises ``UnknownAreaError`` as :func:`array_area` does.
    """
    make = partial(fp16_array if suffix.startswith("fp16") else quantized_array, design, suffix)
    what = "with the area of the array and the memories"
    room, column = array_area(design), array_area(make(1, 1, what))  # one lane in every row
    cols, lanes = _shape(max(1, int(room[1] // column[1])), design.lanes)
    return make(cols, lanes, what)


ALL_TWINS: dict[str, Twin] = TWINS | {
    f"{name}-area": partial(equal_area_baseline, suffix=f"{name}-area") for name in TWINS
}
"""The baselines of equal throughput and of equal area, by what stands behind the slash of their names."""


def load_beside_baselines(names: Iterable[str], baselines: Collection[str]) -> list[Design]:
    """``load_designs`` with ``ALL_TWINS``. Raises as that does and as :func:`check_baselines` does."""
    check_baselines(baselines)
    return load_designs(names, baselines, ALL_TWINS)


def check_baselines(names: Iterable[str]) -> None:
    """Raises ``ValueError`` for the first name that neither is in ``ALL_TWINS`` nor can be a design's."""
    presets = preset_names()

    def is_design(name: str) -> bool:
        return name in presets or name.endswith((".yaml", ".yml"))

    for name in names:
        owner, _, suffix = name.rpartition("/")
        of_design = is_design(owner) and suffix in (*ALL_TWINS, ACHIEVED)
        if not (name in ALL_TWINS or is_design(name) or of_design):
            raise ValueError(
                f"no baseline {name!r}: give {', '.join(ALL_TWINS)}, a .yaml file or one of {', '.join(presets)}"
            )


def with_baselines(name: str) -> list[Design]:
    """The design of this name or file and every baseline that is known of it. Raises as ``load_design`` does."""
    design = load_design(name, ALL_TWINS)
    if isinstance(design, GpuDesign):
        return [design] if design.utilization == ACHIEVED else [design, load_design(f"{name}/{ACHIEVED}")]
    known = ALL_TWINS if has_area(design) else TWINS
    return [design, *(make(design) for make in known.values() if isinstance(design, OneBitDesign))]


def _shape(count: int, lanes_max: int) -> tuple[int, int]:
    """Columns and lanes with the greatest product that does not exceed ``count``, of equal ones the most lanes."""
    shapes = [(count // lanes, lanes) for lanes in range(min(count, lanes_max), 0, -1)]
    return max(shapes, key=lambda shape: shape[0] * shape[1])


def _with_areas(technology: Technology, asking: str) -> Technology:
    if not technology.areas:
        raise UnknownAreaError(
            f"{technology.name}, the technology of {asking}, has no areas of cells, so equal area is not known there; "
            "compare at equal throughput"
        )
    return technology
