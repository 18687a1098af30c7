"""The lookup tables of the datapath, as integers. The RTL initialises its memories from these very arrays.

Each function is its table plus linear interpolation; the integer algorithms that use them stand in
:mod:`xnorscan.sim.kernels.nonlinear`.
"""

from __future__ import annotations

import numpy as np

CORRECTION_FRACTION = 18
"""Fraction bits of the softplus and SiLU corrections."""
CORRECTION_STEP_BITS = 7
"""log2 of the table step, in units of the last place of ``VECTOR``: 128/2048 = 1/16."""
CORRECTION_SEGMENTS = 256
"""Segments of 1/16 over [0, 16); beyond, the correction is below 2^-18 and counts as zero."""

EXP2_FRACTION = 20
"""Fraction bits of the entries of ``EXP2``."""
EXP2_SEGMENT_BITS = 6
"""64 segments over the fraction [0, 1) of the exponent."""


def _correction(values: np.ndarray) -> np.ndarray:
    return np.rint(values * 2**CORRECTION_FRACTION).astype(np.int64)


_U = np.arange(CORRECTION_SEGMENTS + 1) / 16.0

SOFTPLUS: np.ndarray = _correction(np.log1p(np.exp(-_U)))
"""int64 [257]: softplus(x) − relu(x) = log(1 + e^-|x|) at |x| = i/16."""

SILU: np.ndarray = _correction(_U / (1.0 + np.exp(_U)))
"""int64 [257]: relu(x) − silu(x) = |x|/(1 + e^|x|) at |x| = i/16."""

EXP2: np.ndarray = np.rint(2.0 ** (EXP2_FRACTION - np.arange(65) / 64.0)).astype(np.int64)
"""int64 [65]: 2^-f at f = i/64."""
