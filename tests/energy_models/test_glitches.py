"""energy_models/glitches.py against a simulation of the same adders with unit delays."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from oracles.cost_workloads import array, linear, ops_of
from oracles.unit_delay import Adders, popcount, ripple_adder, signed_sum
from xnorscan.designs.design import equal_throughput_baseline
from xnorscan.energy_models import gates
from xnorscan.energy_models.energy import array_counts
from xnorscan.energy_models.glitches import ADDER, POPCOUNT, SIGNED_SUM, popcount_glitches, signed_sum_glitches


def glitches(built: tuple[Adders, list[int]], steps: int) -> float:
    every, lasting = built[0].changes(built[1], steps, seed=1)
    return every - lasting


def test_an_adder_of_two_bits_by_enumeration() -> None:
    """The low half adder has none: its inputs change together. The high adder sees its two bits first, the carry of the
    bit below one delay later, and its outputs may change twice."""
    lasting = every = 0
    for before, after in product(product((0, 1), repeat=4), repeat=2):
        (a0, b0, a1, b1), (c0, d0, c1, d1) = before, after
        high = [a1 + b1 + (a0 & b0), c1 + d1 + (a0 & b0), c1 + d1 + (c0 & d0)]
        low = [a0 + b0, c0 + d0]
        every += sum(bits(one ^ other) for steps in (low, high) for one, other in pairwise(steps))
        lasting += sum(bits(steps[0] ^ steps[-1]) for steps in (low, high))
    netlist, inputs = ripple_adder(2)
    found = netlist.changes(inputs, 100_000)
    assert found == pytest.approx((every / 256 / 2, lasting / 256 / 2), abs=0.01)
    assert every > lasting


def bits(value: int) -> int:
    return value.bit_count()


def test_of_an_adder_alone() -> None:
    assert glitches(ripple_adder(8), 20_000) == pytest.approx(ADDER, rel=0.01)


@pytest.mark.parametrize("levels", range(2, 9))
def test_of_popcounts(levels: int) -> None:
    found = glitches(popcount(2**levels), 80_000 >> levels)
    assert found == pytest.approx(POPCOUNT[levels - 1], rel=0.03)


@pytest.mark.parametrize("levels", range(1, 6))
def test_of_signed_sums(levels: int) -> None:
    found = glitches(signed_sum(2**levels, 8), 20_000 >> levels)
    assert found == pytest.approx(SIGNED_SUM[levels - 1], rel=0.03)


def test_the_simulated_trees_are_those_that_are_counted() -> None:
    for lanes in (8, 64):
        of_popcount = popcount(lanes), gates.xnor_popcount(lanes)
        of_signed_sum = signed_sum(lanes, 8), gates.signed_sum(lanes, 8)
        for (netlist, _), counted in (of_popcount, of_signed_sum):
            full = sum(len(inputs) == 3 for inputs, _ in netlist.gates)
            assert (full, len(netlist.gates) - full) == (counted["full_adder"], counted["half_adder"])


def test_beyond_an_adder_by_levels_and_stages() -> None:
    assert popcount_glitches([4, 8, 64, 1024], 32) == pytest.approx([0, 0, 1.156 - ADDER, 1.403 - ADDER])
    assert popcount_glitches(1024, [1, 3, 6]) == pytest.approx([0, 0, 1.156 - ADDER])
    assert signed_sum_glitches([1, 2, 16], 32) == pytest.approx([0, 0, 1.325 - ADDER])
    assert popcount_glitches(2**14, 32) == popcount_glitches(2**10, 32)
    assert signed_sum_glitches(49, 32) == signed_sum_glitches(64, 32)


def test_an_array_counts_them_on_the_full_adders_of_its_trees() -> None:
    ops = ops_of(linear(tokens=2, outputs=3, inputs=64))
    for levels, per_adder in ((1, 0.0), (4, 1.325 - ADDER)):
        counts = array_counts(ops, array(lanes=16, rtl={"levels_per_stage": levels}))
        tree = 8 * 7 + 4 * 8 + 2 * 9 + 1 * 10
        assert counts["glitch"][0] == pytest.approx(2 * 3 * 4 * tree * per_adder)
    twin = equal_throughput_baseline(array(lanes=16))
    assert float(array_counts(ops.as_fp16(), twin)["glitch"]) == 0
