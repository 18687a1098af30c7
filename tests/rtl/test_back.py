"""The back end as a whole: rows, records and offsets go in at random times, every result is the simulator's."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.sim import Simulator

from oracles.integers import clip, half_even
from xnorscan.rtl.back import BackEnd
from xnorscan.rtl.back_config import MULTIPLIER_GREATEST, BackConfig
from xnorscan.rtl.config import ArrayConfig
from xnorscan.sim.kernels.linear import combine_planes, scale_output, shift_dot

COLS = 2


def config(quantizer: str = "pow2", planes_max: int = 1, **changes: int) -> BackConfig:
    sizes = {"rows": 3, "cols": COLS, "lanes": 4, "inputs_max": 64} | changes
    return BackConfig(
        array=ArrayConfig(**sizes), output_tiles_max=12, tokens_max=4, quantizer=quantizer, planes_max=planes_max
    )


@dataclass
class Layer:
    """A layer's settings, its dot products [plane, token, output], popcounts [plane, output], and token records."""

    settings: dict
    dots: np.ndarray
    ones: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    beta_sum: np.ndarray

    @property
    def coefficients(self) -> np.ndarray:
        return np.array(self.settings["coefficients"][: len(self.dots)], np.int64)

    def offsets(self, inputs: int) -> np.ndarray:
        return self.coefficients @ (128 * inputs - self.ones)

    def results(self) -> list[list[int]]:
        """[token][output] in plain integers."""
        s = self.settings
        rows = []
        for t in range(self.dots.shape[1]):
            bias = half_even(int(self.beta_sum[t]), s["bias_exponent"])
            acc = [
                sum(int(c) * int(d) for c, d in zip(self.coefficients, column, strict=True))
                for column in self.dots[:, t].T
            ]
            down = s["exponent"] - int(self.shift[t])
            rows.append([clip(half_even(a * int(self.multiplier[t]), down) + bias, s["result_bits"]) for a in acc])
        return rows

    def kernel_results(self) -> list[list[int]]:
        """The same by the simulator's kernels."""
        s = self.settings
        total = np.empty(self.dots.shape[1:], np.int64)
        combine_planes(self.dots, self.coefficients, total)
        bias = np.empty(len(total), np.int64)
        shift_dot(self.beta_sum[:, None].astype(np.int64), np.ones(1, np.int16), s["bias_exponent"], bias)
        out = np.empty(total.shape, np.int32)
        greatest = (1 << s["result_bits"] - 1) - 1
        scale_output(total, self.multiplier, self.shift, s["exponent"], bias, greatest, out)
        return out.tolist()


def random_layer(sizes: BackConfig, rng: random.Random, tokens: int, output_tiles: int, planes: int) -> Layer:
    inputs, outputs = sizes.array.inputs_max, output_tiles * COLS
    draw = np.random.default_rng(rng.getrandbits(32))
    absmax = sizes.quantizer == "absmax"
    top = 23 + 15 + inputs.bit_length() - 1
    return Layer(
        settings={
            "planes": planes,
            "coefficients": [rng.choice((-32768, 32767, rng.randint(-9, 9))) if planes > 1 else 1 for _ in range(4)],
            "output_tiles": output_tiles,
            "token_tiles": -(-tokens // sizes.array.rows),
            "last_height": (tokens - 1) % sizes.array.rows + 1,
            "exponent": rng.randint(-20, 40),
            "bias_exponent": rng.randint(top - 31, 55),
            "result_bits": rng.choice((18, 24, 32)),
        },
        dots=draw.integers(-128 * inputs // 2, 128 * inputs // 2, (planes, tokens, outputs)).astype(np.int32),
        ones=draw.integers(0, inputs // 2, (planes, outputs)),
        multiplier=draw.integers(1, MULTIPLIER_GREATEST + 1, tokens) if absmax else np.ones(tokens, np.int64),
        shift=draw.integers(-30, 10, tokens) if absmax else draw.integers(0, 33, tokens),
        beta_sum=draw.integers(-(1 << top), 1 << top, tokens),
    )


def rows_of(layer: Layer, sizes: BackConfig) -> list[list[int]]:
    """Raw counts in the array's order."""
    inputs, rows = sizes.array.inputs_max, sizes.array.rows
    planes, tokens, outputs = layer.dots.shape
    raw = 128 * inputs - layer.ones[:, None] - layer.dots
    assert raw.min() >= 0
    assert raw.max() < 1 << sizes.array.acc_bits
    return [
        raw[p, t, first : first + COLS].tolist()
        for start in range(0, tokens, rows)
        for first in range(0, outputs, COLS)
        for p in range(planes)
        for t in range(start, min(start + rows, tokens))
    ]


def expected(layer: Layer, results: list[list[int]], rows: int) -> list[list[int]]:
    tokens, outputs = len(results), layer.dots.shape[2]
    return [
        results[t][first : first + COLS]
        for start in range(0, tokens, rows)
        for first in range(0, outputs, COLS)
        for t in range(start, min(start + rows, tokens))
    ]


@dataclass
class Run:
    """What came out, ``last`` of each row, and the cycle of every transfer."""

    rows: list[list[int]]
    last: list[int]
    taken: list[int]
    left: list[int]
    recorded: list[int]


def run(sizes: BackConfig, layers: list[Layer], stalls: tuple[float, float, float], head_start: int = 0) -> Run:
    """``stalls``: how often a record is withheld, a row is withheld, a result is not taken.

    ``head_start``: cycles by which a layer's records precede its rows.
    """
    dut, rng, got = BackEnd(sizes), random.Random(5), Run([], [], [], [], [])
    cycle = 0
    done = False

    async def clock(ctx) -> None:
        nonlocal cycle
        while not done:
            await ctx.tick()
            cycle += 1

    async def send(ctx, port, items, stall: float, times: list[int]) -> None:
        for item in items:
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(port.payload, item)
            ctx.set(port.valid, 1)
            await ctx.tick().until(port.ready)
            times.append(cycle)
            ctx.set(port.valid, 0)

    async def settle(ctx, layer: Layer, rows_left: int) -> None:
        while len(got.rows) < rows_left:
            await ctx.tick()
        for name, value in layer.settings.items():
            ctx.set(dut.i_settings[name], value)
        offsets = layer.offsets(sizes.array.inputs_max)
        for o, offset in enumerate(offsets.tolist()):
            masked = offset & (1 << sizes.sum_bits) - 1
            ctx.set(dut.offset_write, {"enable": 1, "bank": o % COLS, "address": o // COLS, "data": masked})
            await ctx.tick()
        ctx.set(dut.offset_write.enable, 0)
        await ctx.tick().repeat(3)

    starts = np.cumsum([0] + [layer.dots[0].size // COLS for layer in layers]).tolist()
    settled = -1

    async def settings(ctx) -> None:
        nonlocal settled
        for index, layer in enumerate(layers):
            await settle(ctx, layer, starts[index])
            settled = index

    async def records(ctx) -> None:
        for index, layer in enumerate(layers):
            while settled < index:
                await ctx.tick()
            values = zip(layer.multiplier.tolist(), layer.shift.tolist(), layer.beta_sum.tolist(), strict=True)
            items = [{"multiplier": m, "shift": s, "beta_sum": b} for m, s, b in values]
            await send(ctx, dut.i_record, items, stalls[0], got.recorded)

    async def rows(ctx) -> None:
        for index, layer in enumerate(layers):
            while settled < index:
                await ctx.tick()
            for _ in range(head_start):
                await ctx.tick()
            items = [{"raw": raw, "last": 0} for raw in rows_of(layer, sizes)]
            await send(ctx, dut.i, items, stalls[1], got.taken)

    async def results(ctx) -> None:
        nonlocal done
        while len(got.rows) < starts[-1]:
            ctx.set(dut.o.ready, rng.random() >= stalls[2])
            _, _, valid, ready, item = await ctx.tick().sample(dut.o.valid, dut.o.ready, dut.o.payload)
            if valid and ready:
                got.rows.append(list(item.y))
                got.last.append(int(item.last))
                got.left.append(cycle)
            assert cycle < 60_000
        ctx.set(dut.o.ready, 1)
        for _ in range(40):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        done = True

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(clock)
    for bench in (settings, records, rows):
        simulator.add_testbench(bench, background=True)
    simulator.add_testbench(results)
    simulator.run()
    return got


SIZES = [("pow2", 1), ("pow2", 4), ("absmax", 1), ("absmax", 3)]


@pytest.mark.parametrize("stalls", [(0.0, 0.0, 0.0), (0.9, 0.1, 0.1), (0.1, 0.7, 0.1), (0.1, 0.1, 0.8)])
@pytest.mark.parametrize(("quantizer", "planes_max"), SIZES)
def test_layers_one_after_the_other(quantizer: str, planes_max: int, stalls: tuple[float, float, float]) -> None:
    """The ring of 4 records wraps, the last tile is lower, every layer starts where the first one did."""
    sizes, rng = config(quantizer, planes_max), random.Random(planes_max)
    shapes = [(7, 2, planes_max), (1, 1, 1), (6, 3, 1), (8, 1, planes_max)]
    layers = [random_layer(sizes, rng, tokens, tiles, planes) for tokens, tiles, planes in shapes]
    got = run(sizes, layers, stalls)
    want = [row for layer in layers for row in expected(layer, layer.results(), sizes.array.rows)]
    assert got.rows == want
    assert want == [row for layer in layers for row in expected(layer, layer.kernel_results(), sizes.array.rows)]
    ends = np.cumsum([len(expected(layer, layer.results(), sizes.array.rows)) for layer in layers]) - 1
    assert np.flatnonzero(got.last).tolist() == ends.tolist()


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(("quantizer", "planes_max"), SIZES)
def test_a_row_a_cycle_and_the_stated_latency(quantizer: str, planes_max: int, rows: int) -> None:
    """More rows than the FIFO holds, from token tiles of all rows and of one: nothing ever waits."""
    sizes = config(quantizer, planes_max, rows=rows)
    dut = BackEnd(sizes)
    got = run(sizes, [random_layer(sizes, random.Random(0), 4, 12, planes_max)], (0.0, 0.0, 0.0), head_start=20)
    assert np.diff(got.taken).tolist() == [1] * (4 * 12 * planes_max - 1)
    first_tile = min(rows, 4)
    assert got.left[0] - got.taken[first_tile * (planes_max - 1)] == dut.latency
    assert got.left[-1] - got.taken[-1] == dut.latency
    assert dut.interval == 1


def test_a_row_waits_for_its_record() -> None:
    sizes = config()
    layer = random_layer(sizes, random.Random(2), 1, 1, 1)
    got = run(sizes, [layer], (0.95, 0.0, 0.0))
    assert got.taken[0] - got.recorded[0] == BackEnd(sizes).record_latency


@pytest.mark.parametrize(("quantizer", "planes_max"), [("pow2", 1), ("absmax", 3)])
def test_a_slow_consumer_loses_nothing(quantizer: str, planes_max: int) -> None:
    """Three times the rows that the FIFO holds, at full rate, and one of ten cycles in which a result is taken."""
    sizes = config(quantizer, planes_max)
    layer = random_layer(sizes, random.Random(3), 4, 12, planes_max)
    got = run(sizes, [layer], (0.0, 0.0, 0.9), head_start=20)
    assert got.rows == expected(layer, layer.results(), sizes.array.rows)
