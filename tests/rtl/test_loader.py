"""rtl/loader.py: packets into every memory against lists of writes counted out in plain Python."""

from __future__ import annotations

import random
from typing import Any, Literal, NamedTuple

import pytest
from amaranth.sim import Simulator

from xnorscan.rtl.back_config import BackConfig
from xnorscan.rtl.config import ArrayConfig, CoreConfig
from xnorscan.rtl.front_config import FrontConfig
from xnorscan.rtl.loader import Loader
from xnorscan.rtl.register_table import TARGETS

HANG = 5000
CODES = {name: code for code, name in enumerate(TARGETS)}


class Packet(NamedTuple):
    """What a packet is told and made of."""

    target: int
    address: int
    beats: list[int]


class Heard(NamedTuple):
    """What came out: (port, fields in the port's order), errors, slots."""

    writes: list[tuple[Any, ...]]
    errors: int
    slots: int


def loader(activations: Literal["serial", "parallel"] = "parallel", planes_max: int = 4, cols: int = 6) -> Loader:
    array = ArrayConfig(rows=3, cols=cols, lanes=16, activations=activations, inputs_max=200)
    core = CoreConfig(array=array, weight_words=20, activation_words=104)
    back = BackConfig(array=array, output_tiles_max=5, tokens_max=4, planes_max=planes_max)
    return Loader(core, FrontConfig(lanes=4, inputs_max=200), back)


PORTS = {
    "weight_write": ("address", "bank", "data"),
    "parameter_write": ("address", "select", "lane", "data"),
    "offset_write": ("address", "bank", "data"),
    "activation_write": ("address", "row", "data"),
}


def run(dut: Loader, packets: list[Packet], pauses: float = 0.0, seed: int = 0) -> Heard:
    """Send the packets one after the other; settings are written as soon as the last beat of the one before is gone."""
    rng, simulator, writes, counts = random.Random(seed), Simulator(dut), [], {"errors": 0, "slots": 0, "cycles": 0}
    simulator.add_clock(1e-6)

    async def source(ctx) -> None:
        for packet in packets:
            ctx.set(dut.i_target, packet.target)
            ctx.set(dut.i_address, packet.address)
            for index, beat in enumerate(packet.beats):
                while rng.random() < pauses:
                    await ctx.tick()
                ctx.set(dut.i.payload, {"data": [beat], "last": index == len(packet.beats) - 1})
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(3)

    async def watch(ctx) -> None:
        fields = [getattr(dut, port) for port in PORTS]
        async for _, _, error, slot, *ports in ctx.tick().sample(dut.o_error, dut.o_slot_full, *fields):
            counts["errors"] += error
            counts["slots"] += slot
            counts["cycles"] += 1
            assert counts["cycles"] < HANG, "the loader hangs"
            for (name, members), value in zip(PORTS.items(), ports, strict=True):
                if value.enable:
                    writes.append((name, *(value[member] for member in members)))

    simulator.add_process(watch)
    simulator.add_testbench(source)
    simulator.run()
    return Heard(writes, counts["errors"], counts["slots"])


def words(count: int, seed: int = 0) -> list[int]:
    rng = random.Random(seed)
    return [rng.getrandbits(32) for _ in range(count)]


@pytest.mark.parametrize("pauses", [0.0, 0.5])
@pytest.mark.parametrize("cols", [6, 5])
def test_weights(cols: int, pauses: float) -> None:
    """6 · 16 bits are three banks, 5 · 16 too: the last is half empty."""
    beats = words(13)
    heard = run(loader(cols=cols), [Packet(CODES["weights"], 4, beats)], pauses)
    assert heard.writes == [("weight_write", 4 + i // 3, i % 3, beat) for i, beat in enumerate(beats)]
    assert (heard.errors, heard.slots) == (0, 0)


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


@pytest.mark.parametrize(("target", "select"), [("alpha", 0), ("beta", 1)])
def test_scales(target: str, select: int) -> None:
    """The low 16 bits of a beat, 4 inputs an address."""
    beats = words(11)
    heard = run(loader(), [Packet(CODES[target], 7, beats)], 0.3)
    expected = [("parameter_write", 7 + i // 4, select, i % 4, signed(beat, 16)) for i, beat in enumerate(beats)]
    assert heard.writes == expected
    assert heard.errors == 0


def test_narrow_offsets_take_one_beat() -> None:
    values = [-(1 << 15), (1 << 15) - 1, -1, 0, 5, -6, 7]
    dut = loader(planes_max=1)
    bits = len(dut.offset_write.data)
    assert bits <= 32
    heard = run(dut, [Packet(CODES["offset"], 2, [value & 0xFFFFFFFF for value in values])])
    assert [(*w[:3], signed(w[3], bits)) for w in heard.writes] == [
        ("offset_write", 2 + i // 6, i % 6, value) for i, value in enumerate(values)
    ]


@pytest.mark.parametrize("pauses", [0.0, 0.5])
def test_wide_offsets_take_two_beats(pauses: float) -> None:
    dut = loader(planes_max=4)
    bits = len(dut.offset_write.data)
    assert 32 < bits <= 40
    values = [-(1 << bits - 1), (1 << bits - 1) - 1, -1, 0, 1 << 31, -(1 << 31) - 1, 3]
    beats = [value >> shift & 0xFFFFFFFF for value in values for shift in (0, 32)]
    heard = run(dut, [Packet(CODES["offset"], 3, beats)], pauses)
    assert [(*w[:3], signed(w[3], bits)) for w in heard.writes] == [
        ("offset_write", 3 + i // 6, i % 6, value) for i, value in enumerate(values)
    ]
    assert heard.errors == 0


@pytest.mark.parametrize("target", ["activations", "last_activations"])
@pytest.mark.parametrize(("activations", "beats_each"), [("parallel", 4), ("serial", 1)])
def test_activations(activations: Any, beats_each: int, target: str) -> None:
    """16 lanes: 128 bits in parallel, 16 in serial. The row is in the upper half of the address."""
    beats = words(3 * beats_each)
    heard = run(loader(activations), [Packet(CODES[target], 2 << 16 | 100, beats)], 0.3)
    bits = 16 if activations == "serial" else 128
    values = [
        sum(beat << 32 * i for i, beat in enumerate(beats[j : j + beats_each])) & ((1 << bits) - 1)
        for j in range(0, len(beats), beats_each)
    ]
    assert heard.writes == [("activation_write", 100 + i, 2, value) for i, value in enumerate(values)]
    assert (heard.errors, heard.slots) == (0, target == "last_activations")


@pytest.mark.parametrize("seed", range(4))
def test_packets_of_all_kinds_in_a_row(seed: int) -> None:
    """Each packet starts afresh with the settings that stand when its first beat arrives."""
    rng, packets, expected = random.Random(seed), [], []
    for _ in range(25):
        beats, address = words(rng.randint(1, 6), rng.random()), rng.randrange(10)
        if rng.random() < 0.5:
            packets.append(Packet(CODES["weights"], address, beats))
            expected += [("weight_write", address + i // 3, i % 3, beat) for i, beat in enumerate(beats)]
        else:
            packets.append(Packet(CODES["beta"], address, beats))
            expected += [("parameter_write", address + i // 4, 1, i % 4, signed(b, 16)) for i, b in enumerate(beats)]
    heard = run(loader(), packets, 0.4, seed)
    assert heard.writes == expected
    assert heard.errors == 0


GOOD = Packet(CODES["weights"], 0, [7])
GOOD_WRITE = ("weight_write", 0, 0, 7)


@pytest.mark.parametrize(
    ("packet", "written", "errors"),
    [
        (Packet(CODES["weights"], 19, words(5)), 3, 2),
        (Packet(CODES["weights"], 0xFFFFFFFF, words(4)), 0, 4),
        (Packet(CODES["alpha"], 49, words(6)), 4, 2),
        (Packet(CODES["offset"], 4, words(16)), 6, 2),
        (Packet(CODES["activations"], 103, words(8)), 1, 1),
        (Packet(CODES["activations"], 3 << 16, words(8)), 0, 2),
        (Packet(CODES["last_activations"], 3 << 16, words(8)), 0, 2),
        (Packet(len(TARGETS), 0, words(3)), 0, 3),
        (Packet(CODES["offset"], 0, words(3)), 1, 1),
        (Packet(CODES["activations"], 0, words(6)), 1, 1),
    ],
    ids=["weights", "far", "alpha", "offset", "word", "row", "last row", "target", "cut offset", "cut activations"],
)
def test_what_does_not_fit_is_an_error_and_nothing_hangs(packet: Packet, written: int, errors: int) -> None:
    """A value beyond its memory is dropped and said, also past the last address of 32 bits."""
    heard = run(loader(), [GOOD, packet, GOOD], 0.3)
    assert len(heard.writes) == written + 2
    assert heard.writes[0] == heard.writes[-1] == GOOD_WRITE
    assert (heard.errors, heard.slots) == (errors, 0)


def test_latency_and_interval() -> None:
    """A beat a cycle in a packet, its write one later; one cycle more between packets."""
    dut, beats, writes = loader(), [], []
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def source(ctx) -> None:
        ctx.set(dut.i.valid, 1)
        for cycle in range(12):
            ctx.set(dut.i.payload.last, len(beats) % 4 == 3)
            _, _, ready, enable = await ctx.tick().sample(dut.i.ready, dut.weight_write.enable)
            beats.extend([cycle] * ready)
            writes.extend([cycle] * enable)

    simulator.add_testbench(source)
    simulator.run()
    assert beats == [1, 2, 3, 4, 6, 7, 8, 9, 11]
    assert writes == [beat + dut.latency for beat in beats if beat + dut.latency < 12]
    assert beats[1] - beats[0] == dut.interval


def test_parts_of_different_engines() -> None:
    array = ArrayConfig(rows=3, cols=6, lanes=16, inputs_max=200)
    core = CoreConfig(array=array, weight_words=20, activation_words=104)
    back = BackConfig(array=array, output_tiles_max=5, tokens_max=4)
    with pytest.raises(ValueError, match=r"^core, front and back are of different arrays, they must be .* one engine$"):
        Loader(core, FrontConfig(lanes=4, inputs_max=100), back)
