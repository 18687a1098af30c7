"""The array against products counted one by one in plain Python, its pace against the closed forms."""

import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from xnorscan.designs.pipeline import array_latency, layer_cycles, rows_buffered
from xnorscan.rtl.array import SystolicArray
from xnorscan.rtl.config import ArrayConfig

CONFIGS = {
    "one-element": ArrayConfig(rows=1, cols=1, lanes=1, inputs_max=64),
    "narrow-last-block": ArrayConfig(rows=3, cols=5, lanes=4, cols_per_block=2, inputs_max=64),
    "block-of-one": ArrayConfig(rows=2, cols=3, lanes=2, cols_per_block=1, inputs_max=64),
    "one-row": ArrayConfig(rows=1, cols=4, lanes=8, inputs_max=64),
    "three-levels-of-rows": ArrayConfig(rows=9, cols=2, lanes=2, inputs_max=64),
    "parallel": ArrayConfig(rows=4, cols=3, lanes=4, activations="parallel", cols_per_block=2, inputs_max=64),
    "rows-in-blocks": ArrayConfig(rows=7, cols=3, lanes=8, cols_per_block=2, rows_per_block=3, inputs_max=64),
    "one-block-of-rows": ArrayConfig(rows=4, cols=2, lanes=4, rows_per_block=64, inputs_max=64),
    "two-levels-a-stage": ArrayConfig(rows=3, cols=3, lanes=16, levels_per_stage=2, rows_per_block=2, inputs_max=64),
    "parallel-deep-stages": ArrayConfig(
        rows=3, cols=3, lanes=8, activations="parallel", levels_per_stage=2, rows_per_block=2, inputs_max=64
    ),
    "parallel-one-lane": ArrayConfig(rows=5, cols=2, lanes=1, activations="parallel", inputs_max=64),
}
configs = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())


@dataclass
class Pass:
    """``activations`` [rows][inputs] of ``bits`` bits, offset binary; ``weights`` [cols][inputs], one bit each."""

    activations: list[list[int]]
    weights: list[list[int]]
    bits: int
    height: int


def random_pass(rng, config, inputs, bits, height):
    bits = bits if config.activations == "serial" else 8
    activations = [[rng.randrange(1 << bits) for _ in range(inputs)] for _ in range(config.rows)]
    weights = [[rng.randrange(2) for _ in range(inputs)] for _ in range(config.cols)]
    return Pass(activations, weights, bits, height)


def random_passes(seed, config, number):
    """Passes of one to three words, with and without a remainder, of every height and number of bits."""
    rng = random.Random(seed)
    return [
        random_pass(
            rng, config, rng.randint(1, 3 * config.lanes), rng.choice((1, 2, 4, 8)), rng.randint(1, config.rows)
        )
        for _ in range(number)
    ]


def expected_rows(passes):
    """Σ_k 2^k · (number of inputs whose weight and activation bit k differ), pass by pass, row by row."""
    rows = []
    for item in passes:
        for row in range(item.height):
            raw = [
                sum(
                    (weight != (value >> bit) % 2) << bit
                    for weight, value in zip(weights, item.activations[row], strict=True)
                    for bit in range(item.bits)
                )
                for weights in item.weights
            ]
            rows.append((raw, row == item.height - 1))
    return rows


def packed(values, width):
    return sum(value << (width * index) for index, value in enumerate(values))


def steps_of(item, config):
    """The two streams' payloads of one pass, as the host lays them out."""
    inputs = len(item.weights[0])
    words = [slice(start, start + config.lanes) for start in range(0, inputs, config.lanes)]
    serial = config.activations == "serial"
    order = [(bit, word) for bit in (reversed(range(item.bits)) if serial else (0,)) for word in words]
    mask = 1 if serial else 0xFF
    for index, (bit, word) in enumerate(order):
        activations = {
            "words": [
                packed([value >> bit & mask for value in row[word]], config.word_bits) for row in item.activations
            ],
            "double": int(serial and word.start == 0),
            "last": int(index == len(order) - 1),
            "height": item.height if index == len(order) - 1 else index % (config.rows + 1),
        }
        yield activations, {"words": [packed(row[word], 1) for row in item.weights]}


@dataclass
class Trace:
    """What was seen at the ports, each with its cycle: steps (``last``), rows (raw, ``last``)."""

    steps: list = field(default_factory=list)
    rows: list = field(default_factory=list)

    @property
    def ends(self):
        return [cycle for cycle, last in self.steps if last]

    @property
    def cycles(self):
        return self.rows[-1][0] - self.steps[0][0] + 1


def run(config, passes, *, offered=1.0, weights_offered=1.0, taken=lambda rng, cycle: True, seed=0, until=4000):
    """Feed ``passes``; stop after all of their rows, at the latest after ``until`` cycles."""
    dut, trace = SystolicArray(config), Trace()
    assert dut.latency == stated_latency(config)
    steps = [step for item in passes for step in steps_of(item, config)]
    expected = len(expected_rows(passes))

    def feeder(port, payloads, rate, seed):
        async def feed(ctx):
            rng = random.Random(seed)
            for payload in payloads:
                while rng.random() >= rate:
                    await ctx.tick()
                ctx.set(port.payload, payload)
                ctx.set(port.valid, 1)
                while not (await ctx.tick().sample(port.ready))[-1]:
                    pass
                ctx.set(port.valid, 0)

        return feed

    async def watch(ctx):
        rng, waiting = random.Random(seed + 2), None
        for cycle in range(until):
            if len(trace.rows) == expected:
                return
            ctx.set(dut.o.ready, taken(rng, cycle))
            step, other, o = dut.i_activations, dut.i_weights, dut.o
            sample = await ctx.tick().sample(
                step.valid & step.ready, other.valid & other.ready, step.p.last, o.valid, o.ready, o.p
            )
            stepped, other_stepped, last, valid, ready, row = sample[2:]
            assert stepped == other_stepped
            row = (list(row.raw), bool(row.last)) if valid else None
            assert waiting is None or row == waiting, "a row that waits must not change"
            waiting = row if not ready else None
            if stepped:
                trace.steps.append((cycle, last))
            if valid and ready:
                trace.rows.append((cycle, *row))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feeder(dut.i_activations, [a for a, _ in steps], offered, seed), background=True)
    simulator.add_testbench(feeder(dut.i_weights, [w for _, w in steps], weights_offered, seed + 1), background=True)
    simulator.add_testbench(watch)
    simulator.run()
    return trace


def shape_of(config):
    names = ("rows", "cols", "lanes", "cols_per_block", "levels_per_stage")
    return {name: getattr(config, name) for name in names}


def stated_latency(config):
    return array_latency(**shape_of(config))


def rows_of(trace):
    return [(raw, last) for _, raw, last in trace.rows]


@configs
def test_results_are_exact_under_stalls_of_all_streams(config):
    passes = random_passes(1, config, 24)
    trace = run(config, passes, offered=0.7, weights_offered=0.8, taken=lambda rng, cycle: rng.random() < 0.5, seed=1)
    assert rows_of(trace) == expected_rows(passes)


@configs
def test_results_are_exact_at_full_rate(config):
    passes = random_passes(2, config, 24)
    assert rows_of(run(config, passes)) == expected_rows(passes)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("height", [1, 2, 3])
def test_every_number_of_bits_at_every_height(bits, height):
    config = CONFIGS["narrow-last-block"]
    rng = random.Random(bits)
    passes = [random_pass(rng, config, inputs, bits, height) for inputs in (1, 4, 7, 8)]
    assert rows_of(run(config, passes)) == expected_rows(passes)


@configs
def test_the_greatest_inputs_fill_the_accumulator_without_overflow(config):
    ones = [[1] * config.inputs_max] * config.cols
    passes = [Pass([[0] * config.inputs_max] * config.rows, ones, 8, config.rows)]
    trace = run(config, passes)
    assert rows_of(trace) == expected_rows(passes)
    assert trace.rows[0][1] == [255 * config.inputs_max] * config.cols


@configs
def test_latency_and_interval_are_those_stated(config):
    trace = run(config, random_passes(3, config, 1))
    assert trace.rows[0][0] - trace.ends[0] == stated_latency(config)
    cycles = [cycle for cycle, _ in trace.steps]
    assert cycles == [cycles[0] + SystolicArray.interval * index for index in range(len(cycles))]


LAYERS = {
    "one token": lambda c: (1, c.cols + 1, 2 * c.lanes + 1, 1, 8),
    "lower last tile": lambda c: (2 * c.rows + 1, c.cols + 1, c.lanes + 1, 2, 4),
    "full last tile": lambda c: (2 * c.rows, 2 * c.cols, c.lanes, 1, 2),
    "fewer steps than rows": lambda c: (3 * c.rows + 1, 4 * c.cols, 1, 3, 1),
}


@configs
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_a_layer_takes_the_cycles_of_the_closed_form(config, layer):
    tokens, outputs, inputs, planes, bits = layer(config)
    rng = random.Random(4)
    heights = [min(config.rows, tokens - start) for start in range(0, tokens, config.rows)]
    per_tile = -(-outputs // config.cols) * planes
    passes = [random_pass(rng, config, inputs, bits, height) for height in heights for _ in range(per_tile)]
    trace = run(config, passes)
    assert rows_of(trace) == expected_rows(passes)
    assert trace.cycles == layer_cycles(
        tokens, outputs, inputs, planes, bits, activations=config.activations, **shape_of(config)
    )


@configs
def test_a_pass_ends_as_soon_as_the_rows_of_the_one_before_allow(config):
    """Passes of one step and mixed heights: the gap between two ends is the height of the first."""
    rng = random.Random(5)
    passes = [random_pass(rng, config, 1, 1, rng.randint(1, config.rows)) for _ in range(30)]
    trace = run(config, passes)
    gaps = [later - earlier for earlier, later in pairwise(trace.ends)]
    assert gaps == [item.height for item in passes[:-1]]
    assert rows_of(trace) == expected_rows(passes)


@configs
def test_nothing_is_lost_while_nobody_takes_rows(config):
    """Blocked for good it takes what it has room for; blocked again and again it counts its room right."""
    rng = random.Random(6)
    passes = [random_pass(rng, config, 1, 1, rng.randint(1, config.rows)) for _ in range(120)]
    room = rows_buffered(config.rows, stated_latency(config))
    blocked = run(config, passes, taken=lambda rng, cycle: False, until=200)
    assert room - config.rows - 2 < sum(item.height for item in passes[: len(blocked.ends)]) <= room
    resumed = run(config, passes, taken=lambda rng, cycle: cycle // 60 % 2 == 1)
    assert rows_of(resumed) == expected_rows(passes)


@configs
@pytest.mark.parametrize("absent", ["activations", "weights"])
def test_a_step_needs_both_streams(config, absent):
    rates = {"offered" if absent == "activations" else "weights_offered": 0.0}
    trace = run(config, random_passes(7, config, 2), until=20, **rates)
    assert trace.steps == []


@configs
def test_a_reset_within_a_pass_leaves_nothing_behind(config):
    first, second = random_passes(8, config, 2)
    before = list(steps_of(first, config))[:3]
    after = list(steps_of(second, config))
    dut, reset = SystolicArray(config), Signal()
    rows = []

    async def scenario(ctx):
        for steps in (before, after):
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            ctx.set(dut.i_activations.valid, 1)
            ctx.set(dut.i_weights.valid, 1)
            for activations, weights in steps:
                ctx.set(dut.i_activations.payload, activations)
                ctx.set(dut.i_weights.payload, weights)
                await ctx.tick().until(dut.i_activations.ready)
            ctx.set(dut.i_activations.valid, 0)
            ctx.set(dut.i_weights.valid, 0)
        ctx.set(dut.o.ready, 1)
        for _ in range(100):
            valid, row = (await ctx.tick().sample(dut.o.valid, dut.o.p))[2:]
            if valid:
                rows.append((list(row.raw), bool(row.last)))

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(scenario)
    simulator.run()
    assert rows == expected_rows([second])
