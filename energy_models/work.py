"""What the units of a design do in each operation: lane passes, multiplies, adds and table lookups, by unit.

Vector unit, per element (one output channel of one token) and kind; a lookup is one piecewise-linear segment, whose
multiply and add are counted apart:

    embedding     scale of the row                    1 multiply
    rmsnorm       x² summed; x·r·w                    3 multiplies, 1 add, 2 passes
    gated_rmsnorm g = y·SiLU(z), g² summed; g·r·w     5 multiplies, 2 adds, 1 lookup, 2 passes
    gate          y·SiLU(z)                           2 multiplies, 1 add, 1 lookup
    swiglu        up·SiLU(gate)                       2 multiplies, 1 add, 1 lookup
    rope          x·cos + x'·sin                      2 multiplies, 1 add, 2 passes
    conv1d        taps, bias, SiLU                    taps + 1 multiplies, adds; 1 lookup; taps passes

Around a one-bit linear the vector unit forms α·x and Σ β·x (first pass) and quantizes (second pass); it adds the
shared β term to each output, or multiplies it by its row's scale where the weights are int8. FP16 needs none of it. An
int8 array's linear of a layer has its inputs quantized (greatest magnitude, then one multiply: two passes) and its
outputs multiplied by their scale.

Scan unit, per state element: Mamba-2 3 multiplies (decay·h, dt·x·B, C·h) and 2 adds, softplus and exp per head and
token; Mamba-1 one multiply (dt·A) and one exp more per element. D·x is one multiply and add per channel.

Attention is done by the vector unit of a one-bit design (keys and values are 16 bit) and by the array of an FP16 one;
softmax is a maximum, an exp and a division pass over the scores in the vector unit of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..designs.design import Design, OneBitDesign, QuantizedArrayDesign
from ..traces.op import KINDS
from .ops import Floats, Ops

_VECTOR = {  # kind: passes, multiplies, adds, lookups per element
    "embedding": (1, 1, 0, 0),
    "rmsnorm": (2, 3, 1, 0),
    "gated_rmsnorm": (2, 5, 2, 1),
    "gate": (1, 2, 1, 1),
    "swiglu": (1, 2, 1, 1),
    "rope": (2, 2, 1, 0),
    "conv1d": (0, 1, 1, 1),  # and one pass, multiply and add per tap
}
_PER_KIND = np.array([_VECTOR.get(kind, (0, 0, 0, 0)) for kind in KINDS], dtype=np.float64)
_SOFTMAX_PASSES = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class UnitWork:
    """[n] each: lane-cycles (elements × passes), multiplies, adds and table lookups of one unit."""

    lane_cycles: Floats
    multiplies: Floats
    adds: Floats
    lookups: Floats


def vector_work_of(ops: Ops, design: Design) -> UnitWork:
    """The vector unit's work in each operation on ``design``; ``ops`` in its formats."""
    int8 = isinstance(design, QuantizedArrayDesign) and design.arithmetic == "int8"
    return vector_work(ops, isinstance(design, OneBitDesign), int8)


def vector_work(ops: Ops, one_bit: bool, int8: bool = False) -> UnitWork:
    """The vector unit's work in each operation on a one-bit design, around an array that is ``int8`` in the linears of
    the layers, or in FP16 throughout."""
    elements = (ops.tokens * ops.outputs).astype(np.float64)
    passes, multiplies, adds, lookups = (_PER_KIND[ops.kind].T * elements).astype(np.float64)
    taps = np.where(ops.is_kind("conv1d"), ops.inputs, 0) * elements
    passes, multiplies, adds = passes + taps, multiplies + taps, adds + taps
    scores = ops.scores.astype(np.float64)
    passes, multiplies = passes + _SOFTMAX_PASSES * scores, multiplies + 2 * scores
    adds, lookups = adds + 2 * scores, lookups + scores
    if one_bit:
        attention = np.where(ops.is_kind("attention"), ops.macs, 0)
        linear = ops.is_kind("linear")
        entering = np.where(linear, ops.tokens * ops.inputs, 0).astype(np.float64)
        binarized = ops.weight_planes == 1
        leaving = np.where(linear, elements, 0.0)
        passes = passes + attention + 2 * entering
        multiplies = multiplies + attention + np.where(binarized, 2 * entering, leaving)
        adds = adds + attention + np.where(binarized, entering + leaving, 0.0)
    if int8:
        entering = np.where(ops.is_layer_linear, ops.tokens * ops.inputs, 0).astype(np.float64)
        leaving = np.where(ops.is_layer_linear, elements, 0.0)
        passes = passes + 2 * entering + leaving
        multiplies = multiplies + entering + leaving
    return UnitWork(lane_cycles=passes, multiplies=multiplies, adds=adds, lookups=lookups)


def scan_work(ops: Ops) -> UnitWork:
    """The scan unit's work in each operation; a lane-cycle is one state element of one token."""
    scan = ops.is_kind("scan")
    channels = np.where(scan, ops.tokens * ops.heads * ops.headdim, 0).astype(np.float64)
    elements = channels * ops.d_state
    heads = np.where(scan, ops.tokens * ops.heads, 0).astype(np.float64)
    own_decay = np.where(ops.headdim == 1, elements, 0.0)  # Mamba-1: every state element has its own decay rate
    lookups = 2 * heads + own_decay
    return UnitWork(
        lane_cycles=elements,
        multiplies=3 * elements + own_decay + channels + lookups,
        adds=2 * elements + channels + lookups,
        lookups=lookups,
    )


def arithmetic(ops: Ops) -> Floats:
    """[n]: multiplies and adds of each operation, however a design does them; the numerator of a roofline.

    A product in a linear or in attention is a multiply and an add, whatever its bits and planes. Lookups, the scaling
    and the quantizing around a one-bit linear are not counted, so a one-bit design and its FP16 twin do the same.
    """
    vector, scan = vector_work(ops, one_bit=False), scan_work(ops)
    return np.asarray(2.0 * ops.macs + vector.multiplies + vector.adds + scan.multiplies + scan.adds)
