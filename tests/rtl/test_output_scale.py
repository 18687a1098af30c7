"""The output scale against the simulator's kernel and against exact fractions."""

from __future__ import annotations

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from oracles.integers import clip, half_even
from xnorscan.rtl.back_config import BIAS_BITS, MULTIPLIER_GREATEST, SCALED_BITS, BackConfig
from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.output_scale import OutputScale
from xnorscan.sim.kernels.linear import scale_output

COLS = 2
LEAST_BIAS, GREATEST_BIAS = -(1 << BIAS_BITS - 1), (1 << BIAS_BITS - 1) - 1


def config(quantizer: str, planes_max: int = 1) -> BackConfig:
    array = ArrayConfig(rows=2, cols=COLS, lanes=4)
    return BackConfig(array=array, output_tiles_max=1, tokens_max=2, quantizer=quantizer, planes_max=planes_max)


def run(sizes: BackConfig, rows: list[tuple[list[int], int, int, int]], result_bits: int) -> list[list[int]]:
    """Rows of (sums, multiplier, shift, bias), one a cycle → the results, each ``latency`` cycles later."""
    dut, got = OutputScale(sizes), []

    async def bench(ctx) -> None:
        ctx.set(dut.i_result_bits, result_bits)
        await ctx.tick()
        for cycle in range(len(rows) + dut.latency):
            sums, multiplier, shift, bias = rows[min(cycle, len(rows) - 1)]
            ctx.set(dut.i, sums)
            ctx.set(dut.i_multiplier, multiplier)
            ctx.set(dut.i_count, clamp(shift, 1 - SCALED_BITS, sizes.value_bits) + SCALED_BITS - 1)
            ctx.set(dut.i_bias, bias)
            if cycle >= dut.latency:
                got.append([ctx.get(dut.o[c]) for c in range(COLS)])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return got


def clamp(value: int, least: int, greatest: int) -> int:
    return min(max(value, least), greatest)


def exact(rows: list[tuple[list[int], int, int, int]], bits: int) -> list[list[int]]:
    return [[clip(half_even(s * m, shift) + bias, bits) for s in sums] for sums, m, shift, bias in rows]


def kernel(rows: list[tuple[list[int], int, int, int]], bits: int) -> list[list[int]]:
    sums, multiplier, shift, bias = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    out = np.empty(sums.shape, np.int32)
    scale_output(sums, multiplier, -shift, 0, bias, (1 << bits - 1) - 1, out)
    return out.tolist()


def random_rows(sizes: BackConfig, result_bits: int) -> list[tuple[list[int], int, int, int]]:
    """Extremes of everything; and sums whose result lies about the ends of the format and about ties."""
    rng, top = random.Random(sizes.sum_bits + result_bits), 1 << sizes.sum_bits - 2
    if sizes.planes_max == 1:
        top = 128 * sizes.array.inputs_max
    rows = []
    for _ in range(900):
        shift = rng.choice(
            (0, 1, -1, -33, -34, -100, 33, 100, sizes.value_bits, rng.randint(-36, sizes.value_bits + 2))
        )
        multiplier = 1
        if sizes.quantizer == "absmax":
            multiplier = rng.choice((1, MULTIPLIER_GREATEST, rng.randint(1, MULTIPLIER_GREATEST)))
        bias = rng.choice((0, LEAST_BIAS, GREATEST_BIAS, rng.randint(-3, 3), rng.randint(LEAST_BIAS, GREATEST_BIAS)))
        bias = rng.choice(
            (bias, (1 << result_bits - 1) - rng.randint(-2, 2), rng.randint(-2, 2) - (1 << result_bits - 1))
        )
        near = half_even(rng.choice((-1, 1)) * (1 << result_bits - 1) - bias, -shift) // multiplier
        odd = (2 * rng.randint(-1000, 1000) + 1) << max(0, min(shift, 20) - 1)
        sums = [rng.choice((top, -top, 0, -1, 1, odd, near + rng.randint(-2, 2), rng.randint(-top, top))) for _ in "ab"]
        rows.append(([clamp(s, -top, top) for s in sums], multiplier, shift, bias))
    return rows


@pytest.mark.parametrize("result_bits", [18, 24, 32])
@pytest.mark.parametrize(("quantizer", "planes_max"), [("pow2", 1), ("absmax", 1), ("absmax", 4)])
def test_is_the_kernel(quantizer: str, planes_max: int, result_bits: int) -> None:
    sizes = config(quantizer, planes_max)
    rows = random_rows(sizes, result_bits)
    got = run(sizes, rows, result_bits)
    assert got == exact(rows, result_bits)
    held = [index for index, (sums, m, *_) in enumerate(rows) if max(map(abs, sums)) * m <= 1 << 61]
    assert [got[index] for index in held] == kernel([rows[index] for index in held], result_bits)
    values = {value for row in got for value in row}
    assert {-(1 << result_bits - 1), (1 << result_bits - 1) - 1} < values


def test_takes_a_row_a_cycle() -> None:
    """Shifters of six and of seven levels, the product's two pieces by two; three registers behind them."""
    assert OutputScale(config("pow2")).latency == 3 + 3
    assert OutputScale(config("absmax")).latency == 4 + 4 + 3
    assert OutputScale.interval == 1
