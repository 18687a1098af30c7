"""The select tree gives the word that is selected, and 0 where none is, a stated number of cycles later."""

import random

import pytest
from amaranth.sim import Simulator

from xnorscan.rtl.select_tree import SelectTree


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 16, 33])
def test_the_selected_word_comes_out_after_the_latency(count):
    rng, dut, seen = random.Random(count), SelectTree(count, 6), []
    choices = [rng.randrange(-1, count) for _ in range(60)]
    words = [[rng.randrange(1, 64) for _ in range(count)] for _ in choices]

    async def bench(ctx):
        for index in range(len(choices) + dut.latency):
            if index < len(choices):
                ctx.set(dut.i, words[index])
                ctx.set(dut.i_select, 1 << choices[index] if choices[index] >= 0 else 0)
            seen.append((await ctx.tick().sample(dut.o))[-1])

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    chosen = [row[choice] if choice >= 0 else 0 for row, choice in zip(words, choices, strict=True)]
    assert seen[dut.latency :] == chosen
