"""The causal depthwise convolution with its SiLU, streaming: the last taps−1 inputs are its state."""

from __future__ import annotations

import numpy as np

from ..compile import kernel
from ..formats import VECTOR
from .arith import saturate, shift_round
from .nonlinear import silu


@kernel
def conv1d_silu(
    x: np.ndarray,
    offset: int,
    tail: np.ndarray,
    weight: np.ndarray,
    weight_exponent: int,
    bias: np.ndarray,
    out: np.ndarray,
) -> int:
    """silu(Σ_k w[c,k]·x[t−taps+1+k, c] + bias[c]) for each sequence; returns the values clipped before SiLU.

    ``x`` int32 [sequences, length, ≥ offset + channels] (``VECTOR``), channel c at ``offset + c``; ``tail`` int32
    [sequences, channels, taps−1], oldest first, updated in place; ``weight`` int16 [channels, taps] with
    ``weight_exponent``; ``bias`` int64 [channels] at ``VECTOR.fraction + weight_exponent``; ``out`` int32 [sequences,
    length, channels] (``VECTOR``). The sum has at most 18 + 16 + log2(taps) + 1 bits.
    """
    clipped = 0
    taps = weight.shape[1]
    for s in range(x.shape[0]):
        for t in range(x.shape[1]):
            for c in range(out.shape[2]):
                newest = np.int64(x[s, t, offset + c])
                total = bias[c] + np.int64(weight[c, taps - 1]) * newest
                for k in range(taps - 1):
                    total += np.int64(weight[c, k]) * np.int64(tail[s, c, k])
                    tail[s, c, k] = tail[s, c, k + 1] if k < taps - 2 else newest
                value = shift_round(total, weight_exponent)
                inside = saturate(value, VECTOR.greatest)
                clipped += inside != value
                out[s, t, c] = silu(inside)
    return clipped
