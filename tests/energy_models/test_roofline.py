"""energy_models/roofline.py: peaks and ridge points by hand, no kind above its peak, no whole above its roof."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.cost_workloads import array, linear, model_trace, ops_of, scan, trace_of
from xnorscan.designs.design import load_design
from xnorscan.energy_models.cost import cost
from xnorscan.energy_models.cycles import compute_cycles
from xnorscan.energy_models.ops import Ops
from xnorscan.energy_models.roofline import ALL, ideal_cycles, roofline, unit_of
from xnorscan.energy_models.work import arithmetic

GPU_AND_ARRAYS = ("edge-28nm", "edge-28nm/fp16", "ecp5-85-ddr3", "gpu-h100")


def rows_of(model: str, design: str, **trace: object):
    loaded = load_design(design)
    return roofline(cost(model_trace(model, **trace), [loaded]), loaded).set_index("kind")


def test_bi_mamba_2_7b_decoding_on_the_edge_by_hand() -> None:
    """128 linears of 2 operations a weight; 323.4 MB of planes and scales; 51.2 GB/s; 4 · 32 · 64 lanes at 500 MHz."""
    rows = rows_of("bi-mamba-2.7b", "edge-28nm")
    linears = rows.loc["linear"]
    assert linears["operations"] == 128
    assert linears["arithmetic_ops"] == 2 * 2_571_632_640
    assert linears["dram_bytes"] == 321_454_080 + 1_966_080
    assert linears["peak_ops_per_s"] == pytest.approx(2 * 4 * 32 * 64 * 500e6)
    assert linears["ridge_ops_per_byte"] == pytest.approx(8.192e12 / 51.2e9)
    assert linears["attainable_ops_per_s"] == pytest.approx(51.2e9 * 2 * 2_571_632_640 / 323_420_160)
    head = rows.loc["head"]
    assert head["peak_ops_per_s"] == pytest.approx(linears["peak_ops_per_s"] / 8), "int8: eight passes"
    scans = rows.loc["scan"]
    assert scans["intensity_ops_per_byte"] == pytest.approx(scans["arithmetic_ops"] / scans["dram_bytes"])
    assert (linears["unit"], scans["unit"], rows.loc["conv1d", "unit"], rows.loc[ALL, "unit"]) == (
        "array", "scan", "vector", "all",
    )  # fmt: skip
    assert rows.index[-1] == ALL
    assert rows.loc[ALL, "bound"] == "weights"
    assert rows.loc[ALL, "operations"] == rows["operations"].iloc[:-1].sum() == 387


def test_arithmetic_is_the_models_whatever_the_design() -> None:
    """A scan of 8 channels × 8: 3 multiplies and 2 adds an element, D·x a channel, 2 lookups a head interpolated."""
    ops = ops_of(linear(tokens=3, outputs=5, inputs=7, planes=8), scan())
    assert list(arithmetic(ops)) == [2 * 3 * 5 * 7, 5 * 64 + 2 * 8 + 2 * 2 * 2]
    twin = ops.as_fp16()
    assert list(arithmetic(twin)) == list(arithmetic(ops))


def test_serial_activations_take_a_pass_for_each_bit() -> None:
    design = array(activations="serial")
    rows = roofline(cost(trace_of(linear(4, 8, 16)), [design]), design).set_index("kind")
    assert rows.loc["linear", "peak_ops_per_s"] == pytest.approx(2 * 4 * 8 * 16 * 100e6 / 8)


def test_attention_runs_where_it_can() -> None:
    assert unit_of("attention", load_design("edge-28nm")) == "vector"
    assert unit_of("attention", load_design("edge-28nm/fp16")) == "array"
    assert unit_of("scan", load_design("gpu-h100")) == "board"


def test_attention_of_fbi_llm_1_3b_by_hand() -> None:
    """Decode with 512 positions behind: 32 heads · 513 scores, two products of 64 each and 3 passes of softmax on 64
    vector lanes; twice 16 bit a channel and position read, one position written."""
    costs = cost(model_trace("fbi-llm-1.3b", "decode", 512), [load_design("edge-28nm")])
    scores = 32 * 513
    layer = costs[costs["kind"] == "attention"].iloc[0]
    assert layer["compute_cycles"] == math.ceil(scores * (2 * 64 + 3) / 64) + 8
    assert layer["arithmetic_ops"] == scores * (4 * 64 + 4)
    assert layer["dram_bytes"] == (513 + 1) * 2 * 2048 * 2
    assert layer["bound"] == "state"


def test_without_dram_there_is_no_slope() -> None:
    rows = rows_of("tiny", "ecp5-85")
    assert (rows["ridge_ops_per_byte"] == 0).all()
    assert (rows["intensity_ops_per_byte"] == math.inf).all()
    assert (rows["attainable_ops_per_s"] == rows["peak_ops_per_s"]).all()


@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("model", ["bi-mamba-780m", "mamba-130m", "fbi-llm-130m"])
@pytest.mark.parametrize("design", GPU_AND_ARRAYS)
def test_nothing_is_above_its_roof(design: str, model: str, phase: str) -> None:
    rows = rows_of(model, design, phase=phase, length=64)
    assert (rows["attained_ops_per_s"] <= rows["peak_ops_per_s"] * (1 + 1e-9)).all()
    whole = rows.loc[ALL]
    assert whole["attained_ops_per_s"] <= whole["attainable_ops_per_s"] * (1 + 1e-9)
    for column in ("arithmetic_ops", "dram_bytes", "time_s"):
        assert rows[column].iloc[:-1].sum() == pytest.approx(whole[column])


@settings(deadline=None, max_examples=40)
@given(
    tokens=st.integers(1, 40), outputs=st.integers(1, 200), inputs=st.integers(1, 300),
    planes=st.sampled_from([1, 2, 8]), heads=st.integers(1, 30), sequences=st.integers(1, 4),
    activations=st.sampled_from(["serial", "parallel"]), bandwidth=st.floats(0.01, 50),
)  # fmt: skip
def test_busy_lanes_bound_the_cycles_of_any_shape(
    tokens: int, outputs: int, inputs: int, planes: int, heads: int, sequences: int, activations: str, bandwidth: float
) -> None:
    rows = [linear(tokens, outputs, inputs, planes), scan(tokens * sequences, heads, sequences=sequences)]
    design = array(activations=activations, dram={"kind": "ddr3", "bandwidth_gb_per_s": bandwidth})
    ops = Ops.from_frame(trace_of(*rows).ops)
    assert (ideal_cycles(ops, design) <= compute_cycles(ops, design)).all()
    whole = roofline(cost(trace_of(*rows), [design]), design).iloc[-1]
    assert whole["attained_ops_per_s"] <= whole["attainable_ops_per_s"] * (1 + 1e-9)


def test_a_design_that_was_not_costed_is_named() -> None:
    costs = cost(trace_of(linear()), [array()])
    with pytest.raises(ValueError, match="design up5k is not in the cost frame; it has mine"):
        roofline(costs, load_design("up5k"))
