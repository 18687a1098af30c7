"""The core against sums of plain Python integers, and its cycles against their closed form."""

import random
import re
from dataclasses import dataclass, field

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from xnorscan.designs.design import OneBitDesign, RtlOptions
from xnorscan.designs.pipeline import core_latency, layer_cycles
from xnorscan.rtl.config import ArrayConfig, CoreConfig
from xnorscan.rtl.core import ArrayCore

GIVE_UP = 10_000
"""Cycles after which a core that still runs is stuck."""


def simulate(core, *testbenches, background=None):
    async def watchdog(ctx):
        await ctx.delay(GIVE_UP * 1e-6)
        pytest.fail("the core is stuck")

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.add_testbench(watchdog, background=True)
    if background:
        simulator.add_testbench(background, background=True)
    simulator.run()


@dataclass
class Layer:
    """Random weights and activations of a layer: ``signs`` [plane][output][input], ``q`` [token][input]."""

    tokens: int
    outputs: int
    inputs: int
    planes: int = 1
    bits: int = 8
    seed: int = 0
    signs: list = field(init=False)
    q: list = field(init=False)

    def __post_init__(self):
        draw = random.Random(self.seed)
        half = 1 << self.bits - 1
        self.signs = [
            [[draw.choice((-1, 1)) for _ in range(self.inputs)] for _ in range(self.outputs)]
            for _ in range(self.planes)
        ]
        self.q = [[draw.randrange(-half, half) for _ in range(self.inputs)] for _ in range(self.tokens)]

    def dot(self, plane, output, token):
        return sum(s * q for s, q in zip(self.signs[plane][output], self.q[token], strict=True))

    def offset(self, plane, output):
        """What the host adds to the negated mismatches of the array."""
        return (1 << self.bits - 1) * self.inputs - self.signs[plane][output].count(1)


def core_config(rows, cols, lanes, activations, weight_words, activation_words, inputs_max=None, cols_per_block=4):
    array = ArrayConfig(
        rows=rows,
        cols=cols,
        lanes=lanes,
        activations=activations,
        inputs_max=inputs_max or 4 * lanes,
        cols_per_block=cols_per_block,
    )
    return CoreConfig(array=array, weight_words=weight_words, activation_words=activation_words)


class Bench:
    """Writes a layer into a core, slot by slot, and takes its rows.

    ``ready(row)``: cycles to wait before taking a row; ``late(tile)``: cycles to wait before filling a slot;
    ``early``: slots that are filled before the start, as far as there are.
    """

    def __init__(self, config, layer, ready=lambda row: 0, late=lambda tile: 0, early=1 << 30, core=None):
        self.config, self.layer, self.array = config, layer, config.array
        self.ready, self.late = ready, late
        self.serial = self.array.activations == "serial"
        self.words = -(-layer.inputs // self.array.lanes)
        self.stride = self.words * (layer.bits if self.serial else 1)
        self.slots = config.activation_words // self.stride
        self.token_tiles = -(-layer.tokens // self.array.rows)
        self.output_tiles = -(-layer.outputs // self.array.cols)
        self.early = min(early, self.slots, self.token_tiles)
        self.last_height = layer.tokens - (self.token_tiles - 1) * self.array.rows
        self.rows, self.taken = [], []
        self.core = core or ArrayCore(config)
        self.freed = 0

    @property
    def settings(self):
        return {
            "words": self.words,
            "bits": self.layer.bits,
            "planes": self.layer.planes,
            "output_tiles": self.output_tiles,
            "token_tiles": self.token_tiles,
            "last_height": self.last_height,
            "slots": self.slots,
        }

    def weight_words(self):
        """The bits of every word of the weight memory, as one integer each."""
        array, layer = self.array, self.layer
        for tile in range(self.output_tiles):
            for plane in range(layer.planes):
                for word in range(self.words):
                    bits = 0
                    for col in range(array.cols):
                        for lane in range(array.lanes):
                            output, index = tile * array.cols + col, word * array.lanes + lane
                            if output < layer.outputs and index < layer.inputs:
                                bits |= (layer.signs[plane][output][index] > 0) << (col * array.lanes + lane)
                    yield bits

    def activation_words(self, token):
        """What one row's memory holds of a token."""
        layer, lanes = self.layer, self.array.lanes
        u = [q + (1 << layer.bits - 1) for q in layer.q[token]] + [0] * lanes
        u = u[: self.words * lanes] + [0] * (self.words * lanes - len(u))
        words = [u[word * lanes : (word + 1) * lanes] for word in range(self.words)]
        if not self.serial:
            return [sum(value << 8 * lane for lane, value in enumerate(word)) for word in words]
        return [
            sum((value >> bit & 1) << lane for lane, value in enumerate(word))
            for bit in reversed(range(layer.bits))
            for word in words
        ]

    async def write_weights(self, ctx):
        write = self.core.weight_write
        ctx.set(write.enable, 1)
        for address, bits in enumerate(self.weight_words()):
            for bank in range(-(-self.array.cols * self.array.lanes // 32)):
                ctx.set(write.address, address)
                ctx.set(write.bank, bank)
                ctx.set(write.data, bits >> 32 * bank & 0xFFFFFFFF)
                await ctx.tick()
        ctx.set(write.enable, 0)

    async def fill_slot(self, ctx, tile):
        """The activations of a token tile; the slot is full with the last write."""
        write, rows = self.core.activation_write, self.array.rows
        tokens = range(tile * rows, min(tile * rows + rows, self.layer.tokens))
        beats = [
            (row, address, value)
            for row, token in enumerate(tokens)
            for address, value in enumerate(self.activation_words(token))
        ]
        ctx.set(write.enable, 1)
        for index, (row, address, value) in enumerate(beats):
            ctx.set(write.row, row)
            ctx.set(write.address, tile % self.slots * self.stride + address)
            ctx.set(write.data, value)
            ctx.set(self.core.i_slot_full, index == len(beats) - 1)
            await ctx.tick()
        ctx.set(write.enable, 0)
        ctx.set(self.core.i_slot_full, 0)

    async def host(self, ctx):
        await self.write_weights(ctx)
        for tile in range(self.early):
            await self.fill_slot(ctx, tile)
        for name, value in self.settings.items():
            ctx.set(self.core.i_settings[name], value)
        await ctx.tick()
        ctx.set(self.core.i_start, 1)
        await ctx.tick()
        ctx.set(self.core.i_start, 0)
        for tile in range(self.early, self.token_tiles):
            while self.freed <= tile - self.slots:
                await ctx.tick()
            if wait := self.late(tile):
                await ctx.tick().repeat(wait)
            await self.fill_slot(ctx, tile)

    async def count_freed(self, ctx):
        async for *_, free in ctx.tick().sample(self.core.o_slot_free):
            self.freed += free

    async def take(self, ctx):
        o = self.core.o
        expected = self.layer.tokens * self.output_tiles * self.layer.planes
        for row in range(expected):
            if wait := self.ready(row):
                ctx.set(o.ready, 0)
                await ctx.tick().repeat(wait)
            ctx.set(o.ready, 1)
            *_, raw, last = await ctx.tick().sample(o.payload.raw, o.payload.last).until(o.valid)
            self.rows.append(([raw[col] for col in range(self.array.cols)], last))
        await ctx.tick()
        self.busy_after = ctx.get(self.core.o_busy)
        self.cycles, self.steps = ctx.get(self.core.o_cycles), ctx.get(self.core.o_steps)
        await ctx.tick().repeat(20)
        assert not ctx.get(o.valid)
        assert ctx.get(self.core.o_cycles) == self.cycles

    def run(self):
        simulate(self.core, self.host, self.take, background=self.count_freed)
        self.check_rows()
        assert self.freed == self.token_tiles
        return self

    def check_rows(self):
        rows = iter(self.rows)
        for tile in range(self.token_tiles):
            tokens = range(tile * self.array.rows, min((tile + 1) * self.array.rows, self.layer.tokens))
            for outputs in range(0, self.layer.outputs, self.array.cols):
                for plane in range(self.layer.planes):
                    for token in tokens:
                        raw, last = next(rows)
                        assert last == (token == tokens[-1])
                        for col, output in enumerate(
                            range(outputs, min(outputs + self.array.cols, self.layer.outputs))
                        ):
                            assert self.layer.offset(plane, output) - raw[col] == self.layer.dot(plane, output, token)
        assert next(rows, None) is None

    @property
    def steps_expected(self):
        return self.token_tiles * self.output_tiles * self.layer.planes * self.stride

    @property
    def cycles_expected(self):
        array, layer = self.array, self.layer
        return core_latency() + layer_cycles(
            layer.tokens,
            layer.outputs,
            layer.inputs,
            layer.planes,
            layer.bits,
            rows=array.rows,
            cols=array.cols,
            lanes=array.lanes,
            activations=array.activations,
            cols_per_block=array.cols_per_block,
            levels_per_stage=array.levels_per_stage,
        )


EXACT = {
    "serial": (core_config(2, 3, 4, "serial", 64, 64), Layer(tokens=2, outputs=3, inputs=11)),
    "serial, one bit": (core_config(2, 3, 4, "serial", 64, 32), Layer(tokens=7, outputs=5, inputs=13, bits=1)),
    "serial, two bits": (core_config(3, 2, 4, "serial", 64, 32), Layer(tokens=7, outputs=5, inputs=4, bits=2)),
    "serial, four bits": (core_config(2, 5, 8, "serial", 64, 64), Layer(tokens=5, outputs=11, inputs=20, bits=4)),
    "serial, planes": (core_config(2, 2, 4, "serial", 64, 64), Layer(tokens=5, outputs=3, inputs=9, planes=3)),
    "parallel": (core_config(2, 3, 4, "parallel", 64, 8), Layer(tokens=2, outputs=3, inputs=16)),
    "parallel, planes": (core_config(3, 2, 4, "parallel", 64, 9), Layer(tokens=8, outputs=5, inputs=11, planes=2)),
    "parallel, one step": (core_config(4, 2, 4, "parallel", 8, 4), Layer(tokens=9, outputs=6, inputs=3)),
    "one element": (core_config(1, 1, 4, "serial", 4, 32), Layer(tokens=2, outputs=3, inputs=4, bits=4)),
    "three banks": (core_config(2, 5, 16, "serial", 8, 32, 32), Layer(tokens=3, outputs=9, inputs=32)),
}


@pytest.mark.parametrize("name", EXACT)
def test_values_and_cycles_are_exact(name):
    config, layer = EXACT[name]
    bench = Bench(config, layer).run()
    assert (bench.cycles, bench.steps) == (bench.cycles_expected, bench.steps_expected)
    assert bench.busy_after == 0


def test_the_first_step_comes_after_the_latency():
    bench = Bench(core_config(2, 2, 4, "serial", 16, 32), Layer(tokens=1, outputs=1, inputs=4, bits=1))
    core, seen = bench.core, []
    assert (core.latency, core.interval) == (core_latency(), 1)

    async def testbench(ctx):
        for name, value in bench.settings.items():
            ctx.set(core.i_settings[name], value)
        ctx.set(core.i_slot_full, 1)
        await ctx.tick()
        ctx.set(core.i_slot_full, 0)
        await ctx.tick()
        ctx.set(core.i_start, 1)
        while not ctx.get(core.o_steps):
            seen.append(ctx.get(core.o_steps))
            await ctx.tick()
            ctx.set(core.i_start, 0)

    simulate(core, testbench)
    # The start, the latency, and the step itself on its way through two registers to its counter.
    assert len(seen) == core_latency() + 2


SLOW = {
    "rows taken every tenth cycle": {"ready": lambda row: 9},
    "rows taken in bursts": {"ready": lambda row: 90 if row % 7 == 3 else 0},
    "rows taken at random": {"ready": lambda row: random.Random(row).choice((0, 0, 1, 50))},
    "slots late": {"late": lambda tile: 30},
    "slots late at random, rows too": {
        "ready": lambda row: random.Random(row).choice((0, 5, 9)),
        "late": lambda tile: random.Random(tile).choice((0, 1, 2, 60)),
    },
    "nothing before the start": {"early": 0},
}


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize(
    ("config", "layer"),
    [
        (core_config(3, 3, 4, "serial", 16, 32), Layer(tokens=13, outputs=4, inputs=9, bits=4, planes=2)),
        (core_config(3, 3, 4, "parallel", 16, 4), Layer(tokens=14, outputs=7, inputs=7)),
    ],
    ids=["serial", "parallel"],
)
def test_nothing_is_lost_however_slow_the_others_are(config, layer, name):
    """Few slots, each filled again as soon as it is free: a word read too late or too early would be wrong."""
    bench = Bench(config, layer, **SLOW[name])
    assert bench.slots < bench.token_tiles
    bench.run()
    assert bench.steps == bench.steps_expected
    assert bench.cycles > bench.cycles_expected


def test_a_late_slot_costs_as_many_cycles_as_it_is_late():
    """The second of two token tiles is full n cycles after it could have been used."""
    config, layer = core_config(1, 1, 4, "serial", 4, 32), Layer(tokens=2, outputs=1, inputs=4, bits=8)
    cycles = [Bench(config, layer, early=1, late=lambda tile, n=n: n).run().cycles for n in (10, 11, 25)]
    assert cycles[1] - cycles[0] == 1
    assert cycles[2] - cycles[0] == 15


def test_layers_follow_each_other_and_a_start_while_busy_is_ignored():
    config = core_config(2, 3, 4, "serial", 32, 64)
    core = ArrayCore(config)
    first = Bench(config, Layer(tokens=3, outputs=4, inputs=11, bits=2, planes=2, seed=1), core=core)
    second = Bench(config, Layer(tokens=6, outputs=2, inputs=5, bits=8, seed=2), core=core)

    async def host(ctx):
        for bench in (first, second):
            await bench.host(ctx)
            ctx.set(core.i_start, 1)
            await ctx.tick().repeat(5)
            ctx.set(core.i_start, 0)
            while ctx.get(core.o_busy):
                await ctx.tick()

    async def take(ctx):
        for bench in (first, second):
            await bench.take(ctx)

    simulate(core, host, take)
    for bench in (first, second):
        bench.check_rows()
        assert (bench.cycles, bench.steps) == (bench.cycles_expected, bench.steps_expected)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_size_and_any_pace(data):
    draw = data.draw
    activations = draw(st.sampled_from(("serial", "parallel")))
    bits = draw(st.sampled_from((1, 2, 4, 8))) if activations == "serial" else 8
    rows, cols, lanes = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.sampled_from((2, 4, 8)))
    layer = Layer(
        tokens=draw(st.integers(1, 3 * rows)),
        outputs=draw(st.integers(1, 2 * cols)),
        inputs=draw(st.integers(1, 3 * lanes)),
        planes=draw(st.integers(1, 3)),
        bits=bits,
        seed=draw(st.integers(0, 1000)),
    )
    config = core_config(rows, cols, lanes, activations, 18, 48, 3 * lanes, cols_per_block=draw(st.integers(1, 4)))
    waits = draw(st.lists(st.integers(0, 12), min_size=1, max_size=5))
    bench = Bench(config, layer, ready=lambda row: waits[row % len(waits)], early=draw(st.integers(0, 6))).run()
    assert bench.steps == bench.steps_expected
    if not any(waits) and bench.early == bench.token_tiles:
        assert bench.cycles == bench.cycles_expected


def array(**sizes):
    return ArrayConfig(**{"rows": 2, "cols": 3, "lanes": 8, "inputs_max": 64} | sizes)


@pytest.mark.parametrize(
    ("sizes", "weight_words", "activation_words", "said"),
    [
        ({}, 7, 64, "weight_words is 7, a tile of 64 inputs takes 8: at most inputs_max=56 fits"),
        ({}, 8, 63, "activation_words is 63, a tile of 64 inputs takes 64: at most inputs_max=56 fits"),
        ({}, 7, 40, "weight_words is 7, a tile of 64 inputs takes 8: at most inputs_max=40 fits"),
        (
            {"activations": "parallel"},
            8,
            5,
            "activation_words is 5, a tile of 64 inputs takes 8: at most inputs_max=40 fits",
        ),
        ({}, 8, 7, "activation_words is 7, a tile of 64 inputs takes 64: not even inputs_max=8 fits"),
    ],
)
def test_a_memory_that_cannot_hold_a_tile_is_refused(sizes, weight_words, activation_words, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        CoreConfig(array=array(**sizes), weight_words=weight_words, activation_words=activation_words)


def test_a_memory_that_just_holds_a_tile_is_accepted():
    assert CoreConfig(array=array(), weight_words=8, activation_words=64).bits_max == 8
    assert CoreConfig(array=array(activations="parallel"), weight_words=8, activation_words=8).bits_max == 1


def design(**fields):
    sizes = {"rows": 2, "cols": 4, "lanes": 16, "vector_lanes": 1, "scan_lanes": 1, "clock_mhz": 100.0}
    memories = {"weight_memory_kib": 3, "activation_memory_kib": 1, "state_memory_kib": 1}
    return OneBitDesign(
        **{"name": "d", "activations": "serial", "technology": "ecp5", **sizes, **memories}
        | {"rtl": RtlOptions(inputs_max=512)}
        | fields
    )


def test_the_depths_of_a_design():
    config = CoreConfig.of_design(design())
    assert config.array == ArrayConfig.of_design(design())
    assert (config.weight_words, config.activation_words) == (3 * 8192 // 64, 8192 // 32)
    config = CoreConfig.of_design(design(activations="parallel", activation_memory_kib=2))
    assert (config.weight_words, config.activation_words) == (3 * 8192 // 64, 2 * 8192 // 256)


def test_a_design_whose_memory_cannot_hold_a_tile_is_refused():
    with pytest.raises(ValueError, match=r"^d: activation_words is 256, a tile of 528 .* at most inputs_max=512 fits$"):
        CoreConfig.of_design(design(rtl=RtlOptions(inputs_max=528)))
