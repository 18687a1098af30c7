"""rtl/axi_stream.py: bytes against plain Python, under random stalls on both sides."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Shape, signed, unsigned
from amaranth.sim import Simulator

from xnorscan.rtl.axi_stream import FromAxiStream, ToAxiStream, field_bytes

HANG = 5000
SHAPES = [(signed(24), 4), (signed(18), 3), (unsigned(8), 1), (signed(5), 2), (unsigned(32), 1)]


def to_bytes(values: list[int], shape: Shape) -> int:
    """Little-endian two's complement, lane 0 lowest."""
    size = field_bytes(shape)
    return int.from_bytes(b"".join(v.to_bytes(size, "little", signed=shape.signed) for v in values), "little")


def random_value(rng: random.Random, shape: Shape) -> int:
    least = -(1 << shape.width - 1) if shape.signed else 0
    return rng.choice([least, least + (1 << shape.width) - 1, least + rng.getrandbits(shape.width), 0])


def run(dut: Any, sends: list[dict[str, int]], is_axi: bool, seed: int, pauses: tuple[float, float]) -> list[tuple]:
    """What leaves ``dut`` when ``sends`` enter it: (payload, last, keep), with random pauses before and after."""
    rng, simulator, received = random.Random(seed), Simulator(dut), []
    simulator.add_clock(1e-6)
    valid, ready = (dut.i.tvalid, dut.i.tready) if is_axi else (dut.i.valid, dut.i.ready)

    async def source(ctx) -> None:
        for beat in sends:
            while rng.random() < pauses[0]:
                await ctx.tick()
            for name, value in beat.items():
                ctx.set(getattr(dut.i, name), value)
            ctx.set(valid, 1)
            await ctx.tick().until(ready)
            ctx.set(valid, 0)

    async def sink(ctx) -> None:
        o = dut.o
        wires = (
            (o.payload, o.payload.last, o.payload.last) if is_axi else (o.tdata, o.tlast, getattr(o, "tkeep", o.tlast))
        )
        left = (o.valid, o.ready) if is_axi else (o.tvalid, o.tready)
        for _ in range(HANG):
            ctx.set(left[1], rng.random() >= pauses[1])
            _, _, went, *beat = await ctx.tick().sample(left[0] & left[1], *wires)
            if went:
                received.append(tuple(beat))
            if len(received) == len(sends):
                return
        raise AssertionError("a transfer hangs")

    simulator.add_testbench(source)
    simulator.add_testbench(sink)
    simulator.run()
    return received


@pytest.mark.parametrize("pauses", [(0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5), (0.1, 0.9)])
@pytest.mark.parametrize(("shape", "lanes"), SHAPES)
def test_from_axi_stream(shape: Shape, lanes: int, pauses: tuple[float, float]) -> None:
    rng = random.Random(lanes)
    beats = [([random_value(rng, shape) for _ in range(lanes)], rng.randrange(2)) for _ in range(40)]
    sends = [{"tdata": to_bytes(values, shape), "tlast": last} for values, last in beats]
    received = run(FromAxiStream("x", shape, lanes), sends, True, 1, pauses)
    assert [([payload.x[lane] for lane in range(lanes)], last) for payload, last, _ in received] == beats


def test_bits_above_a_lane_are_not_read() -> None:
    received = run(FromAxiStream("x", signed(5), 2), [{"tdata": 0b111_01111_001_10000, "tlast": 1}], True, 0, (0, 0))
    assert [received[0][0].x[lane] for lane in range(2)] == [-16, 15]


@pytest.mark.parametrize("pauses", [(0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5), (0.1, 0.9)])
@pytest.mark.parametrize(("shape", "lanes"), SHAPES)
def test_to_axi_stream(shape: Shape, lanes: int, pauses: tuple[float, float]) -> None:
    rng = random.Random(lanes)
    beats = [([random_value(rng, shape) for _ in range(lanes)], rng.randrange(2)) for _ in range(40)]
    sends = [{"payload": {"y": values, "last": last}} for values, last in beats]
    received = run(ToAxiStream("y", shape, lanes), sends, False, 2, pauses)
    assert [beat[:2] for beat in received] == [(to_bytes(values, shape), last) for values, last in beats]


def test_lanes_that_are_not_kept_are_zero() -> None:
    dut = FromAxiStream("x", signed(24), 4, keep=True)
    data = to_bytes([-1, -2, -3, -4], signed(24))
    sends = [{"tdata": data, "tlast": 1, "tkeep": keep} for keep in (0xFFF, 0x03F, 0xFC0, 0)]
    received = run(dut, sends, True, 3, (0.3, 0.3))
    kept = [[payload.x[lane] for lane in range(4)] for payload, _, _ in received]
    assert kept == [[-1, -2, -3, -4], [-1, -2, 0, 0], [0, 0, -3, -4], [0, 0, 0, 0]]


def test_keep_covers_whole_lanes() -> None:
    dut = ToAxiStream("y", signed(18), 3, keep=True)
    sends = [{"payload": {"y": [1, 2, 3], "keep": keep, "last": 0}} for keep in (0b111, 0b001, 0b100)]
    assert [keep for _, _, keep in run(dut, sends, False, 4, (0.3, 0.3))] == [0x1FF, 0x007, 0x1C0]


@pytest.mark.parametrize("face", [FromAxiStream, ToAxiStream])
def test_latency_and_interval(face: Any) -> None:
    """Full rate: a beat a cycle, each one ``latency`` later; ready does not follow the other side within a cycle."""
    dut, times, is_axi = face("x", signed(16), 1), {"in": [], "out": []}, face is FromAxiStream
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    i_valid, i_ready = (dut.i.tvalid, dut.i.tready) if is_axi else (dut.i.valid, dut.i.ready)
    o_valid, o_ready = (dut.o.valid, dut.o.ready) if is_axi else (dut.o.tvalid, dut.o.tready)

    async def watch(ctx) -> None:
        ctx.set(i_valid, 1)
        ctx.set(o_ready, 1)
        for cycle in range(20):
            _, _, entered, left = await ctx.tick().sample(i_valid & i_ready, o_valid & o_ready)
            times["in"] += [cycle] * entered
            times["out"] += [cycle] * left
        before = ctx.get(i_ready)
        ctx.set(o_ready, 0)
        assert ctx.get(i_ready) == before == 1

    simulator.add_testbench(watch)
    simulator.run()
    assert times["in"] == list(range(0, 20, dut.interval))
    assert times["out"] == list(range(dut.latency, 20, dut.interval))


@pytest.mark.parametrize("face", [FromAxiStream, ToAxiStream])
def test_no_lanes(face: Any) -> None:
    with pytest.raises(ValueError, match=r"^lanes is 0, it must be at least 1$"):
        face("x", signed(8), 0)
