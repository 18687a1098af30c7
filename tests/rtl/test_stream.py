"""Streams keep every item and its order, at the stated pace, and cut the paths that they promise to cut."""

import random

import pytest
from amaranth import Module
from amaranth.sim import Simulator

from xnorscan.rtl.stream import SkidBuffer, StreamFifo

PARTS = {
    "skid": lambda: SkidBuffer(8),
    "fifo": lambda: StreamFifo(8, 16),
    "fifo-of-two": lambda: StreamFifo(8, 2),
    "fifo-of-five": lambda: StreamFifo(8, 5),
}
CAPACITIES = {"skid": 2, "fifo": 17, "fifo-of-two": 3, "fifo-of-five": 6}
"""Items that enter while none leaves."""
parts = pytest.mark.parametrize("name", PARTS)


def run(dut, items, offered, taken, cycles=2000):
    """(cycle, item) of each transfer at ``i`` and at ``o``; a waiting item must stay as it is."""
    entered, left, rng = [], [], random.Random(7)
    todo = list(items)

    async def bench(ctx):
        waiting, offering = None, False
        for cycle in range(cycles):
            offering = bool(todo) and (offering or rng.random() < offered)
            ctx.set(dut.i.valid, offering)
            ctx.set(dut.i.payload, todo[0] if offering else 0xEE)
            ctx.set(dut.o.ready, rng.random() < taken)
            i_ready, valid, ready, item = (await ctx.tick().sample(dut.i.ready, dut.o.valid, dut.o.ready, dut.o.p))[2:]
            assert waiting is None or (valid and item == waiting)
            waiting = item if valid and not ready else None
            if offering and i_ready:
                entered.append((cycle, todo.pop(0)))
                offering = False
            if valid and ready:
                left.append((cycle, item))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return entered, left


@parts
@pytest.mark.parametrize(("offered", "taken"), [(0.5, 0.5), (1, 0.3), (0.3, 1)])
def test_every_item_leaves_once_in_order_under_stalls(name, offered, taken):
    items = [index % 256 for index in range(300)]
    _, left = run(PARTS[name](), items, offered, taken)
    assert [item for _, item in left] == items


@parts
def test_latency_and_interval_are_those_stated(name):
    dut = PARTS[name]()
    entered, left = run(dut, range(40), 1, 1, cycles=60)
    assert [cycle for cycle, _ in entered] == list(range(0, 40 * dut.interval, dut.interval))
    assert [cycle for cycle, _ in left] == [cycle + dut.latency for cycle, _ in entered]


@parts
def test_takes_what_it_holds_and_no_more(name):
    entered, left = run(PARTS[name](), range(40), 1, 0, cycles=60)
    assert len(entered) == CAPACITIES[name]
    assert left == []


@parts
def test_ready_does_not_pass_through(name):
    """A full part refuses an item in the very cycle in which one leaves: ready is a matter of registers alone."""
    dut, seen = PARTS[name](), []

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(60)
        for ready in (0, 1, 0, 1):
            ctx.set(dut.o.ready, ready)
            seen.append(ctx.get(dut.i.ready))
        await ctx.tick()
        seen.append(ctx.get(dut.i.ready))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [0, 0, 0, 0, 1]


def test_a_fifo_of_one_item_is_refused():
    with pytest.raises(ValueError, match=r"^depth is 1, it must be at least 2: one item enters while another leaves$"):
        StreamFifo(8, 1)


@pytest.mark.parametrize("late", [1, 3])
def test_fifos_of_the_parts_of_an_item_are_read_in_step(late):
    """The first part comes ``late`` cycles before the second; both leave together, sharing nothing but ``ready``."""
    m, rng = Module(), random.Random(7)
    m.submodules.first = first = StreamFifo(8, 16, late=late)
    m.submodules.second = second = StreamFifo(8, 16, late=0)
    left = []

    async def bench(ctx):
        sent, on_its_way = 0, [None] * late
        for _ in range(1200):
            room = sent - len(left) < 16
            item = sent % 256 if room and sent < 300 and rng.random() < 0.7 else None
            sent += item is not None
            on_its_way.append(item)
            for fifo, part in ((first, item), (second, on_its_way.pop(0))):
                ctx.set(fifo.i.valid, part is not None)
                ctx.set(fifo.i.payload, 0xEE if part is None else part)
            ready = rng.random() < 0.6
            ctx.set(first.o.ready, ready)
            ctx.set(second.o.ready, ready)
            await ctx.delay(1e-7)
            assert ctx.get(first.o.valid) == ctx.get(second.o.valid)
            if ready and ctx.get(first.o.valid):
                left.append((ctx.get(first.o.payload), ctx.get(second.o.payload)))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert left == [(item % 256, item % 256) for item in range(300)]
    assert first.latency == second.latency + late
