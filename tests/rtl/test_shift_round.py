"""The rounding shift against the simulator's kernel and against exact fractions."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from amaranth.sim import Simulator

from oracles.integers import clip, half_even
from xnorscan.rtl.shift_round import Shifter, ShiftRound
from xnorscan.sim.kernels.arith import saturate, shift_round


def run(dut: ShiftRound, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """One (value, shift) a cycle → the results, each ``dut.latency`` cycles later."""
    results, pairs = [], list(pairs)

    async def bench(ctx) -> None:
        for cycle in range(len(pairs) + dut.latency):
            value, shift = pairs[min(cycle, len(pairs) - 1)]
            ctx.set(dut.i, value)
            ctx.set(dut.i_shift, shift)
            if cycle >= dut.latency:
                results.append(ctx.get(dut.o))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return results


def edges(bits: int) -> list[int]:
    """The ends, the powers of two and their neighbours: all ties are among them."""
    near = {sign * (1 << k) + d for k in range(bits) for sign in (-1, 1) for d in (-1, 0, 1)}
    near |= {sign * (3 << k) for k in range(bits - 2) for sign in (-1, 1)}
    return sorted(v for v in near if -(1 << bits - 1) <= v < 1 << bits - 1)


def test_every_value_and_shift_of_small_widths() -> None:
    pairs = [(v, s) for v in range(-16, 16) for s in range(-16, 16)]
    want = [clip(half_even(v, s), 4) for v, s in pairs]
    assert run(ShiftRound(5, 4, 5), pairs) == want


@pytest.mark.parametrize(("value_bits", "result_bits"), [(23, 34), (54, 33), (47, 34), (3, 9), (2, 2)])
def test_is_the_kernel_saturated(value_bits: int, result_bits: int) -> None:
    rng = random.Random(value_bits)
    values = edges(value_bits) + [rng.getrandbits(value_bits) - (1 << value_bits - 1) for _ in range(60)]
    ends = [0, 1, -1, 2, value_bits - 1, value_bits, value_bits + 1, -result_bits + 1, -result_bits, 127, -128]
    pairs = [(v, s) for v in values for s in (*ends, rng.randint(-result_bits, value_bits))]
    got = run(ShiftRound(value_bits, result_bits, 8), pairs)
    assert got == [clip(half_even(v, s), result_bits) for v, s in pairs]
    assert got == [saturate(shift_round(v, s), (1 << result_bits - 1) - 1) for v, s in pairs]


def test_takes_a_value_a_cycle() -> None:
    dut = ShiftRound(23, 34, 8)
    assert (dut.latency, dut.interval) == (6, 1)
    assert Shifter(23, 34).latency == 3


@pytest.mark.parametrize("widths", [(1, 8), (8, 1)])
def test_refuses_what_is_no_signed_number(widths: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a signed number must have at least 2 bits"):
        Shifter(*widths)
