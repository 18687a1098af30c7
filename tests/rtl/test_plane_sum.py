"""Sums over planes against plain integers, with rows that follow each other at once and with gaps."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from xnorscan.rtl.back_config import BackConfig
from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.plane_sum import PlaneSum

COLS, INPUTS = 2, 100
DOT = 128 * INPUTS


def config(planes_max: int, rows: int, inputs: int = INPUTS) -> BackConfig:
    array = ArrayConfig(rows=rows, cols=COLS, lanes=4, inputs_max=inputs)
    return BackConfig(array=array, output_tiles_max=1, tokens_max=8, planes_max=planes_max)


def run(sizes: BackConfig, tiles: list[tuple[list[int], list, list]], gap: float, seed: int = 0) -> list[list[int]]:
    """``tiles`` of (coefficients, raw [plane][row][col], offsets [col]) → the sums that come out, in order."""
    dut, rng, got = PlaneSum(sizes), random.Random(seed), []
    beats: list = []
    for coefficients, planes, offsets in tiles:
        for p, rows in enumerate(planes):
            for r, raw in enumerate(rows):
                beats += [None] * (rng.random() < gap)
                beats.append((coefficients[p], p == 0, p == len(planes) - 1, r, raw, offsets))
    beats += [None] * (dut.latency + 1)
    expected_valid = [bool(beat and beat[2]) for beat in beats]

    async def bench(ctx) -> None:
        for cycle, beat in enumerate(beats):
            ctx.set(dut.i_valid, beat is not None)
            if beat:
                ctx.set(dut.i_coefficient, beat[0])
                ctx.set(dut.i_first, beat[1])
                ctx.set(dut.i_last, beat[2])
                ctx.set(dut.i_row, beat[3])
                ctx.set(dut.i_raw, beat[4])
            late = beats[cycle - dut.offset_delay] if cycle >= dut.offset_delay else None
            ctx.set(dut.i_offset, late[5] if late else [-1] * COLS)
            valid = ctx.get(dut.o_valid)
            assert valid == (cycle >= dut.latency and expected_valid[cycle - dut.latency])
            if valid:
                got.append([ctx.get(dut.o[c]) for c in range(COLS)])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return got


def tile(rng: random.Random, rows: int, coefficients: list[int]) -> tuple[list[int], list, list]:
    """Counts of K inputs of 8 bits, each plane with its popcount, the extremes among them."""
    ones = [[rng.choice((0, INPUTS, rng.randint(0, INPUTS))) for _ in range(COLS)] for _ in coefficients]
    dots = [[[rng.choice((DOT, -DOT, rng.randint(-DOT, DOT))) for _ in range(COLS)] for _ in range(rows)] for _ in ones]
    raw = [
        [[min(max(DOT - n - d, 0), 255 * INPUTS) for n, d in zip(count, row, strict=True)] for row in plane]
        for count, plane in zip(ones, dots, strict=True)
    ]
    offsets = [sum(c * (DOT - count[col]) for c, count in zip(coefficients, ones, strict=True)) for col in range(COLS)]
    return coefficients, raw, offsets


def expected(tiles: list[tuple[list[int], list, list]]) -> list[list[int]]:
    return [
        [offsets[c] - sum(k * plane[r][c] for k, plane in zip(coefficients, raw, strict=True)) for c in range(COLS)]
        for coefficients, raw, offsets in tiles
        for r in range(len(raw[0]))
    ]


@pytest.mark.parametrize("gap", [0.0, 0.4])
@pytest.mark.parametrize("rows", [1, 3])
def test_several_planes(rows: int, gap: float) -> None:
    rng = random.Random(rows)
    ends = [[-32768] * 4, [32767] * 4, [1], [-1, 32767, -32768]]
    chosen = ends + [[rng.randint(-32768, 32767) for _ in range(rng.randint(1, 4))] for _ in range(20)]
    tiles = [tile(rng, rng.randint(1, rows), coefficients) for coefficients in chosen]
    assert run(config(4, rows), tiles, gap) == expected(tiles)


def test_one_plane_and_signs_as_activations() -> None:
    rng = random.Random(0)
    signs = [([2], [[[rng.choice((0, INPUTS, 41)) for _ in range(COLS)]] * 3], [INPUTS] * COLS) for _ in range(5)]
    tiles = [tile(rng, 3, [1]) for _ in range(20)] + signs + [tile(rng, 2, [1])]
    assert run(config(1, 3), tiles, 0.3) == expected(tiles)


def test_widths_hold_the_extremes_and_no_more() -> None:
    assert config(1, 2).sum_bits == (DOT).bit_length() + 1
    assert config(4, 2).sum_bits == (4 * 32768 * DOT).bit_length() + 1


def test_no_memory_and_no_multiplier_for_one_plane() -> None:
    assert (PlaneSum(config(1, 2)).latency, PlaneSum(config(4, 2, inputs=16384)).latency) == (3, 4)
    assert PlaneSum.interval == 1
