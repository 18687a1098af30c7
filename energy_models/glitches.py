"""Glitches of an adder tree: changes of sums and carries within a step that do not last.

The figures are of a simulation: every output of an adder changes one delay after its inputs, one random word follows
another (``tests/oracles/unit_delay.py``). A stage with a register behind ``levels`` levels of ripple-carry adders makes
so many such changes per adder in a step, beside the one that lasts.

The price of a full adder is that of one in a published 8-bit adder, with the glitches of that adder. So what counts is
what a tree has beyond it, and a stage of one level has nothing. A multiplier is not counted either: published
multiplies are below our count of its gates as it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .ops import Floats

ADDER = 0.738
"""Of an 8-bit ripple-carry adder."""
POPCOUNT = (0.0, 0.359, 0.594, 0.819, 1.015, 1.156, 1.262, 1.328, 1.374, 1.403)
"""Of a tree over single bits, by its levels: 2 to 1024 lanes."""
SIGNED_SUM = (0.738, 1.003, 1.187, 1.325, 1.427, 1.491, 1.539)
"""Of a tree over words of 8 bits, by its levels: 2 to 128 lanes."""


def popcount_glitches(lanes: npt.ArrayLike, levels_per_stage: npt.ArrayLike) -> Floats:
    """Glitches per full adder and step of a popcount of ``lanes`` bits beyond those of an adder alone; past the largest
    tree simulated, those of that."""
    return _beyond(POPCOUNT, lanes, levels_per_stage)


def signed_sum_glitches(lanes: npt.ArrayLike, levels_per_stage: npt.ArrayLike) -> Floats:
    """As :func:`popcount_glitches`, of a sum of ``lanes`` words."""
    return _beyond(SIGNED_SUM, lanes, levels_per_stage)


def _beyond(simulated: tuple[float, ...], lanes: npt.ArrayLike, levels_per_stage: npt.ArrayLike) -> Floats:
    levels = np.minimum(np.ceil(np.log2(lanes)), levels_per_stage)
    found = np.interp(levels, np.arange(len(simulated)) + 1, simulated)
    return np.asarray(np.maximum(found - ADDER, 0.0))
