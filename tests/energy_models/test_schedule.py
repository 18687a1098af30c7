"""energy_models/schedule.py against its recurrence in exact fractions, against tiles one by one, and its bounds."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnorscan.energy_models.schedule import HALF_BUFFER, ROUNDING, Schedule, schedule
from xnorscan.energy_models.units import DMA

BYTES = st.one_of(st.just(0), st.just(HALF_BUFFER), st.integers(1, 12 * HALF_BUFFER))
OPERATIONS = st.lists(st.tuples(st.integers(1, 4000), BYTES), min_size=1, max_size=12)
RATE = st.sampled_from([1 / 1024, 1 / 102.4, 0.078125, 0.3, 1.0])
"""Cycles per byte."""


def scheduled(operations: list[tuple[int, int]], rate: float, step: list[int] | None = None) -> Schedule:
    compute, moved = np.array(operations, np.int64).T
    return schedule(np.array(step or [0] * len(operations), np.int64), compute, moved, rate)


def recurrence(operations: list[tuple[int, int]], rate: float) -> int:
    """End of the last operation of one step, by E and V in exact fractions, rounded up."""
    end, free, half = Fraction(0), Fraction(DMA.latency), HALF_BUFFER * Fraction(rate)
    for compute, moved in operations:
        transfer = moved * Fraction(rate)
        first = min(transfer, half)
        end += compute
        if moved:
            end = max(end, free + max(first + compute, transfer + compute * first / transfer))
        free = max(free + transfer, end - half)
    return ceil(end - Fraction(ROUNDING))


@settings(deadline=None)
@given(operations=OPERATIONS, rate=RATE)
def test_the_clipped_chain_is_the_recurrence(operations: list, rate: float) -> None:
    found = scheduled(operations, rate)
    assert found.ends[-1] == found.cycles.sum() == recurrence(operations, rate)
    assert (found.waits >= 0).all()
    for last, _ in enumerate(operations):
        assert found.ends[last] == recurrence(operations[: last + 1], rate)


@pytest.mark.parametrize("compute", [20, 160, 700, 5000])
@pytest.mark.parametrize("tiles", [1, 2, 3, 17])
def test_like_tiles_are_the_double_buffer_tile_by_tile(compute: int, tiles: int) -> None:
    """Tile k is loaded when k − 1 is and the buffer of k − 2 is free, computed when it is loaded and k − 1 computed."""
    rate = 0.01953125  # 320 cycles for a half buffer, exactly
    loaded, ended = [0.0, float(DMA.latency)], [0.0, 0.0]
    for _ in range(tiles):
        loaded.append(max(loaded[-1], ended[-2]) + HALF_BUFFER * rate)
        ended.append(max(ended[-1], loaded[-1]) + compute)
    assert scheduled([(compute * tiles, HALF_BUFFER * tiles)], rate).cycles[0] == ended[-1]


@settings(deadline=None)
@given(operations=OPERATIONS, rate=RATE)
def test_never_below_compute_nor_memory_and_never_above_no_overlap(operations: list, rate: float) -> None:
    total, compute = scheduled(operations, rate).ends[-1], sum(c for c, _ in operations)
    moved = sum(m for _, m in operations) * Fraction(rate)
    assert total >= max(compute, moved)
    assert total <= ceil(DMA.latency + compute + moved)


@settings(deadline=None)
@given(
    operations=OPERATIONS, rate=RATE, faster=st.floats(1, 8), at=st.integers(0, 11), more=st.integers(0, 3000),
    bytes_more=st.integers(0, 3 * HALF_BUFFER),
)  # fmt: skip
def test_monotone_in_work_bytes_and_bandwidth(
    operations: list, rate: float, faster: float, at: int, more: int, bytes_more: int
) -> None:
    total = scheduled(operations, rate).ends[-1]
    assert scheduled(operations, rate / faster).ends[-1] <= total
    compute, moved = operations[at % len(operations)]
    for grown in ((compute + more, moved), (compute, moved + bytes_more)):
        changed = list(operations)
        changed[at % len(operations)] = grown
        assert scheduled(changed, rate).ends[-1] >= total


@settings(deadline=None)
@given(steps=st.lists(OPERATIONS, min_size=1, max_size=4), rate=RATE, seed=st.randoms(use_true_random=False))
def test_steps_do_not_depend_on_each_other(steps: list, rate: float, seed) -> None:
    alone = [list(scheduled(operations, rate).cycles) for operations in steps]
    order = list(range(len(steps)))
    seed.shuffle(order)
    joined = [row for index in order for row in steps[index]]
    numbers = [number for number, index in enumerate(order) for _ in steps[index]]
    assert list(scheduled(joined, rate, numbers).cycles) == [c for index in order for c in alone[index]]


@settings(deadline=None)
@given(operations=OPERATIONS, rate=RATE)
def test_streams_follow_each_other_within_their_buffer(operations: list, rate: float) -> None:
    found, moved = scheduled(operations, rate), np.array([m for _, m in operations])
    starts, ends = found.stream_starts, found.stream_ends
    assert starts[0] == pytest.approx(DMA.latency)
    assert (ends - starts >= moved * rate * (1 - 1e-12) - 1e-6).all()
    assert (ends <= found.ends + 1e-6)[moved > 0].all()
    assert (starts[1:] >= ends[:-1] - 1e-6).all()
    assert (starts[1:] >= found.ends[:-1] - 1 - HALF_BUFFER * rate).all()


def test_the_next_operation_s_first_half_buffer_comes_while_this_one_computes() -> None:
    """At a cycle a byte the first waits for 64 cycles latency and 100 bytes; 300 bytes come in its 5,000 cycles.

    16,684 bytes do not: they begin at 164, the last half buffer has 9.8 of 10 cycles still to compute, 5,174 have gone.
    """
    assert list(scheduled([(5000, 100), (10, 300)], 1.0).waits) == [164, 0]
    assert list(scheduled([(5000, 100), (10, 16684)], 1.0).waits) == [164, ceil(164 + 16684 + 9.8 - 5174)]


def test_without_dram_nothing_waits() -> None:
    assert list(scheduled([(7, 0), (9, 0)], 0.0).cycles) == [7, 9]
