"""Energy of each operation: actions × energy per action, low, typical and high side by side.

A lane of the array, for each product of one plane bit and one activation of b bits (t: mean toggle rate):

    parallel   sign-conditioned add in a tree: b XNOR, b + 2 full adders (words grow by about two bits up the tree);
               b + 1 operand register bits
    serial     b XNOR and b full adders of the popcount tree (about one a bit); 2·b operand register bits
    fp16       one multiply, one add; 32 operand register bits

and per element, output and step an accumulation: ``ACCUMULATOR_BITS`` full adders and register bits (FP16: the add is
counted, 32 register bits). Figures of gates hold at an activity of ½, so gates cost figure · t / ½ and register bits
cost clock + data · t. The toggle rate is the trace's where it has one, else ½; FP16 operands are always at ½.
Lanes and rows without work are clock-gated and cost nothing. Wires between blocks, clock spines and control are not
counted. Vector and scan units: multiplies, adds of ``UNIT_BITS`` bits, lookups, and the registers that hold products.

On-chip memories are priced at their whole capacity, the double buffers of streamed weights at ``STREAM_BUFFER_KIB``;
leakage is memory leakage and static power × time.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..designs.design import Fp16ArrayDesign, OneBitDesign
from .ops import HALF, Floats, Ops
from .technology import Action, Technology, dram_figures
from .traffic import STREAM_BUFFER_KIB, Traffic
from .work import UnitWork, scan_work, vector_work

COMPONENTS = ("array", "vector", "scan", "sram", "dram", "leakage", "board")
"""Parts of an energy; ``board`` is a GPU, whose energy cannot be divided."""

ACCUMULATOR_BITS = 24
"""Of the array's accumulators: K = 11008 products with 8-bit activations need 22 bits."""
UNIT_BITS = 24
"""Of an add in the vector and scan units."""
PRODUCT_BITS = 36
"""Register bits that hold the product of an 18 × 18 multiply."""
FP16_BITS = 16
FP32_BITS = 32
TREE_GROWTH_BITS = 2

Counts = Mapping[Action, Floats]
Energy = npt.NDArray[np.float64]
"""[n, 3]: pJ, low, typical, high."""


def array_counts(ops: Ops, design: OneBitDesign | Fp16ArrayDesign) -> Counts:
    """[n] each: actions of the array in each operation."""
    linear = ops.is_kind("linear")
    if isinstance(design, Fp16ArrayDesign):
        macs = ops.macs.astype(np.float64)
        bits = macs * (2 * FP16_BITS + FP32_BITS / design.lanes)
        return {"fp16_multiply": macs, "fp16_add": macs, **_registers(bits, np.full(len(ops), HALF))}
    products = np.where(linear, ops.macs * ops.weight_planes, 0).astype(np.float64)
    outputs = np.where(linear, ops.tokens * ops.outputs * -(-ops.inputs // design.lanes) * ops.weight_planes, 0)
    serial = design.activations == "serial"
    accumulations = outputs * (ops.activation_bits if serial else 1) * float(ACCUMULATOR_BITS)
    xnor = products * ops.activation_bits
    adders = xnor if serial else products * (ops.activation_bits + TREE_GROWTH_BITS)
    operands = 2 * xnor if serial else products * (ops.activation_bits + 1)
    activity = ops.toggle / HALF
    return {
        "xnor": xnor * activity,
        "full_adder": (adders + accumulations) * activity,
        **_registers(operands + accumulations, ops.toggle),
    }


def unit_counts(work: UnitWork, one_bit: bool) -> Counts:
    """[n] each: actions of the vector or the scan unit, integer in a one-bit design, FP16 in an FP16 one."""
    product_bits = PRODUCT_BITS if one_bit else FP16_BITS
    registers = _registers(work.multiplies * product_bits, np.full_like(work.multiplies, HALF))
    if one_bit:
        adders = work.adds * UNIT_BITS
        return {"multiply_18x18": work.multiplies, "full_adder": adders, "table_lookup": work.lookups, **registers}
    return {"fp16_multiply": work.multiplies, "fp16_add": work.adds, "table_lookup": work.lookups, **registers}


def sram_energy(moved: Traffic, design: OneBitDesign | Fp16ArrayDesign, technology: Technology) -> Energy:
    """Reads and writes of the memories and the stream buffers, each at the energy per bit of its capacity."""
    accesses = (
        (design.weight_memory_kib, moved.weight_reads, np.zeros_like(moved.weight_reads)),
        (STREAM_BUFFER_KIB, moved.stream_reads, moved.stream_writes),
        (design.activation_memory_kib, moved.activation_reads, moved.activation_writes),
        (design.state_memory_kib, moved.state_reads, moved.state_writes),
    )
    energy = np.zeros((len(moved.weight_reads), 3))
    for capacity, reads, writes in accesses:
        energy += np.outer(8 * reads, technology.sram_pj_per_bit(capacity, "read"))
        energy += np.outer(8 * writes, technology.sram_pj_per_bit(capacity, "write"))
    return energy


def energies(
    ops: Ops, design: OneBitDesign | Fp16ArrayDesign, technology: Technology, moved: Traffic, time_s: Floats
) -> dict[str, Energy]:
    """pJ of each operation by component of ``COMPONENTS``."""
    one_bit = isinstance(design, OneBitDesign)
    memories_kib = design.weight_memory_kib + design.activation_memory_kib + design.state_memory_kib
    dram = dram_figures()[design.dram.kind].price if design.dram else np.zeros(3)
    return {
        "array": _priced(array_counts(ops, design), technology),
        "vector": _priced(unit_counts(vector_work(ops, one_bit), one_bit), technology),
        "scan": _priced(unit_counts(scan_work(ops), one_bit), technology),
        "sram": sram_energy(moved, design, technology),
        "dram": np.outer(8.0 * moved.dram, dram),
        "leakage": np.outer(time_s * 1e9, technology.leakage_mw(memories_kib)),  # mW · s = 1e9 pJ
        "board": np.zeros((len(ops), 3)),
    }


def _registers(bits: Floats, toggle: Floats) -> Counts:
    """Register bits that are clocked, and those that change."""
    return {"register_clock": bits, "register_data": bits * toggle}


def _priced(counts: Counts, technology: Technology) -> Energy:
    """Σ count × price over the actions."""
    prices = np.stack([technology.action(action) for action in counts])
    return np.asarray(np.stack(list(counts.values()), axis=1) @ prices)
