"""The sequencer and its addresses against nested loops in Python: where operands are, flags, when steps come."""

import pytest
from amaranth import Elaboratable, Module
from amaranth.sim import Simulator

from xnorscan.rtl.config import ArrayConfig, CoreConfig
from xnorscan.rtl.sequencer import AddressCounter, Sequencer

ROWS = 3


class Steps(Elaboratable):
    """A sequencer and the addresses of its steps, counted as they are taken."""

    def __init__(self, config):
        self.sequencer, self.addresses = Sequencer(config), AddressCounter(config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer, m.submodules.addresses = sequencer, addresses = self.sequencer, self.addresses
        m.d.comb += [
            addresses.i_start.eq(sequencer.i_start),
            addresses.i_step.eq(sequencer.o.valid & sequencer.o.ready),
            addresses.i.eq(sequencer.o.payload),
        ]
        return m


def steps_of(activations, inputs_max=16, weight_words=64, activation_words=64):
    array = ArrayConfig(rows=ROWS, cols=2, lanes=4, activations=activations, inputs_max=inputs_max)
    return Steps(CoreConfig(array=array, weight_words=weight_words, activation_words=activation_words))


def expected(activations, words, bits, planes, output_tiles, token_tiles, last_height, slots):
    """Every step in order, as (weight address, activation address, double, last, frees, height)."""
    serial = activations == "serial"
    turns = bits if serial else 1
    for token_tile in range(token_tiles):
        slot = token_tile % slots * words * turns
        height = last_height if token_tile == token_tiles - 1 else ROWS
        for output_tile in range(output_tiles):
            for plane in range(planes):
                for bit in range(turns):
                    for word in range(words):
                        last = bit == turns - 1 and word == words - 1
                        frees = last and plane == planes - 1 and output_tile == output_tiles - 1
                        weight = (output_tile * planes + plane) * words + word
                        double = serial and word == 0
                        yield weight, slot + bit * words + word, int(double), int(last), int(frees), height


def run(both, layer, ready=lambda cycle: True, full=lambda cycle: cycle == 0):
    """Steps and the cycle after the start in which each was taken; ``full``: cycles in which a slot gets full."""
    dut, addresses = both.sequencer, both.addresses
    step = dut.o.payload
    where = (addresses.o_weight_address, addresses.o_activation_address)
    fields = (*where, addresses.o_double, step.bit, step.tile, step.height)
    steps, cycles = [], []

    async def testbench(ctx):
        for name, value in layer.items():
            ctx.set(dut.i_settings[name], value)
        await ctx.tick()
        cycle = 0
        while cycle == 0 or ctx.get(dut.o_busy):
            ctx.set(dut.i_start, cycle == 0)
            ctx.set(dut.i_slot_full, full(cycle))
            ctx.set(dut.o.ready, ready(cycle))
            if ctx.get(dut.o.valid) and ready(cycle):
                steps.append(tuple(ctx.get(field) for field in fields))
                cycles.append(cycle)
            await ctx.tick()
            cycle += 1
            assert cycle < 1000, "the sequencer is stuck"
        assert not ctx.get(dut.o.valid)

    simulator = Simulator(both)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return steps, cycles


def settings(words=1, bits=8, planes=1, output_tiles=1, token_tiles=1, last_height=ROWS, slots=1):
    return {
        "words": words,
        "bits": bits,
        "planes": planes,
        "output_tiles": output_tiles,
        "token_tiles": token_tiles,
        "last_height": last_height,
        "slots": slots,
    }


LAYERS = [
    settings(),
    settings(words=4),
    settings(bits=1, token_tiles=5, last_height=1),
    settings(words=3, bits=2, planes=2, output_tiles=3, token_tiles=4, last_height=2, slots=3),
    settings(words=2, bits=4, planes=4, output_tiles=2, token_tiles=3, slots=8),
    settings(words=4, bits=8, output_tiles=3, token_tiles=3, slots=2),
]


@pytest.mark.parametrize("activations", ["serial", "parallel"])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: "-".join(map(str, layer.values())))
def test_every_step_in_order_one_a_cycle(layer, activations):
    """Slots get full a cycle before they can be used, one a cycle."""
    both = steps_of(activations)
    dut = both.sequencer
    assert (dut.latency, dut.interval) == (1, 1)
    assert (both.addresses.latency, both.addresses.interval) == (0, 1)
    steps, cycles = run(both, layer, full=lambda cycle: cycle < layer["token_tiles"])
    assert steps == list(expected(activations, **layer))
    first = dut.latency + 1  # the first slot gets full as the layer starts, which is seen a cycle later
    assert cycles == list(range(first, first + len(steps)))


def test_a_slot_that_is_full_already_starts_at_once():
    dut = steps_of("serial").sequencer

    async def testbench(ctx):
        for name, value in settings().items():
            ctx.set(dut.i_settings[name], value)
        ctx.set(dut.i_slot_full, 1)
        await ctx.tick()
        ctx.set(dut.i_slot_full, 0)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.o.valid)
        ctx.set(dut.i_start, 1)
        await ctx.tick().repeat(dut.latency)
        assert ctx.get(dut.o.valid)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("activations", ["serial", "parallel"])
def test_a_step_waits_until_it_is_taken(activations):
    layer = settings(words=3, bits=2, planes=2, output_tiles=2, token_tiles=4, last_height=2, slots=3)
    pace = (True, False, False, True, True, False, False)
    steps, _ = run(steps_of(activations), layer, lambda cycle: pace[cycle % 7], full=lambda cycle: cycle < 4)
    assert steps == list(expected(activations, **layer))


def test_a_token_tile_waits_for_its_slot():
    """Three tiles of two steps; slots get full in cycles 0, 1 (before it is needed) and 20."""
    layer = settings(words=2, token_tiles=3, slots=2)
    steps, cycles = run(steps_of("parallel"), layer, full=lambda cycle: cycle in (0, 1, 20))
    assert steps == list(expected("parallel", **layer))
    assert cycles == [2, 3, 4, 5, 22, 23]


def test_a_slot_that_gets_full_as_the_tile_before_ends_costs_one_cycle():
    layer = settings(words=3, token_tiles=2, slots=2)
    _, cycles = run(steps_of("parallel"), layer, full=lambda cycle: cycle in (0, 4))
    assert cycles == [2, 3, 4, 6, 7, 8]


def test_one_step_tiles_take_a_slot_each_cycle():
    layer = settings(token_tiles=6, slots=64)
    _, cycles = run(steps_of("parallel"), layer, full=lambda cycle: cycle < 6)
    assert cycles == [2, 3, 4, 5, 6, 7]


def test_a_slot_is_taken_once_by_tiles_of_one_step():
    layer = settings(token_tiles=3, slots=64)
    _, cycles = run(steps_of("parallel"), layer, full=lambda cycle: cycle in (0, 9, 10))
    assert cycles == [2, 11, 12]
