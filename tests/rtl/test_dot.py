"""``DotUnit``: one formula for both kinds of activations, and the latency that the cost model reads."""

from __future__ import annotations

import random

import pytest

from rtl.dot_bench import outputs_of
from xnorscan.designs.pipeline import dot_latency
from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.dot import DotUnit


@pytest.mark.parametrize("activations", ["serial", "parallel"])
@pytest.mark.parametrize("lanes", [1, 2, 16, 64])
@pytest.mark.parametrize("levels_per_stage", [1, 2, 5])
def test_the_sum_of_flipped_activations(activations: str, lanes: int, levels_per_stage: int) -> None:
    config = ArrayConfig(rows=1, cols=1, lanes=lanes, activations=activations, levels_per_stage=levels_per_stage)
    bits = config.word_bits
    source = random.Random(lanes)
    words = [(source.getrandbits(lanes * bits), source.getrandbits(lanes)) for _ in range(30)]
    words.append(((1 << lanes * bits) - 1, 0))
    top = (1 << bits) - 1
    dut = DotUnit(config)
    assert dut.interval == 1
    assert outputs_of(dut, [{"i_activations": a, "i_weights": w} for a, w in words]) == [
        sum((a >> bits * lane & top) ^ (top if w >> lane & 1 else 0) for lane in range(lanes)) for a, w in words
    ]


@pytest.mark.parametrize("activations", ["serial", "parallel"])
@pytest.mark.parametrize(("lanes", "latency"), [(1, 1), (2, 1), (4, 2), (8, 3), (16, 4), (64, 6), (256, 8)])
def test_latency_is_a_register_for_each_halving_of_the_lanes(activations: str, lanes: int, latency: int) -> None:
    assert dot_latency(lanes, 1) == latency
    for tech in ("generic", "ecp5", "ice40"):
        assert DotUnit(ArrayConfig(rows=1, cols=1, lanes=lanes, activations=activations, tech=tech)).latency == latency
