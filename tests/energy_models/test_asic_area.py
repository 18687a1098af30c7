"""energy_models/asic_area.py: areas by hand, equal area never larger, one clear line where no area is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.cost_workloads import array, model_trace
from xnorscan.designs.design import Fp16ArrayDesign, QuantizedArrayDesign, load_design, load_designs, preset_names
from xnorscan.energy_models.asic_area import (
    ALL_TWINS,
    UnknownAreaError,
    array_area,
    check_baselines,
    equal_area_baseline,
    fp16_lane,
    has_area,
    int8_lane,
    load_beside_baselines,
    logic_area,
    published_areas,
    published_fp16_lane,
    w4a16_lane,
    with_baselines,
)
from xnorscan.energy_models.cost import cost
from xnorscan.energy_models.gates import CELLS, Gates, area_um2, element
from xnorscan.energy_models.technology import load_technology

ARRAYS = ("edge-28nm", "datacenter-7nm")
SUFFIXES = ("fp16-area", "w8a8-area", "w4a16-area")
SAME = (
    "rows", "clock_mhz", "vector_lanes", "scan_lanes", "weight_memory_kib", "activation_memory_kib",
    "state_memory_kib", "dram", "technology",
)  # fmt: skip


def gates(lane: Gates) -> dict[str, float]:
    return {cell: float(lane[cell]) for cell in CELLS}


def test_lanes_by_hand() -> None:
    """FP16: an 11 × 11 multiplier (121 ANDs, 99 full and 11 half adders); 24 full adders of exponents; 32 of the sum,
    with 32 XNORs; 64 ANDs and 32 multiplexers that count zeros; 29 half adders and 32 bits that round; two shifters of
    160 multiplexers; 32 operand bits."""
    fp16 = gates(fp16_lane())
    assert fp16 == {
        "full_adder": 99 + 24 + 32, "half_adder": 11 + 29, "xnor": 32, "and2": 121 + 64, "mux2": 32 + 320,
        "register_bits": 32 + 32,
    }  # fmt: skip
    int8 = {cell: count - fp16[cell] / 2 for cell, count in gates(int8_lane()).items()}
    assert int8 == {
        "full_adder": 8 * 6 + 32, "half_adder": 8, "xnor": 0, "and2": 64, "mux2": 0, "register_bits": 16 + 32,
    }  # fmt: skip
    shared = {cell: 4 * (count - fp16[cell]) for cell, count in gates(w4a16_lane(4)).items()}
    assert shared == {
        "full_adder": 99 + 6, "half_adder": 11 + 11, "xnor": 0, "and2": 121, "mux2": 0, "register_bits": 16,
    }  # fmt: skip


def test_areas_are_lanes_times_a_lane() -> None:
    design, table = load_design("edge-28nm/fp16"), load_technology("asic-28nm")
    assert array_area(design) == pytest.approx(4 * 32 * 64 * area_um2(fp16_lane(), table))
    one_bit = load_design("edge-28nm")
    assert array_area(one_bit) == pytest.approx(4 * 32 * area_um2(element(one_bit), table))
    for each in (design, one_bit):
        whole = logic_area(each)
        assert whole.total == pytest.approx(whole.array + whole.vector + whole.scan)
        assert (np.diff(whole.total) >= 0).all()
        assert (whole.vector > 0).all()
        assert (whole.scan > 0).all()
        twice = logic_area(each.model_copy(update={"vector_lanes": 128, "scan_lanes": 256}))
        assert twice.vector == pytest.approx(2 * whole.vector)
        assert twice.scan == pytest.approx(2 * whole.scan)


def test_the_published_lane_is_larger_than_the_gates() -> None:
    """3000 µm² at 45 nm, where the table is not scaled; at other nodes by the NAND2."""
    table = load_technology("asic-45nm")
    registers = 64 * table.areas["register_bit"].price
    assert published_fp16_lane(table) == pytest.approx(3000 + registers)
    assert published_areas().fp16_add.source.startswith("Horowitz")
    for name in ("asic-45nm", "asic-28nm", "asic-7nm"):
        table = load_technology(name)
        assert published_fp16_lane(table)[1] > area_um2(fp16_lane(), table)[1]


def test_equal_area_of_the_presets() -> None:
    """The typical area of the one-bit array over that of an FP16 lane, per row, in the best shape."""
    baseline = equal_area_baseline(load_design("edge-28nm"))
    fitting = array_area(load_design("edge-28nm"))[1] / 4 / area_um2(fp16_lane(), load_technology("asic-28nm"))[1]
    assert math.floor(fitting) == 115
    assert (baseline.name, baseline.rows, baseline.cols * baseline.lanes) == ("edge-28nm/fp16-area", 4, 115)
    for name in ARRAYS:
        areas = {suffix: load_design(f"{name}/{suffix}", ALL_TWINS) for suffix in SUFFIXES}
        peaks = {suffix: areas[suffix].peak_macs_per_cycle for suffix in SUFFIXES}
        assert peaks["w8a8-area"] > peaks["fp16-area"] > peaks["w4a16-area"]
        assert peaks["w8a8-area"] < load_design(name).peak_macs_per_cycle / 10


@settings(deadline=None, max_examples=40)  # the first reads the tables
@given(
    rows=st.integers(1, 16),
    cols=st.integers(1, 64),
    lanes=st.sampled_from([1, 4, 8, 32, 64]),
    activations=st.sampled_from(["serial", "parallel"]),
    suffix=st.sampled_from(SUFFIXES),
)
def test_equal_area_is_never_larger_and_keeps_the_memory_system(
    rows: int, cols: int, lanes: int, activations: str, suffix: str
) -> None:
    design = array(rows=rows, cols=cols, lanes=lanes, activations=activations)
    baseline = equal_area_baseline(design, suffix)
    assert {field: getattr(baseline, field) for field in SAME} == {field: getattr(design, field) for field in SAME}
    assert baseline.lanes <= lanes
    if baseline.cols * baseline.lanes > 1:
        assert array_area(baseline)[1] <= array_area(design)[1]
    wider = baseline.model_copy(update={"cols": 2 * baseline.cols})
    assert array_area(wider)[1] * (1 + 1e-9) > array_area(design)[1] / 2, "half of the area is left unused"


def test_one_lane_a_row_where_none_fits() -> None:
    baseline = equal_area_baseline(array(cols=1, lanes=1))
    assert (baseline.cols, baseline.lanes) == (1, 1)
    assert array_area(baseline)[1] > array_area(array(cols=1, lanes=1))[1]


def test_every_twin_by_its_name() -> None:
    assert list(ALL_TWINS) == ["fp16", "w8a8", "w4a16", *SUFFIXES]
    found = load_designs(["edge-28nm"], ["w4a16-area", "gpu-a100/achieved", "fp16-area"], ALL_TWINS)
    assert [d.name for d in found] == [
        "edge-28nm/w4a16-area", "edge-28nm/fp16-area", "edge-28nm", "gpu-a100/achieved",
    ]  # fmt: skip
    assert isinstance(found[0], QuantizedArrayDesign)
    assert isinstance(found[1], Fp16ArrayDesign)
    assert [d.description for d in found[:2]] == [
        "W4A16 array with the area of the array and the memories of edge-28nm",
        "FP16 array with the area of the array and the memories of edge-28nm",
    ]


def test_a_design_with_its_baselines() -> None:
    assert [d.name for d in with_baselines("edge-28nm")] == ["edge-28nm", *(f"edge-28nm/{each}" for each in ALL_TWINS)]
    assert [d.name for d in with_baselines("up5k")] == ["up5k", "up5k/fp16", "up5k/w8a8", "up5k/w4a16"]
    assert [d.name for d in with_baselines("gpu-a100")] == ["gpu-a100", "gpu-a100/achieved"]
    assert [d.name for d in with_baselines("gpu-a100/achieved")] == ["gpu-a100/achieved"]
    assert [d.name for d in with_baselines("edge-28nm/w8a8")] == ["edge-28nm/w8a8"]
    assert [d.name for d in with_baselines("edge-28nm/fp16-area")] == ["edge-28nm/fp16-area"]


@pytest.mark.parametrize("name", ["up5k", "ecp5-85"])
def test_no_areas_on_an_fpga(name: str) -> None:
    table = load_design(name).technology
    message = f"^{table}, the technology of {name}, has no areas of cells, so equal area is not known there; compare"
    with pytest.raises(UnknownAreaError, match=message):
        load_design(f"{name}/fp16-area", ALL_TWINS)
    assert not has_area(load_design(name))
    assert has_area(load_design("edge-28nm"))
    assert not has_area(load_design("gpu-h100"))


@pytest.mark.parametrize(
    "name",
    [*ALL_TWINS, "edge-28nm", "edge-28nm/w8a8-area", "gpu-h100/achieved", "own.yaml", "a/b.yml", "own.yaml/fp16"],
)
def test_a_baseline_is_a_word_or_a_design(name: str) -> None:
    check_baselines(["fp16", name])


@pytest.mark.parametrize("name", ["w9", "fp32", "", "achieved", "edge-28nm/w9", "w9/fp16", "/fp16"])
def test_any_other_baseline_is_refused_with_both_lists(name: str) -> None:
    with pytest.raises(ValueError, match=r"^no baseline '.*': give fp16, w8a8, .*, a .yaml file or one of ") as error:
        check_baselines(["fp16", name])
    assert all(known in str(error.value) for known in (*ALL_TWINS, *preset_names()))
    with pytest.raises(ValueError, match=r"^no baseline "):
        load_beside_baselines(["edge-28nm"], [name])


def test_designs_beside_their_baselines() -> None:
    found = load_beside_baselines(["edge-28nm"], ["w4a16-area", "gpu-a100/achieved"])
    assert [design.name for design in found] == ["edge-28nm/w4a16-area", "edge-28nm", "gpu-a100/achieved"]


def test_equal_area_is_slower_and_its_arithmetic_costs_the_same() -> None:
    names = ("edge-28nm/fp16", "edge-28nm/fp16-area")
    frame = cost(model_trace("bi-mamba-780m", "prefill", 64), [load_design(name, ALL_TWINS) for name in names])
    sums = frame.groupby("design")[["cycles", "dram_weight_bytes", "energy_vector_pj", "energy_scan_pj"]].sum()
    peak, area = (sums.loc[name] for name in names)
    assert area["cycles"] > 3 * peak["cycles"]
    assert (
        area[["energy_vector_pj", "energy_scan_pj"]].tolist() == peak[["energy_vector_pj", "energy_scan_pj"]].tolist()
    )
