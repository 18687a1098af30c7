"""reports/areas.py: areas beside placements, ranges from held-out errors, shares of a device, refusals."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from xnorscan.designs.design import load_design
from xnorscan.energy_models.area import area_model, fpga_area
from xnorscan.energy_models.asic_area import ALL_TWINS, logic_area
from xnorscan.energy_models.devices import RESOURCES
from xnorscan.energy_models.technology import load_technology
from xnorscan.reports.areas import RESULTS, notes, placed_area, rows

EXAMPLE = Path(__file__).parents[2] / "examples" / "designs" / "ecp5-gemm-1024.yaml"


def by_quantity(name: str) -> dict[str, dict[str, object]]:
    return {row["quantity"]: row for row in rows([load_design(name, ALL_TWINS)])}


def test_an_fpga_has_its_prediction_beside_the_placement() -> None:
    found, area = by_quantity("ecp5-85-gemm"), fpga_area(load_design("ecp5-85-gemm"))
    assert {name: row["predicted"] for name, row in found.items()} == {
        name: getattr(area, name) for name in ("lut4", "comb", "ff", "ebr", "dsp")
    }
    with (RESULTS / "ecp5-85-gemm.csv").open(newline="", encoding="utf-8") as file:
        placed = next(csv.DictReader(file))
    assert found["lut4"]["placed"] == int(placed["lut4"])
    assert found["comb"]["placed"] == int(placed["comb"]) - int(placed["harness_lut4"])
    assert (found["ff"]["placed"], found["ebr"]["placed"]) == (int(placed["ff"]), int(placed["ram"]))
    assert found["lut4"]["off"] == pytest.approx(area.lut4 / int(placed["lut4"]) - 1)
    assert found["dsp"]["off"] is None, "nothing can be off from 0"


def test_the_range_is_that_of_the_cores_that_were_held_out() -> None:
    """Whatever lies within it is off by the worst error at most: |predicted − placed| / placed."""
    found, model = by_quantity("ecp5-85"), area_model()
    for name in ("lut4", "comb"):
        row, worst = found[name], model.errors[name].held_out.worst
        assert (row["error_median"], row["error_worst"]) == (model.errors[name].held_out.median, worst)
        for end in ("low", "high"):
            assert abs(row["predicted"] - row[end]) / row[end] == pytest.approx(worst, abs=1e-4)
        assert row["low"] < row["predicted"] < row["high"]
    assert found["ebr"]["low"] == found["ebr"]["predicted"] == found["ebr"]["high"]


def test_shares_are_of_the_device() -> None:
    row = by_quantity("ecp5-85")["ebr"]
    assert (row["device"], row["available"], row["share"]) == ("ecp5-85k", 208, row["predicted"] / 208)
    design = load_design("ecp5-85")
    nowhere = design.model_copy(update={"rtl": design.rtl.model_copy(update={"device": None})})
    assert not any("share" in each for each in rows([nowhere]))


def test_a_device_has_what_nextpnr_says() -> None:
    for path in RESULTS.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                assert RESOURCES[row["device"]].comb == int(row["comb_available"])


def test_a_placement_belongs_to_one_design() -> None:
    assert placed_area(load_design(EXAMPLE)) is not None
    assert placed_area(load_design("ecp5-85")) is None
    gemm = load_design("ecp5-85-gemm")
    assert placed_area(gemm.model_copy(update={"cols": 8})) is None, "named like a preset, which it is not"
    other = load_design(EXAMPLE)
    assert placed_area(other.model_copy(update={"clock_mhz": 100.0})) is None
    elsewhere = other.rtl.model_copy(update={"device": "ecp5-45k"})
    assert placed_area(other.model_copy(update={"rtl": elsewhere})) is None


def test_cells_have_a_range_and_nand2_equivalents() -> None:
    found, area = by_quantity("edge-28nm"), logic_area(load_design("edge-28nm"))
    nand2 = load_technology("asic-28nm").areas["nand2"].value
    assert list(found) == ["array", "vector", "scan", "total"]
    for name, row in found.items():
        low, typical, high = getattr(area, name).tolist()
        assert (row["unit"], row["low"], row["predicted"], row["high"]) == ("µm²", low, typical, high)
        assert row["nand2"] == pytest.approx(typical / nand2)
    assert sum(found[name]["predicted"] for name in ("array", "vector", "scan")) == pytest.approx(
        found["total"]["predicted"]
    )


def test_a_baseline_has_an_area_too() -> None:
    own, twin = by_quantity("edge-28nm")["array"], by_quantity("edge-28nm/fp16-area")["array"]
    assert 0.9 < twin["predicted"] / own["predicted"] <= 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("up5k", "^up5k is built of ice40 primitives, its area is known for ecp5 only$"),
        ("gpu-h100", "^gpu-h100 is of kind gpu: areas are known of arrays$"),
        ("ecp5-85/fp16", "^ecp5, the technology of ecp5-85/fp16, has no areas of cells"),
    ],
)
def test_a_design_without_an_area_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rows([load_design("edge-28nm"), load_design(name)])


def test_notes_say_what_the_ranges_are_of_each_kind_once() -> None:
    fpga, cells = rows([load_design("ecp5-85"), load_design("ecp5-85-gemm")]), rows([load_design("edge-28nm")])
    (said,) = notes(fpga)
    worst = 100 * area_model().errors["lut4"].held_out.worst
    assert f"held out of the fit, LUT4 {worst:.1f} % (median " in said
    assert ("flip-flops" in said) == bool(area_model().errors["ff"].held_out.worst), "what is never off has no range"
    (other,) = notes(cells)
    assert other.startswith("µm²: standard cells alone")
    assert notes([*fpga, *cells]) == [said, other]
