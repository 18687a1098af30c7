"""rtl/register_table.py, register_text.py, registers.py: one table, four forms of it that agree, and the start."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from xnorscan.rtl.axi_lite import OKAY, SLVERR, AxiLiteSlave
from xnorscan.rtl.config import ArrayConfig, CoreConfig
from xnorscan.rtl.register_table import ADDRESS_BITS, ERRORS, register_table, setting_writes
from xnorscan.rtl.register_text import c_header, markdown, system_rdl
from xnorscan.rtl.registers import RegisterFile
from xnorscan.rtl.settings import EngineConfig, layer_settings

HANG = 20000


def engine(activations: Any = "serial", rows: int = 5, cols: int = 6, **options: Any) -> EngineConfig:
    array = ArrayConfig(rows=rows, cols=cols, lanes=16, activations=activations, inputs_max=200)
    core = CoreConfig(array=array, weight_words=64, activation_words=200)
    return EngineConfig(core=core, **{"output_tiles_max": 8, "vector_lanes": 4, "planes_max": 2, **options})


TABLE = {register.name: register for register in register_table(engine())}
GOOD = layer_settings(engine(), inputs=100, outputs=13, tokens=11, planes=2, bits=4, coefficients=(3, -1))


class Bench:
    """A register file behind its AXI4-Lite face, with blocking reads and writes."""

    def __init__(self, config: EngineConfig) -> None:
        m = Module()
        m.submodules.axi = self.slave = AxiLiteSlave(ADDRESS_BITS)
        m.submodules.registers = self.registers = RegisterFile(config)
        wiring.connect(m, self.slave.bus, self.registers.bus)
        self.axi, self.starts, self.soft_resets, self.cycle = self.slave.axi, 0, 0, 0
        self.simulator = Simulator(m)
        self.simulator.add_clock(1e-6)

    async def write(self, ctx, offset: int, value: int, strobe: int = 15) -> int:
        """The response."""
        axi = self.axi
        ctx.set(axi.awaddr, offset)
        ctx.set(axi.wdata, value)
        ctx.set(axi.wstrb, strobe)
        ctx.set(axi.awvalid, 1)
        ctx.set(axi.wvalid, 1)
        await ctx.tick()
        ctx.set(axi.awvalid, 0)
        ctx.set(axi.wvalid, 0)
        ctx.set(axi.bready, 1)
        (response,) = await ctx.tick().sample(axi.bresp).until(axi.bvalid)
        ctx.set(axi.bready, 0)
        return response

    async def read(self, ctx, offset: int) -> tuple[int, int]:
        """The value and the response."""
        axi = self.axi
        ctx.set(axi.araddr, offset)
        ctx.set(axi.arvalid, 1)
        await ctx.tick()
        ctx.set(axi.arvalid, 0)
        ctx.set(axi.rready, 1)
        value, response = await ctx.tick().sample(axi.rdata, axi.rresp).until(axi.rvalid)
        ctx.set(axi.rready, 0)
        return value, response

    async def set(self, ctx, settings: dict[str, int]) -> None:
        for offset, value in setting_writes(settings):
            assert await self.write(ctx, offset, value) == OKAY

    async def status(self, ctx) -> dict[str, int]:
        value, _ = await self.read(ctx, TABLE["status"].offset)
        fields = {field.name: (value & field.mask) >> field.low for field in TABLE["status"].fields}
        assert value == sum(field.mask & fields[field.name] << field.low for field in TABLE["status"].fields)
        return fields

    async def start(self, ctx) -> dict[str, int]:
        """Start, and the status once the check is over."""
        assert await self.write(ctx, TABLE["control"].offset, 1) == OKAY
        await ctx.tick().repeat(self.registers.start_latency)
        return await self.status(ctx)

    async def pulse(self, ctx, signal) -> None:
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def _watch(self, ctx) -> None:
        outputs = (self.registers.o_start, self.registers.o_soft_reset)
        async for _, _, start, soft_reset in ctx.tick().sample(*outputs):
            self.starts, self.soft_resets, self.cycle = (
                self.starts + start,
                self.soft_resets + soft_reset,
                self.cycle + 1,
            )
            assert self.cycle < HANG, "the registers hang"

    def run(self, testbench) -> None:
        self.simulator.add_process(self._watch)
        self.simulator.add_testbench(testbench)
        self.simulator.run()


def status(busy: int = 0, done: int = 0, error: int = 0, code: str = "none") -> dict[str, int]:
    return {"busy": busy, "done": done, "error": error, "code": list(ERRORS).index(code)}


# --- The table.


def test_registers_and_fields_do_not_overlap() -> None:
    offsets = [register.offset for register in TABLE.values()]
    assert offsets == sorted(set(offsets))
    assert all(offset % 4 == 0 and offset < 1 << ADDRESS_BITS for offset in offsets)
    assert len(TABLE) == len(offsets)
    for register in TABLE.values():
        taken = 0
        for field in register.fields:
            assert not taken & field.mask
            assert 0 <= field.mask < 1 << 32
            assert 0 <= field.reset < 1 << field.width
            taken |= field.mask
        assert [field.low for field in register.fields] == sorted(field.low for field in register.fields)
    names = [field.name for register in TABLE.values() for field in register.fields]
    assert len(set(names)) == len(names)


def test_offsets_of_version_1() -> None:
    """Software finds these before anything else; to move one is a new major version."""
    offsets = {name: TABLE[name].offset for name in ("magic", "version", "control", "status", "inputs", "cycles")}
    assert offsets == {"magic": 0, "version": 4, "control": 0x40, "status": 0x44, "inputs": 0x80, "cycles": 0x100}


def test_only_constants_depend_on_the_configuration() -> None:
    other = register_table(engine("parallel", rows=3, planes_max=1, quantizer="absmax"))
    for mine, theirs in zip(TABLE.values(), other, strict=True):
        constant = [field.access == "constant" for field in mine.fields]
        assert all(constant) or mine == theirs
        assert [(f.name, f.low, f.width, f.access) for f in mine.fields] == [
            (f.name, f.low, f.width, f.access) for f in theirs.fields
        ]


def test_identification() -> None:
    resets = {field.name: field.reset for register in TABLE.values() for field in register.fields}
    assert resets["magic"].to_bytes(4, "big") == b"XNOR"
    expected = {"rows": 5, "cols": 6, "lanes": 16, "vector_lanes": 4, "parallel": 0, "absmax": 0, "planes_max": 2}
    memories = {"inputs_max": 200, "weight_words": 64, "activation_words": 200, "output_tiles_max": 8}
    assert expected | memories == {name: resets[name] for name in expected | memories}
    features = {f.name: f.reset for r in register_table(engine("parallel", quantizer="absmax")) for f in r.fields}
    assert (features["parallel"], features["absmax"]) == (1, 1)


def test_setting_writes() -> None:
    writes = dict(setting_writes({"words": 7, "exponent": -3, "load_address": 1 << 31}))
    assert writes == {TABLE["words"].offset: 7, TABLE["exponent"].offset: 0xFD, TABLE["load_address"].offset: 1 << 31}
    assert {offset for offset, _ in setting_writes(GOOD)} <= {register.offset for register in TABLE.values()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wrods": 1}, r"^wrods is not a setting, the settings are inputs, outputs, .*load_address$"),
        ({"bits": 16}, r"^bits is 16, its register holds 0 to 15$"),
        ({"exponent": 128}, r"^exponent is 128, its register holds -128 to 127$"),
    ],
)
def test_settings_that_cannot_be_written(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        setting_writes(settings)


# --- Its forms agree with the hardware.

_RDL_REGISTER = re.compile(r"^    reg \{\n(.*?)^    \} (\w+) @ 0x([0-9A-F]+);", re.MULTILINE | re.DOTALL)
_RDL_FIELD = re.compile(
    r"^        field \{ desc = \"(?:[^\"\\]|\\.)*\"; (.*) \} (\w+)\[(\d+):(\d+)\](?: = 0x([0-9A-F]+))?;$"
)
_SW = {"sw = r; hw = na;": "constant", "sw = r; hw = w;": "ro", "sw = rw; hw = r;": "rw"} | {
    "sw = w; hw = r; singlepulse;": "pulse",
    "sw = rw; hw = r; onwrite = woclr; hwset;": "w1c",
}


def rdl_fields(text: str) -> dict[tuple[str, str], tuple[int, int, int, str, int]]:
    """(register, field) → offset, mask, shift, access, reset, read from SystemRDL."""
    found = {}
    for body, register, offset in _RDL_REGISTER.findall(text):
        lines = [line for line in body.splitlines() if line.startswith("        field")]
        for properties, field, high, low, reset in (_RDL_FIELD.match(line).groups() for line in lines):
            mask = (2 << int(high)) - (1 << int(low))
            access = _SW[re.sub(r" encode = \w+;", "", properties)]
            found[register, field] = int(offset, 16), mask, int(low), access, int(reset or "0", 16)
    return found


def c_fields(text: str) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(register, field) → offset, mask, shift, read from the header; a register's only field has its name."""
    values = {name: int(value, 16) for name, value in re.findall(r"#define XNORSCAN_(\w+) 0x([0-9A-F]+)u", text)}
    registers = sorted((n.removesuffix("_OFFSET") for n in values if n.endswith("_OFFSET")), key=len, reverse=True)
    found = {}
    for name in (n.removesuffix("_MASK") for n in values if n.endswith("_MASK")):
        register = next(r for r in registers if name == r or name.startswith(f"{r}_"))
        field = name.removeprefix(f"{register}_").lower()
        found[register.lower(), field] = values[f"{register}_OFFSET"], values[f"{name}_MASK"], values[f"{name}_SHIFT"]
    return found


def markdown_fields(text: str) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(register, field) → offset, mask, shift, read from the page."""
    spans = {}
    for offset, name, bits in re.findall(r"^\| `0x(\w+)` \| `(\w+)`[^|]*\|[^|]*\| (\S+) \|", text, re.MULTILINE):
        if bits != "below":
            spans[name, name] = int(offset, 16), bits
    for name, offset, section in re.findall(r"^## `(\w+)`, `0x(\w+)`\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL):
        for bits, field in re.findall(r"^\| ([\d…]+) \| `(\w+)`", section, re.MULTILINE):
            spans[name, field] = int(offset, 16), bits
    found = {}
    for key, (offset, bits) in spans.items():
        high, _, low = bits.partition("…")
        shift = int(low or high)
        found[key] = offset, (2 << int(high)) - (1 << shift), shift
    return found


def test_header_rdl_markdown_and_hardware_agree() -> None:
    """Everything is driven over AXI4-Lite by what the texts say: resets, masks, accesses, and which offsets exist."""
    config = engine()
    registers = register_table(config)
    rdl = rdl_fields(system_rdl(registers))
    places = {key: value[:3] for key, value in rdl.items()}
    assert c_fields(c_header(registers)) == places
    assert markdown_fields(markdown(registers)) == places
    assert {register for register, _ in rdl} == set(TABLE)
    bench = Bench(config)

    async def run(ctx) -> None:
        offsets = {offset for offset, *_ in rdl.values()}
        for offset in range(0, 1 << ADDRESS_BITS, 4):
            fields = [value for value in rdl.values() if value[0] == offset]
            reset = sum(value << shift for _, _, shift, _, value in fields)
            assert await bench.read(ctx, offset) == (reset, OKAY if offset in offsets else SLVERR), hex(offset)
        for offset in range(0, 1 << ADDRESS_BITS, 4):
            fields = [value for value in rdl.values() if value[0] == offset]
            accesses = {access for *_, access, _ in fields}
            before, _ = await bench.read(ctx, offset)
            written = 0 if "pulse" in accesses else 0xFFFFFFFF
            accepted = bool(accesses & {"rw", "pulse", "w1c"})
            assert await bench.write(ctx, offset, written) == (OKAY if accepted else SLVERR), hex(offset)
            held = sum(mask for _, mask, _, access, _ in fields if access == "rw")
            assert (await bench.read(ctx, offset))[0] == before | held, hex(offset)

    bench.run(run)
    assert bench.starts == 0


def test_byte_strobes() -> None:
    bench, offset, seen = Bench(engine()), TABLE["load_address"].offset, []

    async def run(ctx) -> None:
        expected = 0
        for strobe in range(16):
            value = random.Random(strobe).getrandbits(32)
            await bench.write(ctx, offset, value, strobe)
            mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
            expected = expected & ~mask | value & mask
            seen.append((await bench.read(ctx, offset))[0] == expected)
        await bench.set(ctx, GOOD)
        await bench.write(ctx, TABLE["control"].offset, 1, strobe=0b1110)
        assert await bench.status(ctx) == status()

    bench.run(run)
    assert all(seen)
    assert bench.starts == 0


def test_settings_reach_the_engine() -> None:
    bench = Bench(engine())

    async def run(ctx) -> None:
        await bench.set(ctx, GOOD | {"load_target": 3, "load_address": 0x12345678})
        settings = bench.registers.o_settings
        for name, value in (GOOD | {"load_target": 3, "load_address": 0x12345678}).items():
            assert ctx.get(settings[name]) == value, name

    bench.run(run)


def test_read_latency() -> None:
    registers = RegisterFile(engine())
    simulator, heard = Simulator(registers), {}
    simulator.add_clock(1e-6)

    async def run(ctx) -> None:
        ctx.set(registers.bus.read, 1)
        ctx.set(registers.bus.write, 1)
        await ctx.tick()
        ctx.set(registers.bus.read, 0)
        ctx.set(registers.bus.write, 0)
        for cycle in range(1, 6):
            for kind in ("read", "write"):
                if ctx.get(getattr(registers.bus, f"{kind}_done")):
                    heard[kind] = cycle
            await ctx.tick()

    simulator.add_testbench(run)
    simulator.run()
    assert heard == {"read": registers.latency, "write": registers.latency - 1}


# --- The life of a layer.


def test_a_layer_from_start_to_done() -> None:
    bench = Bench(engine())

    async def run(ctx) -> None:
        registers = bench.registers
        await bench.set(ctx, GOOD)
        assert await bench.start(ctx) == status(busy=1)
        assert bench.starts == 1
        await ctx.tick().repeat(50)
        assert await bench.status(ctx) == status(busy=1)
        assert not ctx.get(registers.o_done)
        await bench.pulse(ctx, registers.i_done)
        assert ctx.get(registers.o_done)
        assert await bench.status(ctx) == status(done=1)
        await bench.write(ctx, TABLE["status"].offset, 1 | 4)
        assert await bench.status(ctx) == status(done=1)
        await bench.write(ctx, TABLE["status"].offset, 2)
        assert await bench.status(ctx) == status()
        await bench.pulse(ctx, registers.i_done)
        assert await bench.status(ctx) == status()
        await bench.start(ctx)
        await bench.pulse(ctx, registers.i_done)
        assert await bench.start(ctx) == status(busy=1)
        assert bench.starts == 3

    bench.run(run)


@pytest.mark.parametrize("last", ["inputs", "outputs", "words", "output_tiles", "token_tiles", "last_height"])
def test_start_latency(last: str) -> None:
    """A start right after the last setting, whichever it is, is checked against that setting."""
    registers, heard = RegisterFile(engine()), []
    simulator = Simulator(registers)
    simulator.add_clock(1e-6)
    first, then = GOOD | {last: 0}, {last: GOOD[last]}
    writes = [*setting_writes(first), *setting_writes(then), (TABLE["control"].offset, 1)]

    async def run(ctx) -> None:
        bus = registers.bus
        ctx.set(bus.write_strobe, 15)
        ctx.set(bus.write, 1)
        for offset, value in writes:
            ctx.set(bus.write_address, offset >> 2)
            ctx.set(bus.write_data, value)
            await ctx.tick()
        ctx.set(bus.write, 0)
        for cycle in range(1, 10):
            if ctx.get(registers.o_start):
                heard.append(cycle)
            assert ctx.get(registers.o_busy)
            await ctx.tick()

    simulator.add_testbench(run)
    simulator.run()
    assert heard == [registers.start_latency]


@pytest.mark.parametrize("gap", range(1, 8))
def test_soft_reset_during_the_check(gap: int) -> None:
    """However soon after a start it comes, nothing starts after it and nothing is busy."""
    registers, starts, resets = RegisterFile(engine()), [], []
    simulator = Simulator(registers)
    simulator.add_clock(1e-6)
    control = TABLE["control"].offset
    writes = [*setting_writes(GOOD), (control, 1), *[(0, 0)] * (gap - 1), (control, 2), *[(0, 0)] * 8]

    async def run(ctx) -> None:
        bus = registers.bus
        ctx.set(bus.write_strobe, 15)
        for cycle, (offset, value) in enumerate(writes):
            ctx.set(bus.write, offset != 0)
            ctx.set(bus.write_address, offset >> 2)
            ctx.set(bus.write_data, value)
            _, _, start, soft_reset = await ctx.tick().sample(registers.o_start, registers.o_soft_reset)
            starts.extend([cycle] * start)
            resets.extend([cycle] * soft_reset)
        assert not ctx.get(registers.o_busy)

    simulator.add_testbench(run)
    simulator.run()
    assert len(resets) == 1
    assert all(start <= resets[0] for start in starts)
    assert len(starts) == (gap + 1 >= registers.start_latency)


def test_start_while_busy() -> None:
    bench = Bench(engine())

    async def run(ctx) -> None:
        await bench.set(ctx, GOOD)
        await bench.start(ctx)
        assert await bench.start(ctx) == status(busy=1, error=1, code="busy")
        await bench.pulse(ctx, bench.registers.i_load_error)
        assert await bench.status(ctx) == status(busy=1, error=1, code="busy")
        await bench.write(ctx, TABLE["status"].offset, 4)
        assert await bench.status(ctx) == status(busy=1)
        await bench.pulse(ctx, bench.registers.i_load_error)
        await bench.pulse(ctx, bench.registers.i_done)
        assert await bench.status(ctx) == status(done=1, error=1, code="load")
        assert bench.starts == 1

    bench.run(run)


def test_settings_are_locked_while_busy() -> None:
    bench = Bench(engine())

    async def run(ctx) -> None:
        await bench.set(ctx, GOOD)
        await bench.start(ctx)
        for name, register in TABLE.items():
            if any(field.access == "rw" for field in register.fields):
                before = await bench.read(ctx, register.offset)
                locked = name not in ("load_target", "load_address")
                assert await bench.write(ctx, register.offset, 5) == (SLVERR if locked else OKAY), name
                assert await bench.read(ctx, register.offset) == (before if locked else (5, OKAY)), name
        await bench.pulse(ctx, bench.registers.i_done)
        assert await bench.write(ctx, TABLE["words"].offset, 5) == OKAY

    bench.run(run)


def test_soft_reset_ends_the_layer() -> None:
    bench = Bench(engine())

    async def run(ctx) -> None:
        await bench.set(ctx, GOOD)
        await bench.start(ctx)
        await bench.write(ctx, TABLE["control"].offset, 2)
        assert await bench.status(ctx) == status()
        assert bench.soft_resets == 1
        assert (await bench.read(ctx, TABLE["inputs"].offset))[0] == GOOD["inputs"]
        assert await bench.start(ctx) == status(busy=1)
        assert bench.starts == 2

    bench.run(run)


SERIAL_ERRORS = [
    ("inputs", {"inputs": 0}),
    ("inputs", {"inputs": 201, "words": 13}),
    ("words", {"words": 0}),
    ("words", {"words": 6}),
    ("words", {"words": 8}),
    ("bits", {"bits": 0}),
    ("bits", {"bits": 3}),
    ("bits", {"bits": 15}),
    ("planes", {"planes": 0}),
    ("planes", {"planes": 3}),
    ("output_tiles", {"output_tiles": 0}),
    ("output_tiles", {"output_tiles": 9, "outputs": 54}),
    ("outputs", {"outputs": 0}),
    ("outputs", {"outputs": 12}),
    ("outputs", {"outputs": 19}),
    ("token_tiles", {"token_tiles": 0}),
    ("last_height", {"last_height": 0}),
    ("last_height", {"last_height": 6}),
    ("tokens", {"tokens": 0}),
    ("tokens", {"tokens": 10}),
    ("tokens", {"token_tiles": 65535}),
    ("slots", {"slots": 0}),
    ("slots", {"slots": 201}),
    ("exponent", {"exponent": 64}),
    ("exponent", {"exponent": -64}),
    ("bias_exponent", {"bias_exponent": 64}),
    ("bias_exponent", {"bias_exponent": -64}),
    ("result_bits", {"result_bits": 0}),
    ("result_bits", {"result_bits": 33}),
]


def test_wrong_settings_do_not_start() -> None:
    """Each is refused with its code; the good ones in between are not. Every setting's code occurs."""
    bench = Bench(engine())

    async def run(ctx) -> None:
        assert await bench.start(ctx) == status(error=1, code="inputs")
        for started, (code, change) in enumerate(SERIAL_ERRORS, start=1):
            await bench.write(ctx, TABLE["status"].offset, 4)
            await bench.set(ctx, GOOD)
            await bench.set(ctx, change)
            assert await bench.start(ctx) == status(error=1, code=code), change
            await bench.write(ctx, TABLE["status"].offset, 4)
            await bench.set(ctx, GOOD)
            assert await bench.start(ctx) == status(busy=1)
            assert bench.starts == started
            await bench.pulse(ctx, bench.registers.i_done)

    bench.run(run)
    assert {code for code, _ in SERIAL_ERRORS} == set(ERRORS) - {"none", "busy", "load"}


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("activations", ["serial", "parallel"])
def test_bits_of_the_two_arrays(activations: str, bits: int) -> None:
    bench = Bench(engine(activations))

    async def run(ctx) -> None:
        await bench.set(ctx, GOOD | {"bits": bits})
        accepted = activations == "serial" or bits == 8
        assert await bench.start(ctx) == (status(busy=1) if accepted else status(error=1, code="bits"))

    bench.run(run)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (5, 6), (16, 8), (7, 255)])
def test_every_layer_of_the_host_model_starts(rows: int, cols: int) -> None:
    """What ``layer_settings`` accepts, the hardware accepts."""
    config, rng = engine(rows=rows, cols=cols), random.Random(rows)
    bench = Bench(config)

    async def run(ctx) -> None:
        for _ in range(8):
            layer = layer_settings(
                config,
                inputs=rng.randint(1, 200),
                outputs=rng.randint(1, 4 * cols),
                tokens=rng.choice([1, rng.randint(1, 65535 * rows)]),
                bits=rng.choice([1, 2, 4, 8]),
                exponent=rng.randint(-63, 63),
                result_bits=rng.choice([18, 24, 32]),
            )
            await bench.set(ctx, layer)
            assert await bench.start(ctx) == status(busy=1), layer
            await bench.pulse(ctx, bench.registers.i_done)

    bench.run(run)


def test_counters_are_read_as_a_whole() -> None:
    """Both halves belong to one moment, even where the low one overflows between the two reads."""
    bench = Bench(engine())

    async def run(ctx) -> None:
        registers = bench.registers
        for value in (0x1_FFFF_FFF0, 0xFFFF_FFFF_FFFF_FFF0, 5):
            for name, counter in (("cycles", registers.i_cycles), ("steps", registers.i_steps)):
                ctx.set(counter, value)
                low, _ = await bench.read(ctx, TABLE[name].offset)
                ctx.set(counter, (value + 0x20) % (1 << 64))
                high, _ = await bench.read(ctx, TABLE[f"{name}_high"].offset)
                assert high << 32 | low == value
            ctx.set(registers.i_rows_out, value & 0xFFFFFFFF)
            assert await bench.read(ctx, TABLE["rows_out"].offset) == (value & 0xFFFFFFFF, OKAY)

    bench.run(run)


def test_a_running_counter_is_read_as_a_whole() -> None:
    """A counter that carries into its high half around the read: both halves are of the same cycle."""
    for lead in range(8):
        bench = Bench(engine())
        beginning = 0xFFFF_FFFF - lead

        async def count(ctx, bench=bench, beginning=beginning) -> None:
            value = beginning
            async for _ in ctx.tick():
                value += 1
                ctx.set(bench.registers.i_cycles, value)

        async def run(ctx, bench=bench, beginning=beginning) -> None:
            low, _ = await bench.read(ctx, TABLE["cycles"].offset)
            high, _ = await bench.read(ctx, TABLE["cycles_high"].offset)
            assert beginning <= high << 32 | low < beginning + 12

        bench.simulator.add_process(count)
        bench.run(run)


# --- Texts that tools read.

_RDL_KEYWORDS = """abstract accesstype addressingtype addrmap alias all bit boolean bothedge compact component
componentwidth constraint default encode enum external false field fullalign hw inside internal level longint mem na
negedge nonsticky number onreadtype onwritetype posedge property r rclr ref reg regalign regfile rset ruser rw rw1
signal string struct sw this true type unsigned w w1 wclr woclr woset wot wr wset wuser wzc wzs wzt alternate byte int
precedencetype real shortint shortreal signed with within"""


def test_rdl_is_ascii_and_uses_no_keyword() -> None:
    text = system_rdl(TABLE.values())
    assert text.isascii()
    names = {field.name for register in TABLE.values() for field in register.fields} | set(TABLE)
    assert not names & set(_RDL_KEYWORDS.split())
    unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert unquoted.count("{") == unquoted.count("}")
    assert '"' not in unquoted


def test_rdl_compiles(tmp_path: Path) -> None:
    systemrdl = pytest.importorskip("systemrdl")
    path = tmp_path / "engine.rdl"
    path.write_text(system_rdl(TABLE.values()), encoding="ascii")
    compiler = systemrdl.RDLCompiler()
    compiler.compile_file(str(path))
    top = compiler.elaborate().top
    found = {(register.inst_name, register.absolute_address) for register in top.registers()}
    assert found == {(register.name, register.offset) for register in TABLE.values()}


def test_header_compiles(tmp_path: Path) -> None:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("no C compiler")
    header = c_header(TABLE.values())
    assert header.isascii()
    (tmp_path / "engine.h").write_text(header, encoding="ascii")
    expected = {f"XNORSCAN_{register.name.upper()}_OFFSET": register.offset for register in TABLE.values()}
    expected |= {
        "XNORSCAN_STATUS_CODE_MASK": 0xFF00,
        "XNORSCAN_STATUS_CODE_SHIFT": 8,
        "XNORSCAN_MAGIC_VALUE": 0x584E4F52,
    }
    expected |= {f"XNORSCAN_ERROR_{name.upper()}": code for code, name in enumerate(ERRORS)}
    expected |= {"XNORSCAN_TARGET_ACTIVATIONS": 4, "XNORSCAN_ADDRESS_BYTES": 512, "XNORSCAN_EXPONENT_WIDTH": 8}
    checks = "\n".join(f'_Static_assert({name} == {value}u, "{name}");' for name, value in expected.items())
    source = tmp_path / "check.c"
    source.write_text(f'#include "engine.h"\n#include "engine.h"\n{checks}\nint main(void) {{ return 0; }}\n')
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c", source.name, "-o", "check.o"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_markdown_tables_are_regular() -> None:
    page = markdown(TABLE.values())
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(columns) == 1
    for name in ERRORS:
        assert f"| `{name}` |" in page
