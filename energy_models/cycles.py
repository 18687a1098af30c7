"""Cycles of each operation on a design: closed forms, vectorised over operations.

The array of a one-bit design is the generated one: its linears take ``core_latency`` + ``layer_cycles`` of
``designs/pipeline.py``, which the tests hold against the counts of the simulated Verilog. Activations of more than 8
bits pass a parallel array 8 bits at a time.

The FP16 array, output-stationary, holds a tile of up to ``rows`` tokens × ``cols`` outputs in accumulators:

    steps  = ceil(inputs / lanes)
    tiles  = ceil(tokens / rows) · ceil(outputs / cols)
    cycles = (tiles − 1) · max(steps, h) + steps + (h − 1) + (cols − 1) + h         h = min(rows, tokens)

Tiles follow each other without a bubble; a tile's results leave through a shift path of h steps while the next one
runs, so the next may end no sooner than h cycles later. The skew of h − 1 + cols − 1 cycles fills once, the last drain
of h cycles is exposed.

A quantized array is such an array too. Its linears of the layers use every lane, what it does in FP16 (head,
attention) the lanes that multiply FP16: of an int8 array every second one.

Attention multiplies activations by activations, which an array of one-bit weights cannot: a one-bit design does it in
its vector lanes, one product a lane and cycle, over the positions that each token sees. The FP16 array does it as two
products (q·kᵀ, probabilities·v) per sequence and head over the whole rectangle of tokens × context. In a prefill a
one-bit design may so spend more cycles on attention than its FP16 twin, in the ratio of array to vector lanes.

Vector unit: ceil(elements · passes / lanes) + latency. Scan unit: tokens of one sequence follow each other through the
recurrence, so a token takes at least the unit's latency: (tokens / sequences) · max(ceil(elements / lanes), latency) +
latency, elements over all sequences. Their latencies and intervals stand in ``units.py``.
"""

from __future__ import annotations

import numpy as np

from ..designs.design import ArrayDesign, OneBitDesign, QuantizedArrayDesign
from ..designs.pipeline import core_latency, layer_cycles
from .ops import Floats, Ints, Ops
from .units import SCAN, VECTOR
from .work import UnitWork, scan_work, vector_work_of

PARALLEL_BITS = 8
"""Activation bits that a lane of a parallel array takes in one pass."""


def compute_cycles(ops: Ops, design: ArrayDesign) -> Ints:
    """[n]: cycles of each operation with every operand at hand. ``ops`` are the design's own (``in_formats_of``)."""
    vector = vector_cycles(ops, design)
    return np.asarray(vector + array_cycles(ops, design) + scan_cycles(ops, design))


def one_bit_cycles(ops: Ops, design: OneBitDesign) -> Ints:
    """[n]: cycles of the generated array on each operation as if it were a linear, from its start to its last row."""
    serial = design.activations == "serial"
    planes = ops.weight_planes if serial else ops.weight_planes * -(-ops.activation_bits // PARALLEL_BITS)
    return core_latency() + layer_cycles(
        ops.tokens,
        ops.outputs,
        ops.inputs,
        planes,
        ops.activation_bits,
        rows=design.rows,
        cols=design.cols,
        lanes=design.lanes,
        activations=design.activations,
        cols_per_block=design.rtl.cols_per_block,
        levels_per_stage=design.rtl.levels_per_stage,
    )


def gemm_cycles(tokens: Ints, outputs: Ints, steps: Ints, rows: int, cols: int, repeats: Ints | int = 1) -> Ints:
    """[n]: cycles of ``repeats`` products of tokens × outputs, ``steps`` deep, back to back."""
    height = np.minimum(tokens, rows)
    tiles = repeats * -(-tokens // rows) * -(-outputs // cols)
    return np.asarray((tiles - 1) * np.maximum(steps, height) + steps + 2 * height + cols - 2)


def fp16_lanes(design: ArrayDesign) -> int:
    """Lanes of an element of an FP16 or quantized array that multiply FP16."""
    return design.fp16_lanes if isinstance(design, QuantizedArrayDesign) else design.lanes


def array_cycles(ops: Ops, design: ArrayDesign) -> Ints:
    """[n]: cycles of the array, 0 where an operation does not use it."""
    if isinstance(design, OneBitDesign):
        return np.where(ops.is_kind("linear"), one_bit_cycles(ops, design), 0)
    rows, cols, lanes = design.rows, design.cols, fp16_lanes(design)
    steps = -(-ops.inputs // np.where(ops.is_layer_linear, design.lanes, lanes))
    linear = np.where(ops.is_kind("linear"), gemm_cycles(ops.tokens, ops.outputs, steps, rows, cols), 0)
    new, pairs = ops.tokens // np.maximum(ops.sequences, 1), ops.sequences * ops.heads
    scores = gemm_cycles(new, ops.context, -(-ops.headdim // lanes), rows, cols, pairs)
    values = gemm_cycles(new, ops.headdim, -(-ops.context // lanes), rows, cols, pairs)
    return np.asarray(linear + np.where(ops.is_kind("attention"), scores + values, 0))


def vector_cycles(ops: Ops, design: ArrayDesign) -> Ints:
    """[n]: cycles of the vector unit, 0 where an operation does not use it."""
    return vector_cycles_of(vector_work_of(ops, design), design)


def vector_cycles_of(work: UnitWork, design: ArrayDesign) -> Ints:
    """[n]: as :func:`vector_cycles`; ``work`` of the vector unit."""
    lane_cycles = work.lane_cycles
    return _ceil(lane_cycles / design.vector_lanes) * VECTOR.interval + np.where(lane_cycles > 0, VECTOR.latency, 0)


def scan_cycles(ops: Ops, design: ArrayDesign) -> Ints:
    """[n]: cycles of the scan unit, 0 where an operation does not use it."""
    return scan_cycles_of(scan_work(ops), ops, design)


def scan_cycles_of(work: UnitWork, ops: Ops, design: ArrayDesign) -> Ints:
    """[n]: as :func:`scan_cycles`; ``work`` of the scan unit."""
    new = np.maximum(ops.tokens // np.maximum(ops.sequences, 1), 1)
    per_token = _ceil(work.lane_cycles / new / design.scan_lanes) * SCAN.interval
    return np.where(ops.is_kind("scan"), new * np.maximum(per_token, SCAN.latency) + SCAN.latency, 0)


def _ceil(values: Floats) -> Ints:
    return np.ceil(values).astype(np.int64)
