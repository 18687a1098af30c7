"""energy_models/cost.py: the frame, its bounds and its invariances; GPUs; speed."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.cost_workloads import array, linear, model_trace, scan, trace_of
from xnorscan.designs.design import Fp16ArrayDesign, GpuDesign, OneBitDesign, load_design
from xnorscan.energy_models.cost import COLUMNS, cost, fits
from xnorscan.energy_models.energy import COMPONENTS
from xnorscan.traces.trace import Trace

FOUR = ("edge-28nm", "edge-28nm/fp16", "datacenter-7nm", "gpu-h100")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return cost(model_trace("bi-mamba-2.7b"), [load_design(name) for name in FOUR])


def test_one_row_per_operation_and_design_in_order(frame: pd.DataFrame) -> None:
    ops = model_trace("bi-mamba-2.7b").ops
    assert tuple(frame.columns) == COLUMNS
    assert list(frame["design"].unique()) == list(FOUR)
    for name in FOUR:
        rows = frame[frame["design"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows[["step", "layer", "name", "kind"]], ops[["step", "layer", "name", "kind"]])
    assert (frame["count"] == 1).all()


def test_parts_add_up(frame: pd.DataFrame) -> None:
    for end in ("", "_low", "_high"):
        parts = frame[[f"energy_{component}_pj{end}" for component in COMPONENTS]].sum(axis=1)
        np.testing.assert_allclose(parts, frame[f"energy_pj{end}"])
    assert (frame["energy_pj_low"] <= frame["energy_pj"]).all()
    assert (frame["energy_pj"] <= frame["energy_pj_high"]).all()
    dram = frame[["dram_weight_bytes", "dram_state_bytes", "dram_activation_bytes"]].sum(axis=1)
    assert (dram == frame["dram_bytes"]).all()
    assert (frame["cycles"] >= frame["compute_cycles"]).all()
    sums = frame.groupby("design")[["cycles", "compute_cycles", "memory_cycles"]].sum()
    assert (sums["cycles"] >= sums["memory_cycles"] - len(frame)).all(), "of which each is rounded up"
    gpu = frame[frame["design"] == "gpu-h100"]
    assert (gpu["cycles"] == gpu[["compute_cycles", "memory_cycles"]].max(axis=1)).all()


def test_memory_bound_is_the_bandwidth(frame: pd.DataFrame) -> None:
    for name in FOUR:
        design, rows = load_design(name), frame[frame["design"] == name]
        assert design.dram is not None
        assert rows["time_s"].sum() * design.dram.bandwidth_gb_per_s * 1e9 * (1 + 1e-9) >= rows["dram_bytes"].sum()


def test_what_binds_bi_mamba_2_7b_on_the_edge(frame: pd.DataFrame) -> None:
    rows = frame[frame["design"] == "edge-28nm"]
    bound = rows.groupby("name")["bound"].unique().map(list).to_dict()
    assert bound["in_proj"] == bound["out_proj"] == ["weights"]
    assert bound["scan"] == ["state"]
    assert bound["lm_head"] == ["head"]
    assert bound["norm"] == ["compute"]


def test_state_on_chip_is_what_sets_the_datacenter_design_apart(frame: pd.DataFrame) -> None:
    rows = frame[frame["design"] == "datacenter-7nm"]
    assert rows["dram_state_bytes"].sum() == 0
    assert set(rows[rows["name"] == "scan"]["bound"]) == {"compute"}


def test_a_gpu_decodes_at_its_bandwidth_and_board_power() -> None:
    design = load_design("gpu-a100")
    assert isinstance(design, GpuDesign)
    rows = cost(model_trace("mamba2-2.7b"), [design])
    seconds = rows["time_s"].sum()
    assert seconds == pytest.approx(rows["dram_bytes"].sum() / 2.039e12, rel=0.01)
    assert rows["energy_pj"].sum() == pytest.approx(seconds * 400 * 1e12)
    assert rows["energy_pj_low"].sum() < rows["energy_pj"].sum() < rows["energy_pj_high"].sum()


def test_a_gpu_prefill_is_bound_by_its_peak() -> None:
    rows = cost(trace_of(linear(tokens=4096, outputs=4096, inputs=4096)), [load_design("gpu-a100")])
    assert rows["time_s"][0] == pytest.approx(2 * 4096**3 / 312e12, rel=1e-3)
    assert rows["bound"][0] == "compute"


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(
        st.one_of(
            st.builds(
                linear, tokens=st.integers(1, 40), outputs=st.integers(1, 90), inputs=st.integers(1, 200),
                planes=st.sampled_from([1, 8]),
            ),
            st.builds(scan, tokens=st.integers(1, 40)),
        ),
        min_size=1, max_size=5,
    ),
    bandwidth=st.floats(0.01, 100), faster=st.floats(1, 10), rows_of_array=st.integers(1, 8),
    seed=st.randoms(use_true_random=False),
)  # fmt: skip
def test_bounds_monotone_and_what_does_not_depend_on_the_order(
    rows: list, bandwidth: float, faster: float, rows_of_array: int, seed
) -> None:
    dram = {"kind": "lpddr4", "bandwidth_gb_per_s": bandwidth}
    design = array(dram=dram, rows=rows_of_array, weight_memory_kib=1, state_memory_kib=0, activation_memory_kib=1)
    slow = cost(trace_of(*rows), [design])
    quick = cost(
        trace_of(*rows), [array(**(design.model_dump() | {"dram": dram | {"bandwidth_gb_per_s": bandwidth * faster}}))]
    )
    assert (slow["cycles"] >= slow["compute_cycles"]).all()
    assert slow["time_s"].sum() * bandwidth * 1e9 * (1 + 1e-9) >= slow["dram_bytes"].sum()
    assert quick["cycles"].sum() <= slow["cycles"].sum()
    order = list(range(len(rows)))
    seed.shuffle(order)
    shuffled = cost(trace_of(*(rows[index] for index in order)), [design])
    timed = {"cycles", "time_s", *(name for name in COLUMNS if "leakage" in name or name.startswith("energy_pj"))}
    kept = [name for name in COLUMNS if name not in timed | {"design", "step", "layer", "name", "kind", "bound"}]
    np.testing.assert_allclose(shuffled[kept].to_numpy(float), slow[kept].iloc[order].to_numpy(float))


def test_fewer_planes_never_cost_more() -> None:
    design = load_design("edge-28nm")
    costs = [cost(trace_of(linear(64, 2560, 5120, planes)), [design]) for planes in (1, 2, 4, 8)]
    for fewer, more in pairwise(costs):
        for column in ("cycles", "energy_pj", "dram_bytes", "sram_bytes"):
            assert fewer[column][0] <= more[column][0]


@pytest.mark.parametrize("name", ["fbi-llm-130m", "mamba-130m", "mamba2-130m", "bi-mamba-780m"])
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_every_kind_of_every_family_costs_something(name: str, phase: str) -> None:
    designs = [load_design(each) for each in (*FOUR, "ecp5-85-ddr3", "gpu-a100")]
    rows = cost(model_trace(name, phase, 16, 2), designs)
    assert (rows["cycles"] > 0).all()
    assert (rows["energy_pj"] > 0).all()
    assert np.isfinite(rows.select_dtypes("number").to_numpy()).all()


def test_a_model_too_large_is_refused_and_marked() -> None:
    trace, design = model_trace("bi-mamba-780m"), load_design("ecp5-85")
    result = fits(trace, design)
    assert not result.feasible
    with pytest.raises(ValueError, match=r"^ecp5-85 has no dram: weights need \d+\.\d KiB, weight_memory_kib is 418"):
        cost(trace, [design])
    assert fits(trace, load_design("edge-28nm")).feasible


def test_fp16_twins_are_judged_in_fp16() -> None:
    """10 KiB of one-bit weights fit 12 KiB; the 160 KiB of their FP16 twin do not."""
    small = array(name="small", dram=None, weight_memory_kib=12, activation_memory_kib=64)
    trace = trace_of(linear(outputs=1024, inputs=80))
    twin = Fp16ArrayDesign.model_validate(small.model_dump(exclude={"kind", "activations", "rtl", "state", "head"}))
    assert fits(trace, small).feasible
    assert fits(trace, twin).reason == "small has no dram: weights need 160.0 KiB, weight_memory_kib is 12"


def test_bad_requests_are_one_line() -> None:
    trace = trace_of(linear())
    with pytest.raises(ValueError, match="no design is given"):
        cost(trace, [])
    with pytest.raises(ValueError, match="design mine is given twice"):
        cost(trace, [array(), array(rows=1)])
    with pytest.raises(ValueError, match="no technology 'mud'"):
        cost(trace, [array(technology="mud")])


def test_quick_enough() -> None:
    """A 64-layer step on four designs; the bar is 0.1 s, met in a fifth of it on a quiet core."""
    trace: Trace = model_trace("bi-mamba-2.7b")
    designs = [load_design(name) for name in FOUR]
    times = []
    for _ in range(5):
        start = time.process_time()
        cost(trace, designs)
        times.append(time.process_time() - start)
    assert min(times) < 0.1


STATES = ("scan", "conv1d", "attention")


def placed(at: str, bits: int = 16) -> OneBitDesign:
    """The datacenter design with room for every state here, all of it in one place."""
    large = {"state_memory_kib": 1 << 20, "state": {kind: {"at": at, "bits": bits} for kind in STATES}}
    return OneBitDesign.model_validate(load_design("datacenter-7nm").model_dump() | large)


@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("name", ["bi-mamba-780m", "fbi-llm-1.3b"])
def test_wider_state_and_spilled_state_are_never_cheaper(name: str, phase: str) -> None:
    trace = model_trace(name, phase, 64)
    totals = {
        (at, bits): cost(trace, [placed(at, bits)])[["dram_bytes", "cycles", "energy_pj"]].sum()
        for at in ("on_chip", "spilled")
        for bits in (8, 16, 32)
    }
    for at in ("on_chip", "spilled"):
        for narrow, wide in ((8, 16), (16, 32)):
            assert (totals[at, narrow] <= totals[at, wide]).all()
            assert totals[at, narrow]["energy_pj"] < totals[at, wide]["energy_pj"]
    for bits in (8, 16, 32):
        assert (totals["on_chip", bits] <= totals["spilled", bits]).all()
        assert totals["on_chip", bits]["energy_pj"] < totals["spilled", bits]["energy_pj"]


@pytest.mark.parametrize("column", ["dram_bytes", "cycles", "energy_pj"])
def test_a_wider_head_and_a_streamed_head_are_never_cheaper(column: str) -> None:
    def whole(**head: object) -> float:
        room = {"weight_memory_kib": 1 << 18, "head": head}
        design = OneBitDesign.model_validate(load_design("datacenter-7nm").model_dump() | room)
        return float(cost(model_trace("bi-mamba-2.7b"), [design])[column].sum())

    assert whole(at="streamed", bits=1) < whole(at="streamed", bits=8) < whole(at="streamed", bits=16)
    assert whole(at="on_chip", bits=8) < whole(at="streamed", bits=8)
    assert whole(at="streamed", bits=8) == whole(at="streamed")
