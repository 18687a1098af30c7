"""``Op``: one operation that ran (or would run), in numbers a cost model can use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "embedding", "rmsnorm", "linear", "conv1d", "scan", "gate", "gated_rmsnorm", "rope", "attention", "swiglu"
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(Kind)

LEAST: dict[str, int] = {
    "step": 0, "layer": -1, "sequences": 1, "tokens": 1, "outputs": 0, "inputs": 0, "heads": 0, "headdim": 0,
    "d_state": 0, "context": 0, "weight_planes": 0, "activation_bits": 0, "state_bits": 0, "weight_bytes": 0,
    "input_bytes": 0, "output_bytes": 0, "state_read_bytes": 0, "state_write_bytes": 0,
}  # fmt: skip
"""The least value allowed in each integer field of an ``Op``, in their order."""
TRAFFIC = ("weight_bytes", "input_bytes", "output_bytes", "state_read_bytes", "state_write_bytes")
"""Fields that count bytes moved."""
LEAST_STATISTIC: dict[str, int] = {"saturations": 0, "max_abs": 0}
"""The same for the integer statistics, which may be absent."""
PLANE_STATISTICS: tuple[str, ...] = ("density", "toggle")
"""Statistics with one share, 0 to 1, per activation bit-plane, which may be absent."""


@dataclass(frozen=True, kw_only=True)
class Op:
    """One row of a trace: one operation on ``tokens`` tokens in one step of a run.

    Identity
        ``step``: 0, 1, … in the order of the run's calls (a prefill is one step, each decoded token is one).
        ``layer``: 0-based; −1 for what stands outside the layers (embedding, final norm, head).
        ``name``: the operation's name in the model (``in_proj``); ``kind``: one of ``KINDS``.
    Shape
        ``sequences``: independent sequences (batch); ``tokens``: tokens over all of them in this step.
        ``outputs``, ``inputs``: a linear's rows and columns; channels and taps of a ``conv1d``; channels, channels of
        norms, gates and ``swiglu``; d_model and vocabulary of an ``embedding``.
        ``heads``, ``headdim``, ``d_state``: of a ``scan`` (Mamba-1: heads = channels, headdim = 1) and, without
        d_state, of ``attention`` and ``rope`` (whose channels are those of q and k); ``context``: positions that
        ``attention`` looks back on, the current included.
    Precision
        ``weight_planes``: one-bit planes of the weights (1 for FBI-Linear, 8 for int8; 0 where there is no linear).
        ``activation_bits``: of the activations that enter; ``state_bits``: of the recurrent, conv or KV state.
    Traffic, bytes, each counted once per operation (compulsory traffic)
        ``weight_bytes`` (planes and scales), ``input_bytes``, ``output_bytes``, ``state_read_bytes``,
        ``state_write_bytes``.
    Statistics of the data, ``None`` in a shape-only trace and where they do not apply
        ``density``: share of ones in each activation bit-plane, plane 0 = least significant.
        ``toggle``: share of lanes that change between consecutive 64-lane words of a plane.
        ``saturations``: values clipped in this operation; ``max_abs``: greatest magnitude of the quantized integers
        entering.

    Raises ``ValueError`` naming the field where a value is out of range.
    """

    step: int
    layer: int
    name: str
    kind: Kind
    sequences: int
    tokens: int
    outputs: int = 0
    inputs: int = 0
    heads: int = 0
    headdim: int = 0
    d_state: int = 0
    context: int = 0
    weight_planes: int = 0
    activation_bits: int = 0
    state_bits: int = 0
    weight_bytes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    state_read_bytes: int = 0
    state_write_bytes: int = 0
    density: tuple[float, ...] | None = None
    toggle: tuple[float, ...] | None = None
    saturations: int | None = None
    max_abs: int | None = None

    def __post_init__(self) -> None:
        # A run makes many rows: plain comparisons first, messages only where one fails.
        if not self.name:
            raise ValueError("an operation has no name, it must have one")
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: kind is {self.kind!r}, it must be one of {', '.join(KINDS)}")
        values = vars(self)
        for field, least in LEAST.items():
            if values[field] < least:
                raise ValueError(f"{self.name}: {field} is {values[field]}, it must be at least {least}")
        for field, least in LEAST_STATISTIC.items():
            if values[field] is not None and values[field] < least:
                raise ValueError(f"{self.name}: {field} is {values[field]}, it must be at least {least}")
        for field in PLANE_STATISTICS:
            shares = values[field]
            if shares is None:
                continue
            if len(shares) != self.activation_bits:
                raise ValueError(
                    f"{self.name}: {field} has {len(shares)} planes, it must have one per activation bit "
                    f"({self.activation_bits})"
                )
            if not all(0.0 <= share <= 1.0 for share in shares):
                raise ValueError(f"{self.name}: {field} is {shares}, each share must lie between 0 and 1")
