"""energy_models/summary.py: per-token totals and the range of a ratio."""

from __future__ import annotations

import pytest

from oracles.cost_workloads import model_trace
from xnorscan.designs.design import load_design
from xnorscan.energy_models.cost import cost
from xnorscan.energy_models.energy import COMPONENTS
from xnorscan.energy_models.summary import energy_ratio, per_token

NAMES = ("edge-28nm", "edge-28nm/fp16", "gpu-a100")


@pytest.fixture(scope="module")
def frame():
    return cost(model_trace("bi-mamba-2.7b"), [load_design(name) for name in NAMES])


def test_per_token_totals(frame) -> None:
    table = per_token(frame, 1).set_index("design")
    assert tuple(table.index) == NAMES
    edge = frame[frame["design"] == "edge-28nm"]
    row = table.loc["edge-28nm"]
    assert row["energy_uj_per_token"] == pytest.approx(edge["energy_pj"].sum() / 1e6)
    assert row["latency_us_per_token"] == pytest.approx(edge["cycles"].sum() / 500)
    assert row["tokens_per_s"] * row["latency_us_per_token"] == pytest.approx(1e6)
    assert row["dram_bytes_per_token"] == 582_283_266
    assert row["energy_uj_per_token_low"] < row["energy_uj_per_token"] < row["energy_uj_per_token_high"]
    assert table[[f"share_{component}" for component in COMPONENTS]].sum(axis=1).to_list() == pytest.approx([1, 1, 1])
    assert row["bound"] == "weights"
    assert row["bound_share"] == pytest.approx(edge[edge["bound"] == "weights"]["time_s"].sum() / edge["time_s"].sum())
    assert table.loc["gpu-a100", "share_board"] == 1


def test_per_token_divides_by_tokens(frame) -> None:
    one, four = per_token(frame, 1), per_token(frame, 4)
    for column in ("energy_uj_per_token", "latency_us_per_token", "dram_bytes_per_token", "energy_uj_per_token_high"):
        assert (one[column] / 4).to_list() == pytest.approx(four[column].to_list())
    with pytest.raises(ValueError, match="tokens is 0, it must be at least 1"):
        per_token(frame, 0)


def test_headline_bi_mamba_2_7b_on_the_edge(frame) -> None:
    """About 9 times less energy than FP16 on the same memory: DRAM moves 9.4 times less and takes nine tenths of it."""
    ratio = energy_ratio(frame, "edge-28nm", "edge-28nm/fp16")
    assert ratio.typical == pytest.approx(9.0, abs=0.1)
    assert 8.4 < ratio.low < ratio.typical < ratio.high < 9.42


def test_range_varies_prices_together(frame) -> None:
    """low ÷ low and high ÷ high lie inside; low ÷ high, one price moved both ways, would be far outside."""
    ratio = energy_ratio(frame, "edge-28nm", "edge-28nm/fp16")
    total = frame.groupby("design")[["energy_pj_low", "energy_pj_high"]].sum()
    mine, other = total.loc["edge-28nm"], total.loc["edge-28nm/fp16"]
    for end in ("energy_pj_low", "energy_pj_high"):
        assert ratio.low <= other[end] / mine[end] <= ratio.high
    assert other["energy_pj_low"] / mine["energy_pj_high"] < 0.8 * ratio.low


def test_a_design_against_itself_is_exactly_one(frame) -> None:
    ratio = energy_ratio(frame, "edge-28nm", "edge-28nm")
    assert (ratio.low, ratio.typical, ratio.high) == (1, 1, 1)


def test_unknown_design_is_named(frame) -> None:
    with pytest.raises(ValueError, match="design 'up5k' is not in the cost frame; it has edge-28nm"):
        energy_ratio(frame, "edge-28nm", "up5k")
