"""rtl/raw_records.py: how many records leave, and when, against a count of the slots that were loaded."""

from __future__ import annotations

import random

import pytest
from amaranth.lib import data
from amaranth.sim import Simulator

from xnorscan.rtl.raw_records import RawRecords

RECORD = data.StructLayout({"multiplier": 24, "shift": 6, "beta_sum": 40})
ROWS = 3


def run(script, slots_max=8) -> list[int]:
    """Play ``script(ctx, dut)``; the cycles in which records left. Their contents are checked here."""
    dut, left = RawRecords(RECORD, ROWS, slots_max), []
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def testbench(ctx):
        await script(ctx, dut)

    async def watch(ctx):
        cycle = 0
        async for _, _, valid, ready, record in ctx.tick().sample(dut.o.valid, dut.o.ready, dut.o.payload):
            cycle += 1
            if valid and ready:
                left.append(cycle)
                assert (record.multiplier, record.shift, record.beta_sum) == (1, 0, 0)

    simulator.add_testbench(testbench)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    return left


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def start(ctx, dut, token_tiles, last_height, checking=4):
    """The layer is busy ``checking`` cycles before it starts."""
    ctx.set(dut.i_settings, {"token_tiles": token_tiles, "last_height": last_height})
    ctx.set(dut.i_busy, 1)
    await ctx.tick().repeat(checking)
    await pulse(ctx, dut.i_start)


@pytest.mark.parametrize(("tiles", "height"), [(1, 1), (1, 3), (2, 2), (4, 1)])
def test_slots_loaded_before_the_start_have_a_record_for_each_token(tiles, height):
    async def script(ctx, dut):
        ctx.set(dut.o.ready, 1)
        for _ in range(tiles):
            await pulse(ctx, dut.i_slot_full)
        await ctx.tick().repeat(5)
        await start(ctx, dut, tiles, height)
        await ctx.tick().repeat(tiles * (ROWS + 1) + 5)

    left = run(script)
    assert len(left) == (tiles - 1) * ROWS + height
    # A record a cycle, one cycle more between slots.
    assert left[-1] - left[0] == len(left) - 1 + tiles - 1


def test_nothing_leaves_before_the_start():
    async def script(ctx, dut):
        ctx.set(dut.o.ready, 1)
        await pulse(ctx, dut.i_slot_full)
        ctx.set(dut.i_settings, {"token_tiles": 1, "last_height": 3})
        ctx.set(dut.i_busy, 1)
        await ctx.tick().repeat(20)

    assert run(script) == []


def test_a_layer_that_loads_no_slots_leaves_nothing_to_the_next():
    """Its token tiles went through the quantizer; the next layer's slot is loaded while nothing is busy."""

    async def script(ctx, dut):
        ctx.set(dut.o.ready, 1)
        await start(ctx, dut, 5, 3)
        await ctx.tick().repeat(9)
        ctx.set(dut.i_busy, 0)
        await pulse(ctx, dut.i_slot_full)
        await start(ctx, dut, 1, 2)
        await ctx.tick().repeat(20)

    assert len(run(script)) == 2


@pytest.mark.parametrize("seed", range(5))
def test_random_layers_with_slots_at_any_time_and_a_reader_that_waits(seed):
    rng = random.Random(seed)
    layers = [(rng.randint(1, 5), rng.randint(1, ROWS)) for _ in range(6)]
    counts = []

    async def script(ctx, dut):
        for tiles, height in layers:
            early, left = rng.randint(0, tiles), 0
            for _ in range(early):
                await pulse(ctx, dut.i_slot_full)
            await start(ctx, dut, tiles, height, rng.randint(1, 4))
            late = tiles - early
            for _ in range(60 * tiles):
                ctx.set(dut.o.ready, rng.random() < 0.5)
                full = late > 0 and rng.random() < 0.2
                ctx.set(dut.i_slot_full, full)
                late -= full
                left += ctx.get(dut.o.valid) and ctx.get(dut.o.ready)
                await ctx.tick()
            ctx.set(dut.i_slot_full, 0)
            ctx.set(dut.o.ready, 0)
            ctx.set(dut.i_busy, 0)
            await ctx.tick()
            counts.append(left)

    run(script)
    assert counts == [(tiles - 1) * ROWS + height for tiles, height in layers]
