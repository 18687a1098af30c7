"""Amaranth to Verilog: folding changes nothing, folds only what is equal, and every name is plain and mapped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from xnorscan.rtl.once import once
from xnorscan.rtl.tools import YOSYS, run
from xnorscan.rtl.verilog import Generated, generate, to_verilog


class Cell(wiring.Component):
    """``o`` counts up by i_a − i_b + constant from ``init``: neither input can stand for the other."""

    def __init__(self, constant: int = 1, init: int = 0) -> None:
        self.constant, self.init = constant, init
        super().__init__({"i_a": In(4), "i_b": In(4), "i_clear": In(1), "o": Out(6)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = Adder(self.constant)
        total = Signal(6, init=self.init)
        m.d.comb += [inner.i_a.eq(self.i_a), inner.i_b.eq(self.i_b), self.o.eq(total)]
        m.d.sync += total.eq(Mux(self.i_clear, 0, total + inner.o))
        return m


class Adder(wiring.Component):
    """o = i_a − i_b + constant."""

    def __init__(self, constant: int) -> None:
        self.constant = constant
        super().__init__({"i_a": In(4), "i_b": In(4), "o": Out(6)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.eq(self.i_a - self.i_b + self.constant)
        return m


class Grid(wiring.Component):
    """2 × 2 cells: a moves right, b moves down, through registers; in the last cell they are swapped."""

    def __init__(self, cells: list[Cell]) -> None:
        self.cells = cells
        sides = data.ArrayLayout(4, 2)
        super().__init__({"i_a": In(sides), "i_b": In(sides), "i_clear": In(1), "o": Out(6)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = 0
        b = [self.i_b[c] for c in range(2)]
        for r in range(2):
            a = self.i_a[r]
            for c in range(2):
                cell = self.cells[2 * r + c]
                m.submodules[f"cell_{r}_{c}"] = cell
                left, top = (b[c], a) if (r, c) == (1, 1) else (a, b[c])
                m.d.comb += [cell.i_a.eq(left), cell.i_b.eq(top), cell.i_clear.eq(self.i_clear)]
                right, down = Signal(4), Signal(4)
                m.d.sync += [right.eq(a), down.eq(b[c])]
                a, b[c], total = right, down, total ^ cell.o
        m.d.comb += self.o.eq(total)
        return m


def modules(generated: Generated) -> list[str]:
    return re.findall(r"^module (\w+)", generated.verilog, re.M)


def grid(fold: bool, *odd: Cell) -> Generated:
    """A grid whose last cells are ``odd``."""
    return generate(Grid([*(Cell() for _ in range(4 - len(odd))), *odd]), "grid", fold=fold)


@pytest.mark.parametrize("odd", [[], [(3, 0)], [(1, 5), (1, 5)]], ids=["equal", "constant", "initial value"])
def test_folded_is_unfolded(odd: list[tuple[int, int]], tmp_path: Path) -> None:
    gold, gate = (grid(fold, *(Cell(*o) for o in odd)) for fold in (False, True))
    assert len(modules(gold)) == 9 > len(modules(gate))
    assert _equal(gold.verilog, gate.verilog, tmp_path)


def test_proof_of_equality_can_fail(tmp_path: Path) -> None:
    assert not _equal(grid(False).verilog, grid(True, Cell(3)).verilog, tmp_path)


def _equal(gold: str, gate: str, directory: Path) -> bool:
    """Whether Yosys proves both grids to be the same, register by register."""
    for name, text in (("gold", gold), ("gate", gate)):
        (directory / f"{name}.v").write_text(text.replace("grid", name))
    script = "read_verilog gold.v gate.v; proc; flatten; opt_clean; equiv_make gold gate both; hierarchy -top both;"
    said = run(YOSYS, ["-p", f"{script} equiv_simple -undef; equiv_induct -undef; equiv_status"], directory)
    found = re.search(r"(\d+) are proven and (\d+) are unproven", said)
    assert found
    assert int(found[1]) > 100
    return found[2] == "0"


def test_equal_modules_are_one() -> None:
    assert modules(grid(True)) == ["grid", "grid_cell", "grid_inner"]


def test_modules_of_other_constants_stay_apart() -> None:
    assert modules(grid(True, Cell(constant=3))) == [
        "grid", "grid_cell", "grid_cell_2", "grid_inner", "grid_inner_2"
    ]  # fmt: skip


def test_modules_of_other_initial_values_stay_apart() -> None:
    assert modules(grid(True, Cell(init=5))) == ["grid", "grid_cell", "grid_cell_2", "grid_inner"]


class Bank(wiring.Component):
    """A memory of four words."""

    def __init__(self, init: list[int]) -> None:
        self.init = init
        super().__init__({"i": In(2), "o": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = memory.Memory(shape=8, depth=4, init=self.init)
        port = words.read_port()
        m.d.comb += [port.addr.eq(self.i), self.o.eq(port.data)]
        return m


class Store(wiring.Component):
    """The exclusive or of banks behind a stream."""

    def __init__(self, *init: list[int]) -> None:
        self.init = init
        self.payload = data.StructLayout({"low": 4, "pairs": data.ArrayLayout(2, 2)})
        super().__init__({"i": In(stream.Signature(self.payload)), "o": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total: Any = 0
        for index, init in enumerate(self.init):
            m.submodules[f"bank_{index}"] = bank = Bank(init)
            m.d.comb += bank.i.eq(self.i.p.low[:2])
            total = total ^ bank.o
        m.d.comb += [self.o.eq(total ^ self.i.p.as_value()), self.i.ready.eq(1)]
        return m


def test_memories_fold_by_their_contents() -> None:
    assert modules(generate(Store([1, 2], [1, 2]), "store")) == ["store", "store_bank"]
    assert modules(generate(Store([1, 2], [1, 3]), "store")) == ["store", "store_bank", "store_bank_2"]


def test_every_name_is_plain() -> None:
    for generated in (grid(True), grid(False), generate(Store([1], [2]), "store")):
        assert "\\" not in generated.verilog
        assert "$auto" not in generated.verilog


def test_name_map() -> None:
    generated = generate(Store([1, 2], [1, 2]), "store")
    found = json.loads(generated.name_map)
    assert found["top"] == "store"
    assert found["ports"]["i.payload"] == {
        "name": "i__payload",
        "direction": "input",
        "width": 8,
        "fields": {"low": [0, 4], "pairs": [4, 4], "pairs.0": [4, 2], "pairs.1": [6, 2]},
    }
    assert [(path, port["direction"]) for path, port in found["ports"].items()] == [
        ("i.payload", "input"), ("i.valid", "input"), ("i.ready", "output"), ("o", "output"),
        ("clk", "input"), ("rst", "input"),
    ]  # fmt: skip
    assert found["modules"]["store_bank"]["instances"] == ["store.bank_0", "store.bank_1"]
    for module, names in found["modules"].items():
        body = generated.verilog.partition(f"module {module}(")[2].partition("endmodule")[0]
        assert all(re.search(rf"\b{name}\b", body) for name in names["signals"].values())


def test_instances_are_paths_from_the_top() -> None:
    found = grid(True, Cell(constant=3)).modules
    assert found["grid_inner"]["instances"] == [f"grid.cell_{i}.inner" for i in ("0_0", "0_1", "1_0")]
    assert found["grid_inner_2"]["instances"] == ["grid.cell_1_1.inner"]


def test_same_component_gives_the_same_text() -> None:
    assert to_verilog(Store([1], [2]), "store") == to_verilog(Store([1], [2]), "store")


@pytest.mark.parametrize("name", ["", "2fast", "a b", "top.array", "_x"])
def test_name_that_is_no_identifier(name: str) -> None:
    with pytest.raises(ValueError, match=r"^module name .* letters, digits and _, a letter first$"):
        generate(None, name)


@once("constant", "init")
class SharedCell(Cell):
    """A cell that is elaborated once for all that are equal."""


class CountedCell(Cell):
    """A cell that counts how often it is elaborated."""

    elaborated = 0

    def elaborate(self, platform: object) -> Module:
        CountedCell.elaborated += 1
        return super().elaborate(platform)


class TestOnce:
    @pytest.mark.parametrize("odd", [[], [(3, 0)], [(1, 5), (1, 5)]], ids=["equal", "constant", "initial value"])
    def test_shared_is_unfolded(self, odd: list[tuple[int, int]], tmp_path: Path) -> None:
        cells = [(1, 0)] * (4 - len(odd)) + odd
        gold = generate(Grid([Cell(*c) for c in cells]), "grid", fold=False)
        gate = generate(Grid([SharedCell(*c) for c in cells]), "grid")
        assert len([m for m in modules(gate) if "sharedcell" in m]) == len(set(cells))
        assert _equal(gold.verilog, gate.verilog, tmp_path)

    def test_each_kind_is_elaborated_once(self) -> None:
        kind = once("constant", "init")(type("Counted", (CountedCell,), {}))
        CountedCell.elaborated = 0
        generate(Grid([kind(), kind(), kind(3), kind()]), "grid")
        assert CountedCell.elaborated == 2

    def test_simulation_elaborates_as_ever(self) -> None:
        kind = once("constant", "init")(type("Counted", (CountedCell,), {}))
        CountedCell.elaborated = 0
        Simulator(Grid([kind() for _ in range(4)]))
        assert CountedCell.elaborated == 4

    def test_paths_go_through_shared_modules(self) -> None:
        found = generate(Grid([SharedCell() for _ in range(4)]), "grid").modules
        assert found["grid_inner"]["instances"] == [f"grid.cell_{i}.inner" for i in ("0_0", "0_1", "1_0", "1_1")]
