"""The exported folder: whole or not there, and each file fit for the tool that reads it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from xnorscan.designs.design import OneBitDesign
from xnorscan.rtl import export as exporting
from xnorscan.rtl.export import export
from xnorscan.rtl.export_text import constraints, fusesoc_core, makefile_synth, readme, script_vivado
from xnorscan.rtl.tools import YOSYS, run


def design(tech: str = "ecp5", device: str | None = None, **sizes: Any) -> OneBitDesign:
    """A design that is small enough for a test."""
    fields = {"rows": 2, "cols": 3, "lanes": 4, "activations": "serial", "clock_mhz": 80.0} | sizes
    memories = {"weight_memory_kib": 8, "activation_memory_kib": 8, "state_memory_kib": 1}
    options = {"tech": tech, "device": device, "inputs_max": 64}
    return OneBitDesign(
        name="small", vector_lanes=1, scan_lanes=1, technology="ecp5", rtl=options, **fields, **memories
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("export") / "small"
    files = export(design(), "array", made)
    assert files == sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    return made


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("export") / "layer"
    export(design("generic"), "layer", made)
    return made


def test_what_is_in_it(folder: Path) -> None:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found >= {
        "README.md", "design.json", "xnorscan_array.v", "xnorscan_array.names.json", "xnorscan_array.core",
        "models/cells.v", "synth/Makefile", "synth/yosys.ys", "synth/xnorscan_array.lpf",
        "synth/xnorscan_array_on_pins.v", "synth/chain_ends.py", "bench/Makefile", "bench/simulate.py",
        "bench/golden.npz", "bench/bench/__init__.py", "bench/bench/array_bench.py",
    }  # fmt: skip
    assert not [name for name in found if "partial" in name or name.endswith((".pyc", ".pcf", ".xdc", ".tcl"))]


def test_the_design_is_kept(folder: Path) -> None:
    assert OneBitDesign.model_validate_json((folder / "design.json").read_text()) == design()


def test_names_are_those_of_the_verilog(folder: Path) -> None:
    names = json.loads((folder / "xnorscan_array.names.json").read_text())
    verilog = (folder / "xnorscan_array.v").read_text()
    for port in names["ports"].values():
        assert f" {port['name']};" in verilog
    assert names["ports"]["i_activations.payload"]["fields"]["words"] == [0, 8]
    assert len(names["modules"]["xnorscan_array_element"]["instances"]) == 6


def test_verilog_harness_and_models_are_whole(folder: Path) -> None:
    cells = "read_verilog -lib -specify +/lattice/cells_sim_ecp5.v +/lattice/cells_bb_ecp5.v"
    files = "read_verilog xnorscan_array.v synth/xnorscan_array_on_pins.v"
    run(YOSYS, ["-q", "-p", f"{cells}; {files}; hierarchy -check -top xnorscan_array_on_pins"], folder)
    models = (folder / "models" / "cells.v").read_text()
    assert all(f"module {cell}" in models for cell in ("LUT2", "LUT4", "CCU2C", "DP16KD", "PDPW16KD"))


def test_golden_data_hold_no_pickle(folder: Path) -> None:
    with np.load(folder / "bench" / "golden.npz", allow_pickle=False) as file:
        assert {"i_activations", "i_weights", "o", "description"} <= set(file)
        assert json.loads(str(file["description"]))["array"]["cols"] == 3


def test_bench_needs_nothing_of_the_package(folder: Path) -> None:
    for source in (folder / "bench").rglob("*.py"):
        assert "from .." not in source.read_text()
        assert "import xnorscan" not in source.read_text()


def test_fusesoc_core(folder: Path) -> None:
    text = (folder / "xnorscan_array.core").read_text()
    assert text.startswith("CAPI=2:\n")
    assert "&id" not in text
    core = yaml.safe_load(text.partition("\n")[2])
    assert core["name"].startswith("xnorscan:rtl:xnorscan_array:")
    assert set(core["targets"]) == {"default", "lint", "sim", "synth"}
    for fileset in core["filesets"].values():
        assert all((folder / name).is_file() for name in fileset["files"])
    for target in core["targets"].values():
        assert set(target["filesets"]) <= set(core["filesets"])
    assert core["targets"]["synth"]["flow"] == "trellis"
    assert "--timing-allow-fail" not in core["targets"]["synth"]["flow_options"]["nextpnr_options"]


@pytest.mark.parametrize(
    ("tech", "device", "expected"),
    [
        ("ecp5", None, {".lpf": 'FREQUENCY PORT "clk" 80 MHZ;\n'}),
        ("ice40", None, {".pcf": "set_frequency clk 80\n"}),
        ("generic", None, {".xdc": "create_clock -period 12.500 -name clk [get_ports clk]\n"}),
        (
            "generic",
            "hx8k",
            {".pcf": "set_frequency clk 80\n", ".xdc": "create_clock -period 12.500 -name clk [get_ports clk]\n"},
        ),
    ],
)
def test_constraints_hold_the_clock(tech: str, device: str | None, expected: dict[str, str]) -> None:
    assert constraints(design(tech, device)) == expected


def test_generic_hardware_without_a_device_has_no_target_synth() -> None:
    core = yaml.safe_load(fusesoc_core(design("generic"), "array", "top").partition("\n")[2])
    assert set(core["targets"]) == {"default", "lint", "sim"}
    assert "models" not in core["filesets"]
    assert "make -C synth" not in readme(design("generic"), "array", "top")
    assert "-top top -part [lindex $argv 0]" in script_vivado("top")


def test_ice40_goes_to_icestorm() -> None:
    core = yaml.safe_load(fusesoc_core(design("ice40"), "core", "top").partition("\n")[2])
    assert core["targets"]["synth"]["flow"] == "icestorm"
    assert "sim" not in core["targets"]
    assert "--pcf top.pcf --freq 80 " in makefile_synth(design("ice40"), "top", "up5k")


class TestRefusals:
    def test_a_folder_with_something_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("mine")
        with pytest.raises(ValueError, match=r": exists and is not an empty folder, name a new one$"):
            export(design(), "array", tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["a"]

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("mine")
        with pytest.raises(ValueError, match=r"a: exists and is not an empty folder"):
            export(design(), "array", tmp_path / "a")

    def test_a_parent_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"there is no folder .*/a, make it first$"):
            export(design(), "array", tmp_path / "a" / "b")

    def test_nothing_is_left_of_a_failure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*arguments: object) -> None:
            raise ValueError("no golden data")

        monkeypatch.setattr(exporting, "write_cases", fail)
        with pytest.raises(ValueError, match="no golden data"):
            export(design(), "array", tmp_path / "a")
        assert not list(tmp_path.iterdir())


class TestBenches:
    def test_a_layer_brings_its_own(self, layer: Path) -> None:
        assert "--top xnorscan_layer --bench bench.layer_bench " in (layer / "bench" / "Makefile").read_text()
        assert "simulated.v: ../xnorscan_layer.v" in (layer / "bench" / "Makefile").read_text()
        assert not list((layer / "bench").glob("*.v"))
        with np.load(layer / "bench" / "golden.npz", allow_pickle=False) as file:
            described = json.loads(str(file["description"]))
        assert described["sizes"] == {"cols": 3, "vector_lanes": 1}
        assert [name for name in described["scripts"] if name.startswith("layers_idle_")]
        assert "holds the Verilog of the layer against the golden data" in (layer / "README.md").read_text()
        core = yaml.safe_load((layer / "xnorscan_layer.core").read_text().partition("\n")[2])
        assert core["targets"]["sim"]["flow_options"]["cocotb_module"] == "bench.layer_bench"

    def test_a_core_brings_the_array_and_its_bench(self, tmp_path: Path) -> None:
        made = tmp_path / "core"
        files = export(design("generic"), "core", made)
        assert Path("bench/xnorscan_array.v") in files
        assert "--top xnorscan_array --bench bench.array_bench " in (made / "bench" / "Makefile").read_text()
        assert "holds the Verilog of the array against the golden data" in (made / "README.md").read_text()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert Path("xnorscan_array.v") in export(design("generic", cols=1, rows=1), "array", tmp_path / "a")


def make(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(Path.home())}
    return subprocess.run(
        ["make", "-C", str(folder), f"PYTHON={sys.executable}"],
        env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


@pytest.mark.verify
def test_bench_of_a_layer_runs_from_the_folder(layer: Path) -> None:
    """It passes; with results negated in the Verilog, every script fails."""
    done = make(layer / "bench")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 tests, 0 failed" in done.stdout
    verilog = layer / "bench" / "simulated.v"
    wrong, changed = re.subn(r"(assign m_axis_y__tdata = )([^;]+);", r"\1~(\2);", verilog.read_text())
    assert changed == 1
    verilog.write_text(wrong)
    done = make(layer / "bench")
    assert done.returncode != 0
    assert "8 tests, 8 failed" in done.stdout


@pytest.mark.verify
def test_bench_and_synthesis_run_from_the_folder(folder: Path) -> None:
    """By make, in an environment that holds nothing but where programs are."""
    for part in ("bench", "synth"):
        done = make(folder / part)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "0 failed" in (folder / "bench" / "simulation" / "simulation.log").read_text()
        or (folder / "bench" / "simulation" / "results.xml").is_file()
    )
    (clock,) = json.loads((folder / "synth" / "report-1.json").read_text())["fmax"].values()
    assert clock["constraint"] == 80
