"""Energy of each operation: actions × energy per action, low, typical and high side by side.

The array of a one-bit design is made of the elements of :mod:`.gates`: per step of an element its dot product, pipeline
registers and accumulation; per step of a block of columns its activation register and flags; per step of a block of
rows its weight registers. Elements without work are clock-gated and cost nothing; lanes without work cost as the others
do. Wires between blocks, skew, select trees, FIFOs and control are not counted; the clock tree is, with the registers,
and so are the glitches of the dot products' trees.

Data: the toggle rate of the trace, where it has one, is that of the activation registers; ½ where it has none. What
stands behind the XNORs is random whatever the activations do, because the weights are: an XNOR of two independent bits
is random where one of them is. The bits of an accumulator above a dot product of D bits count its carries: where a step
adds μ on average, bit j changes μ / 2^j times a step, together 2·μ / 2^D times. (They change more often as a serial
pass doubles its sums, once per activation bit, and as a pass ends; that is not counted.)

An FP16 array: one multiply and one add, 32 operand register bits per product and 32 of the sum per element, at ½: the
published figures, not the gates of ``gates.fp_multiply_add``. A quantized array does the same where it is FP16; its
int8 products are gates (``INT8_MULTIPLY_ADD``) with 16 operand register bits, and a weight that is dequantized takes
one FP16 multiply whenever it enters the array, once for all rows. Vector and scan units: multiplies of 18 × 18 bits (of
gates where the table has no block that does it), adds of ``UNIT_BITS`` bits, lookups, the registers that hold products.

On-chip memories are priced at their whole capacity, the double buffers of streamed weights at ``STREAM_BUFFER_KIB``;
leakage is memory leakage and static power × time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..designs.design import ArrayDesign, Fp16ArrayDesign, OneBitDesign, QuantizedArrayDesign
from ..traces.trace import Trace
from .gates import (
    FLAG_BITS,
    Gates,
    Sizes,
    accumulator,
    accumulator_bits,
    dot_bits,
    dot_glitches,
    dot_unit,
    flag_registers,
    multiplier,
    switched,
    waits,
    word_bits,
    xnor_output,
)
from .ops import FP16_BITS, HALF, Floats, Ops
from .technology import Action, Price, Technology, dram_figures, load_technology
from .traffic import STREAM_BUFFER_KIB, Traffic
from .work import UnitWork, scan_work, vector_work_of

COMPONENTS = ("array", "vector", "scan", "sram", "dram", "leakage", "board")
"""Parts of an energy; ``board`` is a GPU, whose energy cannot be divided."""

UNIT_BITS = 24
"""Of an add in the vector and scan units."""
FACTOR_BITS = 18
"""Of each factor of a multiply in the vector and scan units of a one-bit design."""
FP32_BITS = 32
INT8_BITS = 8
INT8_MULTIPLY_ADD = multiplier(INT8_BITS, INT8_BITS) + Gates(full_adder=FP32_BITS)
"""One int8 product, added to a sum of 32 bits; the published figures of ``Technology.arithmetic`` stand beside it."""

Counts = Mapping[Action, Floats]
Energy = npt.NDArray[np.float64]
"""[n, 3]: pJ, low, typical, high."""
SramPrice = Callable[[int, Literal["read", "write"]], Price]
"""pJ per bit of an access to a memory of some KiB, as :meth:`Technology.sram_pj_per_bit`."""


def array_counts(
    ops: Ops,
    design: ArrayDesign,
    density: Sizes = HALF,
    weight_toggle: float = HALF,
    weight_density: float = HALF,
) -> Counts:
    """[n] each: actions of the array in each operation.

    ``density``: share of ones of the activation bits; ``weight_toggle``, ``weight_density``: of the weight bits of a
    lane over the steps. They change nothing while the weights are random.
    """
    if isinstance(design, Fp16ArrayDesign):
        return _fp16_counts(ops.macs.astype(np.float64), design.lanes)
    if isinstance(design, QuantizedArrayDesign):
        return _quantized_counts(ops, design)
    steps = array_steps(ops, design)
    return step_counts(steps, design, ops.toggle, density, weight_toggle, weight_density)


def step_counts(
    steps: ArraySteps,
    design: OneBitDesign,
    toggle: Sizes = HALF,
    density: Sizes = HALF,
    weight_toggle: float = HALF,
    weight_density: float = HALF,
) -> Counts:
    """Actions of ``steps`` of a one-bit array, of the shape that all arguments broadcast to. Linear in ``steps``.

    ``toggle``, ``density``: of the activation bits; the others as in :func:`array_counts`.
    """
    lanes, serial, added = design.lanes, design.activations == "serial", dot_bits(design)
    above = accumulator_bits(design.rtl.inputs_max, lanes) - added
    carries = lanes * ((1 << word_bits(design)) - 1) / 2**added / np.maximum(above, 1)
    behind, ones = xnor_output(toggle, density, weight_toggle, weight_density)
    dot = dot_unit(design)
    return _sum(
        switched(Gates(xnor=dot.xnor) * (steps.elements * behind / HALF)),
        switched(replace(dot, xnor=0.0) * steps.elements, behind, ones, glitches=dot_glitches(design)),
        switched(accumulator(added, doubling=serial) * steps.elements),
        switched(accumulator(above, doubling=serial, summand_bits=0) * steps.elements, carries),
        switched(Gates(register_bits=FLAG_BITS) * steps.elements + flag_registers(design) * steps.blocks, 0.0),
        switched(Gates(register_bits=lanes * word_bits(design)) * steps.blocks, toggle, density),
        switched(Gates(register_bits=lanes) * steps.weights, weight_toggle, weight_density),
        switched(Gates(register_bits=added) * steps.waits),
    )


def _fp16_counts(macs: Floats, lanes: int) -> Counts:
    registers = Gates(register_bits=macs * (2 * FP16_BITS + FP32_BITS / lanes))
    return _sum({"fp16_multiply": macs, "fp16_add": macs}, switched(registers))


def _quantized_counts(ops: Ops, design: QuantizedArrayDesign) -> Counts:
    """Linears of the layers in integers or dequantized, the others in FP16."""
    inside = np.where(ops.is_layer_linear, ops.macs, 0).astype(np.float64)
    if design.arithmetic == "int8":
        registers = Gates(register_bits=2 * INT8_BITS + FP32_BITS / design.lanes)
        products = switched((INT8_MULTIPLY_ADD + registers) * inside)
        return _sum(_fp16_counts(ops.macs - inside, design.fp16_lanes), products)
    entering = np.where(ops.is_layer_linear, ops.outputs * ops.inputs * -(-ops.tokens // design.rows), 0)
    dequantized: Counts = {"fp16_multiply": entering.astype(np.float64)}
    return _sum(_fp16_counts(ops.macs.astype(np.float64), design.lanes), dequantized)


@dataclass(frozen=True, eq=False, kw_only=True)
class ArraySteps:
    """[n] each: steps of all elements that have an output to make; of the blocks of columns that they are in, row by
    row; of the weight registers in front of them; of the registers in which their dot products wait."""

    elements: Floats
    blocks: Floats
    weights: Floats
    waits: Floats


def array_steps(ops: Ops, design: OneBitDesign) -> ArraySteps:
    """The outputs of a linear fill tiles of ``cols``, its tokens tiles of ``rows``; the last of each may be smaller."""
    words = ops.weight_planes * -(-ops.inputs // design.lanes)
    words = words * ops.activation_bits if design.activations == "serial" else words
    steps = np.where(ops.is_kind("linear"), words, 0).astype(np.float64)
    cols_per_block, rows_per_block = design.rtl.cols_per_block, design.rtl.rows_per_block
    tiles, width = np.divmod(ops.outputs, design.cols)
    blocks = tiles * -(-design.cols // cols_per_block) + -(-width // cols_per_block)
    tiles, height = np.divmod(ops.tokens, design.rows)
    weights = tiles * -(-design.rows // rows_per_block) + -(-height // rows_per_block)
    waiting = tiles * waits(design.rows, rows_per_block) + waits(height, rows_per_block)
    return ArraySteps(
        elements=steps * ops.tokens * ops.outputs,
        blocks=steps * ops.tokens * blocks,
        weights=steps * ops.outputs * weights,
        waits=steps * ops.outputs * waiting,
    )


def unit_counts(work: UnitWork, one_bit: bool, has_multiplier: bool) -> Counts:
    """[n] each: actions of the vector or the scan unit, integer in a one-bit design, FP16 in the others.

    ``has_multiplier``: a multiply is one action, a block of its own; else it is gates.
    """
    if not one_bit:
        registers = switched(Gates(register_bits=work.multiplies * FP16_BITS))
        floats: Counts = {"fp16_multiply": work.multiplies, "fp16_add": work.adds, "table_lookup": work.lookups}
        return _sum(floats, registers)
    integer = Gates(full_adder=work.adds * UNIT_BITS, register_bits=work.multiplies * 2 * FACTOR_BITS)
    if has_multiplier:
        return _sum({"multiply_18x18": work.multiplies, "table_lookup": work.lookups}, switched(integer))
    gates = integer + multiplier(FACTOR_BITS, FACTOR_BITS) * work.multiplies
    return _sum({"table_lookup": work.lookups}, switched(gates))


def measured_and_random(
    trace: Trace, design: OneBitDesign, weight_toggle: float = HALF, weight_density: float = HALF
) -> tuple[Energy, Energy]:
    """[n, 3] each: energy of the array with the toggle rates and densities that ``trace`` measured and those of the
    weights that are given, and with random data throughout, pJ."""
    ops, technology = Ops.from_frame(trace.ops), load_technology(design.technology)
    density = trace.ops["density"].map(np.mean, na_action="ignore").astype(float).fillna(HALF).to_numpy()
    measured = array_counts(ops, design, density, weight_toggle, weight_density)
    random = array_counts(replace(ops, toggle=np.full(len(ops), HALF)), design)
    return _priced(measured, technology), _priced(random, technology)


def unit_actions(ops: Ops, design: ArrayDesign, technology: Technology) -> dict[str, Counts]:
    """[n] each: actions of the array, the vector and the scan unit in each operation, by component."""
    one_bit, has_multiplier = isinstance(design, OneBitDesign), technology.multiply_18x18 is not None
    return {
        "array": array_counts(ops, design),
        "vector": unit_counts(vector_work_of(ops, design), one_bit, has_multiplier),
        "scan": unit_counts(scan_work(ops), one_bit, has_multiplier),
    }


@dataclass(frozen=True, eq=False)
class MemoryAccesses:
    """[n] bytes read from and written to one on-chip memory in each operation; its capacity decides their price."""

    memory: str
    capacity_kib: int
    reads: Floats
    writes: Floats


def memory_accesses(moved: Traffic, design: ArrayDesign) -> tuple[MemoryAccesses, ...]:
    """Reads and writes of the memories and of the stream buffers. Loading resident weights is not counted."""
    unwritten = np.zeros_like(moved.weight_reads)
    return (
        MemoryAccesses("weights", design.weight_memory_kib, moved.weight_reads, unwritten),
        MemoryAccesses("stream buffers", STREAM_BUFFER_KIB, moved.stream_reads, moved.stream_writes),
        MemoryAccesses("activations", design.activation_memory_kib, moved.activation_reads, moved.activation_writes),
        MemoryAccesses("state", design.state_memory_kib, moved.state_reads, moved.state_writes),
    )


def on_chip_kib(design: ArrayDesign) -> int:
    """Capacity of all memories that leak."""
    return design.weight_memory_kib + design.activation_memory_kib + design.state_memory_kib


def sram_energy(moved: Traffic, design: ArrayDesign, pj_per_bit: SramPrice) -> Energy:
    """Reads and writes of the memories and the stream buffers, each at the energy per bit of its capacity."""
    energy = np.zeros((len(moved.weight_reads), 3))
    for accesses in memory_accesses(moved, design):
        energy += (8 * accesses.reads)[:, None] * pj_per_bit(accesses.capacity_kib, "read")
        energy += (8 * accesses.writes)[:, None] * pj_per_bit(accesses.capacity_kib, "write")
    return energy


def energies(
    ops: Ops, design: ArrayDesign, technology: Technology, moved: Traffic, time_s: Floats
) -> dict[str, Energy]:
    """pJ of each operation by component of ``COMPONENTS``."""
    dram = dram_figures()[design.dram.kind].price if design.dram else np.zeros(3)
    return {
        **{unit: _priced(counts, technology) for unit, counts in unit_actions(ops, design, technology).items()},
        "sram": sram_energy(moved, design, technology.sram_pj_per_bit),
        "dram": np.outer(8.0 * moved.dram, dram),
        "leakage": np.outer(time_s * 1e9, technology.leakage_mw(on_chip_kib(design))),  # mW · s = 1e9 pJ
        "board": np.zeros((len(ops), 3)),
    }


def _sum(*parts: Counts) -> Counts:
    """The actions of all parts, each counted once."""
    total: dict[Action, Floats] = {}
    for part in parts:
        for action, count in part.items():
            total[action] = total.get(action, np.float64(0)) + count
    return total


def _priced(counts: Counts, technology: Technology) -> Energy:
    """Σ count × price over the actions that are."""
    prices = np.stack([technology.action(action) for action in counts])
    return np.asarray(np.stack(np.broadcast_arrays(*counts.values()), axis=1) @ prices)
