"""``Ops``: the columns of a trace that a cost needs, as arrays, and the same operations in a design's own formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..designs.design import Design, OneBitDesign, QuantizedArrayDesign
from ..traces.op import KINDS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

HALF = 0.5
"""Toggle rate where a trace has no statistics: a bit changes every second time."""
FP16_BITS = 16
STATE_KINDS = ("conv1d", "scan", "attention")
"""Kinds of operation that keep a state."""
_NUMBERS = (
    "step", "layer", "sequences", "tokens", "outputs", "inputs", "heads", "headdim", "d_state", "context",
    "weight_planes", "activation_bits", "state_bits",
    "weight_bytes", "input_bytes", "output_bytes", "state_read_bytes", "state_write_bytes",
)  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Ops:
    """n operations as arrays of shape [n]; the fields are those of :class:`~xnorscan.traces.op.Op`.

    ``kind``: index into ``KINDS``. ``toggle``: mean toggle rate over the activation bit-planes, ½ where unknown.
    """

    kind: npt.NDArray[np.int8]
    toggle: Floats
    step: Ints
    layer: Ints
    sequences: Ints
    tokens: Ints
    outputs: Ints
    inputs: Ints
    heads: Ints
    headdim: Ints
    d_state: Ints
    context: Ints
    weight_planes: Ints
    activation_bits: Ints
    state_bits: Ints
    weight_bytes: Ints
    input_bytes: Ints
    output_bytes: Ints
    state_read_bytes: Ints
    state_write_bytes: Ints

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Ops:
        """The operations of ``Trace.ops``. Raises ``ValueError`` on a kind that no cost model knows."""
        kind = pd.Index(KINDS).get_indexer(frame["kind"])
        if (kind < 0).any():
            unknown = frame["kind"].iloc[int(np.argmax(kind < 0))]
            raise ValueError(f"trace has an operation of kind {unknown!r}; costs are known for {', '.join(KINDS)}")
        numbers = {name: frame[name].to_numpy(np.int64) for name in _NUMBERS}
        return cls(kind=kind.astype(np.int8), toggle=_mean_toggle(frame["toggle"]), **numbers)

    def __len__(self) -> int:
        return len(self.kind)

    def is_kind(self, *kinds: str) -> Bools:
        """[n]: operations of one of these kinds."""
        return np.asarray(np.isin(self.kind, [KINDS.index(kind) for kind in kinds]))

    @property
    def is_head(self) -> Bools:
        """[n]: the linear that stands outside the layers."""
        return np.asarray(self.is_kind("linear") & (self.layer < 0))

    @property
    def is_layer_linear(self) -> Bools:
        """[n]: the linears inside the layers."""
        return np.asarray(self.is_kind("linear") & (self.layer >= 0))

    @property
    def is_binary(self) -> Bools:
        """[n]: the binary GEMM, linears of one-bit weights inside the layers."""
        return np.asarray(self.is_layer_linear & (self.weight_planes == 1))

    @property
    def macs(self) -> Ints:
        """[n]: products of one weight and one activation in a linear (each plane counts for itself elsewhere), of
        q·k and probability·v in attention where a token looks back on itself and all before it; 0 elsewhere."""
        linear = np.where(self.is_kind("linear"), self.tokens * self.outputs * self.inputs, 0)
        return np.asarray(linear + 2 * self.scores * self.headdim)

    @property
    def scores(self) -> Ints:
        """[n]: query–key pairs over all heads. Token t of T in a sequence that ends at ``context`` sees
        context − T + t + 1 positions."""
        new = self.tokens // np.maximum(self.sequences, 1)
        pairs = self.sequences * (new * self.context - new * (new - 1) // 2) * self.heads
        return np.asarray(np.where(self.is_kind("attention"), pairs, 0))

    def in_formats_of(self, design: Design) -> Ops:
        """The same operations as ``design`` runs them: a one-bit design as in the trace but for the widths of state
        and head that it states itself, the others in FP16, a quantized array but for the linears of the layers."""
        if isinstance(design, QuantizedArrayDesign):
            return self.as_fp16().with_integer_weights(design)
        if not isinstance(design, OneBitDesign):
            return self.as_fp16()
        own = self.with_state_bits({kind: residency.bits for kind, residency in design.state})
        return own if design.head.bits is None else own.with_head_bits(design.head.bits)

    def with_state_bits(self, bits: Mapping[str, int | None]) -> Ops:
        """The same operations with the state of each kind in ``bits`` that wide, unchanged where that is ``None``.

        Bytes are those of the shapes, rounded up over the operation: heads · headdim · d_state values of a scan,
        channels · (taps − 1) of a convolution, 2 · channels per position (keys and values) of attention, which reads
        the whole context and writes the new tokens; all per sequence.
        """
        kinds = [self.is_kind(kind) for kind in STATE_KINDS]
        new = np.select(kinds, [bits.get(kind) or 0 for kind in STATE_KINDS], 0)
        conv = self.sequences * self.outputs * (self.inputs - 1)
        scan = self.sequences * self.heads * self.headdim * self.d_state
        read = np.select(kinds, [conv, scan, self.sequences * self.context * 2 * self.outputs], 0)
        written = np.select(kinds, [conv, scan, self.tokens * 2 * self.outputs], 0)
        return replace(
            self,
            state_bits=np.where(new > 0, new, self.state_bits),
            state_read_bytes=np.where(new > 0, -(-read * new // 8), self.state_read_bytes),
            state_write_bytes=np.where(new > 0, -(-written * new // 8), self.state_write_bytes),
        )

    def with_head_bits(self, bits: int) -> Ops:
        """The same operations with ``bits`` planes in the head and the embedding table; their row scales stay."""
        embedding = self.is_kind("embedding")
        head, weights = self.is_head, self.outputs * self.inputs
        more_weights = -(-weights * bits // 8) - -(-weights * self.weight_planes // 8)
        more_row = -(-self.outputs * bits // 8) - -(-self.outputs * self.weight_planes // 8)
        return replace(
            self,
            weight_planes=np.where(head | embedding, bits, self.weight_planes),
            weight_bytes=self.weight_bytes + np.where(head, more_weights, 0),
            input_bytes=self.input_bytes + np.where(embedding, self.tokens * more_row, 0),
        )

    def with_integer_weights(self, design: QuantizedArrayDesign) -> Ops:
        """The same operations with the weights and activations of ``design`` in the linears of the layers.

        Bytes of weights: ``weight_bits`` each, and an FP16 scale for every group of inputs of every output.
        """
        own, bits = self.is_layer_linear, design.activation_bits
        groups = -(-self.inputs // design.group_size) if design.group_size else 1
        weight_bytes = -(-self.outputs * self.inputs * design.weight_bits // 8) + 2 * self.outputs * groups
        return replace(
            self,
            weight_planes=np.where(own, design.weight_bits, self.weight_planes),
            activation_bits=np.where(own, bits, self.activation_bits),
            weight_bytes=np.where(own, weight_bytes, self.weight_bytes),
            input_bytes=np.where(own, self.tokens * self.inputs * bits // 8, self.input_bytes),
        )

    def as_fp16(self) -> Ops:
        """The same operations with FP16 weights, activations, state and head: bytes from the shapes, no planes.

        Norm, convolution and scan weights are 16 bit already. Inputs of vector operations, whose number of operands
        the shape does not tell, are scaled from their width.
        """
        channels = self.tokens * self.outputs
        linear, embedding = self.is_kind("linear"), self.is_kind("embedding")
        narrowed = -(-self.input_bytes * 16 // np.maximum(self.activation_bits, 1))
        return replace(
            self.with_state_bits(dict.fromkeys(STATE_KINDS, 16)),
            toggle=np.full(len(self), HALF),
            weight_planes=np.where(linear | embedding, 16, 0),
            activation_bits=np.full(len(self), 16),
            weight_bytes=np.where(linear, self.outputs * self.inputs * 2, self.weight_bytes),
            input_bytes=np.select([linear, embedding], [self.tokens * self.inputs * 2, channels * 2], narrowed),
            output_bytes=channels * 2,
        )


def _mean_toggle(column: pd.Series) -> Floats:
    toggle = np.full(len(column), HALF)
    for index in np.flatnonzero(column.notna().to_numpy()):
        planes: Sequence[float] = column.iloc[index]
        if len(planes):
            toggle[index] = sum(planes) / len(planes)
    return toggle
