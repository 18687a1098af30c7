"""Counters of plain LUTs against integers."""

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator

from xnorscan.rtl.counting import minus_one, moved, plus_one


@pytest.mark.parametrize("width", [1, 2, 3, 6])
def test_counting_matches_integers_for_every_value(width):
    value, up, down = Signal(width), Signal(), Signal()
    more, less, either = Signal(width), Signal(width), Signal(width)
    m = Module()
    m.d.comb += [more.eq(plus_one(value)), less.eq(minus_one(value)), either.eq(moved(value, up=up, down=down))]
    size = 1 << width

    async def bench(context):
        for number in range(size):
            for moves in range(4):
                context.set(value, number)
                context.set(up, moves & 1)
                context.set(down, moves >> 1)
                await context.delay(1e-9)
                assert context.get(more) == (number + 1) % size
                assert context.get(less) == (number - 1) % size
                assert context.get(either) == (number + (moves & 1) - (moves >> 1)) % size

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
