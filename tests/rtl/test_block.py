"""A block passes words and flags on after one cycle, and its sums stand with their flags."""

import pytest
from amaranth.sim import Simulator

from xnorscan.designs.pipeline import dot_latency
from xnorscan.rtl.block import Block
from xnorscan.rtl.config import ArrayConfig


@pytest.mark.parametrize("activations", ["serial", "parallel"])
@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("levels_per_stage", [1, 2])
def test_a_step_reaches_the_neighbours_and_the_sums_in_the_stated_cycles(activations, width, levels_per_stage):
    config = ArrayConfig(
        rows=1, cols=4, lanes=8, activations=activations, inputs_max=8, levels_per_stage=levels_per_stage
    )
    dut, passed, selected = Block(config, width), [], []
    assert dut.latency == 1 + dot_latency(config.lanes, levels_per_stage)
    greatest = (1 << 8 * config.word_bits) - 1
    step = {"enable": 1, "double": 0, "last": 1, "select": 1}

    async def bench(ctx):
        await ctx.tick().repeat(20)
        ctx.set(dut.i_activations, greatest)
        ctx.set(dut.i_weights, [0] * width)
        ctx.set(dut.i_flags, step)
        for cycle in range(20):
            words = (dut.o_activations, dut.o_weights, dut.o_flags.select, dut.o_select, dut.o_sums)
            activations, weights, flag, select, sums = (await ctx.tick().sample(*words))[2:]
            ctx.set(dut.i_activations, 0)
            ctx.set(dut.i_flags, {})
            if flag:
                passed.append((cycle, activations, list(weights)))
            if select:
                selected.append((cycle, list(sums)))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert passed == [(1, greatest, [0] * width)]
    assert selected == [(dut.latency, [8 * ((1 << config.word_bits) - 1)] * width)]
