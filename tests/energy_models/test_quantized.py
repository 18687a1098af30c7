"""W8A8 and W4A16 arrays: bytes, cycles and actions by hand; the order of the formats; the same memory system."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.cost_workloads import array, linear, model_trace, ops_of
from xnorscan.designs.design import (
    TWINS,
    QuantizedArrayDesign,
    load_design,
    w4a16_baseline,
    w8a8_baseline,
)
from xnorscan.energy_models.cost import cost
from xnorscan.energy_models.cycles import array_cycles, compute_cycles, gemm_cycles, vector_cycles
from xnorscan.energy_models.energy import INT8_MULTIPLY_ADD, array_counts
from xnorscan.energy_models.gates import switching_energy
from xnorscan.energy_models.ops import Ops
from xnorscan.energy_models.roofline import ideal_cycles, unit_of
from xnorscan.energy_models.technology import load_technology
from xnorscan.energy_models.traffic import place, traffic
from xnorscan.energy_models.work import vector_work_of

FORMATS = ("fp16", "w8a8", "w4a16")


def two_linears(design: QuantizedArrayDesign, tokens: int = 3) -> Ops:
    """One in a layer and the head, as ``design`` runs them."""
    inside = linear(tokens=tokens, outputs=10, inputs=300)
    head = linear(tokens=tokens, outputs=10, inputs=300, layer=-1, name="head", planes=8)
    return ops_of(inside, head).in_formats_of(design)


def test_bytes_by_hand() -> None:
    """300 inputs are three groups of 128; an FP16 head is 2 bytes a weight in both."""
    int8, int4 = two_linears(w8a8_baseline(array())), two_linears(w4a16_baseline(array()))
    assert int8.weight_bytes.tolist() == [300 * 10 + 2 * 10, 300 * 10 * 2]
    assert int4.weight_bytes.tolist() == [300 * 10 // 2 + 2 * 10 * 3, 300 * 10 * 2]
    assert int8.input_bytes.tolist() == [3 * 300, 3 * 300 * 2]
    assert int4.input_bytes.tolist() == [3 * 300 * 2, 3 * 300 * 2]
    for ops in (int8, int4):
        assert ops.output_bytes.tolist() == [3 * 10 * 2] * 2
    assert int8.activation_bits.tolist() == [8, 16]
    assert int4.activation_bits.tolist() == [16, 16]


def test_half_a_byte_is_rounded_up() -> None:
    design = w4a16_baseline(array())
    assert ops_of(linear(outputs=3, inputs=3)).in_formats_of(design).weight_bytes[0] == 5 + 2 * 3


def test_cycles_by_hand() -> None:
    """Every lane of a layer's linear; in the head of an int8 array every second lane, so twice the steps."""
    design = w8a8_baseline(array())  # 4 rows, 8 columns, 16 lanes
    ops = two_linears(design)
    expected = [int(gemm_cycles(np.array(3), np.array(10), np.array(steps), 4, 8)) for steps in (19, 38)]
    assert array_cycles(ops, design).tolist() == expected
    int4 = w4a16_baseline(array())
    assert array_cycles(two_linears(int4), int4).tolist() == [expected[0]] * 2
    assert w8a8_baseline(array(lanes=1)).fp16_lanes == 1
    assert w8a8_baseline(array(lanes=16)).fp16_lanes == 8
    assert int4.fp16_lanes == 16


def test_vector_work_by_hand() -> None:
    """int8: two passes and one multiply over what enters, one of each over what leaves; the head needs none."""
    int8, int4 = w8a8_baseline(array()), w4a16_baseline(array())
    work = vector_work_of(two_linears(int8), int8)
    assert work.lane_cycles.tolist() == [2 * 3 * 300 + 3 * 10, 0]
    assert work.multiplies.tolist() == [3 * 300 + 3 * 10, 0]
    assert work.adds.tolist() == work.lookups.tolist() == [0, 0]
    assert vector_work_of(two_linears(int4), int4).lane_cycles.tolist() == [0, 0]
    assert vector_cycles(two_linears(int8), int8).tolist() == [-(-1830 // 4) + 8, 0]


def test_int8_actions_by_hand() -> None:
    """An 8 × 8 multiplier has 48 full and 8 half adders and 64 ANDs; a 32-bit sum 32 full adders."""
    design = w8a8_baseline(array())
    counts, macs = array_counts(two_linears(design), design), 3 * 300 * 10
    assert counts["full_adder"].tolist() == [macs * (48 + 32), 0]
    assert counts["half_adder"].tolist() == [macs * 8, 0]
    assert counts["and2"].tolist() == [macs * 64, 0]
    assert counts["register_clock"].tolist() == [macs * (16 + 32 / 16), macs * (32 + 32 / 8)]
    assert counts["fp16_multiply"].tolist() == counts["fp16_add"].tolist() == [0, macs]


def test_dequantizing_by_hand() -> None:
    """One multiply more whenever a weight enters: 5 tokens in 4 rows let each in twice; the head none."""
    design = w4a16_baseline(array())
    counts, macs = array_counts(two_linears(design, tokens=5), design), 5 * 300 * 10
    assert counts["fp16_multiply"].tolist() == [macs + 2 * 300 * 10, macs]
    assert counts["fp16_add"].tolist() == [macs, macs]


@pytest.mark.parametrize("node", ["asic-45nm", "asic-28nm", "asic-7nm"])
def test_int8_gates_stand_beside_the_published_figures(node: str) -> None:
    """int8 multiply and int32 add, published; the gates are within a factor of two, and the ranges meet."""
    table = load_technology(node)
    ours = switching_energy(INT8_MULTIPLY_ADD, table)
    published = table.arithmetic["int8_multiply"].price + table.arithmetic["int32_add"].price
    assert 0.5 < ours[1] / published[1] < 2
    assert ours[0] < published[2]
    assert published[0] < ours[2]


def test_int8_inputs_pass_the_quantizer() -> None:
    """FP16 is read and int8 written once for each input of a layer's linear, beside what the array reads."""
    design = w8a8_baseline(array())
    ops = two_linears(design)
    moved = traffic(ops, design, place(ops, design))
    tiles = 2  # of 8 columns
    assert moved.activation_reads.tolist() == [900 * tiles + 900 * 2, 1800 * tiles]
    assert moved.activation_writes.tolist() == [3 * 10 * 2 + 900, 3 * 10 * 2]


@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("model", ["bi-mamba-2.7b", "fbi-llm-1.3b"])
def test_fewer_bits_move_fewer_weights_for_less_energy(model: str, phase: str) -> None:
    designs = [load_design(f"edge-28nm/{suffix}") for suffix in FORMATS]
    trace = model_trace(model, phase, 64)
    sums = cost(trace, [*designs, load_design("edge-28nm")]).groupby("design")
    fp16, int8, int4 = (sums["dram_weight_bytes"].sum()[design.name] for design in designs)
    assert sums["dram_weight_bytes"].sum()["edge-28nm"] < int4 < int8 < fp16
    energy = sums["energy_pj"].sum()
    assert energy["edge-28nm"] < energy["edge-28nm/w4a16"] < energy["edge-28nm/fp16"]
    assert energy["edge-28nm/w8a8"] < energy["edge-28nm/fp16"]
    state = sums["dram_state_bytes"].sum()
    assert len({state[design.name] for design in designs}) == 1, "state is FP16 in all of them"
    if phase == "decode":
        ops = Ops.from_frame(trace.ops)
        inside = int((ops.outputs * ops.inputs * ops.is_layer_linear).sum())
        scales = 2 * int((ops.outputs * -(-ops.inputs // 128) * ops.is_layer_linear).sum())
        assert fp16 - int4 == inside * 2 - inside // 2 - scales


@settings(deadline=None, max_examples=40)  # the first reads the tables
@given(
    rows=st.integers(1, 16),
    cols=st.integers(1, 32),
    lanes=st.sampled_from([8, 16, 64]),
    activations=st.sampled_from(["serial", "parallel"]),
)
def test_all_have_the_peak_and_the_memory_system_of_the_one_bit_design(
    rows: int, cols: int, lanes: int, activations: str
) -> None:
    design = array(rows=rows, cols=cols, lanes=lanes, activations=activations)
    ops = ops_of(linear(tokens=3, outputs=20, inputs=100), linear(outputs=9, inputs=33, layer=-1))
    for make in TWINS.values():
        twin = make(design)
        assert twin.peak_macs_per_cycle == design.peak_macs_per_cycle
        for field in ("weight_memory_kib", "activation_memory_kib", "state_memory_kib", "dram", "clock_mhz"):
            assert getattr(twin, field) == getattr(design, field)
        own = ops.in_formats_of(twin)
        assert (ideal_cycles(own, twin) <= compute_cycles(own, twin)).all()
        assert unit_of("attention", twin) == unit_of("head", twin) == "array"
