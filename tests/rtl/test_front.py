"""rtl/front.py: x to u and token records, against the Numba kernels and plain Python integers, stalled everywhere."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import front_end
from rtl.front_bench import Bench, beats, never, sometimes, tokens_of
from xnorscan.rtl.front import FrontConfig, FrontEnd
from xnorscan.sim.kernels.linear import shift_dot
from xnorscan.sim.kernels.quantize import MODES, scale_and_quantize

modes = pytest.mark.parametrize("mode", ["pow2", "absmax"])
SCALES = range(-(1 << 15), 1 << 15)
X = range(-(1 << 23), 1 << 23)


def random_scales(draw, number):
    """α and β of every magnitude."""
    return [[draw.randrange(-(1 << b), 1 << b) for _ in range(number) for b in (draw.randrange(16),)] for _ in "αβ"]


def random_tokens(draw, number, longest):
    """x of every magnitude, 1 to ``longest`` channels."""
    lengths = [draw.choice((1, 2, 3, longest - 1, longest)) for _ in range(number)]
    return [[draw.randrange(-(1 << b), 1 << b) for _ in range(k)] for k in lengths for b in (draw.randrange(24),)]


def run(config, tokens, alpha, beta, pauses=(never, never, never)):
    component = FrontEnd(config)
    bench = Bench(component)
    bench.write(
        component.parameter_write,
        [
            {"address": channel // config.lanes, "lane": channel % config.lanes, "select": select, "data": value}
            for select, values in enumerate((alpha, beta))
            for channel, value in enumerate(values)
        ],
    )
    payloads = [beat for x in tokens for beat in beats(x, config.lanes, "x")]
    bench.send("i", payloads, pauses[0])
    bench.receive("o", len(payloads), pauses[1])
    bench.receive("o_token", len(tokens), pauses[2])
    bench.run()
    return bench


def check(bench, config, tokens, alpha, beta):
    records = [(t.payload.multiplier, t.payload.shift, t.payload.beta_sum) for t in bench.got["o_token"]]
    for x, u, record in zip(tokens, tokens_of(bench.got["o"], "u"), records, strict=True):
        for result in (of_oracle(x, alpha, beta, config.quantizer), of_kernels(x, alpha, beta, config.quantizer)):
            assert u == [q + 128 for q in result[0]] + [128] * (len(u) - len(x))
            assert record == result[1:]


def of_oracle(x, alpha, beta, mode):
    token = front_end.scale_and_quantize(x, alpha, mode)
    return token.q, token.multiplier, token.shift, front_end.beta_sum(x, beta)


def of_kernels(x, alpha, beta, mode):
    row, scales = np.array([x], np.int32), np.array([alpha, beta], np.int16)[:, : len(x)]
    q = np.empty(row.shape, np.int8)
    multiplier, shift, total = np.empty(1, np.int64), np.empty(1, np.int64), np.empty(1, np.int64)
    scale_and_quantize(row, scales[0], MODES[mode], q, multiplier, shift)
    shift_dot(row, scales[1], 0, total)
    return q[0].tolist(), multiplier[0], shift[0], total[0]


@modes
@pytest.mark.parametrize("lanes", [1, 4])
def test_edge_tokens(mode, lanes):
    config = FrontConfig(lanes=lanes, inputs_max=9, quantizer=mode)
    ones, least = [1] * 9, [SCALES[0]] * 9
    tokens = [[0] * 9, [0], [1], [0, 0, 0, 0, 0, 0, 0, 0, -1], [X[0]] * 9, [X[-1]] * 9, [X[0], 0, X[-1], 1, -1]]
    tokens += [[127 << s, -(127 << s), (127 << s) - 1, 3 << s >> 1, -(5 << s) >> 1, 1] for s in (0, 1, 8, 16)]
    tokens += [[(127 << s) + 1, 1 << s, -(3 << s)] for s in (0, 1, 8, 16)]
    for parameters in (ones, least):
        check(run(config, tokens, parameters, parameters), config, tokens, parameters, parameters)


@modes
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 1 << 32), pauses=st.tuples(*[st.sampled_from((0, 0.5, 0.9))] * 3))
def test_stalls_lose_nothing(mode, seed, pauses):
    draw = random.Random(seed)
    config = FrontConfig(lanes=2, inputs_max=19, quantizer=mode)
    alpha, beta = random_scales(draw, 19)
    tokens = random_tokens(draw, 16, longest=19)
    bench = run(config, tokens, alpha, beta, [sometimes(seed + k, share) for k, share in enumerate(pauses)])
    check(bench, config, tokens, alpha, beta)


@modes
def test_one_output_waits_for_the_other(mode):
    """Whichever output stands still, the other goes as far as its queues reach; then nothing is lost."""
    config = FrontConfig(lanes=2, inputs_max=8, quantizer=mode)
    draw = random.Random(3)
    alpha, beta = random_scales(draw, 8)
    tokens = random_tokens(draw, 48, longest=8)
    for still in (1, 2):
        held = iter([True] * 600)
        pauses = [never, never, never]
        pauses[still] = lambda held=held: next(held, False)
        check(run(config, tokens, alpha, beta, pauses), config, tokens, alpha, beta)


@pytest.mark.parametrize(
    ("mode", "lanes", "inputs", "interval"),
    [("pow2", 4, 1, 1), ("pow2", 4, 31, 8), ("absmax", 4, 3, 27), ("absmax", 1, 29, 29)],
)
def test_latency_and_interval(mode, lanes, inputs, interval):
    config = FrontConfig(lanes=lanes, inputs_max=32, quantizer=mode)
    tokens = [[k + 1 for k in range(inputs)]] * 20
    bench = run(config, tokens, [1] * 32, [1] * 32)
    component, count = bench.component, config.beats(inputs)
    assert component.interval(inputs) == interval
    last = bench.cycles("i")[count - 1]
    assert bench.cycles("o")[0] - last == component.latency
    assert bench.cycles("o_token")[0] - last == component.token_latency
    ends = bench.cycles("o")[count - 1 :: count]
    assert {after - before for before, after in pairwise(ends)} == {interval}
