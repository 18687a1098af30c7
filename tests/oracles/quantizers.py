"""Per-token quantizers of activations to signed 8-bit integers, in float64, with exact scales and exact ties.

Both round half to even. The values must have at most 46 significant bits (float32 and every hardware format do): then
no quotient here is rounded across a tie.
"""

from __future__ import annotations

import math

import numpy as np

GREATEST = 127


def pow2_exponent(absmax: float) -> int:
    """ceil(log2(absmax/127)): the least integer e with 127·2^e ≥ absmax; 0 for an absmax of 0."""
    if absmax == 0:
        return 0
    exponent = math.frexp(absmax)[1] - 7
    while GREATEST * 2.0**exponent < absmax:
        exponent += 1
    while GREATEST * 2.0 ** (exponent - 1) >= absmax:
        exponent -= 1
    return exponent


def quantize_pow2(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``x`` float [..., channels] → q int64 [..., channels] and the exponent e int64 [...] of its scale: x ≈ q·2^e."""
    x = np.asarray(x, np.float64)
    exponent = np.vectorize(pow2_exponent, otypes=[np.int64])(np.abs(x).max(axis=-1))
    return np.rint(np.ldexp(x, -exponent[..., None])).astype(np.int64), exponent


def quantize_absmax(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``x`` float [..., channels] → q int64 [..., channels] and scale = absmax/127 float64 [...], x ≈ q·scale.

    A token of zeros gives zeros and the scale 0. BitNet's code (microsoft/BitNet@16da220) floors absmax at 1e-5;
    here it is not floored.
    """
    x = np.asarray(x, np.float64)
    absmax = np.abs(x).max(axis=-1)
    divisor = np.where(absmax == 0, 1.0, absmax)
    return np.rint(x * GREATEST / divisor[..., None]).astype(np.int64), absmax / GREATEST
