from __future__ import annotations

import pandas as pd
import pytest

from xnorscan.designs.design import load_design
from xnorscan.energy_models.cost import cost
from xnorscan.models.precision import Precision
from xnorscan.reports.results import Results, memory_system, results, role, sources, tokens
from xnorscan.reports.subjects import subject


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
