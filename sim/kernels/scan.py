"""The selective scan in its recurrent form, prefill included: Mamba-2 (one decay per head) and Mamba-1 (one per state).

    dt = softplus(dt_raw + dt_bias)           DT
    decay = 2^-(dt·a2), a2 = −A·log2(e)       17 fraction bits, ≤ 1 − 2^-17
    h = decay·h + (dt·x)·B                    one rounding, saturated to the state's format
    y = Σ_n h·C + D·x                         SCANNED

y reads the state as it is stored (rounded), so that a dump of the memories determines everything that follows.
Products: decay·h ≤ 2^48 and dtx·B ≤ 2^40, each aligned by at most 2^21, h·C·d_state ≤ 2^55 for 128 states: int64 never
overflows.

Error of y against float64 on normal inputs (root mean square over 200 tokens, relative; asserted by the tests), by the
state's width: 8 bits: 0.11, 12 bits: 0.012, 16 bits: 7.4e-4, 18 bits: 3.0e-4, 24 bits: 2.5e-4, 32 bits: 2.5e-4; from
18 bits on the inputs' and the step's formats rule.
"""

from __future__ import annotations

import numpy as np

from ..compile import inlined, kernel
from ..formats import DECAY_FRACTION, DT, DTX, SCANNED, VECTOR
from .arith import saturate, shift_round
from .nonlinear import EXPONENT_FRACTION, exp2_negative, softplus

_INPUT_FRACTION = DTX.fraction + VECTOR.fraction


@inlined
def _decay(dt: int, rate: int, rate_exponent: int) -> int:
    return exp2_negative(shift_round(dt * rate, DT.fraction + rate_exponent - EXPONENT_FRACTION))


@inlined
def _advance(h: int, decay: int, dtx: int, b: int, fraction: int) -> int:
    """decay·h + dtx·b, exact, then rounded once to ``fraction`` bits."""
    common = max(fraction + DECAY_FRACTION, _INPUT_FRACTION)
    kept = (h * decay) << (common - fraction - DECAY_FRACTION)
    added = (dtx * b) << (common - _INPUT_FRACTION)
    return shift_round(kept + added, common - fraction)


@inlined
def _read_out(total: int, fraction: int, skip: int, skip_exponent: int, x: int) -> int:
    return shift_round(total, fraction) + shift_round(skip * x, skip_exponent)


@kernel
def mamba2_scan(
    xbc: np.ndarray,
    proj: np.ndarray,
    dt_offset: int,
    dt_bias: np.ndarray,
    rate: np.ndarray,
    rate_exponent: int,
    skip: np.ndarray,
    skip_exponent: int,
    state: np.ndarray,
    state_greatest: int,
    state_fraction: int,
    out: np.ndarray,
) -> int:
    """Runs every token of every sequence through the recurrence; ``state`` is updated in place; returns the clipped.

    ``xbc`` int32 [sequences, length, conv_dim] (``VECTOR``): x, then B, then C; ``proj`` int32 [sequences, length,
    ≥ dt_offset + heads] (``VECTOR``): the raw time steps stand at ``dt_offset``; ``dt_bias`` int64 [heads]
    (``VECTOR``); ``rate`` (a2) and ``skip`` (D) int16 [heads] with exponents; ``state`` int32 [sequences, heads,
    headdim, d_state]; ``out`` int32 [sequences, length, heads·headdim] (``SCANNED``).
    """
    clipped = 0
    sequences, heads, headdim, d_state = state.shape
    channels = heads * headdim
    groups = (xbc.shape[2] - channels) // (2 * d_state)
    for s in range(sequences):
        for t in range(xbc.shape[1]):
            for h in range(heads):
                b = channels + h // (heads // groups) * d_state
                c = b + groups * d_state
                step = softplus(saturate(np.int64(proj[s, t, dt_offset + h]) + dt_bias[h], VECTOR.greatest))
                decay = _decay(step, np.int64(rate[h]), rate_exponent)
                for p in range(headdim):
                    x = np.int64(xbc[s, t, h * headdim + p])
                    product = shift_round(step * x, DT.fraction + VECTOR.fraction - DTX.fraction)
                    dtx = saturate(product, DTX.greatest)
                    clipped += dtx != product
                    total = 0
                    for n in range(d_state):
                        old = np.int64(state[s, h, p, n])
                        new = _advance(old, decay, dtx, np.int64(xbc[s, t, b + n]), state_fraction)
                        kept = saturate(new, state_greatest)
                        clipped += kept != new
                        state[s, h, p, n] = kept
                        total += kept * np.int64(xbc[s, t, c + n])
                    y = _read_out(total, state_fraction, np.int64(skip[h]), skip_exponent, x)
                    out[s, t, h * headdim + p] = saturate(y, SCANNED.greatest)
                    clipped += out[s, t, h * headdim + p] != y
    return clipped


@kernel
def mamba1_scan(
    x: np.ndarray,
    dt: np.ndarray,
    bc: np.ndarray,
    b_offset: int,
    dt_bias: np.ndarray,
    rate: np.ndarray,
    rate_exponent: int,
    skip: np.ndarray,
    skip_exponent: int,
    state: np.ndarray,
    state_greatest: int,
    state_fraction: int,
    out: np.ndarray,
) -> int:
    """Mamba-1: one time step per channel, one decay rate per channel and state.

    ``x``, ``dt`` int32 [sequences, length, channels]; ``bc`` int32 [sequences, length, b_offset + 2·d_state]: B at
    ``b_offset``, then C; ``dt_bias`` int64 [channels]; ``rate`` int16 [channels, d_state]; ``skip`` int16 [channels];
    ``state`` int32 [sequences, channels, d_state]; ``out`` int32 like ``x``. Formats and result as ``mamba2_scan``.
    """
    clipped = 0
    sequences, channels, d_state = state.shape
    c_offset = b_offset + d_state
    for s in range(sequences):
        for t in range(x.shape[1]):
            for e in range(channels):
                step = softplus(saturate(np.int64(dt[s, t, e]) + dt_bias[e], VECTOR.greatest))
                value = np.int64(x[s, t, e])
                product = shift_round(step * value, DT.fraction + VECTOR.fraction - DTX.fraction)
                dtx = saturate(product, DTX.greatest)
                clipped += dtx != product
                total = 0
                for n in range(d_state):
                    decay = _decay(step, np.int64(rate[e, n]), rate_exponent)
                    old = np.int64(state[s, e, n])
                    new = _advance(old, decay, dtx, np.int64(bc[s, t, b_offset + n]), state_fraction)
                    kept = saturate(new, state_greatest)
                    clipped += kept != new
                    state[s, e, n] = kept
                    total += kept * np.int64(bc[s, t, c_offset + n])
                y = _read_out(total, state_fraction, np.int64(skip[e]), skip_exponent, value)
                out[s, t, e] = saturate(y, SCANNED.greatest)
                clipped += out[s, t, e] != y
    return clipped
