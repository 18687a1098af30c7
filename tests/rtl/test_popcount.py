"""``XorPopcount`` against Python's own count of bits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.dot_bench import outputs_of
from xnorscan.designs.pipeline import dot_latency
from xnorscan.rtl.config import Tech
from xnorscan.rtl.popcount import XorPopcount


def _check(dut: XorPopcount, words: list[tuple[int, int]]) -> None:
    outputs = outputs_of(dut, [{"i_a": a, "i_b": b} for a, b in words])
    assert outputs == [(a ^ b).bit_count() for a, b in words]


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_every_input_of_few_lanes(lanes: int) -> None:
    words = [(a, b) for a in range(1 << lanes) for b in range(1 << lanes)]
    _check(XorPopcount(lanes), words)


@pytest.mark.parametrize("lanes", [8, 16, 32, 64, 128, 256])
def test_each_lane_counts_one_whatever_the_word(lanes: int) -> None:
    ones = (1 << lanes) - 1
    singles = [1 << lane for lane in range(lanes)]
    words = [(0, 0), (ones, 0), (0, ones), (ones, ones), *((s, 0) for s in singles), *((s, ones) for s in singles)]
    _check(XorPopcount(lanes), words)


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([8, 64, 256]), st.integers(0, 2**32))
def test_random_words_one_a_cycle(lanes: int, seed: int) -> None:
    source = random.Random(seed)
    dut = XorPopcount(lanes, levels_per_stage=source.choice([1, 2, 3, 8]))
    _check(dut, [(source.getrandbits(lanes), source.getrandbits(lanes)) for _ in range(12)])


@pytest.mark.parametrize("lanes", [1, 2, 8, 64, 256])
@pytest.mark.parametrize("tech", ["generic", "ecp5", "ice40"])
@pytest.mark.parametrize("levels_per_stage", [1, 2])
def test_latency_and_interval_are_those_of_the_pipeline(lanes: int, tech: Tech, levels_per_stage: int) -> None:
    dut = XorPopcount(lanes, tech, levels_per_stage)
    assert dut.latency == dot_latency(lanes, levels_per_stage)
    assert dut.interval == 1


@pytest.mark.parametrize("lanes", [0, -4, 3, 48])
def test_lanes_that_are_no_power_of_two_are_refused(lanes: int) -> None:
    with pytest.raises(ValueError, match=f"^lanes is {lanes}, it must be a power of two: each level of adders halves"):
        XorPopcount(lanes)
