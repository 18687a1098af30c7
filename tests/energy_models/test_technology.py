"""energy_models/technology.py: every figure has a source and an ordered range; the tables hold the published values."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
import yaml

import xnorscan.energy_models.technology as module
from xnorscan.designs.design import DramKind
from xnorscan.energy_models.scaling import Scaling
from xnorscan.energy_models.technology import (
    ACTIONS,
    DramTable,
    GpuTable,
    Technology,
    dram_figures,
    gpu_figures,
    load_technology,
    read_table,
    table_figures,
    table_names,
    technology_names,
)

TABLE = Path(module.__file__).parent / "technologies" / "asic-45nm.yaml"


def written(folder: Path, change: object) -> str:
    """The 45 nm table after ``change(data)``, as a file."""
    data = yaml.safe_load(TABLE.read_text())
    change(data)
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def test_every_table_loads_under_its_own_name() -> None:
    assert {"asic-45nm", "asic-28nm", "asic-22nm", "asic-7nm", "ecp5", "ice40up"} == set(technology_names())
    for name in technology_names():
        assert load_technology(name).name == name


def test_the_45_nm_table_carries_horowitz_and_cacti() -> None:
    table = load_technology("asic-45nm")
    assert table.fp16_multiply.value == 1.1
    assert table.fp16_add.value == 0.4
    assert table.full_adder.value * 8 == pytest.approx(0.03)
    assert table.half_adder.value / table.full_adder.value == pytest.approx(2.66 / 4.256, rel=0.005)
    assert table.mux2.high * 160 == pytest.approx(0.417, rel=0.005)  # Aladdin's 32-bit shifter
    library = (0.9 / 1.1) ** 2 / 1000  # NanGate, from 1.1 V, fJ to pJ; the load is a full adder's pin and a wire
    load = 3.6 * 1.1**2 / 2
    assert table.xnor.value == pytest.approx(0.5 * (3.0 + load) * library, rel=0.03)
    assert table.and2.value == pytest.approx(0.375 * (2.7 + load) * library, rel=0.03)
    assert table.register_data.value == pytest.approx((9.1 + load) * library, rel=0.01)
    tree = (0.95 + 3 * 0.177) * 0.9**2 * 1.75 / 1000
    assert table.register_clock.value == pytest.approx(7.2 * library + tree, rel=0.01)
    assert table.glitch.value == pytest.approx(0.55 * table.full_adder.value, rel=0.01)
    assert table.sram_pj_per_bit(32, "read")[1] * 64 == pytest.approx(14.92, rel=0.01)
    assert table.sram_pj_per_bit(32, "read")[2] * 64 == pytest.approx(20, rel=0.01)  # Horowitz's 32 KB cache


def test_gates_scale_as_the_full_adder_does() -> None:
    large, small = load_technology("asic-45nm"), load_technology("asic-28nm")
    for cell in ("half_adder", "and2", "mux2", "glitch", "register_clock"):
        assert getattr(small, cell).value / getattr(large, cell).value == pytest.approx(0.572, rel=0.005)


def test_areas_are_those_of_the_open_libraries() -> None:
    published = {
        "asic-45nm": {  # NanGate: the LEF's width × height
            "full_adder": 4.256, "half_adder": 2.66, "xnor": 1.596, "and2": 1.064, "mux2": 1.862,
            "register_bit": 4.522, "nand2": 0.798,
        },
        "asic-7nm": {  # ASAP7: widths × 0.27 µm
            "full_adder": 0.756 * 0.27, "half_adder": 0.486 * 0.27, "xnor": 0.486 * 0.27, "and2": 0.324 * 0.27,
            "mux2": (3 * 0.216 + 0.162) * 0.27, "register_bit": 1.08 * 0.27, "nand2": 0.216 * 0.27,
        },
    }  # fmt: skip
    for name, areas in published.items():
        assert {cell: figure.value for cell, figure in load_technology(name).areas.items()} == pytest.approx(
            areas, rel=0.001
        )
    at_45, at_28 = load_technology("asic-45nm").areas, load_technology("asic-28nm").areas
    assert at_28["register_bit"].value == pytest.approx(at_45["register_bit"].value * 0.368, rel=0.001)


def test_a_lut_is_whatever_gate_it_holds() -> None:
    table = load_technology("ecp5")
    assert table.half_adder is table.and2 is table.mux2 is table.glitch is None
    assert table.action("half_adder") == pytest.approx(table.full_adder.price)
    assert table.action("and2") == pytest.approx(table.xnor.price)
    assert table.action("mux2") == pytest.approx(table.xnor.price)
    assert table.action("glitch") == pytest.approx(table.full_adder.price)
    assert table.action("multiply_18x18") == pytest.approx(table.multiply_18x18.price)
    assert "and2" not in table.figures


def test_a_table_of_cells_has_no_multiplier() -> None:
    with pytest.raises(ValueError, match="asic-28nm has no multiply_18x18; it is built of gates there"):
        load_technology("asic-28nm").action("multiply_18x18")


def test_dram_ranges_are_the_published_spread() -> None:
    dram = dram_figures()
    ranges = {kind: (figure.low, figure.high) for kind, figure in dram.items()}
    assert ranges["hbm2"] == (3.9, 7.03)
    assert ranges["lpddr4"] == (8, 14)
    assert ranges["ddr4"] == (10, 20)
    assert ranges["lpddr5"] == (4, 6)
    assert dram["hbm3"].value == 4.05
    assert {figure.unit for figure in dram.values()} == {"pJ/bit"}


def test_fpga_figures_say_that_they_are_estimates() -> None:
    for name in ("ecp5", "ice40up"):
        table = load_technology(name)
        for action in set(ACTIONS) & set(table.figures):
            figure = getattr(table, action)
            assert figure.kind == "estimate"
            assert figure.high >= 3.9 * figure.low


def test_gpu_factor_has_a_range() -> None:
    factor = gpu_figures()["board_energy_factor"]
    assert factor.low < factor.value == 1 < factor.high


@pytest.mark.parametrize("name", ["asic-45nm", "asic-28nm", "asic-22nm", "asic-7nm", "ecp5"])
def test_sram_energy_never_falls_with_capacity(name: str) -> None:
    table = load_technology(name)
    prices = [table.sram_pj_per_bit(capacity, "read") for capacity in (0, 1, 8, 9, 32, 100, 256, 1024, 1025, 98304)]
    for smaller, larger in pairwise(prices):
        assert (larger >= smaller * (1 - 1e-12)).all()
    assert all(low <= typical <= high for low, typical, high in prices)


def test_sram_between_points_is_log_log() -> None:
    table = load_technology("asic-45nm")
    at = {capacity: table.sram_pj_per_bit(capacity, "read")[1] for capacity in (32, 256, (32 * 256) ** 0.5)}
    assert at[(32 * 256) ** 0.5] == pytest.approx((at[32] * at[256]) ** 0.5)


def test_leakage_is_memory_plus_device() -> None:
    assert load_technology("ecp5").leakage_mw(500)[1] == 150
    assert load_technology("asic-28nm").leakage_mw(1024)[2] == pytest.approx(102 * (195 / 102) ** 0.356, rel=0.01)
    assert load_technology("asic-45nm").leakage_mw(1024)[1] == pytest.approx(0.16, rel=0.01)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda d: d["xnor"].pop("source"), "xnor.source: Field required"),
        (lambda d: d["xnor"].update(source="   "), "xnor.source: String should have at least 8 characters"),
        (lambda d: d["xnor"].update(low=9.0), "must be in ascending order"),
        (lambda d: d["xnor"].update(value=-1.0), "xnor.value: Input should be greater than or equal to 0"),
        (lambda d: d["xnor"].update(kind="guess"), "xnor.kind: Input should be 'silicon'"),
        (lambda d: d["xnor"].update(unit="mW"), "xnor is in mW, it must be in pJ"),
        (lambda d: d["xnor"].pop("vdd_v"), "xnor.vdd_v: Field required"),
        (lambda d: d.pop("fp16_add"), "fp16_add: Field required"),
        (lambda d: d["sram"].reverse(), "must ascend"),
        (lambda d: d["sram"][0]["read"].update(unit="pJ"), "8 KiB x64 read is in pJ, it must be in pJ/bit"),
        (lambda d: d.update(sram=[]), "sram: Tuple should have at least 1 item"),
        (lambda d: d["sram"][0].pop("port_bits"), "sram.0.port_bits: Field required"),
        (lambda d: d["sram"][0]["others"][0].update(port_bits=64), "sram of 8 KiB has a port_bits twice"),
        (lambda d: d["xnor"].pop("device"), "xnor.device: Field required"),
        (lambda d: d["xnor"].update(device="hot"), "xnor.device: Input should be 'hp logic'"),
        (lambda d: d["xnor"].update(colour=1), "xnor.colour: Extra inputs are not permitted, got 1"),
        (lambda d: d.update(colour=1), "colour: Extra inputs are not permitted, got 1"),
        (lambda d: d["arithmetic"].update(int4_add=d["xnor"]), "arithmetic.int4_add"),
        (lambda d: d["arithmetic"]["int8_add"].update(unit="mW"), "int8_add is in mW, it must be in pJ"),
        (lambda d: d["wires"]["full_swing"].update(unit="pJ"), "wire full_swing is in pJ, it must be in pJ/bit/mm"),
        (lambda d: d["areas"]["xnor"].update(unit="pJ"), "area xnor is in pJ, it must be in um2"),
        (lambda d: d["areas"].update(nor2=d["xnor"]), "areas.nor2"),
        (
            lambda d: [d["areas"].pop(cell) for cell in ("and2", "nand2")],
            "areas lack and2, nand2; give the area of every",
        ),
        (lambda d: d["static_power"].update(unit="pJ"), "static_power is in pJ, it must be in mW"),
    ],
)
def test_a_bad_table_does_not_load(tmp_path: Path, change: object, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)) as caught:
        load_technology(written(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_unknown_name_lists_the_tables() -> None:
    with pytest.raises(ValueError, match=r"no technology 'tsmc': give a \.yaml file or one of asic-22nm, asic-28nm"):
        load_technology("tsmc")


def test_no_shipped_figure_lacks_source_or_device() -> None:
    for table in table_names():
        for name, figure in table_figures(table).items():
            assert figure.device, (table, name)
            assert len(figure.source) > 8, (table, name)
            if figure.device not in ("dram", "board"):
                assert figure.node_nm, (table, name)
                assert figure.vdd_v or figure.unit == "um2", (table, name)


def test_ranges_cover_sources_that_disagree() -> None:
    published = {
        ("asic-45nm", "int32_multiply"): (3.1, 12.68),  # Horowitz, Aladdin
        ("asic-45nm", "fp32_multiply"): (3.7, 35.3),
        ("asic-45nm", "fp32_add"): (0.9, 16.7),
        ("asic-45nm", "int32_add"): (0.1, 0.21),
        ("dram", "hbm2"): (3.9, 7.0),
        ("dram", "lpddr4"): (8, 14),
    }
    for (table, name), (low, high) in published.items():
        figure = table_figures(table)[name]
        assert figure.low <= low < high <= figure.high, (table, name)


def test_integer_arithmetic_is_horowitz_at_45_nm() -> None:
    figures = load_technology("asic-45nm").arithmetic
    published = {
        "int8_add": 0.03, "int16_add": 0.05, "int32_add": 0.1, "int8_multiply": 0.2, "int32_multiply": 3.1,
        "fp32_add": 0.9, "fp32_multiply": 3.7,
    }  # fmt: skip
    assert {name: figures[name].value for name in published} == published


def test_what_nobody_published_says_that_it_is_an_estimate() -> None:
    for name in ("asic-45nm", "asic-28nm", "asic-22nm", "asic-7nm"):
        figures = load_technology(name).arithmetic
        guessed = {key for key in figures if key.startswith(("bf16", "int16_multiply"))}
        assert guessed
        assert {figures[key].kind for key in guessed} == {"estimate"}


def test_a_wire_is_random_data_over_a_millimetre() -> None:
    assert load_technology("asic-45nm").wires["full_swing"].value == pytest.approx(310 / 256 / 10, abs=5e-4)


def test_22_nm_memories_are_cacti() -> None:
    table = load_technology("asic-22nm")
    assert table.sram_pj_per_bit(32, "read")[1] * 64 == pytest.approx(3.50, rel=0.005)
    assert table.sram_pj_per_bit(1024, "write")[1] * 64 == pytest.approx(15.9, rel=0.005)
    assert table.leakage_mw(1024)[1] == pytest.approx(0.48, rel=0.005)


def test_every_kind_of_dram_that_a_design_may_name_has_a_figure() -> None:
    assert set(dram_figures()) == set(get_args(DramKind))


@pytest.mark.parametrize(
    ("model", "text", "fault"),
    [
        (Technology, "name: a\nname: b\n", "line 2: key 'name' is given twice, first on line 1"),
        (DramTable, "ddr3: {value: 1, value: 2}\n", "line 1: key 'value' is given twice, first on line 1"),
        (DramTable, "sdram: 1\n", "Field required"),
        (GpuTable, "board_energy_factor: 1\ncolour: 2\n", "board_energy_factor: Input should be a valid dictionary"),
        (GpuTable, "a: 1\na: 1\n", "line 2: key 'a' is given twice, first on line 1"),
        (Scaling, "rows: []\nrows: []\n", "line 2: key 'rows' is given twice, first on line 1"),
    ],
)
def test_a_bad_file_of_any_kind_is_one_line(tmp_path: Path, model: type, text: str, fault: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(fault)) as caught:
        read_table(model, path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["dram", "gpu"])
def test_an_unknown_field_or_another_unit_is_refused(tmp_path: Path, name: str) -> None:
    model = {"dram": DramTable, "gpu": GpuTable}[name]
    data = yaml.safe_load((TABLE.parent / f"{name}.yaml").read_text())
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(data | {"colour": 1}))
    with pytest.raises(ValueError, match="colour: Extra inputs are not permitted, got 1"):
        read_table(model, path)
    first = next(iter(data))
    data[first]["unit"] = "mW"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ValueError, match=f"{first} is in mW, it must be in"):
        read_table(model, path)


CACTI_22_NM = {(8, 32): 1.32448, (32, 128): 5.28852, (32, 256): 6.61704, (256, 128): 16.5832, (1024, 32): 12.7012}
"""pJ of a read through a whole port, by capacity in KiB and width: 22 nm, hp, as the table's comment says."""


@pytest.mark.parametrize(("capacity", "bits"), CACTI_22_NM)
def test_sram_energy_over_capacity_and_width_is_cacti(capacity: int, bits: int) -> None:
    read = load_technology("asic-22nm").sram_pj_per_bit(capacity, "read", bits)[1]
    assert read * bits == pytest.approx(CACTI_22_NM[capacity, bits], rel=0.01)


@pytest.mark.parametrize("name", ["asic-45nm", "asic-28nm", "asic-22nm", "asic-7nm"])
def test_a_wider_port_takes_less_for_each_bit_of_a_read(name: str) -> None:
    for capacity in (8, 32, 256, 1024):
        by_width = [load_technology(name).sram_pj_per_bit(capacity, "read", bits)[1] for bits in (32, 64, 128, 256)]
        assert by_width == sorted(by_width, reverse=True)


def test_the_table_s_own_port_has_64_bits() -> None:
    table = load_technology("asic-28nm")
    assert (table.sram_pj_per_bit(100, "write") == table.sram_pj_per_bit(100, "write", 64)).all()


def test_a_width_that_the_table_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^no port of 48 bits at 8 KiB: the table has 32, 64, 128, 256$"):
        load_technology("asic-28nm").sram_pj_per_bit(32, "read", 48)
