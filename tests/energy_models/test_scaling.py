"""energy_models/scaling.py: the authors' example, the factors that the tables state, and what does not scale."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorscan.energy_models.scaling import Family, Row, Scaling, energy_factor, scaled, scaling
from xnorscan.energy_models.technology import Figure, load_technology, table_figures

INT8_ADD = load_technology("asic-45nm").arithmetic["int8_add"]
ROW = {"node_nm": 45, "device": "hp", "energy": (1.018, -0.3107, 0.1539), "vdd_low_v": 0.5, "vdd_high_v": 1.2}


def test_the_example_of_the_authors_corrigendum() -> None:
    at_32, at_65 = energy_factor(32, 0.9, "hp"), energy_factor(65, 1.3, "hp")
    assert round(at_32, 4) == 0.4571
    assert round(at_65, 3) == 2.604
    assert at_32 / at_65 == pytest.approx(0.1755, abs=1e-4)


@pytest.mark.parametrize(
    ("node", "vdd", "device", "factor"),
    [
        (28, 0.9, "hp", 0.572), (32, 0.9, "hp", 0.654), (7, 0.7, "hp", 0.0684), (22, 0.8, "hp", 0.352),
        (32, 0.8, "hp", 0.513),
    ],
)  # fmt: skip
def test_the_factors_that_the_tables_state(node: float, vdd: float, device: Family, factor: float) -> None:
    assert energy_factor(node, vdd, device) / energy_factor(45, 0.9, device) == pytest.approx(factor, rel=2e-3)


@pytest.mark.parametrize(("table", "node", "vdd"), [("asic-28nm", 28, 0.9), ("asic-22nm", 22, 0.8)])
def test_a_scaled_table_is_the_45_nm_one_times_the_factor(table: str, node: float, vdd: float) -> None:
    of_45 = load_technology("asic-45nm").figures
    for name, figure in load_technology(table).figures.items():
        if figure.device == "hp logic" and figure.unit == "pJ":
            again = scaled(of_45[name], node_nm=node, vdd_v=vdd, device="hp")
            assert figure.value == pytest.approx(again.value, rel=0.01), name
            assert again.device == figure.device
            assert (again.node_nm, again.vdd_v, again.kind) == (node, vdd, "derived")


@pytest.mark.parametrize("device", ["hp", "lp"])
@pytest.mark.parametrize("node", [28, 22])
def test_between_the_planar_nodes_and_the_finfets_a_gate_shrinks_with_the_node(node: float, device: Family) -> None:
    """Not towards the FinFETs of 20 nm. Within a tenth of the plain rule, C as the node × V²."""
    assert energy_factor(node, 0.8, device) == pytest.approx(energy_factor(32, 0.8, device) * node / 32)
    assert energy_factor(20, 0.8, device) < energy_factor(20.01, 0.8, device) / 1.3
    rule = node / 45 * (0.8 / 0.9) ** 2
    assert energy_factor(node, 0.8, "hp") / energy_factor(45, 0.9, "hp") == pytest.approx(rule, rel=0.1)


def test_what_the_low_of_the_tables_is() -> None:
    """The ratio at 28 nm and 22 nm, were they interpolated towards 20 nm, log against log."""
    for node, vdd, low in ((28, 0.9, 0.518), (22, 0.8, 0.260)):
        share = math.log(node / 20) / math.log(32 / 20)
        interpolated = energy_factor(32, vdd, "hp") ** share * energy_factor(20, vdd, "hp") ** (1 - share)
        assert interpolated / energy_factor(45, 0.9, "hp") == pytest.approx(low, abs=1e-3)


def test_the_polynomials_fall_faster_than_the_inverters_of_the_paper() -> None:
    assert energy_factor(45, 1.1, "hp") / energy_factor(7, 0.8, "hp") == pytest.approx(16, rel=0.01)
    inverters_fj = {45: 1.05, 7: 0.111}  # table 2 of the paper, at the same voltages
    assert inverters_fj[45] / inverters_fj[7] == pytest.approx(9.5, rel=0.01)


def test_the_range_scales_and_the_source_says_so() -> None:
    found = scaled(INT8_ADD, node_nm=7, vdd_v=0.7, device="hp")
    assert found.high / found.low == pytest.approx(INT8_ADD.high / INT8_ADD.low)
    assert found.source.startswith(INT8_ADD.source)
    assert "45 nm 0.9 V to 7 nm 0.7 V x 0.0684: Stillmaker & Baas" in found.source


@pytest.mark.parametrize("device", ["hp", "lp"])
@given(node=st.floats(7, 45), share=st.floats(0, 1), more=st.floats(0, 1))
def test_energy_is_positive_and_rises_with_voltage(device: Family, node: float, share: float, more: float) -> None:
    low, high = sorted(0.5 + 0.46 * x for x in (share, more))
    assert 0 < energy_factor(node, low, device) <= energy_factor(node, high, device) * (1 + 1e-12)


@given(node=st.sampled_from([45, 32, 28, 22, 16, 7]), vdd=st.floats(0.5, 0.96))
def test_there_and_back_is_where_it_was(node: float, vdd: float) -> None:
    there = scaled(INT8_ADD, node_nm=node, vdd_v=vdd, device="hp")
    assert scaled(there, node_nm=45, vdd_v=0.9, device="hp").value == pytest.approx(INT8_ADD.value)


def _lp(figure: Figure) -> Figure:
    return figure.model_copy(update={"device": "lp logic"})


@pytest.mark.parametrize(
    ("figure", "node", "vdd", "device", "fault"),
    [
        (table_figures("dram")["ddr4"], 7, 0.7, "hp", "a figure of dram in pJ/bit does not scale: only energies"),
        (table_figures("asic-45nm")["8 KiB x64 read"], 7, 0.7, "hp", "a figure of hp sram in pJ/bit does not scale"),
        (table_figures("asic-45nm")["wire full_swing"], 7, 0.7, "hp", "a figure of wire in pJ/bit/mm does not scale"),
        (table_figures("asic-45nm")["static_power"], 7, 0.7, "hp", "a figure of hp logic in mW does not scale"),
        (table_figures("ecp5")["xnor"], 7, 0.7, "hp", "a figure of fpga in pJ does not scale"),
        (INT8_ADD, 28, 0.9, "lp", "a figure of hp logic does not scale to lp: hp and lp are two processes"),
        (_lp(INT8_ADD), 28, 0.9, "hp", "a figure of lp logic does not scale to hp"),
        (INT8_ADD.model_copy(update={"vdd_v": None}), 28, 0.9, "hp", "a figure without node and Vdd does not scale"),
        (INT8_ADD, 5, 0.7, "hp", "no scaling at 5 nm: hp rows reach from 7 to 180 nm"),
        (INT8_ADD, 250, 2.5, "hp", "no scaling at 250 nm: hp rows reach from 7 to 180 nm"),
        (INT8_ADD, 7, 1.2, "hp", "no scaling to 1.2 V: the hp row of 7 nm holds from 0.5 to 0.96 V"),
        (INT8_ADD, 28, 0.4, "hp", "no scaling to 0.4 V: the hp row of 32 nm holds from 0.5 to 1.16 V"),
    ],
)  # fmt: skip
def test_what_does_not_scale(figure: Figure, node: float, vdd: float, device: Family, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)) as caught:
        scaled(figure, node_nm=node, vdd_v=vdd, device=device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change", [{"vdd_low_v": 0.1}, {"vdd_low_v": 1.3}, {"energy": (0, -1, 5)}, {"energy": (1.018, -0.3107, -0.5)}]
)
def test_a_row_must_rise_with_voltage(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="hp 45 nm: energy must be positive and rise"):
        Row.model_validate(ROW | change)


def test_a_node_stands_once_in_a_family() -> None:
    with pytest.raises(ValueError, match=re.escape("hp nodes [45.0, 45.0] must descend, bulk first")):
        Scaling.model_validate({"source": "two equal rows", "rows": [ROW, ROW]})
    with pytest.raises(ValueError, match="colour"):
        Scaling.model_validate({"source": "one row more", "rows": [ROW, ROW | {"colour": 1}]})


def test_both_families_have_every_node() -> None:
    assert [row.node_nm for row in scaling().of("hp")] == [row.node_nm for row in scaling().of("lp")]
