"""energy_models/cycles.py against an array stepped element by element, SCALE-Sim's closed form, and bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.cost_workloads import array, linear, model_trace, ops_of, scan
from xnorscan.designs.design import load_design
from xnorscan.energy_models.cycles import (
    array_cycles,
    compute_cycles,
    gemm_cycles,
    scan_cycles,
    vector_cycles,
)
from xnorscan.energy_models.ops import Ops
from xnorscan.energy_models.units import SCAN, VECTOR
from xnorscan.traces.op import Op

SIZE = st.integers(1, 40)


def stepped(tokens: int, outputs: int, steps: int, rows: int, cols: int) -> int:
    """Last cycle of an output-stationary array: every element's first and last step of every tile, one by one."""
    height, tiles = min(tokens, rows), -(-tokens // rows) * -(-outputs // cols)
    free = np.zeros((height, cols), dtype=int)  # when an element may take its next step
    drained = end = 0  # when the shift path is free; when the last result has left
    for _ in range(tiles):
        skew = np.add.outer(np.arange(height), np.arange(cols))
        start = max(int((free - skew).max()), drained - steps - (height - 1) - (cols - 1))
        free = start + skew + steps
        drained = end = int(free.max()) + height
    return end


@given(tokens=SIZE, outputs=SIZE, steps=SIZE, rows=st.integers(1, 9), cols=st.integers(1, 9))
def test_array_equals_the_stepped_one(tokens: int, outputs: int, steps: int, rows: int, cols: int) -> None:
    closed = gemm_cycles(np.array([tokens]), np.array([outputs]), np.array([steps]), rows, cols)
    assert closed[0] == stepped(tokens, outputs, steps, rows, cols)


def scale_sim(tokens: int, outputs: int, steps: int, rows: int, cols: int) -> int:
    """SCALE-Sim's output-stationary runtime (Samajdar et al., ISPASS 2020): (2R + C + T − 2) for each fold."""
    return (2 * rows + cols + steps - 2) * -(-tokens // rows) * -(-outputs // cols)


@given(tokens=SIZE, outputs=SIZE, steps=SIZE, rows=st.integers(1, 9), cols=st.integers(1, 9))
def test_array_is_scale_sim_with_folds_that_overlap(
    tokens: int, outputs: int, steps: int, rows: int, cols: int
) -> None:
    """One fold is equal. SCALE-Sim drains each fold before the next is filled; here a fold more takes its steps, or its
    drain where that is longer. Fewer tokens than rows are that many rows."""
    height = min(tokens, rows)
    folds = -(-tokens // height) * -(-outputs // cols)
    overlapped = (folds - 1) * (2 * height + cols + steps - 2 - max(steps, height))
    closed = gemm_cycles(np.array([tokens]), np.array([outputs]), np.array([steps]), rows, cols)[0]
    assert closed == scale_sim(tokens, outputs, steps, height, cols) - overlapped
    if folds == 1:
        assert closed == scale_sim(tokens, outputs, steps, height, cols)


@pytest.mark.parametrize(
    ("activations", "planes", "steps"),
    [("parallel", 1, 3), ("parallel", 8, 24), ("serial", 1, 24), ("serial", 2, 48)],
)
def test_passes_of_planes_and_bits(activations: str, planes: int, steps: int) -> None:
    """K = 40 on 16 lanes is 3 words; each plane is a pass, each activation bit takes the words again when serial.

    9 cycles from the start to the first step (loops, buffer, count; addresses 3, memory 2, words 1); then 2 blocks of 4
    columns, 4 levels of adders, a select tree of one level and a FIFO of 2 cycles.
    """
    design = array(rows=1, cols=8, activations=activations)
    cycles = array_cycles(ops_of(linear(outputs=8, inputs=40, planes=planes)), design)[0]
    assert cycles == 9 + steps + (2 + 4 + 1 + 2)


def test_mambas_real_shape_does_not_divide() -> None:
    """in_proj of Bi-Mamba-2.7B has 10576 outputs: 331 tiles of 32, the last half full. 40 words each."""
    ops = ops_of(linear(outputs=10576, inputs=2560))
    assert array_cycles(ops, array(rows=4, cols=32, lanes=64))[0] == 9 + 331 * 40 + (8 + 6 + 2 + 2)


@given(
    tokens=SIZE, outputs=SIZE, inputs=st.integers(1, 300), planes=st.sampled_from([1, 2, 8]),
    rows=st.integers(1, 9), cols=st.integers(1, 9), lanes=st.integers(1, 64),
    activations=st.sampled_from(["serial", "parallel"]),
)  # fmt: skip
def test_never_below_the_compute_bound(
    tokens: int, outputs: int, inputs: int, planes: int, rows: int, cols: int, lanes: int, activations: str
) -> None:
    design = array(rows=rows, cols=cols, lanes=lanes, activations=activations)
    ops = ops_of(linear(tokens, outputs, inputs, planes))
    assert array_cycles(ops, design)[0] * design.peak_macs_per_cycle >= tokens * outputs * inputs * planes
    assert array_cycles(ops_of(linear(tokens, outputs, inputs, planes + 1)), design)[0] >= array_cycles(ops, design)[0]


def test_vector_unit_counts_passes_over_lanes() -> None:
    norm = Op(
        step=0, layer=0, name="norm", kind="rmsnorm", sequences=1, tokens=3, outputs=10, inputs=10, activation_bits=32
    )
    conv = Op(
        step=0, layer=0, name="conv1d", kind="conv1d", sequences=1, tokens=3, outputs=10, inputs=4, activation_bits=18
    )
    cycles = vector_cycles(ops_of(norm, conv), array(vector_lanes=4))
    assert list(cycles) == [2 * 30 // 4 + VECTOR.latency, 4 * 30 // 4 + VECTOR.latency]


def test_quantizer_works_before_a_one_bit_linear_only() -> None:
    ops = ops_of(linear(tokens=2, inputs=10))
    assert vector_cycles(ops, array(vector_lanes=4))[0] == 2 * 20 // 4 + VECTOR.latency
    assert vector_cycles(ops.as_fp16(), load_design("edge-28nm/fp16"))[0] == 0


def test_scan_waits_for_its_own_recurrence() -> None:
    """64 elements on 8 lanes are 8 cycles a token, fewer than the latency; two sequences fill the pipeline."""
    design = array(scan_lanes=8)
    one = scan_cycles(ops_of(scan(tokens=5, heads=2, headdim=4, d_state=8)), design)[0]
    two = scan_cycles(ops_of(scan(tokens=10, heads=2, headdim=4, d_state=8, sequences=2)), design)[0]
    assert one == 5 * SCAN.latency + SCAN.latency
    assert two == 5 * 16 + SCAN.latency


@given(lanes=st.integers(1, 64), tokens=SIZE, heads=st.integers(1, 8))
def test_scan_never_below_its_bound(lanes: int, tokens: int, heads: int) -> None:
    cycles = scan_cycles(ops_of(scan(tokens=tokens, heads=heads)), array(scan_lanes=lanes))[0]
    assert cycles * lanes >= tokens * heads * 4 * 8


@pytest.mark.parametrize("name", ["bi-mamba-780m", "mamba-130m", "fbi-llm-130m"])
@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("design", ["edge-28nm", "edge-28nm/fp16", "up5k"])
def test_every_operation_of_every_family_takes_time(name: str, phase: str, design: str) -> None:
    ops = Ops.from_frame(model_trace(name, phase, 16, 2).ops)
    loaded = load_design(design)
    cycles = compute_cycles(ops if loaded.kind == "one_bit" else ops.as_fp16(), loaded)
    assert (cycles > 0).all()


def test_attention_on_the_array_covers_its_products() -> None:
    ops = Ops.from_frame(model_trace("fbi-llm-130m", "prefill", 16, 2).ops).as_fp16()
    design = load_design("edge-28nm/fp16")
    attention = ops.is_kind("attention")
    covered = array_cycles(ops, design)[attention] * design.peak_macs_per_cycle
    assert (covered >= ops.macs[attention]).all()
