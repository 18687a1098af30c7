from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from xnorscan.designs.design import load_design
from xnorscan.energy_models.asic_area import ALL_TWINS
from xnorscan.energy_models.cpu import Measured
from xnorscan.reports import compare as module
from xnorscan.reports.compare import CompareResult, compare
from xnorscan.reports.cpu import CpuRun
from xnorscan.reports.subjects import Subject
from xnorscan.traces.parquet import read_trace


def run(directory: Path, models: tuple[str, ...] = ("bi-mamba-780m",), **options: object) -> tuple[CompareResult, str]:
    out = io.StringIO()
    console = Console(file=out, width=140, color_system=None)
    return compare(models, directory=directory, console=console, **options), out.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[CompareResult, str]:
    return run(tmp_path_factory.mktemp("compare") / "new" / "report")


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the time of drawing where the figures are not what is tested."""
    monkeypatch.setattr(module, "pictures", lambda found: {})


def test_everything_promised_is_there_and_nothing_else(finished: tuple[CompareResult, str]) -> None:
    result, _ = finished
    names = {p.relative_to(result.directory).as_posix() for p in result.directory.rglob("*") if p.is_file()}
    pictures = (
        "energy-per-token", "energy-components", "energy-kinds", "memory", "dram-traffic", "decode-prefill",
        "roofline-edge-28nm",
    )  # fmt: skip
    assert names == {
        "report.html",
        "compare.csv",
        "compare.parquet",
        "roofline.csv",
        "roofline.parquet",
        "bi-mamba-780m.decode.trace.parquet",
        "bi-mamba-780m.prefill.trace.parquet",
        *(f"figures/{name}.{kind}" for name in pictures for kind in ("png", "svg")),
    }
    assert {p.relative_to(result.directory).as_posix() for p in result.files} == names
    assert [p.name for p in result.directory.parent.iterdir()] == ["report"], "something was left beside it"


def test_the_files_hold_the_comparison(finished: tuple[CompareResult, str]) -> None:
    result, _ = finished
    parquet = pd.read_parquet(result.directory / "compare.parquet")
    csv = pd.read_csv(result.directory / "compare.csv")
    assert list(parquet) == list(csv) == list(result.comparison)
    assert parquet["energy_uj"].tolist() == result.comparison["energy_uj"].tolist()
    assert csv["energy_uj"].to_numpy() == pytest.approx(result.comparison["energy_uj"].to_numpy(float), rel=1e-8)
    assert set(parquet["phase"]) == {"decode", "prefill"}
    baselines = {f"edge-28nm/{name}" for name in ("fp16", "fp16-area", "w8a8", "w4a16")}
    assert set(parquet["design"]) == {"edge-28nm", *baselines, "gpu-h100", "gpu-h100/achieved"}


def test_the_result_carries_the_models_and_designs_of_its_rows(finished: tuple[CompareResult, str]) -> None:
    result, _ = finished
    assert result.subjects.keys() == set(result.comparison["model"])
    trace = read_trace(result.directory / "bi-mamba-780m.decode.trace.parquet")
    assert result.subjects["bi-mamba-780m"].trace("decode", 1).metadata == trace.metadata
    assert result.designs.keys() == set(result.comparison["design"])
    assert all(design.name == name for name, design in result.designs.items())
    assert result.designs["edge-28nm"] == load_design("edge-28nm")
    assert result.designs["edge-28nm/fp16-area"] == load_design("edge-28nm/fp16-area", ALL_TWINS)


def test_the_traces_can_be_read(finished: tuple[CompareResult, str]) -> None:
    for phase in ("decode", "prefill"):
        trace = read_trace(finished[0].directory / f"bi-mamba-780m.{phase}.trace.parquet")
        assert (trace.metadata.model, trace.metadata.phase) == ("bi-mamba-780m", phase)


def test_the_terminal_and_the_page_say_the_same_first(finished: tuple[CompareResult, str]) -> None:
    result, printed = finished
    html = (result.directory / "report.html").read_text("utf-8")
    ratio = result.comparison["ratio"].dropna().iloc[0]
    assert result.headline.startswith(f"{ratio:.1f}× less energy per token.")
    assert f"{ratio:.1f}× less energy per token" in printed
    assert f"{ratio:.1f}× less energy per token than FP16" in html
    assert "Other memory systems: not to be held against the rows above" in printed
    assert "Energy of each baseline over the one-bit design's, on its memory system" in printed
    assert f"report: {result.directory / 'report.html'}" in printed.replace("\n", "")


def test_the_same_inputs_give_the_same_bytes(finished: tuple[CompareResult, str], tmp_path: Path) -> None:
    again, _ = run(tmp_path / "report")
    for one, other in zip(finished[0].files, again.files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


@pytest.mark.usefixtures("no_pictures")
def test_a_date_stands_on_the_page_only_where_the_environment_gives_one(
    finished: tuple[CompareResult, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "<dt>date</dt>" not in (finished[0].directory / "report.html").read_text("utf-8")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    run(tmp_path / "report")
    assert "<dt>date</dt><dd>2023-11-14</dd>" in (tmp_path / "report" / "report.html").read_text("utf-8")


@pytest.mark.parametrize("date", ["yesterday", "9" * 20])
def test_a_wrong_date_is_refused(date: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", date)
    with pytest.raises(ValueError, match=f"SOURCE_DATE_EPOCH is '{date}', it must be seconds since 1970"):
        run(tmp_path / "report")


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("at", ["render", "write_trace", "results"])
def test_a_failure_leaves_nothing_and_spares_the_older_report(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    older = tmp_path / "report"
    older.mkdir()
    (older / "report.html").write_text("older")
    monkeypatch.setattr(module, at, fail)
    for directory in (older, tmp_path / "absent"):
        with pytest.raises(OSError, match="disk full"):
            run(directory)
    assert [p.name for p in tmp_path.iterdir()] == ["report"]
    assert [(p.name, p.read_text()) for p in older.iterdir()] == [("report.html", "older")]


@pytest.mark.usefixtures("no_pictures")
def test_an_older_report_is_replaced_and_other_files_are_left(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "report.html").write_text("older")
    run(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>")


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    with pytest.raises(NotADirectoryError, match="is a file, the report needs a directory"):
        run(tmp_path / "report")


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("blocked", "message"),
    [("report.html", "report.html is a directory, the report needs a file"), ("compare.csv", "compare.csv is a dir")],
)
def test_a_directory_in_the_place_of_a_file_is_refused_before_anything_is_replaced(
    blocked: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / blocked).mkdir()
    with pytest.raises(IsADirectoryError, match=message):
        run(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [blocked]


@pytest.mark.usefixtures("no_pictures")
def test_a_file_in_the_place_of_the_figures_is_refused(
    finished: tuple[CompareResult, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "figures").write_text("mine")
    drawn = [p for p in finished[0].files if p.parent.name == "figures"]
    monkeypatch.setattr(module, "_write", lambda build, *_: (build / "figures" / drawn[0].name).write_text(""))
    with pytest.raises(NotADirectoryError, match="figures is a file, the report needs a directory there"):
        run(tmp_path)


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match=f"^{tmp_path} cannot be written, name another directory"):
        run(tmp_path / "new" / "report")


def test_two_designs_of_one_name_are_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    preset = Path(module.__file__).parents[1] / "designs" / "presets" / "edge-28nm.yaml"
    own.write_text(preset.read_text().replace("rows: 4", "rows: 8"))
    with pytest.raises(ValueError, match=r"^two different designs are named edge-28nm(/fp16)?; every design needs"):
        run(tmp_path / "report", designs=[str(own), "edge-28nm"])


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        (("bi-mamba",), {}, "no model is named 'bi-mamba'"),
        ((), {}, "no model is given, compare needs at least one"),
        (("tiny",), {"phase": "run"}, "phase is 'run', it must be decode or prefill"),
        (("tiny",), {"batches": [4, 0]}, "batch is 0, it must be at least 1"),
        (("tiny",), {"designs": ["edge"]}, "no design 'edge': give a .yaml file or one of"),
        (("tiny",), {"baselines": ["fp32"]}, "no baseline 'fp32': give fp16, w8a8, w4a16, fp16-area, .* or one of "),
        (("bi-mamba-780m",), {"designs": ["up5k"]}, "nothing to compare: .* weights need"),
    ],
)
def test_wrong_arguments_are_one_clear_line(
    models: tuple[str, ...], options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        run(tmp_path / "report", models, **options)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_designs_and_baselines_can_be_chosen(tmp_path: Path) -> None:
    result, _ = run(
        tmp_path / "report",
        ("bi-mamba-780m", "BI-MAMBA-780M"),
        designs=["datacenter-7nm"],
        baselines=["gpu-h200"],
        phase="prefill",
    )
    assert result.comparison["design"].tolist() == ["datacenter-7nm", "gpu-h200"] * 2
    assert result.comparison["ratio"].isna().all()
    html = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "--design datacenter-7nm --baseline gpu-h200 --phase prefill -o report" in html


@pytest.mark.usefixtures("no_pictures")
def test_a_design_of_ones_own_gets_its_twin(tmp_path: Path) -> None:
    text = (Path(module.__file__).parents[1] / "designs" / "presets" / "edge-28nm.yaml").read_text()
    own = tmp_path / "own.yaml"
    own.write_text(text.replace("name: edge-28nm", "name: own"))
    result, _ = run(tmp_path / "report", designs=[str(own)])
    assert {"own", "own/fp16", "own/w8a8", "gpu-h100"} < set(result.comparison["design"])
    assert result.comparison["ratio"].notna().sum() == 2


def test_the_shipped_model_runs_and_is_shown_where_it_fits(tmp_path: Path) -> None:
    result, printed = run(tmp_path / "report", ("tiny", "bi-mamba-780m"), text_bytes=2000, prompt_length=64)
    rows = result.comparison[(result.comparison["model"] == "tiny") & (result.comparison["phase"] == "decode")]
    assert {"edge-28nm", "edge-28nm/fp16", "gpu-h100"} <= set(rows["design"])
    assert rows.loc[rows["role"] == "one-bit", "bits_per_byte"].notna().all()
    assert rows.loc[rows["role"] == "GPU", "bits_per_byte"].isna().all()
    html = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "tiny read " in html
    assert "standard library of CPython 3." in html
    assert "its FP16 twin does not and moves " in html
    assert (tmp_path / "report" / "figures" / "energy-tiny.png").exists()
    assert "tiny left out: up5k/fp16 has no dram" in printed
    assert html.index("see “What was left out” below") < html.index("<h2>What was left out</h2>")
    assert html.index("<h2>What was left out</h2>") < html.index("tiny left out: up5k/fp16 has no dram")


@pytest.mark.usefixtures("no_pictures")
def test_baselines_that_an_fpga_cannot_have_are_left_out_and_named(tmp_path: Path) -> None:
    options = {"designs": ["ecp5-85-ddr3"], "baselines": ["fp16-area", "w4a16", "gpu-a100/achieved"]}
    result, printed = run(tmp_path / "report", **options)
    assert set(result.comparison["design"]) == {"ecp5-85-ddr3", "ecp5-85-ddr3/w4a16", "gpu-a100/achieved"}
    words = (
        "ecp5-85-ddr3/fp16-area left out: ecp5, the technology of ecp5-85-ddr3, has no areas of cells, so equal area"
    )
    assert words in " ".join(printed.split())


@pytest.mark.usefixtures("no_pictures")
def test_the_machine_at_hand_is_measured_where_it_is_asked_for(
    finished: tuple[CompareResult, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "cpu" not in set(finished[0].comparison["design"])
    seen: list[str] = []

    def measured(subject: Subject) -> dict[str, CpuRun]:
        seen.append(subject.model)
        return {"decode": CpuRun(Measured(0.25, None, "no energy, nothing is there"), "a way", "a machine")}

    monkeypatch.setattr(module, "measure_cpu", measured)
    result, printed = run(tmp_path / "report", cpu=True)
    assert seen == ["bi-mamba-780m"]
    cpu = result.comparison[result.comparison["design"] == "cpu"].iloc[0]
    assert pd.isna(cpu["energy_uj"])
    assert cpu["latency_s"] == 0.25
    assert "no energy" in printed
    html = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "measured: a way; no energy, nothing is there; a machine" in html
    assert "xnorscan compare bi-mamba-780m --measure-cpu -o report" in html


def test_batches_stand_in_the_tables_the_files_and_a_figure(tmp_path: Path) -> None:
    result, printed = run(tmp_path / "report", batches=[16, 4], baselines=["fp16"])
    rows = result.comparison
    assert sorted(set(rows["batch"])) == [1, 4, 16]
    written = pd.read_parquet(tmp_path / "report" / "compare.parquet")
    assert written["batch"].tolist() == rows["batch"].tolist()
    decode = rows[(rows["phase"] == "decode") & (rows["role"] == "one-bit")].set_index("batch")
    assert decode["ratio"].is_monotonic_decreasing
    assert (tmp_path / "report" / "figures" / "batch-decode-bi-mamba-780m-edge-28nm.png").exists()
    html = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "--baseline fp16 --batch 16,4 -o report" in html
    assert "Batches above 1 are costed from the models&#39; dimensions alone." in html
    assert f"Decode: {decode.loc[1, 'ratio']:.1f}× less energy than FP16 at batch 1" in html
    positions = pd.read_parquet(tmp_path / "report" / "roofline.parquet")
    assert set(zip(positions["phase"], positions["batch"], strict=True)) == {
        (phase, batch) for phase in ("decode", "prefill") for batch in (1, 4, 16)
    }
    assert "Outside the binary GEMM, and what binds, of the time" in printed
    assert "Roofline, decode, batch 1" in printed
