"""energy_models/area.py: predicted against placed areas, and the closed forms against the generated hardware."""

from __future__ import annotations

import csv
import doctest
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.back import rtlil
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from xnorscan.designs.design import OneBitDesign, load_design, preset_names
from xnorscan.designs.pipeline import array_latency, rows_buffered, select_latency
from xnorscan.energy_models import core_sizes, core_structure
from xnorscan.energy_models.area import AreaModel, FpgaAreas, area_model, fpga_area, fpga_areas
from xnorscan.energy_models.area_fit import (
    PLACEMENTS,
    Placed,
    fit,
    grid,
    non_negative_least_squares,
    read_placed,
    relative_error,
)
from xnorscan.energy_models.core_sizes import CoreSizes, Memory
from xnorscan.rtl import carry_ecp5, core, memory, settings
from xnorscan.rtl.accumulator import Accumulator
from xnorscan.rtl.config import ArrayConfig, CoreConfig
from xnorscan.rtl.core import ArrayCore
from xnorscan.rtl.dot import DotUnit
from xnorscan.rtl.select_tree import SelectTree
from xnorscan.rtl.synth import read_placements

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "area.md"
SIZES = {
    "is_serial": 1, "rows": 2, "cols": 6, "lanes": 32, "cols_per_block": 4, "rows_per_block": 2, "levels_per_stage": 1,
    "inputs_max": 1024, "weight_words": 512, "activation_words": 512,
}  # fmt: skip
GRID = {design.name: design for design in grid()}


def sizes(**changed: int) -> CoreSizes:
    return CoreSizes(**{name: np.array(size) for name, size in (SIZES | changed).items()})


def rtlil_of(component: Any) -> str:
    return str(rtlil.convert(component, name="top", emit_src=False))


def cells(component: Any, *kinds: str) -> int:
    return len(re.findall(rf"^ *cell \\(?:{'|'.join(kinds)}) ", rtlil_of(component), re.M))


def register_bits(component: Any) -> int:
    return sum(map(int, re.findall(r"cell \$dff \S+\n +parameter \\WIDTH (\d+)", rtlil_of(component))))


@pytest.fixture(scope="module")
def placed() -> Placed:
    return read_placed()


@pytest.fixture(scope="module")
def predicted(placed: Placed) -> FpgaAreas:
    return fpga_areas(placed.core)


# ---- against placements


def test_what_was_placed_is_of_the_grid_and_enough(placed: Placed) -> None:
    assert len(GRID) == len(grid())
    assert {placement.design for placement in read_placements(PLACEMENTS)} <= set(GRID)
    assert len(placed.names) >= 34
    assert placed.held_out.sum() == len(placed.names) // 3


@pytest.mark.parametrize("quantity", ["ebr", "dsp"])
def test_block_rams_and_multipliers_are_exact(placed: Placed, predicted: FpgaAreas, quantity: str) -> None:
    assert getattr(predicted, quantity).tolist() == getattr(placed.areas, quantity).tolist()


@pytest.mark.parametrize("quantity", ["lut4", "ff", "comb"])
def test_cores_that_were_held_out_are_predicted_within_the_bar(
    placed: Placed, predicted: FpgaAreas, quantity: str
) -> None:
    found = np.abs(relative_error(placed, predicted, quantity))[placed.held_out]
    assert np.median(found) <= 0.05
    assert found.max() <= 0.10


def test_the_coefficients_and_errors_are_those_that_the_placements_give(placed: Placed) -> None:
    assert area_model() == fit(placed)


def test_a_table_of_other_placements_gives_other_coefficients(tmp_path: Path) -> None:
    lines = PLACEMENTS.read_text().splitlines(keepends=True)
    (fewer := tmp_path / "fewer.csv").write_text("".join(lines[:-4]))
    found = fit(read_placed(fewer))
    assert found.coefficients != area_model().coefficients
    assert found.sha256 != area_model().sha256


def test_of_a_core_that_was_placed_twice_the_last_counts(tmp_path: Path) -> None:
    header, first, *rest = list(csv.reader(PLACEMENTS.open(newline="")))
    again = [str(int(value) + 7) if name == "lut4" else value for name, value in zip(header, first, strict=True)]
    with (path := tmp_path / "again.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, first, *rest, again])
    name = first[header.index("design")]
    before, after = (dict(zip(p.names, p.areas.lut4, strict=True)) for p in (read_placed(), read_placed(path)))
    assert after[name] == before[name] + 7


def test_tables_that_cannot_be_fitted_are_refused(tmp_path: Path) -> None:
    header, *rows = PLACEMENTS.read_text().splitlines(keepends=True)
    (nothing := tmp_path / "nothing.csv").write_text(header)
    with pytest.raises(ValueError, match=r"nothing.csv: has no core of the grid; benchmarks/area_grid.py places them"):
        read_placed(nothing)
    mixed = "".join((header, *rows[:-1], rows[-1].replace(",0.70.", ",0.71.", 1)))
    (other := tmp_path / "mixed.csv").write_text(mixed)
    with pytest.raises(
        ValueError, match=r"mixed.csv: versions of Yosys and nextpnr are mixed: .*; place the grid anew"
    ):
        read_placed(other)


@pytest.mark.parametrize(
    ("table", "design", "is_current"),
    [
        ("ecp5-85-gemm.csv", "ecp5-85-gemm", False),
        ("ecp5-85-serial.csv", "ecp5-85-serial", False),
        ("ecp5-gemm-1024.csv", str(ROOT / "examples" / "designs" / "ecp5-gemm-1024.yaml"), True),
    ],
)
def test_cores_several_times_as_large_as_the_grid(table: str, design: str, is_current: bool) -> None:
    """Those that are not current were placed from an earlier array, of nearly the same logic and other registers."""
    there = read_placements(ROOT / "rtl" / "results" / table)[0]
    area = fpga_area(load_design(design))
    assert (area.ff == there.ff) == is_current
    assert area.lut4 == pytest.approx(there.lut4, rel=0.03)
    assert area.comb == pytest.approx(there.comb - there.harness_lut4, rel=0.03)
    assert (area.ebr, area.dsp) == (there.ram, there.dsp)


def test_the_page_gives_the_example_the_coefficients_and_the_errors() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert (result.attempted > 2, result.failed) == (True, 0)
    text, model = PAGE.read_text(encoding="utf-8"), area_model()
    for quantity, name in (("lut4", "LUT4"), ("ff", "flip-flops"), ("comb", "logic cells")):
        parts = (model.errors[quantity].training, model.errors[quantity].held_out)
        row = " | ".join(f"{value:.2%}" for part in parts for value in (part.median, part.worst))
        assert f"| {name} | {row} |" in text
    lut4, comb = model.coefficients["lut4"], model.coefficients["comb"]
    for kind in lut4 | comb:
        row = rf"^\| [^|]* `{kind}` \| {lut4.get(kind, 0):g} \| {comb.get(kind, 0):g} \|$"
        assert re.search(row, text, re.M), row
    assert f"({model.training} fitted, {model.held_out} held out)" in text


# ---- closed forms against the hardware


def test_constants_are_those_of_the_hardware() -> None:
    assert core_structure.HALVES_MAX == carry_ecp5.HALVES_MAX
    assert core_sizes.WEIGHT_BANK_BITS == core.WEIGHT_BANK_BITS
    assert core_structure.COUNTER_BITS == core.COUNTER_BITS
    assert core_sizes.TOKEN_TILE_BITS == settings.TILES_BITS
    assert settings.PLANES_LIMIT.bit_length() == core_sizes.PLANES_BITS
    assert core_structure.BANKS_PER_GROUP == memory._BANKS_PER_GROUP
    assert core_sizes.DISTRIBUTED_WORDS == memory._ECP5_DISTRIBUTED_WORDS


@given(
    is_serial=st.integers(0, 1),
    rows=st.integers(1, 40),
    cols=st.integers(1, 40),
    log_lanes=st.integers(0, 8),
    cols_per_block=st.integers(1, 12),
    levels_per_stage=st.integers(1, 6),
    inputs_max=st.integers(1, 2048),
)
def test_widths_and_latencies_are_those_of_the_array(
    is_serial: int, rows: int, cols: int, log_lanes: int, cols_per_block: int, levels_per_stage: int, inputs_max: int
) -> None:
    lanes = 1 << log_lanes
    config = ArrayConfig(
        rows=rows, cols=cols, lanes=lanes, activations="serial" if is_serial else "parallel",
        cols_per_block=cols_per_block, levels_per_stage=levels_per_stage, inputs_max=inputs_max,
    )  # fmt: skip
    words = -(-inputs_max // lanes)
    found = sizes(
        is_serial=is_serial, rows=rows, cols=cols, lanes=lanes, cols_per_block=cols_per_block,
        levels_per_stage=levels_per_stage, inputs_max=inputs_max, weight_words=words, activation_words=words * 8,
    )  # fmt: skip
    latency = array_latency(rows, cols, lanes, cols_per_block, levels_per_stage)
    assert (found.dot_bits, found.acc_bits, found.blocks) == (config.dot_bits, config.acc_bits, config.blocks)
    assert found.array_latency == latency
    assert found.capacity == rows_buffered(rows, latency + 8)


@pytest.mark.parametrize("levels_per_stage", [1, 2, 3])
@pytest.mark.parametrize("lanes", [2, 4, 8, 32])
@pytest.mark.parametrize("activations", ["serial", "parallel"])
def test_chains_and_registers_of_an_element(activations: Any, lanes: int, levels_per_stage: int) -> None:
    knobs = {"rows": 1, "cols": 1, "lanes": lanes, "levels_per_stage": levels_per_stage, "inputs_max": 64}
    config = ArrayConfig(activations=activations, tech="ecp5", **knobs)
    found = sizes(is_serial=int(activations == "serial"), **knobs)
    dot, accumulator = DotUnit(config), Accumulator(config)
    assert core_structure._element_luts(found) == 2 * (cells(dot, "CCU2C") + cells(accumulator, "CCU2C")) + 1
    assert core_structure._dot_ff(found) == register_bits(dot)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 9, 17])
def test_levels_and_registers_of_a_select_tree(rows: int) -> None:
    tree = core_sizes.select_trees(np.array(rows))
    assert tree.levels == select_latency(rows)
    assert 7 * tree.words == register_bits(SelectTree(rows, 7))


@given(st.integers(1, 300))
def test_luts_of_a_select_tree_merge_up_to_two_and_then_four_words(rows: int) -> None:
    left, group, luts = rows, 2, 0
    while group == 2 or left > 1:
        sizes_of_groups = [min(group, left - start) for start in range(0, left, group)]
        luts, left, group = luts + sum(size > 1 for size in sizes_of_groups), len(sizes_of_groups), 4
    assert core_sizes.select_trees(np.array(rows)).luts == luts


@pytest.mark.parametrize("words", [64, 65, 512, 513, 1024, 1536, 2560, 5000, 8192])
@pytest.mark.parametrize(("width", "bank_width"), [(32, 32), (40, 32), (19, 19)])
def test_block_rams_of_a_memory(words: int, width: int, bank_width: int) -> None:
    built = memory.BankedRam(width, bank_width, words, "ecp5")
    described = Memory(np.array(width), np.array(bank_width), np.array(words))
    blocks = sum(described.has_piece(depth) * described.columns(bits) for depth, bits in core_sizes.EBR_WIDTHS.items())
    assert blocks == cells(built, "PDPW16KD", "DP16KD")
    assert described.banks == len(built._banks)


def test_a_core_by_hand() -> None:
    """Two rows by two columns of two lanes, parallel, every size as small as it gets."""
    found = sizes(
        is_serial=0, rows=2, cols=2, lanes=2, cols_per_block=2, rows_per_block=1, inputs_max=2, weight_words=16,
        activation_words=16,
    )  # fmt: skip
    # dot products of 9 bits, accumulators of 9; one block; latency 1 + 1 + 1 + 2, so 5 + 8 + 2 + 2 rows: 32
    assert (found.dot_bits, found.acc_bits, found.array_latency, found.capacity) == (9, 9, 5, 32)
    # chains: an adder of 1 + 8 halves and a slot, an accumulator of 1 + 9: 10 LUT4 each, and 1 to clear, in 4 elements;
    # a LUT4 for each of 2 × 9 bits of the select trees, and for each of 3 banks; RAMs of 16 × 4 bits: 2 × 5 for rows
    # of 18 bits and a mark, with a LUT4 a bit to read them, 1 for 4 weights, 2 × 4 for two rows of 16 activation bits
    assert core_structure.distributed_rams(found) == 10 + 1 + 8
    assert core_structure.datapath_luts(found) == 4 * (10 + 10 + 1) + 18 + 19 + 3 + 4 * 19
    # registers of operands: 2 rows × 16 and 2 rows × 2 columns × 2 lanes, a flag of 3 bits in 2 rows and 4 elements, a
    # row of activations a cycle late; 4 × (sums of 9 and accumulators of 9)
    assert core_structure._operand_ff(found) == 32 + 8 + 3 * 6 + 16
    assert core_structure._element_ff(found) == 4 * (9 + 9)
    assert core_structure.block_rams(found) == 0
    assert {kind: int(number) for kind, number in core_structure.control(found).items()} == {
        "fifo": 1, "fifo_bit": 5, "piece": 0, "loop_bit": 1 + 5 + 5 + 3 + 16, "height_bit": 2, "capacity_bit": 6,
        "core": 1,
    }  # fmt: skip


# ---- one core and many


def test_one_core_and_many_agree() -> None:
    designs = list(GRID.values())
    many = fpga_areas(CoreSizes.of_designs(designs))
    for index, design in enumerate(designs):
        area = fpga_area(design)
        assert {f.name: getattr(area, f.name) for f in fields(area)} == {
            f.name: getattr(many, f.name)[index] for f in fields(many)
        }


def test_sizes_may_have_any_shape() -> None:
    rows, cols = np.meshgrid(np.arange(1, 5), np.arange(1, 8))
    others = {name: np.full_like(rows, size) for name, size in SIZES.items() if name not in ("rows", "cols")}
    areas = fpga_areas(CoreSizes(rows=rows, cols=cols, **others))
    assert areas.lut4.shape == (7, 4)
    assert (np.diff(areas.lut4, axis=0) > 0).all()
    assert (np.diff(areas.ff, axis=1) > 0).all()
    assert areas.comb[3, 2] == fpga_areas(sizes(rows=3, cols=4)).comb


@pytest.mark.parametrize(
    ("knob", "quantity", "to"),
    [
        ("rows", "lut4", 3), ("cols", "comb", 7), ("lanes", "lut4", 64), ("cols_per_block", "ff", 3),
        ("rows_per_block", "ff", 1), ("levels_per_stage", "ff", 2), ("inputs_max", "lut4", 2048),
        ("weight_words", "ebr", 1024), ("activation_words", "ebr", 2048), ("is_serial", "lut4", 0),
    ],
)  # fmt: skip
def test_every_size_of_a_core_changes_its_area(knob: str, quantity: str, to: int) -> None:
    assert getattr(fpga_areas(sizes(**{knob: to})), quantity) != getattr(fpga_areas(sizes()), quantity)


def test_memories_are_as_deep_as_their_kib_where_no_words_are_given() -> None:
    design = load_design("ecp5-85-gemm")
    by_kib = design.model_copy(update={"rtl": design.rtl.model_copy(update={"weight_words": None})})
    expected = CoreConfig.of_design(by_kib).weight_words
    assert CoreSizes.of_designs([by_kib]).weight_words.tolist() == [expected]


# ---- what is refused


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rows": 0}, "rows is 0, it must be at least 1"),
        ({"lanes": 12}, "lanes is 12, it must be a power of two"),
        ({"is_serial": 2}, "is_serial is 2, it must be 0 or 1"),
        ({"weight_words": 31}, "weight_words is 31, a tile of inputs_max inputs takes 32"),
        ({"activation_words": 255}, "activation_words is 255, a tile of inputs_max inputs takes 256"),
        ({"weight_words": 16385}, "weight_words is 16385, it must be at most 16384: a block RAM is no deeper"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(changed: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sizes(**changed)


def test_sizes_that_are_no_integers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^rows is of float64, it must be of integers$"):
        CoreSizes(**{name: np.array(size) for name, size in SIZES.items()} | {"rows": np.array(2.5)})


def test_sizes_of_several_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^the sizes have shapes \(\), \(2,\), they must have one$"):
        CoreSizes(**{name: np.array(size) for name, size in SIZES.items()} | {"rows": np.array([1, 2])})


def test_designs_without_a_known_area_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^gpu-h100 is of kind gpu: an FPGA's area is known for designs of kind one_bit$"
    ):
        fpga_area(load_design("gpu-h100"))
    with pytest.raises(ValueError, match=r"^up5k is built of ice40 primitives, its area is known for ecp5 only$"):
        fpga_area(load_design("up5k"))
    design = next(iter(GRID.values()))
    with pytest.raises(ValueError, match=rf"^{design.name}: lanes is 12, it must be a power of two$"):
        fpga_area(design.model_copy(update={"lanes": 12}))


def test_every_ecp5_preset_that_states_its_words_has_an_area() -> None:
    stated = [
        design for design in map(load_design, preset_names())
        if isinstance(design, OneBitDesign) and design.rtl.tech == "ecp5"
    ]  # fmt: skip
    assert stated
    assert all(fpga_area(design).lut4 > 0 for design in stated)


def test_coefficients_are_complete_and_not_negative_and_no_field_is_unknown() -> None:
    data = area_model().model_dump()
    AreaModel.model_validate(data)
    with pytest.raises(ValidationError, match="extra"):
        AreaModel.model_validate(data | {"extra": 1})
    lut4, comb = data["coefficients"]["lut4"], data["coefficients"]["comb"]
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        AreaModel.model_validate(data | {"coefficients": {"lut4": lut4 | {"core": -1.0}, "comb": comb}})
    with pytest.raises(ValidationError, match=r"coefficients must be lut4: fifo_bit, .*; comb: fifo, core"):
        AreaModel.model_validate(data | {"coefficients": {"lut4": lut4, "comb": {"core": 1.0}}})


# ---- least squares


def test_least_squares_are_plain_where_no_coefficient_is_negative() -> None:
    columns = np.array([[1.0, 1], [1, 2], [1, 3]])
    assert non_negative_least_squares(columns, columns @ [0.5, 2]) == pytest.approx([0.5, 2])


def test_a_coefficient_that_would_be_negative_is_zero_and_the_others_fit_alone() -> None:
    columns, target = np.array([[1.0, 1], [1, 2], [1, 3]]), np.array([3.0, 2, 1])
    assert non_negative_least_squares(columns, target) == pytest.approx([2, 0])
    assert non_negative_least_squares(columns, -target) == pytest.approx([0, 0])


@given(st.lists(st.lists(st.integers(-9, 9), min_size=4, max_size=4), min_size=5, max_size=9))
def test_no_step_that_is_allowed_leads_lower(rows: list[list[int]]) -> None:
    """The conditions of Karush, Kuhn and Tucker, which hold at the least sum of squares and nowhere else."""
    table = np.array(rows, float)
    columns, target = table[:, :3], table[:, 3]
    x = non_negative_least_squares(columns, target)
    slope = columns.T @ (columns @ x - target)
    assert (x >= 0).all()
    assert (slope >= -1e-6).all()
    assert np.abs(slope * x).max() < 1e-5


@pytest.mark.parametrize(
    "name",
    [
        "serial-1x2x8-1x1-1-256-512-512", "parallel-1x2x8-2x1-1-256-512-512", "serial-1x3x16-4x1-1-64-48-40",
        "serial-2x4x16-2x1-1-1024-1536-768", "parallel-2x2x8-2x2-1-1024-1024-512",
    ],
)  # fmt: skip
def test_flip_flops_are_those_of_the_generated_hardware(name: str) -> None:
    """Registers before synthesis, those of memories added, those that nobody reads taken off."""
    found = CoreSizes.of_designs([GRID[name]])
    registers = register_bits(ArrayCore(CoreConfig.of_design(GRID[name])))
    rows, shallow = found.cols * found.acc_bits + 1, [m.is_distributed * m.width for m in found.memories]
    # whether a FIFO is full; to the core which row is the last of its pass; in a parallel array whether sums double
    unread = found.blocks + 1
    # of one row, whether it leaves, is the last and how many do are one register
    same = 3 * (found.rows == 1)
    doubling = (1 - found.is_serial) * (6 + found.rows * found.blocks * found.dot_latency + found.elements)
    assert registers + rows + sum(shallow) - unread - doubling - same == core_structure.flip_flops(found)
