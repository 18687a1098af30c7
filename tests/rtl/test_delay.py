"""A delay line gives back what it got, as much later as it says, and resets only where asked."""

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from xnorscan.rtl.delay import DelayLine

RESET_CYCLE = 8


def outputs(dut, values):
    """What stands at ``o`` while each of ``values`` stands at ``i``; a reset in cycle ``RESET_CYCLE``."""
    reset, seen = Signal(), []

    async def bench(ctx):
        for cycle, value in enumerate(values):
            ctx.set(dut.i, value)
            ctx.set(reset, cycle == RESET_CYCLE)
            seen.append((await ctx.tick().sample(dut.o))[-1])

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


@pytest.mark.parametrize("cycles", [1, 2, 5])
def test_a_value_comes_out_after_its_latency(cycles):
    values = list(range(100, 116))
    dut = DelayLine(8, cycles)
    assert dut.latency == cycles
    assert outputs(dut, values) == [0] * cycles + values[: len(values) - cycles]


def test_no_delay_is_a_wire():
    dut, seen = DelayLine(8, 0), []

    async def bench(ctx):
        for value in (3, 200):
            ctx.set(dut.i, value)
            seen.append(ctx.get(dut.o))

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [3, 200]


def test_with_init_a_reset_fills_the_line():
    values = list(range(100, 116))
    seen = outputs(DelayLine(8, 3, init=7), values)
    assert seen == [7, 7, 7, *values[: RESET_CYCLE - 2], 7, 7, 7, *values[RESET_CYCLE + 1 : -3]]


def test_a_negative_delay_is_refused():
    with pytest.raises(ValueError, match=r"^cycles is -1, a delay must be at least 0$"):
        DelayLine(8, -1)
