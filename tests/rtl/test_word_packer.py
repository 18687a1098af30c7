"""rtl/word_packer.py: every write against an address map in plain Python; slots never overwritten; full rate."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.front_bench import Bench, beats, never, sometimes
from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.word_packer import WordPacker

GIVE_UP = 3_000
SERIAL = ArrayConfig(rows=3, cols=1, lanes=8, inputs_max=64)
PARALLEL = ArrayConfig(rows=2, cols=1, lanes=8, activations="parallel", inputs_max=64)
arrays = pytest.mark.parametrize("array", [SERIAL, PARALLEL], ids=["serial", "parallel"])


@dataclass
class Layer:
    """``tokens`` [token][K] of u, ``slots`` of the activation memory."""

    tokens: list[list[int]]
    slots: int

    @property
    def inputs(self):
        return len(self.tokens[0])


@dataclass
class Watch:
    """What the memory saw: writes with their cycles, and after how many of them each slot was called full."""

    writes: list = field(default_factory=list)
    cycles: list = field(default_factory=list)
    closed: list = field(default_factory=list)
    full_cycles: list = field(default_factory=list)


def random_layer(draw, inputs, tokens, slots):
    return Layer([[draw.randrange(256) for _ in range(inputs)] for _ in range(tokens)], slots)


def word_values(array, u):
    """One word of u of all lanes: what is written for it, in order."""
    if array.activations == "parallel":
        return [sum(value << 8 * lane for lane, value in enumerate(u))]
    return [sum((value >> bit & 1) << lane for lane, value in enumerate(u)) for bit in range(7, -1, -1)]


def expected_writes(array, layer):
    """[(slot, row, address, data)] of a layer, in order."""
    words = -(-layer.inputs // array.lanes)
    planes = 8 if array.activations == "serial" else 1
    writes = []
    for token, values in enumerate(layer.tokens):
        tile, row = divmod(token, array.rows)
        slot = tile % layer.slots
        padded = values + [0] * (words * array.lanes - len(values))
        for word in range(words):
            written = word_values(array, padded[word * array.lanes : (word + 1) * array.lanes])
            writes += [
                (slot, row, slot * planes * words + plane * words + word, value) for plane, value in enumerate(written)
            ]
    return writes


def run(array, lanes, layers, send_pause=never, hold_slot=never):
    """``hold_slot``: asked each cycle, whether a full slot stays in use. Checks that no slot in use is written."""
    planes = 8 if array.activations == "serial" else 1
    component = WordPacker(array, lanes, depth=64)
    bench = Bench(component)
    watches = [Watch() for _ in layers]

    async def layer_on(ctx, layer, watch):
        expected = expected_writes(array, layer)
        words = -(-layer.inputs // array.lanes)
        assert layer.slots * words * planes <= 64
        ctx.set(
            component.i_settings,
            {"inputs": layer.inputs, "words": words, "tokens": len(layer.tokens), "slots": layer.slots},
        )
        ctx.set(component.i_start, 1)
        await ctx.tick()
        ctx.set(component.i_start, 0)
        tiles = -(-len(layer.tokens) // array.rows)
        freed = since = cycle = 0
        while freed < tiles:
            free = freed < len(watch.closed) and not hold_slot()
            ctx.set(component.i_slot_free, free)
            freed += free
            *_, write, full, busy = await ctx.tick().sample(
                component.activation_write, component.o_slot_full, component.o_busy
            )
            cycle, since = cycle + 1, since + 1
            assert since < GIVE_UP
            if write.enable:
                slot = expected[len(watch.writes)][0]
                in_use = [closing % layer.slots for closing in range(freed - free, len(watch.closed))]
                assert slot not in in_use, f"slot {slot} was written while in use"
                watch.writes.append((slot, write.row, write.address, write.data))
                watch.cycles.append(cycle)
                since = 0
                assert busy
            if full:
                watch.closed.append(len(watch.writes) - write.enable)
                watch.full_cycles.append(cycle)
        ctx.set(component.i_slot_free, 0)
        *_, busy = await ctx.tick().sample(component.o_busy)
        assert not busy

    async def testbench(ctx):
        for layer, watch in zip(layers, watches, strict=True):
            await layer_on(ctx, layer, watch)

    bench.add(testbench)
    payloads = [beat for layer in layers for u in layer.tokens for beat in beats(u, lanes, "u", pad=128)]
    bench.send("i", payloads, send_pause)
    bench.run()
    return bench, watches


def check(array, layers, watches):
    for layer, watch in zip(layers, watches, strict=True):
        expected = expected_writes(array, layer)
        assert watch.writes == expected
        each = len(expected) // len(layer.tokens)
        ends = [*range(array.rows, len(layer.tokens), array.rows), len(layer.tokens)]
        assert watch.closed == [end * each for end in ends]
        assert watch.full_cycles == [watch.cycles[end * each - 1] + 1 for end in ends]


@arrays
@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_layers_of_every_remainder(array, lanes):
    draw = random.Random(lanes)
    shapes = [(1, 1, 1), (7, 3, 2), (8, 4, 1), (9, 7, 4), (16, 5, 3), (17, 2, 2)]
    layers = [random_layer(draw, *shape) for shape in shapes]
    check(array, layers, run(array, lanes, layers)[1])


@arrays
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1 << 32), sent=st.sampled_from([0, 0.6]), held=st.sampled_from([0, 0.9, 0.99]))
def test_stalls_lose_nothing(array, seed, sent, held):
    draw = random.Random(seed)
    layers = [random_layer(draw, draw.randint(1, 32), draw.randint(1, 9), draw.choice((1, 2))) for _ in range(3)]
    _, watches = run(array, 4, layers, sometimes(seed, sent), sometimes(seed + 1, held))
    check(array, layers, watches)


def test_one_word_of_one_token_in_the_smallest_array():
    array = ArrayConfig(rows=1, cols=1, lanes=1, inputs_max=2)
    layers = [Layer([[0x81], [0x7E]], 1), Layer([[1, 2]], 1)]
    check(array, layers, run(array, 1, layers)[1])


@pytest.mark.parametrize(
    ("array", "lanes", "interval"),
    [(SERIAL, 1, 8), (SERIAL, 2, 8), (PARALLEL, 1, 8), (PARALLEL, 2, 4), (PARALLEL, 8, 1)],
)
def test_latency_and_interval(array, lanes, interval):
    layer = random_layer(random.Random(1), inputs=32, tokens=6, slots=2)
    bench, (watch,) = run(array, lanes, [layer])
    component = bench.component
    planes = 8 if array.activations == "serial" else 1
    assert component.interval == interval
    assert {after - before for before, after in pairwise(watch.cycles[::planes])} == {interval}
    first_word_done = bench.cycles("i")[array.lanes // lanes - 1]
    # The bench counts writes from the cycle after the start.
    assert watch.cycles[0] + 1 - first_word_done == component.latency


@pytest.mark.parametrize(
    ("lanes", "depth", "message"),
    [
        (3, 64, "vector_lanes is 3, it must be a power of two up to lanes, 8"),
        (16, 64, "vector_lanes is 16, it must be a power of two up to lanes, 8"),
        (0, 64, "vector_lanes is 0, it must be a power of two up to lanes, 8"),
        (4, 7, "depth is 7, it must be at least 8: the words of one group of lanes"),
    ],
)
def test_wrong_sizes_are_refused(lanes, depth, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        WordPacker(SERIAL, lanes, depth)
