"""designs/design.py: presets load, peaks and baselines are what they say, bad designs get one clear line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorscan.designs.design import (
    Fp16ArrayDesign,
    GpuDesign,
    OneBitDesign,
    QuantizedArrayDesign,
    equal_throughput_baseline,
    load_design,
    load_designs,
    preset_names,
)

GOOD = {
    "kind": "one_bit", "name": "mine", "rows": 2, "cols": 4, "lanes": 16, "activations": "parallel", "vector_lanes": 4,
    "scan_lanes": 2, "clock_mhz": 100, "weight_memory_kib": 8, "activation_memory_kib": 8, "state_memory_kib": 8,
    "dram": "{kind: lpddr4, bandwidth_gb_per_s: 3.2}", "technology": "asic-28nm",
}  # fmt: skip


def written(folder: Path, **changes: object) -> Path:
    """A design file: ``GOOD`` with changes; None takes a field out."""
    path = folder / "mine.yaml"
    fields = {name: value for name, value in (GOOD | changes).items() if value is not None}
    path.write_text("".join(f"{name}: {value}\n" for name, value in fields.items()), encoding="utf-8")
    return path


def test_every_preset_loads_under_its_own_name() -> None:
    assert {"edge-28nm", "datacenter-7nm", "ecp5-85", "up5k", "gpu-a100", "gpu-h100", "gpu-h200"} <= set(preset_names())
    for name in preset_names():
        assert load_design(name).name == name


def test_a_file_loads(tmp_path: Path) -> None:
    design = load_design(written(tmp_path))
    assert isinstance(design, OneBitDesign)
    assert (design.rows, design.clock_hz, design.peak_macs_per_cycle) == (2, 1e8, 128)
    assert design.dram is not None
    assert design.dram.bandwidth_gb_per_s == 3.2


def test_twins_stand_before_their_designs_and_nothing_stands_twice() -> None:
    found = load_designs(["edge-28nm", "gpu-a100", "up5k", "edge-28nm"], ["fp16", "gpu-h100", "gpu-a100"])
    assert [d.name for d in found] == ["edge-28nm/fp16", "edge-28nm", "gpu-a100", "up5k/fp16", "up5k", "gpu-h100"]
    assert [d.name for d in load_designs(["edge-28nm"], ["gpu-a100"])] == ["edge-28nm", "gpu-a100"]


def test_two_designs_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^two different designs are named edge-28nm; every design needs its own"):
        load_designs([str(written(tmp_path, name="edge-28nm")), "edge-28nm"], [])


def test_a_technology_file_stands_beside_the_design(tmp_path: Path) -> None:
    design = load_design(written(tmp_path, technology="own.yaml"))
    assert isinstance(design, OneBitDesign)
    assert design.technology == str(tmp_path / "own.yaml")


def test_dram_may_be_absent(tmp_path: Path) -> None:
    assert load_design(written(tmp_path, dram=None)).dram is None


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"rows": 0}, "rows: Input should be greater than or equal to 1, got 0"),
        ({"rows": "many"}, "rows: Input should be a valid integer, got 'many'"),
        ({"rows": "true"}, "rows: Input should be a valid integer, got True"),
        ({"cols": None}, "cols: Field required"),
        ({"num_r": 3}, "num_r: Extra inputs are not permitted, got 3"),
        ({"clock_mhz": -1}, "clock_mhz: Input should be greater than or equal to 0.000001, got -1"),
        ({"clock_mhz": "1.0e+300"}, "clock_mhz: Input should be less than or equal to 1000000000, got 1e+300"),
        ({"clock_mhz": ".inf"}, "clock_mhz: Input should be a finite number"),
        ({"activations": "both"}, "activations: Input should be 'serial' or 'parallel', got 'both'"),
        ({"dram": "{kind: core, bandwidth_gb_per_s: 1}"}, "dram.kind: Input should be 'ddr3'"),
        ({"dram": "{kind: ddr4}"}, "dram.bandwidth_gb_per_s: Field required"),
        ({"kind": None}, "kind is None, it must be one of one_bit, fp16_array, quantized_array, gpu"),
        ({"kind": "npu"}, "kind is 'npu', it must be one of one_bit, fp16_array, quantized_array, gpu"),
        ({"kind": "[a]"}, "kind is ['a'], it must be one of"),
        ({"name": "a b"}, "name: String should match pattern"),
    ],
)
def test_bad_fields_are_one_line(tmp_path: Path, changes: dict[str, object], fault: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(ValueError, match=re.escape(fault)) as caught:
        load_design(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_list_is_no_design(tmp_path: Path) -> None:
    path = tmp_path / "list.yml"
    path.write_text("- 1\n")
    with pytest.raises(ValueError, match="a design is a mapping"):
        load_design(path)


def test_unknown_name_lists_the_presets() -> None:
    with pytest.raises(ValueError, match=r"no design 'edge': give a \.yaml file or one of .*edge-28nm"):
        load_design("edge")


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_design(tmp_path / "none.yaml")


def test_designs_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_design("up5k").name = "other"


def array(**changes: object) -> OneBitDesign:
    fields = {name: value for name, value in GOOD.items() if name != "dram"} | changes
    return OneBitDesign.model_validate(fields)


@given(
    rows=st.integers(1, 64),
    cols=st.integers(1, 64),
    lanes=st.integers(1, 64),
    activations=st.sampled_from(["serial", "parallel"]),
)
def test_baseline_has_equal_peak_and_the_same_memory_system(rows: int, cols: int, lanes: int, activations: str) -> None:
    design = array(rows=rows, cols=cols, lanes=lanes, activations=activations)
    if activations == "serial" and cols * lanes % 8:
        with pytest.raises(ValueError, match="must be a multiple of 8"):
            equal_throughput_baseline(design)
        return
    twin = equal_throughput_baseline(design)
    assert twin.peak_macs_per_cycle * twin.clock_mhz == design.peak_macs_per_cycle * design.clock_mhz
    for field in ("weight_memory_kib", "activation_memory_kib", "state_memory_kib", "dram", "technology", "rows"):
        assert getattr(twin, field) == getattr(design, field)
    assert twin.name == "mine/fp16"


def test_baseline_by_name() -> None:
    twin = load_design("edge-28nm/fp16")
    assert isinstance(twin, Fp16ArrayDesign)
    assert twin.dram == load_design("edge-28nm").dram
    for name in ("gpu-h100/fp16", "edge-28nm/fp16/fp16"):
        with pytest.raises(ValueError, match="only a one_bit design has baselines"):
            load_design(name)


def test_quantized_baselines_by_name() -> None:
    int8, int4 = load_design("edge-28nm/w8a8"), load_design("edge-28nm/w4a16")
    assert isinstance(int8, QuantizedArrayDesign)
    assert isinstance(int4, QuantizedArrayDesign)
    assert (int8.arithmetic, int8.weight_bits, int8.activation_bits, int8.group_size) == ("int8", 8, 8, None)
    assert (int4.arithmetic, int4.weight_bits, int4.activation_bits, int4.group_size) == ("fp16", 4, 16, 128)
    assert [d.name for d in load_designs(["edge-28nm"], ["w4a16", "w8a8"])] == [
        "edge-28nm/w4a16", "edge-28nm/w8a8", "edge-28nm",
    ]  # fmt: skip


def test_a_quantized_array_can_be_a_file(tmp_path: Path) -> None:
    own = {"kind": "quantized_array", "activations": None, "arithmetic": "fp16", "weight_bits": 8}
    design = load_design(written(tmp_path, **own))
    assert isinstance(design, QuantizedArrayDesign)
    assert (design.group_size, design.fp16_lanes, design.peak_macs_per_cycle) == (None, 16, 128)
    fault = "group_size: int8 products are accumulated over all inputs of an output; leave group_size out, got 128"
    with pytest.raises(ValueError, match=re.escape(fault)):
        load_design(written(tmp_path, **(own | {"arithmetic": "int8", "group_size": 128})))
    with pytest.raises(ValueError, match="weight_bits: Input should be 4 or 8, got 3"):
        load_design(written(tmp_path, **(own | {"weight_bits": 3})))


def test_a_gpu_as_it_is_used_by_name() -> None:
    peak, used = load_design("gpu-h100"), load_design("gpu-h100/achieved")
    assert isinstance(used, GpuDesign)
    assert used.model_copy(update={"name": peak.name, "description": peak.description, "utilization": "peak"}) == peak
    assert (used.utilization, used.description) == ("achieved", "gpu-h100 as real kernels use it")
    with pytest.raises(ValueError, match="edge-28nm is of kind one_bit: only a gpu is known at what is achieved"):
        load_design("edge-28nm/achieved")


def test_gpu_peak_is_the_published_one() -> None:
    a100 = load_design("gpu-a100")
    assert isinstance(a100, GpuDesign)
    assert a100.peak_macs_per_cycle * 2 * a100.clock_hz == pytest.approx(312e12)
    assert (a100.board_power_w, a100.dram.bandwidth_gb_per_s) == (400, 2039)


def test_state_and_head_are_as_the_trace_and_the_memories_have_them_where_nothing_is_said() -> None:
    design = load_design("edge-28nm")
    assert isinstance(design, OneBitDesign)
    assert all((residency.at, residency.bits) == ("auto", None) for _, residency in design.state)
    assert (design.head.at, design.head.bits) == ("auto", None)


def test_state_and_head_have_a_place_and_a_width(tmp_path: Path) -> None:
    design = load_design(written(tmp_path, state="{scan: {at: spilled, bits: 8}}", head="{at: on_chip, bits: 16}"))
    assert isinstance(design, OneBitDesign)
    assert (design.state.scan.at, design.state.scan.bits, design.state.conv1d.at) == ("spilled", 8, "auto")
    assert (design.head.at, design.head.bits) == ("on_chip", 16)
    twin = equal_throughput_baseline(design).model_dump()
    assert not {"state", "head"} & set(twin), "a twin is 16 bit wide and keeps what fits"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"state": "{scan: {at: spilled}}", "dram": None}, "state: scan is spilled, but there is no dram; add one, or"),
        ({"head": "{at: streamed}", "dram": None}, "head: head is streamed, but there is no dram"),
        (
            {"state": "{attention: {at: on_chip}}", "state_memory_kib": 0},
            "state: attention is on_chip, but state_memory_kib is 0; make it larger, or let attention be auto",
        ),
        ({"head": "{at: on_chip}", "weight_memory_kib": 0}, "head: head is on_chip, but weight_memory_kib is 0"),
        ({"state": "{scan: {bits: 12}}"}, "state.scan.bits: Input should be 8, 16 or 32, got 12"),
        ({"state": "{ssm: {bits: 8}}"}, "state.ssm: Extra inputs are not permitted"),
        ({"state": "{scan: {at: streamed}}"}, "state.scan.at: Input should be 'auto', 'on_chip' or 'spilled'"),
        ({"head": "{bits: 4}"}, "head.bits: Input should be 1, 8 or 16, got 4"),
        ({"dram": "{kind: core, bandwidth_gb_per_s: 1}", "head": "{at: streamed}"}, "dram.kind: Input should be"),
    ],
)
def test_places_that_make_no_sense_are_one_line(tmp_path: Path, changes: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)) as caught:
        load_design(written(tmp_path, **changes))
    assert "\n" not in str(caught.value)
    assert "more)" not in str(caught.value), "a fault of the dram is not blamed on the head too"
