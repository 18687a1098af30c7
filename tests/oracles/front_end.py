"""The front end on Python's unbounded integers, from its formulas: x·α to q with the token's scale; Σ β·x."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oracles.integers import half_even


@dataclass(frozen=True)
class QuantizedToken:
    """p ≈ q · multiplier · 2^shift."""

    q: list[int]
    multiplier: int
    shift: int


def quantize(p: Sequence[int], mode: str) -> QuantizedToken:
    """One token of products."""
    return {"pow2": _pow2, "absmax": _absmax}[mode](p, max(abs(v) for v in p))


def scale_and_quantize(x: Sequence[int], alpha: Sequence[int], mode: str) -> QuantizedToken:
    """One token of x; α may be longer than x."""
    return quantize([v * a for v, a in zip(x, alpha, strict=False)], mode)


def beta_sum(x: Sequence[int], beta: Sequence[int]) -> int:
    """Σ β·x, exact; β may be longer than x."""
    return sum(v * b for v, b in zip(x, beta, strict=False))


def _pow2(p: Sequence[int], absmax: int) -> QuantizedToken:
    shift = 0
    while absmax > 127 * 2**shift:
        shift += 1
    return QuantizedToken([half_even(v, shift) for v in p], 1, shift)


def _absmax(p: Sequence[int], absmax: int) -> QuantizedToken:
    narrow = absmax.bit_length() - 23
    scale = max(1, half_even(absmax, narrow))
    reciprocal = 127 * 2**40 // scale
    q = [half_even(half_even(v, narrow) * reciprocal, 40) for v in p]
    return QuantizedToken(q, half_even(scale * 33026, 15), narrow - 7)
