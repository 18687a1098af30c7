"""energy_models/summary.py: per-token totals and the range of a ratio."""

from __future__ import annotations

import math

import pytest

from oracles.cost_workloads import model_trace
from xnorscan.designs.design import load_design
from xnorscan.energy_models.bounds import BOUNDS
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


def test_shares_of_what_binds_and_of_what_is_not_the_binary_gemm(frame) -> None:
    table = per_token(frame, 1).set_index("design")
    for name in NAMES:
        rows, row = frame[frame["design"] == name], table.loc[name]
        assert sum(row[f"{bound}_time_share"] for bound in BOUNDS) == pytest.approx(1)
        assert row["bound_share"] == row[f"{row['bound']}_time_share"]
        gemm = rows[rows["name"].isin(["in_proj", "out_proj"])]
        for what, column in (("dram", "dram_bytes"), ("time", "time_s"), ("energy", "energy_pj")):
            assert row[f"outside_{what}_share"] == pytest.approx(1 - gemm[column].sum() / rows[column].sum())
    moved = 582_283_266
    assert table.loc["edge-28nm", "outside_dram_share"] == pytest.approx(1 - (321_454_080 + 1_966_080) / moved)


def test_a_model_without_one_bit_weights_has_no_binary_gemm() -> None:
    row = per_token(cost(model_trace("mamba2-130m"), [load_design("edge-28nm")]), 1).iloc[0]
    assert [row[f"outside_{what}_share"] for what in ("dram", "time", "energy")] == [1, 1, 1]


def test_where_nothing_is_moved_the_share_of_it_is_missing() -> None:
    row = per_token(cost(model_trace("tiny"), [load_design("ecp5-85")]), 1).iloc[0]
    assert math.isnan(row["outside_dram_share"])
    assert 0 < row["outside_energy_share"] < 1
    assert row["compute_time_share"] == 1


def test_fbi_llm_spends_more_on_its_cache_as_the_context_grows() -> None:
    shares = []
    for context in (128, 1024, 4096):
        costs = cost(model_trace("fbi-llm-7b", "decode", context), [load_design("edge-28nm")])
        shares.append(per_token(costs, 1).iloc[0])
    for column in ("state_time_share", "outside_dram_share", "outside_time_share", "outside_energy_share"):
        found = [row[column] for row in shares]
        assert found == sorted(found)
        assert found[2] > found[0] + 0.1
    assert (shares[0]["bound"], shares[2]["bound"]) == ("weights", "state")


def test_the_gain_of_bi_mamba_2_7b_shrinks_with_the_batch() -> None:
    """State is as wide in FP16, and each sequence has its own: what one-bit weights save is shared by the batch."""
    designs = [load_design(name) for name in ("edge-28nm/fp16", "edge-28nm")]
    found = []
    for batch in (1, 4, 16, 64):
        costs = cost(model_trace("bi-mamba-2.7b", batch=batch), designs)
        found.append((energy_ratio(costs, "edge-28nm", "edge-28nm/fp16").typical, per_token(costs, batch).iloc[1]))
    ratios = [ratio for ratio, _ in found]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 3 * ratios[-1] > 3
    assert [row["bound"] for _, row in found] == ["weights", "state", "state", "state"]
