"""``Accumulator`` against a model in Python, cycle for cycle."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from xnorscan.rtl.accumulator import Accumulator
from xnorscan.rtl.config import ArrayConfig


def _sums(dut: Accumulator, steps: list[dict[str, int]]) -> list[int]:
    """``o_sum`` in the very cycle of each step."""
    found: list[int] = []

    async def bench(context: Any) -> None:
        for step in steps:
            for name, value in step.items():
                context.set(getattr(dut, name), value)
            found.append(context.get(dut.o_sum))
            await context.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["serial", "parallel"]), st.integers(0, 2**32))
def test_any_order_of_steps_bubbles_and_passes(activations: str, seed: int) -> None:
    config = ArrayConfig(rows=1, cols=1, lanes=16, activations=activations, inputs_max=100)
    source = random.Random(seed)
    steps, expected, acc = [], [], 0
    for _ in range(60):
        step = {
            "i": source.getrandbits(config.dot_bits),
            "i_enable": source.random() < 0.8,
            "i_last": source.random() < 0.2,
        }
        double = activations == "serial" and source.random() < 0.3
        if activations == "serial":
            step["i_double"] = double
        total = ((acc << 1 if double else acc) + step["i"]) % (1 << config.acc_bits)
        if step["i_enable"]:
            acc = 0 if step["i_last"] else total
        steps.append(step)
        expected.append(total)
    assert _sums(Accumulator(config), steps) == expected


@pytest.mark.parametrize("activations", ["serial", "parallel"])
@pytest.mark.parametrize(("lanes", "inputs"), [(1, 3), (16, 100), (64, 4096)])
def test_the_greatest_layer_does_not_overflow(activations: str, lanes: int, inputs: int) -> None:
    config = ArrayConfig(rows=1, cols=1, lanes=lanes, activations=activations, inputs_max=inputs)
    top = lanes * ((1 << config.word_bits) - 1)
    steps = []
    for bit in range(8 if activations == "serial" else 1):
        for word in range(config.words_max):
            step = {"i": top, "i_enable": 1, "i_last": 0}
            steps.append(step | {"i_double": bit > 0 and word == 0} if activations == "serial" else step)
    steps[-1] = steps[-1] | {"i_last": 1}
    greatest = 255 * config.words_max * lanes
    assert _sums(Accumulator(config), steps)[-1] == greatest
    assert greatest.bit_length() == config.acc_bits


def test_a_parallel_one_has_no_double_and_none_has_latency() -> None:
    serial, parallel = (
        Accumulator(ArrayConfig(rows=1, cols=1, lanes=4, activations=activations))
        for activations in ("serial", "parallel")
    )
    assert hasattr(serial, "i_double")
    assert not hasattr(parallel, "i_double")
    assert (serial.latency, serial.interval) == (0, 1)
