"""What published cost models get wrong, each case by name, and the property that would have caught it."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oracles.cost_workloads import array, linear, model_trace, ops_of, scan, trace_of
from xnorscan.designs.design import Fp16ArrayDesign, load_design
from xnorscan.designs.pipeline import array_latency
from xnorscan.energy_models.cost import cost
from xnorscan.energy_models.cycles import array_cycles

IN_PROJ, OUT_PROJ = {"outputs": 10576, "inputs": 2560}, {"outputs": 2560, "inputs": 5120}
ROWS = st.lists(
    st.one_of(
        st.builds(
            linear, tokens=st.integers(1, 40), outputs=st.integers(1, 300), inputs=st.integers(1, 900),
            planes=st.sampled_from([1, 2, 8]),
        ),
        st.builds(scan, tokens=st.integers(1, 40), heads=st.integers(1, 60)),
    ),
    min_size=1, max_size=5,
)  # fmt: skip
NOTHING_KEPT = {"weight_memory_kib": 0, "activation_memory_kib": 1, "state_memory_kib": 0}
SIZES = ("weight_memory_kib", "activation_memory_kib", "state_memory_kib")
FEW = settings(deadline=None, max_examples=25)


def costed(rows: list, **changes: object) -> pd.DataFrame:
    return cost(trace_of(*rows), [array(**changes)])


@pytest.mark.parametrize("outputs", [10560, 10576, 10592, 10752])
@pytest.mark.parametrize("design", ["edge-28nm", "edge-28nm/fp16", "ecp5-85-ddr3", "gpu-a100"])
def test_zigzag_is_below_the_dram_port_at_10576_outputs(outputs: int, design: str) -> None:
    """ZigZag 3.9.1: 0.971 of the cycles that the port alone needs, at Mamba-2's own shape, which 32 does not divide."""
    loaded = load_design(design)
    assert loaded.dram is not None
    rows = cost(trace_of(linear(outputs=outputs, inputs=2560)), [loaded])
    least = rows["dram_bytes"][0] * loaded.clock_hz / (loaded.dram.bandwidth_gb_per_s * 1e9)
    assert rows["dram_bytes"][0] >= outputs * 2560 // 8
    assert rows["cycles"][0] >= least


@pytest.mark.parametrize("tokens", [1, 512])
@pytest.mark.parametrize("shape", [IN_PROJ, OUT_PROJ])
def test_zigzag_pays_more_for_fewer_bits(tokens: int, shape: dict[str, int]) -> None:
    """ZigZag: prefill of out_proj with 1-bit weights costs 37 % more energy than with 8-bit ones."""
    costs = [cost(trace_of(linear(tokens, planes=p, **shape)), [load_design("edge-28nm")]) for p in (1, 2, 4, 8)]
    for fewer, more in pairwise(costs):
        assert fewer["energy_pj"][0] < more["energy_pj"][0]
        assert fewer["cycles"][0] < more["cycles"][0]
        assert fewer["energy_array_pj"][0] < more["energy_array_pj"][0]


@FEW
@given(rows=ROWS, at=st.integers(0, 4), bandwidth=st.floats(0.01, 50))
def test_precision_is_monotone(rows: list, at: int, bandwidth: float) -> None:
    at %= len(rows)
    assume(rows[at].kind == "linear")
    old = rows[at]
    changes = NOTHING_KEPT | {"dram": {"kind": "lpddr4", "bandwidth_gb_per_s": bandwidth}}
    planes = max(old.weight_planes, 2)  # one plane has its scale per input: another format, not fewer bits of this one
    narrow, wide = (
        costed([*rows[:at], linear(old.tokens, old.outputs, old.inputs, each), *rows[at + 1 :]], **changes)
        for each in (planes, planes + 1)
    )
    for column in ("cycles", "dram_bytes", "energy_pj"):
        assert narrow[column].sum() <= wide[column].sum() * (1 + 1e-12)


@FEW
@given(rows=ROWS, size=st.sampled_from(SIZES), sizes=st.tuples(*[st.integers(0, 24)] * 3), more=st.integers(1, 32))
def test_zigzag_loads_less_into_a_smaller_memory(rows: list, size: str, sizes: tuple[int, int, int], more: int) -> None:
    """ZigZag, issue 52, and SCALE-Sim, issue 27: DRAM traffic and cycles never grow with a memory."""
    memories = dict(zip(SIZES, sizes, strict=True))
    small, large = costed(rows, **memories), costed(rows, **memories | {size: memories[size] + more})
    assert large["dram_bytes"].sum() <= small["dram_bytes"].sum()
    assert large["cycles"].sum() <= small["cycles"].sum()


@pytest.mark.parametrize("shape", [IN_PROJ, OUT_PROJ])
def test_scale_sim_reads_the_weights_of_a_gemv_twice(shape: dict[str, int]) -> None:
    """SCALE-Sim 3.0.0: 2.09 times the filter from DRAM, outputs written three times. nn_dataflow: no filter at all."""
    row = linear(**shape)
    found = cost(trace_of(row), [load_design("edge-28nm")])
    assert found["dram_bytes"][0] == found["dram_weight_bytes"][0] == row.weight_bytes


def test_scale_sim_takes_a_gemv_for_a_gemm() -> None:
    """SCALE-Sim, issue 51: one token must not take the cycles of 512."""
    one, many = (cost(trace_of(linear(t, **IN_PROJ)), [load_design("edge-28nm")]) for t in (1, 512))
    assert one["compute_cycles"][0] * 64 < many["compute_cycles"][0]


def test_timeloop_s_bandwidth_is_in_words() -> None:
    """Timeloop 3.0.3: an eighth of the bits is an eighth of the energy and no cycle less."""
    wide, narrow = (cost(trace_of(linear(planes=p, **IN_PROJ)), [load_design("edge-28nm")]) for p in (8, 1))
    assert narrow["cycles"][0] == pytest.approx(wide["cycles"][0] / 8, rel=0.01)


def test_llmcompass_divides_elements_by_bytes_per_second() -> None:
    """LLMCompass: an FP16 GEMV of 10576 × 2560 on an A100 at 13.28 µs; two bytes an element are 26.56."""
    found = cost(trace_of(linear(**IN_PROJ)), [load_design("gpu-a100")])
    assert found["time_s"][0] == pytest.approx(2 * 10576 * 2560 / 2.039e12, rel=1e-3)
    assert found["time_s"][0] == pytest.approx(26.56e-6, abs=0.01e-6)


def test_genz_gives_mamba_a_feed_forward_network() -> None:
    """GenZ 0.0.16: 5.28 G parameters in Mamba-2.8B. A one-bit Mamba-2 of 2.7B has 2.65 G weights in its linears."""
    ops = model_trace("bi-mamba-2.7b").ops
    assert set(ops["name"]).isdisjoint({"up", "down", "gate_proj", "ffn"})
    linears = ops[ops["kind"] == "linear"]
    assert (linears["outputs"] * linears["inputs"]).sum() == 2_571_632_640 + 32000 * 2560


@given(
    tokens=st.integers(1, 40), outputs=st.integers(1, 200), inputs=st.integers(1, 300), times=st.integers(2, 4),
    grown=st.sampled_from(["rows", "cols", "lanes"]), activations=st.sampled_from(["serial", "parallel"]),
)  # fmt: skip
def test_a_multiple_of_the_array_is_never_slower_but_for_its_longer_pipeline(
    tokens: int, outputs: int, inputs: int, times: int, grown: str, activations: str
) -> None:
    small = array(activations=activations)
    large = array(activations=activations, **{grown: getattr(small, grown) * times})
    before, after = (
        array_cycles(ops_of(linear(tokens, outputs, inputs)), each)[0]
        - array_latency(each.rows, each.cols, each.lanes, each.rtl.cols_per_block, each.rtl.levels_per_stage)
        for each in (small, large)
    )
    assert after <= before


@given(
    tokens=st.integers(1, 40), outputs=st.integers(1, 200), inputs=st.integers(1, 300), times=st.integers(2, 4),
    grown=st.sampled_from(["cols", "lanes"]),
)  # fmt: skip
def test_a_multiple_of_the_fp16_array_is_never_slower_but_for_its_skew(
    tokens: int, outputs: int, inputs: int, times: int, grown: str
) -> None:
    fields = array().model_dump(exclude={"kind", "activations", "rtl", "state", "head"})
    small = Fp16ArrayDesign.model_validate(fields)
    large = Fp16ArrayDesign.model_validate(fields | {grown: fields[grown] * times})
    before, after = (
        array_cycles(ops_of(linear(tokens, outputs, inputs)).as_fp16(), each)[0] - each.cols for each in (small, large)
    )
    assert after <= before


@FEW
@given(rows=ROWS, unit=st.sampled_from(["vector_lanes", "scan_lanes"]), times=st.integers(2, 4))
def test_more_lanes_are_never_slower(rows: list, unit: str, times: int) -> None:
    small = costed(rows)["cycles"].sum()
    assert costed(rows, **{unit: getattr(array(), unit) * times})["cycles"].sum() <= small


def test_designs_do_not_depend_on_their_order() -> None:
    trace, names = model_trace("bi-mamba-780m"), ["edge-28nm", "edge-28nm/fp16", "gpu-h100"]
    there = cost(trace, [load_design(name) for name in names])
    back = cost(trace, [load_design(name) for name in reversed(names)])
    for name in names:
        one, other = (frame[frame["design"] == name].reset_index(drop=True) for frame in (there, back))
        pd.testing.assert_frame_equal(one, other)
