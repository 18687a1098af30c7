"""energy_models/evaluate.py, space.py, workload.py: one design and many, against the sums of cost frames."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.cost_workloads import array, linear, model_trace, scan, trace_of
from xnorscan.designs.design import Dram, Head, OneBitDesign, Residency, RtlOptions, State, load_design
from xnorscan.energy_models import evaluate as module
from xnorscan.energy_models.bounds import BOUNDS
from xnorscan.energy_models.cost import cost, fits
from xnorscan.energy_models.evaluate import Totals, evaluate, evaluate_one
from xnorscan.energy_models.evaluate_kernel import LANES
from xnorscan.energy_models.ops import Ops
from xnorscan.energy_models.space import Space
from xnorscan.energy_models.workload import AskedOps, Workload
from xnorscan.traces.op import KINDS, Op
from xnorscan.traces.trace import Trace

ENERGY = ["energy_pj_low", "energy_pj", "energy_pj_high"]
DESIGN = st.fixed_dictionaries({
    "rows": st.integers(1, 9), "cols": st.integers(1, 40), "lanes": st.sampled_from([1, 8, 32, 64]),
    "activations": st.sampled_from(["serial", "parallel"]),
    "vector_lanes": st.integers(1, 9), "scan_lanes": st.integers(1, 9), "clock_mhz": st.floats(1, 900),
    "weight_memory_kib": st.integers(0, 40), "activation_memory_kib": st.integers(0, 3),
    "state_memory_kib": st.integers(0, 3), "technology": st.sampled_from(["asic-28nm", "asic-7nm", "ecp5"]),
    "dram": st.none() | st.builds(Dram, kind=st.sampled_from(["ddr3", "hbm2"]), bandwidth_gb_per_s=st.floats(1e-3, 90)),
    "head": st.builds(Head, bits=st.sampled_from([None, 1, 8])),
    "state": st.builds(State, scan=st.builds(Residency, bits=st.sampled_from([None, 8, 32]))),
    "rtl": st.builds(RtlOptions, cols_per_block=st.sampled_from([1, 3]), levels_per_stage=st.sampled_from([1, 2])),
})  # fmt: skip
LAYER = st.lists(
    st.builds(linear, tokens=st.integers(1, 40), outputs=st.integers(1, 400), inputs=st.integers(1, 300))
    | st.builds(scan, tokens=st.integers(1, 9)),
    min_size=1, max_size=3,
)  # fmt: skip
STEP = st.lists(st.tuples(LAYER, st.integers(1, 11)), min_size=1, max_size=2)


def run_of(steps: list[list[tuple[list[Op], int]]]) -> Trace:
    """A trace of steps, each of runs of equal layers."""
    rows = []
    for step, runs in enumerate(steps):
        layers = [layer for layer, times in runs for _ in range(times)]
        rows += [replace(op, step=step, layer=number) for number, layer in enumerate(layers) for op in layer]
    return trace_of(*rows)


def assert_is(totals: Totals, at: int, frame: pd.DataFrame) -> None:
    """A point of ``totals`` is the sum of a cost frame."""
    assert totals.feasible[at]
    for column in ("cycles", "compute_cycles", "dram_bytes"):
        assert getattr(totals, column)[at] == frame[column].sum(), column
    assert totals.latency_s[at] == pytest.approx(frame["time_s"].sum(), rel=1e-12)
    np.testing.assert_allclose(totals.energy_pj[at], frame[ENERGY].sum(), rtol=1e-12)


@settings(deadline=None, max_examples=25)
@given(steps=st.lists(STEP, min_size=1, max_size=3), fields=st.lists(DESIGN, min_size=1, max_size=3))
def test_any_designs_on_any_layers_cost_what_their_frames_sum_to(steps: list, fields: list[dict[str, Any]]) -> None:
    trace = run_of(steps)
    designs = [array(**each) for each in fields]
    totals = evaluate(Workload.from_trace(trace), Space.of(designs))
    for at, design in enumerate(designs):
        if fits(trace, design).feasible:
            assert_is(totals, at, cost(trace, [design]))
        else:
            assert not totals.feasible[at]
            assert totals.cycles[at] == totals.compute_cycles[at] == totals.dram_bytes[at] == totals.bound[at] == -1
            assert np.isnan([totals.latency_s[at], *totals.energy_pj[at]]).all()


@pytest.mark.parametrize("name", ["bi-mamba-2.7b", "mamba-130m", "fbi-llm-130m"])
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_models_on_presets(name: str, phase: str) -> None:
    trace = model_trace(name, phase, 64, 2)
    designs = [load_design(each) for each in ("edge-28nm", "datacenter-7nm", "ecp5-85-ddr3", "ecp5-85-serial")]
    designs = [design for design in designs if isinstance(design, OneBitDesign) and fits(trace, design).feasible]
    totals = evaluate(Workload.from_trace(trace), Space.of(designs))
    for at, design in enumerate(designs):
        assert_is(totals, at, cost(trace, [design]))


def test_every_point_of_a_product_is_its_design_alone_to_the_last_bit() -> None:
    workload = Workload.from_trace(model_trace("bi-mamba-780m"))
    space = Space.product(
        load_design("edge-28nm"),
        rows=[1, 4], technology=["asic-28nm", "asic-7nm"], **{"dram.kind": ["lpddr5", "hbm2"]}, cols=[16, 32, 96],
        state_memory_kib=[0, 4096], head=[Head(), Head(bits=1)], activations=["serial", "parallel"],
        **{"state.scan.bits": [None, 8]}, clock_mhz=[100.0, 300.0, 500.0], lanes=[16, 64],
        **{"dram.bandwidth_gb_per_s": [3.2, 12.8, 51.2]}, vector_lanes=[8, 64],
    )  # fmt: skip
    assert len(space) == math.prod(space.shape) == 13824 > LANES
    totals = evaluate(workload, space)
    assert len(np.unique(totals.cycles)) > len(space) / 10
    for at in range(7, len(space), 97):
        one = evaluate_one(workload, space[at])
        assert asdict(one) == {
            "cycles": totals.cycles[at], "compute_cycles": totals.compute_cycles[at],
            "latency_s": totals.latency_s[at], "energy_pj": tuple(totals.energy_pj[at]),
            "dram_bytes": totals.dram_bytes[at], "bound": BOUNDS[totals.bound[at]],
        }  # fmt: skip
    listed = evaluate(workload, Space.of([space[at] for at in range(0, len(space), 41)]))
    for field in asdict(totals):
        np.testing.assert_array_equal(getattr(listed, field), getattr(totals, field)[::41])


def test_toggle_rates_of_a_recorded_trace_count() -> None:
    rates = (0.1, 0.3, 0.1, 0.7)
    rows = [replace(linear(bits=1), layer=layer, toggle=(rate,), density=(0.5,)) for layer, rate in enumerate(rates)]
    workload = Workload.from_trace(trace_of(*rows))
    assert (len(workload.ops), len(workload.linears)) == (1, 3)
    assert_is(evaluate(workload, Space.of([array()])), 0, cost(trace_of(*rows), [array()]))


def test_a_workload_without_a_linear_has_no_energy_of_the_array() -> None:
    trace = trace_of(scan(tokens=3))
    workload = Workload.from_trace(trace)
    assert len(workload.linears) == 0
    assert_is(evaluate(workload, Space.of([array()])), 0, cost(trace, [array()]))


@pytest.mark.parametrize("name", ["bi-mamba-780m", "mamba-130m", "fbi-llm-130m"])
def test_asked_operations_are_of_the_kinds_that_they_are(name: str) -> None:
    plain = Ops.from_frame(model_trace(name).ops)
    asked = AskedOps(**vars(plain))
    for kinds in [*((kind,) for kind in KINDS), ("scan", "conv1d"), ("rmsnorm", "gated_rmsnorm")]:
        for _ in range(2):
            np.testing.assert_array_equal(asked.is_kind(*kinds), plain.is_kind(*kinds))
    assert asked.is_kind("linear") is asked.is_kind("linear")
    narrow = asked.in_formats_of(array(head=Head(bits=1)))
    np.testing.assert_array_equal(narrow.is_head, plain.is_head)


def test_a_size_never_seen_asks_no_size_that_is_known() -> None:
    """Another number of rows is no reason to count the gates of an element or the work of a unit again."""
    workload = Workload.from_trace(model_trace("bi-mamba-780m"))
    for rows in (3, 5):
        evaluate_one(workload, array(rows=rows))
    asked = Counter(what for what, _ in workload.memo)
    assert asked["_array"] == asked["_array_actions"] == asked["_storage"] == 2
    for what in ("formats", "_step_actions", "units", "_vector", "_scan", "_placement", "_access_prices"):
        assert asked[what] == 1, what


def test_a_model_collapses_to_its_layer() -> None:
    workload = Workload.from_trace(model_trace("bi-mamba-2.7b"))
    assert len(workload.ops) == 9
    assert workload.repeats.sum() == len(model_trace("bi-mamba-2.7b").ops) == 387
    assert workload.program.runs.tolist() == [[0, 1, 1], [1, 7, 64], [7, 9, 1]]
    assert workload.program.steps.tolist() == [[0, 3, 0, 9, 1]]


def test_equal_steps_are_one() -> None:
    program = Workload.from_trace(run_of([[([linear()], 3)], [([linear(), scan()], 1)], [([linear()], 3)]])).program
    assert program.steps.tolist() == [[0, 1, 0, 1, 2], [1, 2, 1, 3, 1]]
    assert program.members.tolist() == [[0, 3], [0, 1], [1, 1]]


def test_bound_is_compute_or_the_largest_part_of_what_is_moved() -> None:
    workload = Workload.from_trace(model_trace("bi-mamba-2.7b"))
    edge = load_design("edge-28nm")
    slow = Space.product(edge, **{"dram.bandwidth_gb_per_s": [0.1, 1e4]})
    assert [BOUNDS[each] for each in evaluate(workload, slow).bound] == ["weights", "compute"]
    assert evaluate_one(workload, edge.model_copy(update={"head": Head(bits=16)})).bound == "weights"
    head = Workload.from_trace(trace_of(replace(linear(4, 4000, 4000), layer=-1)))
    assert evaluate_one(head, array()).bound == "head"
    state = Workload.from_trace(trace_of(scan(heads=90)))
    assert evaluate_one(state, array(scan_lanes=1 << 20, vector_lanes=1 << 20)).bound == "state"


def test_what_does_not_fit_says_need_and_have() -> None:
    trace = model_trace("bi-mamba-2.7b")
    design = array(dram=None)
    with pytest.raises(ValueError, match=r"mine has no dram: weights need \d+\.\d KiB, weight_memory_kib is 4; state"):
        evaluate_one(Workload.from_trace(trace), design)


def test_an_unknown_technology_is_refused() -> None:
    with pytest.raises(ValueError, match="no technology 'asic-1nm'"):
        evaluate_one(Workload.from_trace(trace_of(linear())), array(technology="asic-1nm"))


def test_an_empty_trace_is_refused() -> None:
    with pytest.raises(ValueError, match="the trace of made has no operations; a workload needs at least one"):
        Workload.from_trace(trace_of())


def test_every_field_of_a_design_is_in_a_factor() -> None:
    """A field that none reads would be left out of every result."""
    factors = (module.ARRAY, module.VECTOR, module.SCAN, module.TRAFFIC, module.RATE, module.SWITCHING, module.STORAGE)
    read = {path.split(".")[0] for fields in factors for path in fields}
    assert set(OneBitDesign.model_fields) - read == {"kind", "name", "description"}


def test_results_are_forgotten_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xnorscan.energy_models.workload.MEMO_LIMIT", 5)
    workload = Workload.from_trace(trace_of(linear()))
    totals = evaluate(workload, Space.product(array(), rows=range(1, 30)))
    assert len(workload.memo) <= 5
    assert_is(totals, 28, cost(trace_of(linear()), [array(rows=29)]))


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"row": [1]}, "axis row: mine has no such field to vary"),
        ({"name": ["a"]}, "axis name: mine has no such field to vary"),
        ({"rows.x": [1]}, "axis rows.x: mine has no such field to vary"),
        ({"rows": []}, "axis rows has no values; give at least one"),
        ({"rows": [1, 0]}, "axis rows: 0 is not possible in mine: Input should be greater than or equal to 1"),
        ({"dram": [None], "dram.kind": ["hbm2"]}, "axes dram and dram.kind set the same field; give one of them"),
    ],
)
def test_axes_are_checked(axes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Space.product(array(), **axes)


def test_points_of_a_space() -> None:
    space = Space.product(array(), rows=[1, 2], **{"dram.kind": ["ddr4", "hbm2", "hbm3"]})
    assert (len(space), space.shape) == (6, (2, 3))
    assert space[4] == array(rows=2, dram={"kind": "hbm2", "bandwidth_gb_per_s": 1.0})
    with pytest.raises(IndexError, match="point 6 is not in a space of 6"):
        space[6]
    assert len(Space.product(array())) == 1


def test_a_space_is_of_one_bit_designs() -> None:
    with pytest.raises(ValueError, match="no design is given; a space needs at least one"):
        Space.of([])
    with pytest.raises(ValueError, match=r"gpu-a100 is of kind gpu; a space has one_bit designs only"):
        Space.of([load_design("gpu-a100")])  # type: ignore[list-item]  # the point of the test
