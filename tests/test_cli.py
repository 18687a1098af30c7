"""The command line as a user meets it: what each verb prints and writes, and what it says to wrong arguments."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from oracles.random_models import random_packed_model, tiny_config
from xnorscan import cli
from xnorscan.energy_models.bounds import BOUNDS
from xnorscan.models.operations import shape_trace
from xnorscan.models.packed import read_packed, write_packed
from xnorscan.models.published import MODELS, get_config
from xnorscan.traces.parquet import read_trace, write_trace
from xnorscan.traces.trace import Trace

VERBS = (
    "compare",
    "run",
    "generate",
    "trace",
    "cost",
    "timeline",
    "convert",
    "rtl",
    "verify",
    "synth",
    "models",
    "designs",
    "area",
    "sources",
    "validate",
    "doctor",
)
TEXT = b"import os\n\n\ndef main() -> None:\n    print(os.getcwd())\n"


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


@pytest.fixture
def xnorscan(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as exit_:
            cli.main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Result(int(exit_.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def refused(xnorscan):
    """Call with wrong input; the one line that comes, after checking that nothing else does."""

    def call(*arguments: object) -> str:
        result = xnorscan(*arguments)
        assert result.code == 2
        assert result.out == ""
        assert result.err.startswith("xnorscan: ")
        assert result.err.count("\n") == 1
        return result.err.removeprefix("xnorscan: ").rstrip("\n")

    return call


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level model of random weights in a packed file."""
    path = tmp_path_factory.mktemp("model") / "random.xnor"
    config = replace(tiny_config("mamba2"), name="random", vocab_size=256)
    write_packed(random_packed_model(config, seed=0), path)
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.py"
    path.write_bytes(TEXT)
    return path


class TestHelp:
    def test_lists_every_verb(self, xnorscan) -> None:
        result = xnorscan("--help")
        assert result.code == 0
        assert all(f" {verb} " in result.out for verb in VERBS)

    @pytest.mark.parametrize("verb", VERBS)
    def test_of_a_verb(self, xnorscan, verb: str) -> None:
        result = xnorscan(verb, "-h")
        assert result.code == 0
        assert f"xnorscan {verb}" in result.out

    @pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "generate"])
    def test_verbs_that_print_a_table_print_json(self, xnorscan, verb: str) -> None:
        assert "--json" in xnorscan(verb, "-h").out

    def test_version(self, xnorscan) -> None:
        from xnorscan import __version__

        assert xnorscan("--version").out == f"xnorscan {__version__}\n"

    def test_nothing_given_shows_help(self, xnorscan) -> None:
        result = xnorscan()
        assert result.code == 2
        assert "Usage" in result.out


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            ("fly",),
            ("trace",),
            ("models", "--colour"),
            ("trace", "bi-mamba-2.7b", "--phase", "sideways"),
            ("trace", "bi-mamba-2.7b", "--batch", "many"),
            ("trace", "bi-mamba-2.7b", "--head", "fp4"),
            ("run", "tiny", "--quantizer", "sqrt"),
            ("generate", "tiny"),
            ("generate", "tiny", "--prompt", "x", "--tokens", "0"),
            ("convert", "checkpoint.safetensors"),
            ("convert", "checkpoint.safetensors", "-o", "x", "--keep", "int4"),
        ],
    )
    def test_wrong_usage_is_one_line_that_points_to_help(self, refused, arguments: tuple[str, ...]) -> None:
        line = refused(*arguments)
        assert line.endswith(
            f"; see xnorscan {arguments[0]} --help" if arguments[0] in VERBS else "see xnorscan --help"
        )
        assert "Value error" not in line

    def test_interrupt_exits_130(self, xnorscan, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("xnorscan.doctor.examine", interrupted)
        assert xnorscan("doctor").code == 130

    def test_a_defect_of_ours_is_not_taken_for_wrong_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def defective() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("xnorscan.doctor.examine", defective)
        with pytest.raises(ZeroDivisionError):
            cli.main(["doctor"])

    def test_a_closed_pipe_is_no_error(self) -> None:
        command = f"{sys.executable} -m xnorscan.cli models --json | head -c 1"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("[", "")


class TestModels:
    def test_table(self, xnorscan) -> None:
        result = xnorscan("models")
        assert result.code == 0
        assert all(name in result.out for name in MODELS)

    def test_json(self, xnorscan) -> None:
        rows = {row["name"]: row for row in xnorscan("models", "--json").json}
        assert rows.keys() == MODELS.keys()
        bimamba = rows["bi-mamba-2.7b-v50288"]
        assert bimamba["d_model"] == 2560
        assert bimamba["parameters"] == 2_702_599_680
        assert round(bimamba["fp16_gib"], 2) == 5.03
        assert round(bimamba["one_bit_gib"], 2) == 0.55
        assert rows["mamba2-2.7b"]["one_bit_gib"] is None


class TestDesigns:
    def test_table(self, xnorscan) -> None:
        result = xnorscan("designs")
        assert result.code == 0
        assert "edge-28nm" in result.out
        assert "gpu-h100" in result.out

    def test_one_with_its_baselines(self, xnorscan) -> None:
        rows = {row["name"]: row for row in xnorscan("designs", "edge-28nm", "--json").json}
        assert list(rows)[:3] == ["edge-28nm", "edge-28nm/fp16", "edge-28nm/w8a8"]
        assert rows["edge-28nm/fp16"]["peak_gmac_per_s"] == rows["edge-28nm"]["peak_gmac_per_s"]
        assert rows["edge-28nm/fp16-area"]["array_mm2"] <= rows["edge-28nm"]["array_mm2"]
        assert rows["edge-28nm"]["array_mm2_low"] < rows["edge-28nm"]["array_mm2_high"]
        assert "array_mm2" not in xnorscan("designs", "up5k", "--json").json[0]

    def test_a_baseline_of_equal_area_is_a_design(self, xnorscan, refused) -> None:
        (row,) = xnorscan("designs", "edge-28nm/fp16-area", "--json").json
        assert row["name"] == "edge-28nm/fp16-area"
        said = "ice40up, the technology of up5k, has no areas of cells, so equal area is not known there"
        assert refused("designs", "up5k/fp16-area").startswith(said)
        assert refused("cost", "tiny", "--design", "up5k", "--baseline", "fp16-area").startswith(said)

    def test_json(self, xnorscan) -> None:
        from xnorscan.designs.design import preset_names

        rows = {row["name"]: row for row in xnorscan("designs", "--json").json}
        assert tuple(rows) == preset_names()
        edge = rows["edge-28nm"]
        assert edge["peak_gmac_per_s"] == edge["rows"] * edge["cols"] * edge["lanes"] * edge["clock_mhz"] / 1e3
        assert edge["dram_kind"] == "lpddr5"


class TestArea:
    def test_designs_of_both_kinds_make_one_table(self, xnorscan, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "140")
        out = xnorscan("area", "ecp5-85-gemm", "edge-28nm").out
        header = next(line.split() for line in out.splitlines() if line.startswith("design"))
        assert header == ["design", "resource", "predicted", "low–high", "share", "placed", "NAND2", "off", "by"]
        assert "Low–high: the greatest error of" in out
        assert "µm²: standard cells alone" in out
        assert re.search(r"ecp5-85-gemm +LUT4 +[\d,]+ +[\d,]+–[\d,]+ +\d\d % +[\d,]+ +– +[+−]\d\.\d %", out)
        assert re.search(r"ecp5-85-gemm +block RAMs +80 +counted +38 % +80 +– +\+0\.0 %", out)
        assert re.search(r"edge-28nm +array +[\d,]+ µm² +[\d,]+–[\d,]+ +– +– +[\d,]+ +–", out)

    def test_columns_that_no_row_has_are_not_shown(self, xnorscan) -> None:
        assert "NAND2" not in xnorscan("area", "ecp5-85").out
        assert "placed" not in xnorscan("area", "edge-28nm").out.splitlines()[1]

    def test_json_and_file_have_every_row(self, xnorscan, tmp_path: Path) -> None:
        path = tmp_path / "area.csv"
        rows = xnorscan("area", "edge-28nm", "ecp5-85-serial", "edge-28nm", "-o", path, "--json").json
        assert [row["design"] for row in rows] == ["edge-28nm"] * 4 + ["ecp5-85-serial"] * 5
        written = pd.read_csv(path)
        assert written["predicted"].tolist() == pytest.approx([row["predicted"] for row in rows])
        assert {"nand2_low", "share", "error_worst", "placed"} < set(written)

    def test_of_a_file(self, xnorscan) -> None:
        path = Path(cli.__file__).parent / "examples/designs/ecp5-gemm-1024.yaml"
        results = Path(cli.__file__).parent / "rtl/results/ecp5-gemm-1024.csv"
        rows = {row["quantity"]: row for row in xnorscan("area", path, "--json").json}
        assert rows["lut4"]["placed"] == pd.read_csv(results)["lut4"].iloc[0]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("up5k",), "up5k is built of ice40 primitives, its area is known for ecp5 only"),
            (("edge-28nm", "gpu-h100"), "gpu-h100 is of kind gpu: areas are known of arrays"),
            (("edge",), "no design 'edge': give a .yaml file or one of"),
            (("edge-28nm", "-o", "area.txt"), "area.txt: the name must end in .csv or .parquet"),
            ((), "Missing argument 'DESIGN…'"),
        ],
    )
    def test_refuses(self, refused, arguments: tuple[str, ...], message: str) -> None:
        assert message in refused("area", *arguments)


class TestSources:
    def test_json_has_every_figure_with_its_source(self, xnorscan) -> None:
        rows = xnorscan("sources", "--json").json
        assert {row["table"] for row in rows} >= {"asic-45nm", "asic-28nm", "asic-22nm", "asic-7nm", "dram", "gpu"}
        assert len({(row["table"], row["figure"]) for row in rows}) == len(rows)
        assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
        assert all(row["source"] and row["device"] and row["kind"] for row in rows)

    def test_table_shows_range_and_source(self, xnorscan, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "100")
        out = xnorscan("sources", "dram", "dram").out
        assert max(map(len, out.splitlines())) <= 100
        assert out.count("dram\n") == 1
        line = next(line.split() for line in out.splitlines() if line.startswith("hbm2 "))
        assert line == ["hbm2", "5.2", "3.9", "7.03", "pJ/bit", "–", "–", "dram", "derived", "5"]
        assert "Stanford thesis" in out

    def test_of_a_file(self, xnorscan, tmp_path: Path) -> None:
        own = tmp_path / "own.yaml"
        own.write_bytes((Path(cli.__file__).parent / "energy_models/technologies/asic-7nm.yaml").read_bytes())
        assert {row["table"] for row in xnorscan("sources", own, "--json").json} == {str(own)}

    def test_refuses_an_unknown_table(self, refused) -> None:
        message = refused("sources", "tsmc")
        assert message.startswith("no table 'tsmc': give a .yaml file or one of asic-22nm, ")
        assert message.endswith(", dram, gpu, published_areas")

    def test_published_areas_are_among_all_and_alone(self, xnorscan) -> None:
        rows = xnorscan("sources", "published_areas", "--json").json
        assert {(row["table"], row["figure"], row["value"]) for row in rows} == {
            ("published_areas", "fp16_multiply", 1640), ("published_areas", "fp16_add", 1360),
        }  # fmt: skip
        assert "published_areas" in {row["table"] for row in xnorscan("sources", "--json").json}


class TestTrace:
    def test_summary_and_file(self, xnorscan, tmp_path: Path) -> None:
        path = tmp_path / "decode.parquet"
        result = xnorscan("trace", "bi-mamba-2.7b", "--batch", 2, "--state-bits", 8, "-o", path, "--json")
        rows = {row["name"]: row for row in result.json}
        assert rows["in_proj"]["ops"] == 64
        assert rows["in_proj"]["tokens"] == 128
        written = read_trace(path)
        assert (written.metadata.model, written.metadata.batch) == ("bi-mamba-2.7b", 2)
        assert set(written.ops.query("kind == 'scan'").state_bits) == {8}
        assert os.listdir(tmp_path) == ["decode.parquet"]

    def test_prefill_and_binary_head(self, xnorscan, tmp_path: Path) -> None:
        path = tmp_path / "prefill.parquet"
        assert xnorscan("trace", "tiny", "--phase", "prefill", "--length", 7, "--head", "binary", "-o", path).code == 0
        ops = read_trace(path).ops.set_index("name")
        assert ops.loc["lm_head", "weight_planes"] == 1
        assert set(ops.loc["in_proj", "tokens"]) == {7}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("bimamba-2.7b",), "no model is named 'bimamba-2.7b'; known names near it: bi-mamba-2.7b"),
            (("tiny", "--state-bits", 9), "state_bits is 9, it must be one of 8, 12, 16"),
            (("tiny", "--batch", 0), "batch is 0"),
            (("tiny", "--phase", "prefill", "--length", 0), "length is 0"),
            (("tiny", "-o", "trace.csv"), "trace.csv: the name must end in .parquet"),
            (("tiny", "-o", "no/such/trace.parquet"), "there is no folder no/such, make it first"),
        ],
    )
    def test_refuses(self, refused, arguments: tuple[object, ...], message: str) -> None:
        assert message in refused("trace", *arguments)

    def test_refuses_a_folder_as_file(self, refused, tmp_path: Path) -> None:
        folder = tmp_path / "a.parquet"
        folder.mkdir()
        assert refused("trace", "tiny", "-o", folder) == f"{folder}: is a folder, name a file in it"


class TestCost:
    def test_of_a_model_beside_fp16(self, xnorscan) -> None:
        rows = xnorscan("cost", "bi-mamba-2.7b", "--design", "edge-28nm", "--json").json
        wholes = {row["design"]: row for row in rows if row["kind"] == "all"}
        assert wholes.keys() == {"edge-28nm", "edge-28nm/fp16"}
        assert wholes["edge-28nm"]["energy_pj"] < wholes["edge-28nm/fp16"]["energy_pj"]
        for design, whole in wholes.items():
            parts = [row for row in rows if row["design"] == design and row["kind"] != "all"]
            assert sum(p["energy_pj"] for p in parts) == pytest.approx(whole["energy_pj"])
            assert sum(p["energy_share"] for p in parts) == pytest.approx(1)
            assert sum(p["operations"] for p in parts) == whole["operations"] == 64 * 6 + 3

    def test_shares_bounds_and_roofline(self, xnorscan) -> None:
        rows = xnorscan("cost", "bi-mamba-2.7b", "--batch", "8", "--json").json
        whole = next(row for row in rows if (row["design"], row["kind"]) == ("edge-28nm", "all"))
        assert sum(whole[f"{bound}_time_share"] for bound in BOUNDS) == pytest.approx(1)
        assert whole["state_time_share"] > 0.5
        assert 0.7 < whole["outside_dram_share"] < 0.9
        head = next(row for row in rows if (row["design"], row["kind"]) == ("edge-28nm", "head"))
        assert head["intensity_ops_per_byte"] < head["ridge_ops_per_byte"]
        assert head["attained_ops_per_s"] <= head["peak_ops_per_s"]
        out = xnorscan("cost", "bi-mamba-2.7b").out
        for words in ("ops/DRAM byte", "ridge point", "outside the binary GEMM", "activations", "gated_rmsnorm"):
            assert words in out

    def test_state_that_must_stay_and_does_not_fit_is_refused(self, refused, tmp_path: Path) -> None:
        from xnorscan.designs import design

        mine = tmp_path / "mine.yaml"
        preset = Path(design.__file__).parent / "presets" / "edge-28nm.yaml"
        mine.write_text(preset.read_text() + "state: {scan: {at: on_chip, bits: 8}}\n")
        message = "edge-28nm asks for more than fits on chip: states of scan need 40960.0 KiB, state_memory_kib is 1024"
        assert refused("cost", "bi-mamba-2.7b", "--design", mine) == message

    def test_every_baseline(self, xnorscan) -> None:
        names = ("fp16", "w8a8", "w4a16", "fp16-area", "w8a8-area", "w4a16-area")
        options = [word for name in (*names, "gpu-a100/achieved") for word in ("--baseline", name)]
        rows = xnorscan("cost", "tiny", *options, "--json").json
        assert {row["design"] for row in rows} == {
            "edge-28nm", *(f"edge-28nm/{name}" for name in names), "gpu-a100/achieved",
        }  # fmt: skip

    def test_fp16_beside_a_gpu(self, xnorscan) -> None:
        rows = xnorscan("cost", "tiny", "--baseline", "fp16", "--baseline", "gpu-h100", "--json").json
        assert {row["design"] for row in rows} == {"edge-28nm", "edge-28nm/fp16", "gpu-h100"}

    def test_a_design_named_twice_is_costed_once(self, xnorscan) -> None:
        rows = xnorscan("cost", "tiny", "--design", "up5k", "--design", "up5k", "--baseline", "up5k", "--json").json
        assert sum(row["kind"] == "all" for row in rows) == 1

    def test_table_names_the_trace_and_both_designs(self, xnorscan) -> None:
        out = xnorscan("cost", "tiny", "--design", "up5k", "--baseline", "gpu-h100").out
        assert "tiny, decode, batch 1" in out
        assert "up5k" in out
        assert "gpu-h100" in out
        assert "bound by" in out

    def test_of_a_trace_file_per_operation(self, xnorscan, tmp_path: Path) -> None:
        trace = shape_trace(get_config("tiny"), phase="prefill", length=16)
        write_trace(trace, tmp_path / "t.parquet")
        rows = xnorscan(
            "cost", tmp_path / "t.parquet", "--design", "edge-28nm", "--baseline", "gpu-a100", "--per-op", "--json"
        ).json
        assert [row["name"] for row in rows if row["design"] == "edge-28nm"] == list(trace.ops.name)
        assert {row["design"] for row in rows} == {"edge-28nm", "gpu-a100"}

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    def test_writes_every_row(self, xnorscan, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"costs{suffix}"
        assert xnorscan("cost", "tiny", "--design", "edge-28nm", "-o", path).code == 0
        written = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
        assert len(written) == 2 * len(shape_trace(get_config("tiny"), phase="decode", length=1).ops)
        assert {"design", "cycles", "energy_pj", "energy_pj_low", "energy_pj_high"} <= set(written)
        assert os.listdir(tmp_path) == [path.name]

    def test_a_design_of_ones_own(self, xnorscan, tmp_path: Path) -> None:
        from xnorscan.designs import design

        mine = tmp_path / "mine.yaml"
        preset = Path(design.__file__).parent / "presets" / "edge-28nm.yaml"
        mine.write_text(preset.read_text().replace("name: edge-28nm", "name: mine"))
        rows = xnorscan("cost", "tiny", "--design", mine, "--json").json
        assert {row["design"] for row in rows} == {"mine", "mine/fp16"}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("tiniest",), "no model is named 'tiniest'"),
            (("missing.parquet",), "missing.parquet: No such file or directory"),
            (("tiny", "--design", "edge"), "no design 'edge'"),
            (("tiny", "--design", "missing.yaml"), "missing.yaml: No such file or directory"),
            (("tiny", "--baseline", "gpu"), "no baseline 'gpu'"),
            (
                ("tiny", "--design", "up5k", "--baseline", "fp16-area"),
                "ice40up, the technology of up5k, has no areas of cells, so equal area is not known there; "
                "compare at equal throughput",
            ),
            (("tiny", "--design", "edge-28nm/achieved"), "edge-28nm is of kind one_bit: only a gpu is known at what"),
            (("tiny", "--design", "gpu-h100/w8a8"), "gpu-h100 is of kind gpu: only a one_bit design has baselines"),
            (("tiny", "--batch", 2**40), "batch × length is 1125899906842624 tokens, it must be at most 2147483648"),
            (
                ("fbi-llm-7b", "--phase", "prefill", "--length", 2**30),
                "row 0 (embedding): tokens × outputs × inputs is 1.41e+17, it must be at most 9.01e+15",
            ),
            (("",), "no model is named ''"),
            (
                ("tiny", "--baseline", "w9"),
                "no baseline 'w9': give fp16, w8a8, w4a16, fp16-area, w8a8-area, w4a16-area, a .yaml file or one of "
                "datacenter-7nm, ",
            ),
            (("tiny", "--baseline", "edge-28nm/w9"), "no baseline 'edge-28nm/w9': give fp16, w8a8, "),
            (("tiny", "-o", "costs.xlsx"), "costs.xlsx: the name must end in .csv or .parquet"),
            (("tiny", "-o", "no/costs.csv"), "there is no folder no, make it first"),
        ],
    )
    def test_refuses(self, refused, arguments: tuple[str, ...], message: str) -> None:
        assert message in refused("cost", *arguments)

    @pytest.mark.parametrize("content", [b"", b"PAR1", b"name,kind\n", b"PAR1" + bytes(100) + b"PAR1"])
    def test_refuses_a_broken_trace_file(self, refused, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "broken.parquet"
        path.write_bytes(content)
        assert refused("cost", path).startswith(f"{path}: ")

    @pytest.mark.parametrize("option", ["--phase=decode", "--batch=2", "--length=7"])
    def test_refuses_options_that_a_trace_file_answers(self, refused, tmp_path: Path, option: str) -> None:
        path = tmp_path / "t.parquet"
        write_trace(shape_trace(get_config("tiny"), phase="decode", length=1), path)
        name = option.split("=")[0]
        assert f"a trace has its own {name[2:]}, {name} goes with the name of a model" in refused("cost", path, option)

    def test_refuses_a_trace_without_operations(self, refused, tmp_path: Path) -> None:
        made = shape_trace(get_config("tiny"), phase="decode", length=1)
        write_trace(Trace.from_frame(made.ops.iloc[:0], made.metadata), tmp_path / "t.parquet")
        assert refused("cost", tmp_path / "t.parquet") == "the trace of tiny has no operations; cost needs at least one"

    def test_refuses_a_broken_design(self, refused, tmp_path: Path) -> None:
        path = tmp_path / "broken.yaml"
        path.write_text("kind: one_bit\nname: broken\nrowz: 4\n")
        assert refused("cost", "tiny", "--design", path).startswith(f"{path}: ")


class TestRun:
    def test_file(self, xnorscan, packed: Path, text: Path) -> None:
        (row,) = xnorscan("run", packed, "--text", text, "--json").json
        assert (row["model"], row["bytes"], row["state_bits"]) == ("random", len(TEXT), 16)
        assert 1 < row["bits_per_byte"] < 30
        assert row["tokens_per_s"] == pytest.approx(row["bytes"] / row["seconds"])

    def test_a_shipped_model_is_named(
        self, xnorscan, packed: Path, text: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []
        monkeypatch.setattr(
            "xnorscan.models.shipped.load_shipped", lambda name: asked.append(name) or read_packed(packed)
        )
        assert xnorscan("run", "Tiny", "--text", text).code == 0
        assert asked == ["tiny"]

    def test_standard_input_equals_file(
        self, xnorscan, packed: Path, text: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT)))
        (from_stdin,) = xnorscan("run", packed, "--json").json
        (from_file,) = xnorscan("run", packed, "--text", text, "--json").json
        assert from_stdin["bits_per_byte"] == from_file["bits_per_byte"]

    def test_table(self, xnorscan, packed: Path, text: Path) -> None:
        out = xnorscan("run", packed, "--text", text).out
        assert "bits per byte" in out
        assert "tokens/s" in out

    def test_trace_is_of_what_ran(self, xnorscan, packed: Path, text: Path, tmp_path: Path) -> None:
        path = tmp_path / "ran.parquet"
        result = xnorscan("run", packed, "--text", text, "--trace", path, "--state-bits", 12, "--json")
        assert result.code == 0
        trace = read_trace(path)
        assert trace.metadata.recorded
        assert trace.metadata.prompt_length == len(TEXT)
        assert trace.metadata.precision["state_bits"] == 12
        assert trace.ops.query("kind == 'linear'").density.notna().all()

    def test_a_bit_more_of_state_is_seen(self, xnorscan, packed: Path, text: Path) -> None:
        bits = [
            xnorscan("run", packed, "--text", text, "--state-bits", width, "--json").json[0]["bits_per_byte"]
            for width in (8, 32)
        ]
        assert bits[0] != bits[1]

    def test_refuses_an_empty_text(self, refused, packed: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        assert "empty, there is no text to read" in refused("run", packed, "--text", tmp_path / "empty")

    def test_refuses_an_empty_standard_input(self, refused, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        assert refused("run", packed) == "standard input: empty, there is no text to read"

    def test_refuses_a_closed_standard_input(self, refused, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", None)
        assert refused("run", packed) == "standard input is closed: name a file with --text"

    def test_refuses_a_missing_text(self, refused, packed: Path) -> None:
        assert refused("run", packed, "--text", "nowhere.txt") == "nowhere.txt: No such file or directory"

    def test_refuses_a_model_without_weights(self, refused, text: Path) -> None:
        message = refused("run", "bi-mamba-2.7b", "--text", text)
        assert message.startswith("bi-mamba-2.7b comes without weights: name tiny or small")

    def test_refuses_an_unknown_model(self, refused, text: Path) -> None:
        assert "no model is named 'mambo'" in refused("run", "mambo", "--text", text)

    def test_refuses_a_missing_packed_file(self, refused, text: Path) -> None:
        assert refused("run", "mine.xnor", "--text", text) == "mine.xnor: No such file or directory"

    def test_refuses_a_truncated_packed_file(self, refused, packed: Path, text: Path, tmp_path: Path) -> None:
        path = tmp_path / "short.xnor"
        path.write_bytes(packed.read_bytes()[:-100])
        assert refused("run", path, "--text", text).startswith(f"{path}: ")

    def test_refuses_what_is_no_packed_file(self, refused, text: Path, tmp_path: Path) -> None:
        path = tmp_path / "other.xnor"
        path.write_bytes(gzip.compress(TEXT))
        assert refused("run", path, "--text", text).startswith(f"{path}: ")

    def test_refuses_a_model_that_reads_no_bytes(self, refused, text: Path, tmp_path: Path) -> None:
        path = tmp_path / "words.xnor"
        write_packed(random_packed_model(tiny_config("mamba2"), seed=0), path)
        assert "byte-level" in refused("run", path, "--text", text)

    def test_refuses_a_trace_that_could_not_be_written(self, refused, packed: Path, text: Path) -> None:
        assert "no folder no" in refused("run", packed, "--text", text, "--trace", "no/trace.parquet")


class TestGenerate:
    def test_goes_on_from_the_prompt(self, xnorscan, packed: Path) -> None:
        result = xnorscan("generate", packed, "--prompt", "def ", "--tokens", 5)
        assert result.code == 0
        assert result.out.startswith("def ")
        assert result.out.endswith("\n")

    def test_a_seed_is_a_text(self, xnorscan, packed: Path) -> None:
        texts = [
            xnorscan("generate", packed, "--prompt", "x", "--tokens", 20, "--top-k", 50, "--seed", seed).out
            for seed in (1, 1, 2)
        ]
        assert texts[0] == texts[1] != texts[2]

    def test_a_prompt_that_is_not_utf_8_is_taken_as_its_bytes(
        self, xnorscan, packed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prompts = []
        monkeypatch.setattr(
            "xnorscan.sim.run.Simulator.generate", lambda _, prompt, *__, **___: iter([prompts.append(prompt) or b"."])
        )
        result = xnorscan("generate", packed, "--prompt", os.fsdecode(b"a\xff"), "--tokens", 1)
        assert (prompts, result.out) == ([b"a\xff"], "a�.\n")

    def test_text_that_was_cut_in_a_character_is_printed(
        self, xnorscan, packed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "xnorscan.sim.run.Simulator.generate", lambda *_, **__: iter([b"a", b"\xce", b"\xb1", b"\xce"])
        )
        assert xnorscan("generate", packed, "--prompt", ">", "--tokens", 4).out == ">aα�\n"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--top-k", 5, "--temperature", 0), "temperature is 0.0, it must be above 0"),
            (("--state-bits", 7), "state_bits is 7"),
        ],
    )
    def test_refuses(self, refused, packed: Path, arguments: tuple[object, ...], message: str) -> None:
        assert message in refused("generate", packed, "--prompt", "x", *arguments)


class TestTimeline:
    def test_of_a_model(self, xnorscan, tmp_path: Path) -> None:
        path = tmp_path / "t.json"
        rows = xnorscan("timeline", "tiny", "edge-28nm", "-o", path, "--phase", "prefill", "--length", 8, "--json").json
        assert [row["unit"] for row in rows] == ["array", "vector", "scan", "DMA"]
        assert "tiny on edge-28nm: prefill, batch 1, 8 tokens" in path.read_text("utf-8")
        assert os.listdir(tmp_path) == ["t.json"]

    def test_of_a_trace_file_as_a_table(self, xnorscan, tmp_path: Path) -> None:
        write_trace(shape_trace(get_config("tiny"), phase="decode", length=1), tmp_path / "t.parquet")
        out = xnorscan("timeline", tmp_path / "t.parquet", "up5k", "-o", tmp_path / "t.json").out
        assert "tiny, decode, batch 1" in out
        assert "waits for DMA" in out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ("tiny", "gpu-h100"),
                "gpu-h100 is of kind gpu, a roofline without units: a timeline needs an array design",
            ),
            (("tiny", "edge"), "no design 'edge'"),
            (("tiniest", "edge-28nm"), "no model is named 'tiniest'"),
            (("bi-mamba-2.7b", "up5k"), "up5k has no dram: weights need"),
            (("missing.parquet", "edge-28nm"), "missing.parquet: No such file or directory"),
        ],
    )
    def test_refuses(self, refused, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
        assert message in refused("timeline", *arguments, "-o", tmp_path / "t.json")
        assert os.listdir(tmp_path) == []

    def test_refuses_another_suffix(self, refused) -> None:
        assert refused("timeline", "tiny", "edge-28nm", "-o", "t.txt") == "t.txt: the name must end in .json"


class TestConvert:
    @pytest.fixture
    def checkpoint(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A checkpoint with the released names and FP32 latents, and its model known by the name ``mini``."""
        config = replace(tiny_config("mamba2"), name="mini")
        monkeypatch.setitem(MODELS, "mini", config)
        path = tmp_path / "checkpoint.safetensors"
        save_file(checkpoint_tensors(random_packed_model(config, seed=3)), path)
        return path

    def test_report_and_file(self, xnorscan, checkpoint: Path, tmp_path: Path) -> None:
        packed = tmp_path / "mini.xnor"
        result = xnorscan("convert", checkpoint, "--model", "mini", "-o", packed)
        assert result.code == 0
        assert "latent weights" in result.out
        assert read_packed(packed).config.name == "mini"

    def test_json_has_every_tensor(self, xnorscan, checkpoint: Path, tmp_path: Path) -> None:
        packed = tmp_path / "mini.xnor"
        report = xnorscan("convert", checkpoint, "--model", "mini", "-o", packed, "--keep", "float32", "--json").json
        assert report["keep"] == "float32"
        assert report["bytes_after"] == packed.stat().st_size
        assert sum(t["role"] == "latent" for t in report["tensors"]) == 4

    def test_refuses_and_leaves_nothing(self, refused, checkpoint: Path, tmp_path: Path) -> None:
        short = tmp_path / "short.safetensors"
        short.write_bytes(checkpoint.read_bytes()[:-8])
        before = sorted(tmp_path.iterdir())
        for source in (short, tmp_path / "missing.safetensors", tmp_path / "notes.txt"):
            assert str(source) in refused("convert", source, "--model", "mini", "-o", tmp_path / "out.xnor")
        assert sorted(tmp_path.iterdir()) == before

    def test_refuses_another_models_tensors(self, refused, checkpoint: Path, tmp_path: Path) -> None:
        assert str(checkpoint) in refused("convert", checkpoint, "--model", "tiny", "-o", tmp_path / "out.xnor")

    def test_the_model_is_found_from_the_shapes(self, xnorscan, checkpoint: Path, tmp_path: Path) -> None:
        assert xnorscan("convert", checkpoint, "-o", tmp_path / "out.xnor").out.startswith("mini: ")

    def test_refuses_tensors_of_no_known_model(
        self, refused, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(MODELS, "mini")
        assert "are those of no model known by name" in refused("convert", checkpoint, "-o", tmp_path / "out.xnor")

    def test_refuses_an_unknown_model(self, refused, checkpoint: Path, tmp_path: Path) -> None:
        assert "no model is named 'mamboo'" in refused("convert", checkpoint, "--model", "mamboo", "-o", tmp_path / "x")


def checkpoint_tensors(model) -> dict[str, np.ndarray]:
    """The tensors of a released checkpoint that packs to ``model``: latents ±0.01, scales, everything else."""
    tensors = dict(model.tensors)
    for name, linear in model.linears.items():
        bits = np.unpackbits(linear.planes[0].view(np.uint8), axis=1, bitorder="little")[:, : linear.inputs]
        tensors[f"{name}.weight"] = np.where(bits, 0.01, -0.01).astype(np.float32)
        tensors[f"{name}.wscale"], tensors[f"{name}.wbias"] = linear.pre[None], linear.shift[None]
    return {f"backbone.{name}": np.ascontiguousarray(value) for name, value in tensors.items()}


class TestCompare:
    ARGUMENTS = ("compare", "bi-mamba-780m", "--design", "edge-28nm", "--baseline", "fp16")

    def test_leaves_a_report(self, xnorscan, tmp_path: Path) -> None:
        result = xnorscan(*self.ARGUMENTS, "-o", tmp_path / "report")
        assert result.code == 0
        assert "report.html" in result.out
        assert {"report.html", "compare.csv", "compare.parquet"} <= set(os.listdir(tmp_path / "report"))
        assert os.listdir(tmp_path) == ["report"]

    def test_json(self, xnorscan, tmp_path: Path) -> None:
        rows = xnorscan(*self.ARGUMENTS, "--phase", "prefill", "-o", tmp_path, "--json").json
        assert {row["model"] for row in rows} == {"bi-mamba-780m"}
        assert {row["design"] for row in rows} == {"edge-28nm", "edge-28nm/fp16"}

    def test_this_machine(self, xnorscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from xnorscan.energy_models import cpu

        monkeypatch.setattr(cpu, "STREAM_MIB", 4)
        monkeypatch.setattr(cpu, "STREAM_SECONDS", 0.0)
        rows = xnorscan(*self.ARGUMENTS, "--measure-cpu", "-o", tmp_path, "--json").json
        (row,) = (row for row in rows if row["design"] == "cpu")
        assert row["latency_s"] > 0
        assert "energy" in row["basis"]

    def test_several_batches(self, xnorscan, tmp_path: Path) -> None:
        rows = xnorscan(*self.ARGUMENTS, "--batch", "4,1", "-o", tmp_path, "--json").json
        assert {row["batch"] for row in rows} == {1, 4}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("mambo",), "no model is named 'mambo'"),
            (("bi-mamba-780m", "--design", "edge"), "no design 'edge'"),
            (("bi-mamba-780m", "--baseline", "missing.yaml"), "missing.yaml: No such file or directory"),
            (("bi-mamba-780m", "--design", "gpu-h100"), "nothing to compare: no one-bit or FP16 array"),
            (
                ("tiny", "--batch", "1,x"),
                "--batch is '1,x', it must be whole numbers of at least 1 with commas between",
            ),
            (("tiny", "--batch", "0"), "--batch is '0', it must be whole numbers of at least 1"),
        ],
    )
    def test_refuses_and_leaves_nothing(
        self, refused, tmp_path: Path, arguments: tuple[str, ...], message: str
    ) -> None:
        assert message in refused("compare", *arguments, "-o", tmp_path / "report")
        assert os.listdir(tmp_path) == []

    def test_refuses_a_file_as_folder(self, refused, text: Path) -> None:
        assert str(text) in refused("compare", "bi-mamba-780m", "-o", text)


class TestDoctor:
    def test_table(self, xnorscan) -> None:
        result = xnorscan("doctor")
        assert result.code == 0
        assert all(name in result.out for name in ("numba", "g++", "make", "perl", "kernel cache", "cpu"))

    def test_json(self, xnorscan) -> None:
        rows = {row["name"]: row for row in xnorscan("doctor", "--json").json}
        assert rows["numba"]["status"] == "ok"

    def test_exits_1_where_the_core_is_not_whole(self, xnorscan, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("xnorscan.doctor.healthy", lambda findings: False)
        assert xnorscan("doctor").code == 1
