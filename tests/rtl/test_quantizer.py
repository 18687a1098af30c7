"""rtl/quantizer.py and its parts: against plain Python integers, the Numba kernels and the float64 oracle."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from amaranth import ResetInserter, Signal
from amaranth.hdl import unsigned
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.front_end import quantize
from oracles.integers import half_even
from oracles.quantizers import quantize_absmax, quantize_pow2
from rtl.front_bench import Bench, beats, never, sometimes, tokens_of
from xnorscan.rtl.front import FrontConfig
from xnorscan.rtl.quantizer import Quantizer
from xnorscan.rtl.reciprocal import Reciprocal
from xnorscan.rtl.rounding_shift import RoundingShift
from xnorscan.rtl.token_scale import TokenScale
from xnorscan.sim.kernels.quantize import MODES
from xnorscan.sim.kernels.quantize import quantize as quantize_kernel

GREATEST = 1 << 38
"""|x·α| of the two least numbers."""
HEADROOM = 7
modes = pytest.mark.parametrize("mode", ["pow2", "absmax"])


def edge_tokens():
    """Zeros, one nonzero, the extremes, exactly 127·2^s and one above, ties of both parities and signs."""
    tokens = [[0], [0] * 5, [0, 0, 1, 0, 0], [-1], [GREATEST], [-GREATEST, 1, GREATEST], [GREATEST - 1, 1 - GREATEST]]
    for s in (0, 1, 2, 9, 22, 31):
        full = 127 << s
        tokens += [[full], [-full - 1, full], [full, -full, full - 1, 1 - full]]
        tokens.append([full, *(sign * (2 * k + 1) * 2**s // 2 for sign in (1, -1) for k in (0, 1, 2, 3, 125, 126))])
    for bits in (7, 8, 22, 23, 24, 25, 38):
        tokens += [[1 << bits, 1], [(1 << bits) - 1, -(1 << bits) + 3, 5]]
    return tokens


def random_tokens(draw, number, longest):
    """Every magnitude; lengths 1 to ``longest``."""
    lengths = [draw.choice((1, 2, 3, longest - 1, longest)) for _ in range(number)]
    return [[draw.randint(-(1 << b), 1 << b) for _ in range(k)] for k in lengths for b in (draw.randrange(39),)]


class RoomBench(Bench):
    """A bench that feeds the quantizer as late after ``o_room`` as its headroom allows."""

    def feed(self, payloads, pause):
        component, sent = self.component, self.sent.setdefault("i", [])

        async def testbench(ctx):
            under_way, cycle, waiting = [None] * (HEADROOM - 2), 0, list(payloads)
            while waiting or any(under_way):
                arrives = under_way.pop(0)
                ctx.set(component.i.valid, arrives is not None)
                if arrives is not None:
                    ctx.set(component.i.payload, arrives)
                *_, room = await ctx.tick().sample(component.o_room)
                cycle += 1
                if arrives is not None:
                    sent.append((cycle, arrives["last"]))
                under_way.append(waiting.pop(0) if waiting and room and not pause() else None)
            ctx.set(component.i.valid, 0)

        self.add(testbench)


def run(config, tokens, send_pause=never, take_pause=never):
    bench = RoomBench(Quantizer(config, HEADROOM))
    payloads = [beat for p in tokens for beat in beats(p, config.lanes, "p")]
    bench.feed(payloads, send_pause)
    bench.receive("o", len(payloads), take_pause)
    bench.receive("o_scale", len(tokens))
    bench.run()
    return bench


def check(bench, tokens, mode):
    scales = [(t.payload.multiplier, t.payload.shift) for t in bench.got["o_scale"]]
    for p, u, scale in zip(tokens, tokens_of(bench.got["o"], "u"), scales, strict=True):
        expected = quantize(p, mode)
        assert u == [q + 128 for q in expected.q] + [128] * (len(u) - len(p))
        assert scale == (expected.multiplier, expected.shift)


@modes
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_edges(mode, lanes):
    tokens = edge_tokens()
    check(run(FrontConfig(lanes=lanes, inputs_max=16, quantizer=mode), tokens), tokens, mode)


@modes
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 1 << 32), pauses=st.sampled_from([(0, 0), (0.5, 0), (0, 0.6), (0.3, 0.3)]))
def test_stalls_lose_nothing(mode, seed, pauses):
    tokens = random_tokens(random.Random(seed), 30, longest=24)
    config = FrontConfig(lanes=2, inputs_max=24, quantizer=mode)
    bench = run(config, tokens, sometimes(seed, pauses[0]), sometimes(seed + 1, pauses[1]))
    check(bench, tokens, mode)


@modes
def test_a_long_stall_fills_every_queue_and_loses_nothing(mode):
    tokens = random_tokens(random.Random(1), 60, longest=4)
    stalled = iter([True] * 400)
    bench = run(FrontConfig(lanes=2, inputs_max=64, quantizer=mode), tokens, never, lambda: next(stalled, False))
    check(bench, tokens, mode)


@modes
def test_narrow_x(mode):
    config = FrontConfig(lanes=2, inputs_max=24, quantizer=mode, x_bits=9)
    draw = random.Random(3)
    tokens = [[draw.randint(-(1 << 23), 1 << 23) >> draw.randrange(20) for _ in range(9)] for _ in range(20)]
    tokens += [[1 << 23], [-(1 << 23)], [0]]
    check(run(config, tokens), tokens, mode)


@modes
def test_the_oracle_is_the_kernel(mode):
    for p in [*edge_tokens(), *random_tokens(random.Random(7), 100, longest=40)]:
        narrow = [v >> 8 for v in p]
        q, multiplier, shift = np.zeros((1, len(p)), np.int8), np.zeros(1, np.int64), np.zeros(1, np.int64)
        quantize_kernel(np.array([narrow], np.int32), MODES[mode], q, multiplier, shift)
        expected = quantize(narrow, mode)
        assert (q[0].tolist(), multiplier[0], shift[0]) == (expected.q, expected.multiplier, expected.shift)


def test_the_oracle_is_the_float64_oracle():
    for p in [*edge_tokens(), *random_tokens(random.Random(8), 100, longest=40)]:
        q, exponent = quantize_pow2(np.array(p))
        if exponent >= 0:
            assert (q.tolist(), exponent) == (quantize(p, "pow2").q, quantize(p, "pow2").shift)
        q, _ = quantize_absmax(np.array(p))
        assert np.abs(q - quantize(p, "absmax").q).max() <= 1


@pytest.mark.parametrize(("lanes", "mode", "inputs", "interval"), [
    (2, "pow2", 1, 1),
    (2, "pow2", 31, 16),
    (1, "absmax", 1, 27),
    (2, "absmax", 54, 27),
    (2, "absmax", 63, 32),
    (4, "pow2", 64, 16),
])  # fmt: skip
def test_latency_and_interval(lanes, mode, inputs, interval):
    config = FrontConfig(lanes=lanes, inputs_max=64, quantizer=mode)
    tokens = [[k - t for k in range(inputs)] for t in range(40)]
    bench = run(config, tokens)
    component = bench.component
    assert component.interval(inputs) == interval
    arrived = [cycle for cycle, last in bench.sent["i"] if last]
    count = config.beats(inputs)
    taken = bench.cycles("o")
    assert taken[0] - arrived[0] == component.latency
    assert bench.cycles("o_scale")[0] - arrived[0] == component.scale_latency
    ends = taken[count - 1 :: count]
    assert {after - before for before, after in pairwise(ends)} == {interval}


@modes
@pytest.mark.parametrize("lanes", [1, 4])
def test_token_scale_latency(mode, lanes):
    component = TokenScale(FrontConfig(lanes=lanes, inputs_max=8, quantizer=mode))
    bench = Bench(component)
    bench.send("i", [beat for p in ([3] * 8, [5], [7] * 6) for beat in beats(p, lanes, "p")])
    bench.receive("o", 3)
    bench.run()
    last = [t.cycle for t in bench.sent["i"] if t.payload["last"]]
    assert bench.cycles("o") == [cycle + component.latency for cycle in last]


def test_a_reset_within_a_token_forgets_its_maximum():
    reset = Signal()
    component = TokenScale(FrontConfig(lanes=1, inputs_max=8))
    bench = Bench(ResetInserter(reset)(component))
    shifts = []

    async def testbench(ctx):
        for p, last, again in [(1 << 20, 0, 0), (0, 0, 1), (1000, 0, 0), (3, 1, 0)]:
            ctx.set(component.i.payload, {"p": [p], "last": last})
            ctx.set(component.i.valid, not again)
            ctx.set(reset, again)
            await ctx.tick()
        ctx.set(component.i.valid, 0)
        for _ in range(component.latency):
            *_, valid, payload = await ctx.tick().sample(component.o.valid, component.o.payload)
            if valid:
                shifts.append(payload.scale.shift)

    bench.add(testbench)
    bench.run()
    assert shifts == [3]


def test_reciprocal():
    draw = random.Random(5)
    scales = [1 << 22, 1 << 23, (1 << 22) + 1, (1 << 23) - 1, *(draw.randint(1 << 22, 1 << 23) for _ in range(20))]
    for pause, at_full_rate in ((never, True), (sometimes(1, 0.97), False)):
        component = Reciprocal(unsigned(5))
        bench = Bench(component)
        bench.send("i", [{"scale": scale, "tag": index} for index, scale in enumerate(scales)])
        bench.receive("o", len(scales), pause)
        bench.run()
        got = [(t.payload.reciprocal, t.payload.tag) for t in bench.got["o"]]
        assert got == [((127 << 40) // scale, index) for index, scale in enumerate(scales)]
        if at_full_rate:
            assert bench.cycles("o")[0] - bench.cycles("i")[0] == component.latency
            gaps = np.diff(bench.cycles("o"))
            assert set(gaps.tolist()) == {component.interval}


@pytest.mark.parametrize(("bits", "greatest", "out_bits"), [(12, 9, 8), (40, 32, 8), (20, 12, 20), (9, 1, 9)])
def test_rounding_shift(bits, greatest, out_bits):
    component = RoundingShift(bits, greatest, out_bits)
    draw = random.Random(bits)
    cases = []
    for amount in range(greatest + 1):
        beyond = min(1 << bits - 1, ((1 << out_bits - 1) - 1) << amount)
        values = [0, 1, -1, beyond - 1, -beyond, *(draw.randrange(-beyond, beyond) for _ in range(20))]
        ties = [(2 * k + 1) * (1 << amount) // 2 for k in range(-4, 4)]
        cases += [(value, amount) for value in values + [t for t in ties if -beyond <= t < beyond]]
    results = []

    async def testbench(ctx):
        for value, amount in [*cases, *[(0, 0)] * component.latency]:
            ctx.set(component.i, value)
            ctx.set(component.i_amount, amount)
            *_, o = await ctx.tick().sample(component.o)
            results.append(o)

    bench = Bench(component)
    bench.add(testbench)
    bench.run()
    assert results[component.latency :] == [half_even(value, amount) for value, amount in cases]
