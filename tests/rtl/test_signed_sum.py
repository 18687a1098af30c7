"""``SignedSum`` against a sum of Python integers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.dot_bench import outputs_of
from xnorscan.designs.pipeline import dot_latency
from xnorscan.rtl.config import Tech
from xnorscan.rtl.signed_sum import SignedSum


def _expected(activations: int, weights: int, lanes: int) -> int:
    values = activations.to_bytes(lanes, "little")
    return sum(255 - value if weights >> lane & 1 else value for lane, value in enumerate(values))


def _check(lanes: int, words: list[tuple[int, int]]) -> None:
    dut = SignedSum(lanes)
    outputs = outputs_of(dut, [{"i_activations": a, "i_weights": w} for a, w in words])
    assert outputs == [_expected(a, w, lanes) for a, w in words]


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32, 64])
def test_each_lane_takes_its_own_activation_and_sign(lanes: int) -> None:
    high, ones = (1 << 8 * lanes) - 1, (1 << lanes) - 1
    lone = [(0xB7 << 8 * lane, weights) for lane in range(lanes) for weights in (0, ones, 1 << lane)]
    _check(lanes, [(0, 0), (0, ones), (high, 0), (high, ones), *lone])


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([1, 2, 16, 64]), st.integers(0, 2**32))
def test_random_words_one_a_cycle(lanes: int, seed: int) -> None:
    source = random.Random(seed)
    _check(lanes, [(source.getrandbits(8 * lanes), source.getrandbits(lanes)) for _ in range(12)])


@pytest.mark.parametrize("lanes", [1, 2, 16, 64])
@pytest.mark.parametrize("tech", ["generic", "ecp5", "ice40"])
@pytest.mark.parametrize("levels_per_stage", [1, 2])
def test_latency_and_interval_are_those_of_the_pipeline(lanes: int, tech: Tech, levels_per_stage: int) -> None:
    dut = SignedSum(lanes, tech, levels_per_stage)
    assert dut.latency == dot_latency(lanes, levels_per_stage)
    assert dut.interval == 1


@pytest.mark.parametrize("lanes", [0, -1, 3, 24])
def test_lanes_that_are_no_power_of_two_are_refused(lanes: int) -> None:
    with pytest.raises(ValueError, match=f"^lanes is {lanes}, it must be a power of two: each level of adders halves"):
        SignedSum(lanes)
