"""``Ops``: the columns of a trace that a cost needs, as arrays, and the same operations in FP16."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..traces.op import KINDS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

HALF = 0.5
"""Toggle rate where a trace has no statistics: a bit changes every second time."""
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

    def as_fp16(self) -> Ops:
        """The same operations with FP16 weights, activations, state and head: bytes from the shapes, no planes.

        Norm, convolution and scan weights are 16 bit already. Inputs of vector operations, whose number of operands
        the shape does not tell, are scaled from their width.
        """
        channels = self.tokens * self.outputs
        linear, embedding, conv = self.is_kind("linear"), self.is_kind("embedding"), self.is_kind("conv1d")
        scan, attention = self.is_kind("scan"), self.is_kind("attention")
        narrowed = -(-self.input_bytes * 16 // np.maximum(self.activation_bits, 1))
        conv_state = self.sequences * self.outputs * (self.inputs - 1) * 2
        scan_state = self.sequences * self.heads * self.headdim * self.d_state * 2

        def state(kept: Ints) -> Ints:
            return np.select([conv, scan, attention], [conv_state, scan_state, kept], 0)

        return replace(
            self,
            toggle=np.full(len(self), HALF),
            weight_planes=np.where(linear | embedding, 16, 0),
            activation_bits=np.full(len(self), 16),
            state_bits=np.where(self.state_bits > 0, 16, 0),
            weight_bytes=np.where(linear, self.outputs * self.inputs * 2, self.weight_bytes),
            input_bytes=np.select([linear, embedding], [self.tokens * self.inputs * 2, channels * 2], narrowed),
            output_bytes=channels * 2,
            state_read_bytes=state(self.state_read_bytes),
            state_write_bytes=state(self.state_write_bytes),
        )


def _mean_toggle(column: pd.Series) -> Floats:
    toggle = np.full(len(column), HALF)
    for index in np.flatnonzero(column.notna().to_numpy()):
        planes: Sequence[float] = column.iloc[index]
        if len(planes):
            toggle[index] = sum(planes) / len(planes)
    return toggle
