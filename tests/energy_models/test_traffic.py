"""energy_models/traffic.py: compulsory traffic, what stays on chip, and never less as memories shrink."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.cost_workloads import array, linear, model_trace, ops_of, scan
from xnorscan.designs.design import load_design
from xnorscan.energy_models.ops import Ops
from xnorscan.energy_models.traffic import Traffic, fit, place, traffic

BI_MAMBA = "bi-mamba-2.7b"
BINARY_WEIGHTS = 2_571_632_640 // 8  # 321.5 MB
SCALES = 64 * 2 * (2560 + 5120) * 2  # α and β of in_proj and out_proj
HEAD = 32000 * 2560 + 32000 * 2  # int8 rows and their scales
VECTOR_WEIGHTS = 327_680 + 5_120 + 3_440_640 + 30_720 + 655_360  # norms, norm_f, conv1d, scan, gated norms
SCAN_STATE = 2 * 64 * 5120 * 128 * 2  # read and written, 16 bit
CONV_STATE = 2 * 64 * 5376 * 3 * 18 // 8


def moved(ops: Ops, **design: object) -> Traffic:
    made = array(**design)
    return traffic(ops, made, place(ops, made))


def test_bi_mamba_2_7b_decode_streams_exactly_its_bytes() -> None:
    ops = Ops.from_frame(model_trace(BI_MAMBA).ops)
    design = load_design("edge-28nm")
    bytes_moved = traffic(ops, design, place(ops, design))
    linears = ops.is_kind("linear") & ~ops.is_head
    assert round(BINARY_WEIGHTS / 1e6, 1) == 321.5
    assert bytes_moved.dram_weights[linears].sum() == BINARY_WEIGHTS + SCALES
    assert bytes_moved.dram_weights[ops.is_head].sum() == HEAD
    assert bytes_moved.dram_weights[ops.is_kind("embedding")].sum() == 2560 + 2
    assert bytes_moved.dram_state[ops.is_kind("scan")].sum() == SCAN_STATE == 167_772_160
    assert bytes_moved.dram_state[ops.is_kind("conv1d")].sum() == CONV_STATE
    assert bytes_moved.dram_activations.sum() == 0
    total = BINARY_WEIGHTS + SCALES + HEAD + 2562 + VECTOR_WEIGHTS + SCAN_STATE + CONV_STATE
    assert bytes_moved.dram.sum() == total == 582_283_266


def test_fp16_moves_9_4_times_as_much_and_8_3_times_with_the_same_head() -> None:
    """5.48 GB against 582 MB; with an FP16 head in both the published arithmetic of 8.3 times."""
    ops, design = Ops.from_frame(model_trace(BI_MAMBA).ops).as_fp16(), load_design("edge-28nm/fp16")
    total = int(traffic(ops, design, place(ops, design)).dram.sum())
    head = 2 * 32000 * 2560
    assert total == 2 * 2_571_632_640 + head + 2 * 2560 + VECTOR_WEIGHTS + SCAN_STATE + 2 * 64 * 5376 * 3 * 2
    assert total / 582_283_266 == pytest.approx(9.417, abs=1e-3)
    assert total / (582_283_266 - HEAD + head) == pytest.approx(8.26, abs=0.01)


def test_a_prefill_moves_its_state_once_but_touches_it_on_chip_at_every_token() -> None:
    ops = Ops.from_frame(model_trace(BI_MAMBA, phase="prefill", length=96).ops)
    design = load_design("datacenter-7nm")
    recurrent = ops.is_kind("scan", "conv1d")
    resident = traffic(ops, design, place(ops, design))
    assert resident.state_reads[recurrent].sum() == resident.state_writes[recurrent].sum()
    assert resident.state_reads[recurrent].sum() == 96 * (SCAN_STATE + CONV_STATE) // 2
    spilling = load_design("edge-28nm")
    spilled = traffic(ops, spilling, place(ops, spilling))
    assert spilled.dram_state[recurrent].sum() == SCAN_STATE + CONV_STATE


def test_datacenter_keeps_the_state_of_bi_mamba_2_7b() -> None:
    ops, design = Ops.from_frame(model_trace(BI_MAMBA).ops), load_design("datacenter-7nm")
    placement = place(ops, design)
    assert placement.states == {"conv1d", "scan", "attention"}
    assert placement.weights == {"vector"}
    assert traffic(ops, design, placement).dram_state.sum() == 0


def test_residency_is_by_group_smallest_first() -> None:
    """Weights: scan 12 B, head 64 B, linear 1,024 B."""
    head = linear(outputs=64, inputs=8, layer=-1, name="lm_head")
    ops = ops_of(scan(), linear(outputs=1024, inputs=8), head)
    assert place(ops, array(weight_memory_kib=0)).weights == set()
    assert place(ops, array(weight_memory_kib=1)).weights == {"vector", "head"}
    assert place(ops, array(weight_memory_kib=2)).weights == {"vector", "head", "linear"}
    assert list(moved(ops, weight_memory_kib=1).dram_weights) == [0, 1024, 0]


def test_weights_of_many_steps_are_kept_once() -> None:
    ops = ops_of(*(linear(outputs=1024, inputs=8, step=step) for step in range(3)))
    assert place(ops, array(weight_memory_kib=1)).weight_need == 1024
    assert list(moved(ops, weight_memory_kib=0).dram_weights) == [1024] * 3


def test_spilled_inputs_take_the_cheaper_order() -> None:
    """64 tokens × 128 inputs of 8 bits = 8 KiB in 1 KiB: 8 chunks, or again for each tile of 8 outputs."""
    few = linear(tokens=64, outputs=16, inputs=128)  # 256 B of weights: cheaper 8 times than the inputs twice
    heavy = linear(tokens=64, outputs=16, inputs=128, planes=8, weight_bytes=16384)
    out = 64 * 16 * 18 // 8
    first, second = (moved(ops_of(row), activation_memory_kib=1, weight_memory_kib=0) for row in (few, heavy))
    assert (first.dram_weights[0], first.dram_activations[0]) == (256 * 8, 8192 + out)
    assert (second.dram_weights[0], second.dram_activations[0]) == (16384, 8192 * 2 + out)


def test_a_resident_model_never_spills() -> None:
    ops = ops_of(linear(tokens=64, outputs=16, inputs=128), scan())
    assert moved(ops, activation_memory_kib=1, weight_memory_kib=64, state_memory_kib=64).dram.sum() == 0


def test_without_dram_need_and_have_are_named() -> None:
    ops, design = Ops.from_frame(model_trace(BI_MAMBA).ops), load_design("up5k")
    result = fit(place(ops, design), design)
    assert not result.feasible
    weights = (BINARY_WEIGHTS + SCALES + HEAD + VECTOR_WEIGHTS) / 1024
    assert result.reason.startswith(
        f"up5k has no dram: weights need {weights:.1f} KiB, weight_memory_kib is 104; state"
    )
    assert fit(place(ops, load_design("edge-28nm")), load_design("edge-28nm")).feasible


ROWS = st.lists(
    st.one_of(
        st.builds(
            linear, tokens=st.integers(1, 60), outputs=st.integers(1, 200), inputs=st.integers(1, 300),
            planes=st.sampled_from([1, 2, 8]), layer=st.sampled_from([-1, 0, 3]),
        ),
        st.builds(scan, tokens=st.integers(1, 60), heads=st.integers(1, 40)),
    ),
    min_size=1, max_size=4,
)  # fmt: skip
KIB = st.integers(0, 24)
MEMORIES = ("weight_memory_kib", "activation_memory_kib", "state_memory_kib")


@settings(deadline=None)
@given(rows=ROWS, sizes=st.tuples(KIB, KIB, KIB), more=st.tuples(KIB, KIB, KIB))
def test_compulsory_traffic_and_monotone_in_memory(
    rows: list, sizes: tuple[int, int, int], more: tuple[int, int, int]
) -> None:
    ops = ops_of(*rows)
    small = moved(ops, **dict(zip(MEMORIES, sizes, strict=True)))
    large = moved(ops, **{name: a + b for name, a, b in zip(MEMORIES, sizes, more, strict=True)})
    huge = moved(ops, **dict.fromkeys(MEMORIES, 1 << 20))
    assert huge.dram.sum() == 0
    assert large.dram.sum() <= small.dram.sum()
    placement = place(ops, array(**dict(zip(MEMORIES, sizes, strict=True))))
    compulsory = max(0, placement.weight_need - sizes[0] * 1024) + max(0, placement.state_need - sizes[2] * 1024)
    assert small.dram.sum() >= compulsory
    for each in (small.dram_weights, small.dram_state, small.dram_activations, small.sram):
        assert (np.asarray(each) >= 0).all()
    assert small.sram.sum() >= (ops.weight_bytes + ops.input_bytes + ops.output_bytes).sum()


@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("name", ["bi-mamba-780m", "mamba-130m", "fbi-llm-130m"])
def test_streamed_designs_move_at_least_the_compulsory_bytes(name: str, phase: str) -> None:
    ops = Ops.from_frame(model_trace(name, phase, 16).ops)
    bytes_moved = moved(ops, **dict.fromkeys(MEMORIES, 0))
    assert (bytes_moved.dram_weights >= ops.weight_bytes).all()
    assert (bytes_moved.dram_state == ops.state_read_bytes + ops.state_write_bytes).all()
