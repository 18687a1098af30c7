from __future__ import annotations

import pandas as pd
import pytest

from xnorscan.designs.design import load_design
from xnorscan.energy_models.asic_area import ALL_TWINS
from xnorscan.energy_models.cost import cost
from xnorscan.energy_models.cpu import Measured
from xnorscan.models.precision import Precision
from xnorscan.reports import quantities as q
from xnorscan.reports.cpu import CpuRun
from xnorscan.reports.results import Results, memory_system, results, role, sources, tokens
from xnorscan.reports.story import page
from xnorscan.reports.subjects import subject
from xnorscan.reports.tables import baseline_columns, baselines, cells, limited_rows, main_rows, terminal


def row(found: Results, model: str, design: str, phase: str = "decode") -> pd.Series:
    rows = found.comparison
    return rows[(rows["model"] == model) & (rows["design"] == design) & (rows["phase"] == phase)].iloc[0]


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_a_row_is_the_cost_of_the_trace_per_token(found: Results, phase: str) -> None:
    chosen = next(s for s in found.subjects if s.model == "bi-mamba-2.7b")
    frame = cost(chosen.traces[phase], [load_design("edge-28nm")])
    number = {"decode": 1, "prefill": 512}[phase]
    shown = row(found, "bi-mamba-2.7b", "edge-28nm", phase)
    assert tokens(chosen.traces[phase]) == number
    assert shown["energy_uj"] == pytest.approx(frame["energy_pj"].sum() / number * 1e-6)
    assert shown["latency_s"] == pytest.approx(frame["time_s"].sum() / number)
    assert shown["tokens_per_s"] == pytest.approx(number / frame["time_s"].sum())
    assert shown["dram_bytes"] == pytest.approx(frame["dram_bytes"].sum() / number)


def test_the_ratio_is_fp16_over_one_bit_and_lies_in_its_range(found: Results) -> None:
    for model in ("bi-mamba-780m", "bi-mamba-2.7b"):
        bit, fp16 = row(found, model, "edge-28nm"), row(found, model, "edge-28nm/fp16")
        assert bit["ratio"] == pytest.approx(fp16["energy_uj"] / bit["energy_uj"])
        assert bit["ratio_low"] < bit["ratio"] < bit["ratio_high"]
        assert bit["baseline"] == "edge-28nm/fp16"


def test_a_ratio_never_crosses_memory_systems(found: Results) -> None:
    rows = found.comparison
    compared = rows[rows["ratio"].notna()]
    assert len(compared) == 4
    for each in compared.to_dict("records"):
        assert row(found, each["model"], each["baseline"])["memory_system"] == each["memory_system"]
    assert rows.loc[rows["role"] == "GPU", "ratio"].isna().all()
    assert set(rows.loc[rows["role"] == "GPU", "basis"]) == {"board power × roofline time"}


def test_the_share_that_is_not_binary_follows_from_the_shapes(found: Results) -> None:
    # 2.7B: 321.5 MB of binary weights in 582 MB a token (8-bit head, 16-bit state, 18-bit convolution state).
    assert row(found, "bi-mamba-2.7b", "edge-28nm")["not_binary_share"] == pytest.approx(1 - 321.5 / 582, abs=0.003)


def test_per_token_frames_add_up_to_the_comparison(found: Results) -> None:
    keys = ["model", "phase", "design"]
    whole = found.comparison.set_index(keys)
    arrays = [k for k in whole.index if not k[2].startswith("gpu")]
    for frame in (found.parts, found.kinds):
        sums = frame.groupby(keys)["energy_uj"].sum()
        for key in arrays:
            assert sums[key] == pytest.approx(whole.loc[key, "energy_uj"])
    moved = found.traffic.groupby(keys)["bytes"].sum()
    for key in whole.index:
        assert moved[key] == pytest.approx(whole.loc[key, "dram_bytes"])


def test_memory_systems_are_named_so_that_equal_names_are_equal_memories() -> None:
    assert memory_system(load_design("edge-28nm")) == memory_system(load_design("edge-28nm/fp16"))
    assert memory_system(load_design("edge-28nm")) == "LPDDR5 51.2 GB/s + 2 MiB on chip"
    assert memory_system(load_design("up5k")) == "140 KiB on chip"


def test_roles() -> None:
    assert [role(load_design(n)) for n in ("up5k", "up5k/fp16", "gpu-h100")] == ["one-bit", "FP16", "GPU"]


def test_roles_of_the_baselines() -> None:
    names = ["edge-28nm/fp16-area", "edge-28nm/w8a8", "edge-28nm/w4a16", "edge-28nm/w4a16-area", "gpu-h100/achieved"]
    assert [role(load_design(n, ALL_TWINS)) for n in names] == [
        "FP16, equal area", "W8A8", "W4A16", "W4A16, equal area", "GPU as used",
    ]  # fmt: skip
    own = load_design("edge-28nm/w8a8").model_copy(update={"name": "mine"})
    assert role(own) == "W8A8"


BASELINES = ("fp16", "fp16-area", "w8a8", "w4a16")


@pytest.fixture(scope="module")
def beside() -> Results:
    names = [*(f"edge-28nm/{each}" for each in BASELINES), "edge-28nm", "gpu-h100", "gpu-h100/achieved"]
    chosen = subject("bi-mamba-780m", precision=Precision())
    measured = CpuRun(Measured(0.5, 20.0, "energy by RAPL of 1 package"), "a way", "a machine", 1e9)
    designs = [load_design(name, ALL_TWINS) for name in names]
    return results([(chosen, designs)], "decode", left_out=["One thing."], cpu={"bi-mamba-780m": {"decode": measured}})


def test_every_baseline_on_the_same_memory_is_set_against_its_own_design(beside: Results) -> None:
    rows = beside.comparison[beside.comparison["phase"] == "decode"].set_index("design")
    own, names = rows.loc["edge-28nm"], [f"edge-28nm/{each}" for each in BASELINES]
    for name in names:
        each = rows.loc[name]
        assert each["of"] == "edge-28nm"
        assert each["memory_system"] == own["memory_system"]
        assert each["over"] == pytest.approx(each["energy_uj"] / own["energy_uj"])
        assert each["over_low"] <= each["over"] <= each["over_high"]
    assert rows.loc[names[0], "over"] == pytest.approx(own["ratio"])
    for name in ("edge-28nm", "gpu-h100", "gpu-h100/achieved", "cpu"):
        assert rows.loc[name, ["of", "over", "over_low", "over_high"]].isna().all()
    assert rows.loc["edge-28nm/w4a16", "memory_bytes"] < rows.loc["edge-28nm/w8a8", "memory_bytes"]
    assert rows.loc["edge-28nm/w8a8", "memory_bytes"] < rows.loc["edge-28nm/fp16", "memory_bytes"]


def test_what_was_measured_is_a_row_that_says_how(beside: Results) -> None:
    cpu = row(beside, "bi-mamba-780m", "cpu")
    assert (cpu["energy_uj"], cpu["energy_low_uj"], cpu["energy_high_uj"]) == (20e6, 20e6, 20e6)
    assert (cpu["latency_s"], cpu["tokens_per_s"], cpu["dram_bytes"]) == (0.5, 2.0, 1e9)
    assert (cpu["basis"], cpu["memory_system"]) == ("measured: a way; energy by RAPL of 1 package", "a machine")
    assert cpu["role"] == "CPU"
    assert len(beside.comparison[beside.comparison["design"] == "cpu"]) == 1
    assert list(beside.left_out) == ["One thing."]


def test_columns_of_baselines_are_never_mixed(beside: Results) -> None:
    rows = beside.comparison[beside.comparison["phase"] == "decode"]
    table = baselines(rows)
    columns = baseline_columns(table)
    assert [column.title for column in columns] == [
        "model", "design", "one bit", "FP16", "FP16, equal area", "W8A8", "W4A16",
    ]  # fmt: skip
    assert len(table) == 1
    (texts,) = cells(table, columns)
    over = rows.set_index("design")["over"]
    for name, (text, detail) in zip(BASELINES, texts[3:], strict=True):
        assert text == q.factor(over[f"edge-28nm/{name}"])
        assert detail.endswith(" ms")
    assert not cells(table, baseline_columns(table, times=False))[0][3][1].endswith("ms")
    assert main_rows(rows)["design"].tolist() == ["edge-28nm/fp16", "edge-28nm"]
    assert limited_rows(rows)["design"].tolist() == ["edge-28nm/fp16", "edge-28nm", "gpu-h100"]


def test_a_design_without_baselines_has_no_row_among_them(beside: Results) -> None:
    rows = beside.comparison[beside.comparison["design"].isin(["edge-28nm", "gpu-h100"])]
    assert baselines(rows).empty


def test_a_narrow_terminal_loses_spare_columns_and_says_so(beside: Results) -> None:
    rows = main_rows(beside.comparison[beside.comparison["phase"] == "decode"])
    narrow, wide = (terminal(rows, "title", width=width) for width in (80, 200))
    assert [str(column.header) for column in narrow.columns] == [
        "model", "design", "energy per token", "less than FP16", "time per token",
    ]  # fmt: skip
    assert str(narrow.caption) == "left out at 80 characters: bound by, memory, bits/byte"
    assert wide.caption is None
    assert len(wide.columns) == 8


def test_the_page_has_a_section_for_each_kind_of_baseline(beside: Results) -> None:
    made = page(beside, {}, "xnorscan compare", [])
    titles = [section.title for section in made.sections]
    assert titles[:3] == [
        "The comparison: decode, batch 1", "Other baselines on the same memory system", "Other memory systems",
    ]  # fmt: skip
    assert [note.partition(":")[0] for note in made.sections[1].notes] == ["FP16, equal area", "W8A8", "W4A16"]
    assert [note.partition(":")[0] for note in made.sections[2].notes] == ["GPU", "GPU as used", "CPU"]


def test_every_source_has_a_kind_and_a_text(found: Results) -> None:
    names = [s.name for s in found.sources]
    assert len(names) == len(set(names))
    assert "LPDDR5 transfer" in names
    assert "GPU: board energy factor" in names
    assert all(s.figure.low <= s.figure.value <= s.figure.high and s.figure.source for s in found.sources)
    assert "GPU: board energy factor" not in [s.name for s in sources([load_design("edge-28nm")])]


def test_what_does_not_fit_is_left_out_with_need_and_have() -> None:
    tiny = subject("bi-mamba-780m", precision=Precision())
    both = results([(tiny, [load_design("up5k"), load_design("edge-28nm")])], "decode")
    assert set(both.comparison["design"]) == {"edge-28nm"}
    (sentence,) = both.left_out
    assert sentence.startswith("Bi-Mamba 780M left out: up5k has no dram: weights need ")
    assert "weight_memory_kib is 104" in sentence


@pytest.mark.parametrize("design", ["up5k", "gpu-h100"])
def test_a_comparison_without_an_array_that_holds_the_model_is_refused(design: str) -> None:
    model = subject("bi-mamba-780m", precision=Precision())
    with pytest.raises(ValueError, match="nothing to compare: no one-bit or FP16 array here holds a model"):
        results([(model, [load_design(design)])], "decode")
