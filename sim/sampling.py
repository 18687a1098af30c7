"""Choosing the next token from integer logits: greedy, or top-k with a seed, on integers as well."""

from __future__ import annotations

import math

import numpy as np

from .formats import LOGIT
from .kernels.nonlinear import EXPONENT_FRACTION
from .tables import EXP2, EXP2_FRACTION, EXP2_SEGMENT_BITS

_MAX_EXPONENT = EXP2_FRACTION
_GREATEST_RATE = 2.0**40
"""At this rate one unit in the last place of a logit is already too far."""


def greedy(logits: np.ndarray) -> int:
    """The index of the greatest of ``logits`` int32 [vocab]; the lowest index among equals."""
    return int(np.argmax(logits))


def top_k(logits: np.ndarray, k: int, temperature: float, rng: np.random.Generator) -> int:
    """One of the ``k`` greatest of ``logits`` int32 [vocab], drawn with weight 2^((logit − max)·log2(e)/temperature).

    Weights are integers of 20 fraction bits from the datapath's own exp2 table (segment starts, no interpolation) and
    the draw is an integer below their sum, so a seed gives the same text on every machine. Equal logits rank by index.

    Raises ``ValueError`` where ``k`` < 1 or the temperature is not positive.
    """
    if k < 1:
        raise ValueError(f"top-k is {k}, it must be at least 1")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, it must be above 0")
    best = np.argsort(-logits.astype(np.int64), kind="stable")[:k]
    rate = round(min(math.log2(math.e) / temperature * 2**EXPONENT_FRACTION, _GREATEST_RATE))
    # Beyond this distance the weight is 0 anyway; cut there, no product overflows.
    farthest = ((_MAX_EXPONENT + 1) << (EXPONENT_FRACTION + LOGIT.fraction)) // max(rate, 1) + 1
    distance = int(logits[best[0]]) - logits[best].astype(np.int64)
    below = np.minimum(distance, farthest) * rate >> LOGIT.fraction
    whole = np.minimum(below >> EXPONENT_FRACTION, _MAX_EXPONENT + 1)
    segment = (below & ((1 << EXPONENT_FRACTION) - 1)) >> (EXPONENT_FRACTION - EXP2_SEGMENT_BITS)
    weights = EXP2[segment] >> whole
    drawn = int(rng.integers(int(weights.sum())))
    return int(best[np.searchsorted(np.cumsum(weights), drawn, side="right")])
