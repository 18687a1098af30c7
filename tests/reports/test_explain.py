"""reports/explain.py: the rows of a comparison, term by term; what the terminal and JSON show of it."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from oracles.cost_workloads import model_trace
from xnorscan.designs.design import load_design, load_designs
from xnorscan.energy_models.explain import Explanation
from xnorscan.reports import compare as module
from xnorscan.reports import quantities as q
from xnorscan.reports.compare import CompareResult, compare
from xnorscan.reports.explain import of_comparison, of_costs, records, show

BASELINES = ("fp16", "w8a8", "gpu-h100", "gpu-h100/achieved")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> CompareResult:
    """A model that runs and one known by its dimensions, without pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "pictures", lambda found: {})
        return compare(
            ("tiny", "bi-mamba-780m"),
            ("edge-28nm",),
            BASELINES,
            batches=(1, 4),
            directory=tmp_path_factory.mktemp("explain") / "report",
            console=Console(quiet=True),
            prompt_length=48,
            text_bytes=256,
        )


def printed(explanations: list[Explanation]) -> str:
    out = io.StringIO()
    show(explanations, Console(file=out, width=100, color_system=None))
    return out.getvalue()


def assert_is_row(each: Explanation, rows: pd.DataFrame) -> None:
    """The terms add up to the numbers of the comparison."""
    keys = ["model", "phase", "batch", "design"]
    (index,) = rows.index[(rows[keys] == [each.model, each.phase, each.batch, each.design]).all(axis=1)]
    row = rows.loc[index]
    for end, name in enumerate(("energy_low_uj", "energy_uj", "energy_high_uj")):
        assert sum(term.energy_pj[end] for term in each.terms) / 1e6 == pytest.approx(row[name], rel=1e-9)
    assert sum(each.cycles for each in each.operations) / each.clock_hz / each.tokens == pytest.approx(row["latency_s"])


@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("model", ["tiny", "bi-mamba-780m"])
def test_adds_up_to_the_comparison(found: CompareResult, model: str, phase: str) -> None:
    """Statistics of data that ran are in the trace, and so in the terms."""
    rows = found.comparison[found.comparison["model"] == model]
    shown = of_comparison(replace(found, comparison=rows), phase)
    assert [(each.model, each.phase, each.batch, each.design) for each in shown] == [
        (model, phase, 1, design)
        for design in ("edge-28nm/fp16", "edge-28nm/w8a8", "edge-28nm", "gpu-h100", "gpu-h100/achieved")
    ]
    for each in shown:
        assert_is_row(each, rows)
    row = rows[(rows["phase"] == phase) & (rows["design"] == "edge-28nm") & (rows["batch"] == 1)].iloc[0]
    ratios = {ratio.baseline: ratio for ratio in shown[2].ratios}
    assert ratios.keys() == {"edge-28nm/fp16", "edge-28nm/w8a8"}
    twin = ratios["edge-28nm/fp16"]
    assert (twin.typical, twin.low, twin.high) == pytest.approx((row["ratio"], row["ratio_low"], row["ratio_high"]))


def test_the_headline_is_the_largest_model(found: CompareResult) -> None:
    assert {each.model for each in of_comparison(found, "decode")} == {"bi-mamba-780m"}


def test_every_row_has_its_terms(found: CompareResult) -> None:
    """Both models, phases and batches: what a batch moves and takes is not in a trace of the folder."""
    every = of_comparison(found)
    rows = found.comparison
    assert [(each.model, each.phase, each.batch, each.design) for each in every] == list(
        rows[["model", "phase", "batch", "design"]].itertuples(index=False, name=None)
    )
    for each in every:
        assert_is_row(each, rows)


def test_without_a_pair_every_design(found: CompareResult) -> None:
    """A measured row has no design, and so no terms."""
    rows = found.comparison[~found.comparison["design"].str.endswith("/fp16")].copy()
    rows["ratio"] = pd.NA
    measured = rows[rows["design"] == "edge-28nm"].assign(design="cpu", role="CPU")
    result = replace(found, comparison=pd.concat([measured, rows], ignore_index=True))
    shown = of_comparison(result, "prefill")
    assert [each.design for each in shown] == ["edge-28nm/w8a8", "edge-28nm", "gpu-h100", "gpu-h100/achieved"]
    for each in shown:
        assert_is_row(each, rows)


def test_only_a_one_bit_design_has_ratios() -> None:
    designs = [load_design(name) for name in ("gpu-h100", "gpu-h100/achieved", "edge-28nm", "edge-28nm/fp16")]
    ratios = {each.design: each.ratios for each in of_costs(model_trace("bi-mamba-780m"), designs)}
    assert [ratio.baseline for ratio in ratios.pop("edge-28nm")] == ["edge-28nm/fp16"]
    assert not any(ratios.values())


def test_json_holds_everything() -> None:
    explanations = of_costs(model_trace("bi-mamba-780m"), load_designs(["edge-28nm"], ["fp16"]))
    twin, one = json.loads(json.dumps(records(explanations)))
    assert (twin["design"], one["design"], one["tokens"]) == ("edge-28nm/fp16", "edge-28nm", None)
    for end in ("low", "typical", "high"):
        products = [term["count"] * term["price"][end] for term in one["terms"]]
        assert products == [term["energy_pj"][end] for term in one["terms"]]
        assert sum(products) == pytest.approx(one["energy_pj"][end], rel=1e-9)
    assert all(row["source"] and row["kind"] and row["table"] for term in one["terms"] for row in term["rows"])
    between = next(term for term in one["terms"] if term["what"] == "activations write")
    assert [row["name"] for row in between["rows"]] == ["256 KiB x64 write", "1024 KiB x64 write"]
    assert between["share"] == pytest.approx(0.5)
    assert one["cycles"] == sum(
        each["operations"] * sum(term["cycles"] for term in each["terms"]) + each["waits"] for each in one["operations"]
    )
    (ratio,) = one["ratios"]
    index = {part["component"]: part["least_at"] for part in ratio["parts"]}
    least = [
        sum(part[who][index[part["component"]]] for part in ratio["parts"]) for who in ("baseline_pj", "energy_pj")
    ]
    assert least[0] / least[1] == pytest.approx(ratio["low"])


def test_the_terminal_at_100_columns() -> None:
    explanations = of_costs(model_trace("bi-mamba-2.7b"), load_designs(["edge-28nm"], ["fp16"]))
    text = printed(explanations)
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 100
    (own,) = (each for each in explanations if each.design == "edge-28nm")
    low, typical, high = (value / 1e6 for value in own.energy_pj)
    of_trace = f"energy of the trace {q.energy(typical)} ({q.energy_range(low, high)})"
    assert f"Bi-Mamba 2.7B, decode, batch 1, on edge-28nm: {of_trace}" in lines
    (ratio,) = own.ratios
    words = f"{q.factor(ratio.typical)}, {q.factor_range(ratio.low, ratio.high)}"
    assert f"Bi-Mamba 2.7B, decode: edge-28nm/fp16 ÷ edge-28nm = {words}" in lines
    words = " ".join(text.split())
    assert re.search(
        r"weights 3\.28 Gbit 5\.00 pJ/bit 16\.4 mJ dram: lpddr5 4\.00–6\.00 13\.1–19\.7 mJ estimate \[", words
    )
    assert re.search(r"activations read .{10,60}asic-28nm: 256 KiB x64 read [\d.]+–[\d.]+ \d+–\d+ µJ … 1024 KiB", words)
    assert "last token tile (passes 331 − 1) · max(steps 40, height 1) 13,200 844,800" in words
    assert "waits for DRAM 217 MB take " in words
    assert "full token tiles" not in words, "a term of 0 cycles is left out"
    assert "mux2" not in words, "a count of 0 is left out"
    assert "In full: xnorscan sources asic-28nm dram" in words


def test_every_number_of_a_source_is_explained_once() -> None:
    text = printed(of_costs(model_trace("fbi-llm-130m"), load_designs(["edge-28nm"], ["gpu-h100/achieved"])))
    used = {int(number) for number in re.findall(r"\[(\d+)\]", text)}
    listed = [int(number) for number in re.findall(r"^ {0,2}(\d+)  \S", text[text.index("\nSources") :], re.M)]
    assert listed == sorted(used) == list(range(1, len(used) + 1))
    assert "gpu: achieved_bandwidth" in text
    assert "and achieved_power" in text


def test_several_tokens_are_named() -> None:
    found = of_costs(model_trace("tiny", "prefill", 64), [load_design("up5k")])
    (each,) = (replace(each, tokens=64) for each in found)
    assert "for 64 tokens = " in " ".join(printed([each]).split())
    assert "on up5k: energy per token" in printed([each])
