"""energy_models/technology.py: every figure has a source and an ordered range; the tables hold the published values."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import xnorscan.energy_models.technology as module
from xnorscan.energy_models.technology import (
    ACTIONS,
    dram_figures,
    gpu_figures,
    load_technology,
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
    assert {"asic-45nm", "asic-28nm", "asic-7nm", "ecp5", "ice40up"} == set(technology_names())
    for name in technology_names():
        assert load_technology(name).name == name


def test_the_45_nm_table_carries_horowitz_and_cacti() -> None:
    table = load_technology("asic-45nm")
    assert table.fp16_multiply.value == 1.1
    assert table.fp16_add.value == 0.4
    assert table.full_adder.value * 8 == pytest.approx(0.03)
    assert table.multiply_18x18.high == pytest.approx(12.68 * (18 / 32) ** 2, rel=0.01)  # Aladdin's int32 multiplier
    assert table.sram_pj_per_bit(32, "read")[1] * 64 == pytest.approx(14.92, rel=0.01)
    assert table.sram_pj_per_bit(32, "read")[2] * 64 == pytest.approx(20, rel=0.01)  # Horowitz's 32 KB cache


def test_a_multiplier_is_its_source_scaled() -> None:
    by_area = 0.2 * (18 / 8) ** 2  # Horowitz's int8 multiplier
    assert load_technology("asic-45nm").multiply_18x18.value == pytest.approx(by_area, rel=0.005)
    assert load_technology("asic-28nm").multiply_18x18.value == pytest.approx(by_area * 0.518, rel=0.005)


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
        for action in ACTIONS:
            figure = getattr(table, action)
            assert figure.kind == "estimate"
            assert figure.high >= 3.9 * figure.low


def test_gpu_factor_has_a_range() -> None:
    factor = gpu_figures()["board_energy_factor"]
    assert factor.low < factor.value == 1 < factor.high


@pytest.mark.parametrize("name", ["asic-45nm", "asic-28nm", "asic-7nm", "ecp5"])
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
        (lambda d: d["sram"][0]["read"].update(unit="pJ"), "sram of 8.0 KiB is in pJ, it must be in pJ/bit"),
        (lambda d: d.update(sram=[]), "sram: Tuple should have at least 1 item"),
    ],
)
def test_a_bad_table_does_not_load(tmp_path: Path, change: object, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)) as caught:
        load_technology(written(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_unknown_name_lists_the_tables() -> None:
    with pytest.raises(ValueError, match=r"no technology 'tsmc': give a \.yaml file or one of asic-28nm"):
        load_technology("tsmc")
