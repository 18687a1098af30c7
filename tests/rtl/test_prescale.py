"""rtl/prescale.py: x·α and Σ β·x against plain Python integers, to the last bit of the widest formats."""

from __future__ import annotations

import random
import re

import pytest
from amaranth.hdl import signed, unsigned
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.front_end import beta_sum
from rtl.front_bench import Bench, beats, sometimes, tokens_of
from xnorscan.rtl.front import FrontConfig
from xnorscan.rtl.prescale import Prescale
from xnorscan.rtl.product import Product

LEAST_SCALE, GREATEST_SCALE = -(1 << 15), (1 << 15) - 1


def parameter_writes(config, alpha, beta):
    return [
        {"address": channel // config.lanes, "lane": channel % config.lanes, "select": select, "data": value}
        for select, values in enumerate((alpha, beta))
        for channel, value in enumerate(values)
    ]


def run(config, tokens, alpha, beta, pauses=0.0):
    component = Prescale(config)
    bench = Bench(component)
    bench.write(component.parameter_write, parameter_writes(config, alpha, beta))
    sent = [beat for x in tokens for beat in beats(x, config.lanes, "x")]
    bench.send("i", sent, sometimes(1, pauses))
    bench.receive("o", len(sent))
    bench.receive("o_beta_sum", len(tokens))
    bench.run()
    return bench


def check(bench, config, tokens, alpha, beta):
    expected = [[v * a for v, a in zip(x, alpha, strict=False)] for x in tokens]
    for got, want in zip(tokens_of(bench.got["o"], "p"), expected, strict=True):
        assert got == want + [0] * (len(got) - len(want))
    assert [t.payload for t in bench.got["o_beta_sum"]] == [beta_sum(x, beta) for x in tokens]
    component = bench.component
    assert bench.cycles("o") == [cycle + component.latency for cycle in bench.cycles("i")]
    last = [t.cycle for t in bench.sent["i"] if t.payload["last"]]
    assert bench.cycles("o_beta_sum") == [cycle + component.beta_sum_latency for cycle in last]


@pytest.mark.parametrize(("lanes", "x_bits", "pauses"), [(1, 24, 0.3), (2, 9, 0.0), (4, 24, 0.5), (8, 18, 0.0)])
def test_products_and_sums(lanes, x_bits, pauses):
    config = FrontConfig(lanes=lanes, inputs_max=29, x_bits=x_bits)
    draw = random.Random(lanes)
    half = 1 << (x_bits - 1)
    alpha, beta = ([draw.randint(LEAST_SCALE, GREATEST_SCALE) for _ in range(29)] for _ in range(2))
    tokens = [[draw.randrange(-half, half) for _ in range(k)] for k in (29, 1, lanes, 2, 1, 1, 28, lanes + 1)]
    check(run(config, tokens, alpha, beta, pauses), config, tokens, alpha, beta)


@pytest.mark.parametrize("inputs", [7, 8])
def test_extremes_do_not_overflow(inputs):
    config = FrontConfig(lanes=4, inputs_max=inputs)
    least, greatest = -(1 << 23), (1 << 23) - 1
    for scale in (LEAST_SCALE, GREATEST_SCALE):
        parameters = [scale] * inputs
        tokens = [[least] * inputs, [greatest] * inputs]
        check(run(config, tokens, parameters, parameters), config, tokens, parameters, parameters)


def test_beta_sum_width_is_the_least_that_holds_the_extreme():
    for inputs in (1, 7, 8, 1000):
        greatest = inputs << 38
        bits = FrontConfig(lanes=4, inputs_max=inputs).beta_sum_bits
        assert -(1 << (bits - 1)) <= -greatest <= greatest < 1 << (bits - 1)
        assert greatest >= 1 << (bits - 2)


@pytest.mark.parametrize(
    ("a", "b", "latency"),
    [
        (signed(18), signed(18), 2),
        (signed(19), signed(16), 3),
        (unsigned(17), signed(24), 3),
        (signed(25), unsigned(25), 4),
        (signed(36), signed(18), 4),
    ],
)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_product_of_pieces(a, b, latency, data):
    def operands(shape):
        least, beyond = (-(1 << shape.width - 1), 1 << shape.width - 1) if shape.signed else (0, 1 << shape.width)
        extremes = [least, beyond - 1, 0, 1]
        return extremes + data.draw(st.lists(st.integers(least, beyond - 1), min_size=8, max_size=8))

    pairs = [(x, y) for x in operands(a) for y in operands(b)]
    component = Product(a, b)
    assert component.latency == latency
    results = []

    async def testbench(ctx):
        for step in range(len(pairs) + latency):
            if step < len(pairs):
                ctx.set(component.i_a, pairs[step][0])
                ctx.set(component.i_b, pairs[step][1])
            *_, o = await ctx.tick().sample(component.o)
            results.append(o)

    bench = Bench(component)
    bench.add(testbench)
    bench.run()
    assert results[latency:] == [x * y for x, y in pairs]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 0}, "lanes is 0, it must be at least 1"),
        ({"lanes": 3}, "lanes is 3, it must be a power of two: lanes fill whole words of the array"),
        ({"inputs_max": 0}, "inputs_max is 0, it must be at least 1"),
        ({"quantizer": "int4"}, "quantizer is 'int4', it must be pow2 or absmax"),
        ({"x_bits": 25}, "x_bits is 25, it must be 9 to 24"),
        ({"x_bits": 8}, "x_bits is 8, it must be 9 to 24"),
    ],
)
def test_wrong_sizes_are_refused(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        FrontConfig(**{"lanes": 4, "inputs_max": 16} | change)
