"""The tables are the functions that they name, rounded, and what lies beyond them is negligible."""

from __future__ import annotations

import math

import numpy as np

from oracles import integers
from xnorscan.sim.formats import VECTOR
from xnorscan.sim.tables import CORRECTION_FRACTION, CORRECTION_SEGMENTS, CORRECTION_STEP_BITS, EXP2, SILU, SOFTPLUS


def test_entries() -> None:
    assert SOFTPLUS.tolist() == integers.SOFTPLUS_TABLE
    assert SILU.tolist() == integers.SILU_TABLE
    assert EXP2.tolist() == integers.EXP2_TABLE


def test_shapes_and_widths() -> None:
    for table, entries, bits in ((SOFTPLUS, 257, 18), (SILU, 257, 17), (EXP2, 65, 21)):
        assert table.dtype == np.int64
        assert table.shape == (entries,)
        assert table.min() >= 0
        assert int(table.max()).bit_length() == bits, "the width of the memory that holds it"


def test_steps_of_the_corrections_are_sixteenths() -> None:
    assert (1 << CORRECTION_STEP_BITS) * VECTOR.ulp == 1 / 16


def test_beyond_the_last_segment_corrections_are_below_a_unit() -> None:
    end = CORRECTION_SEGMENTS / 16
    unit = 2.0**-CORRECTION_FRACTION
    assert math.log1p(math.exp(-end)) < unit
    assert end / (1 + math.exp(end)) < unit


def test_exp2_falls_from_one_to_a_half() -> None:
    assert EXP2[0] == 2 * EXP2[-1] == 1 << 20
    assert (np.diff(EXP2) < 0).all()
