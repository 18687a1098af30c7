"""Every ECP5 twin proven equal to its generic component, and the prover itself: a wrong twin must be found out.

A tree is proven in two parts. Each level's adders, with the registers that its carries wait in, are proven by SAT for
all inputs; all else, which wires and registers the levels, is the same netlist whatever the tech, compared as text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from xnorscan.rtl.accumulator import Accumulator
from xnorscan.rtl.adders import Adders
from xnorscan.rtl.carry_ecp5 import Half, add_half, shift_add_half
from xnorscan.rtl.chain_ends import open_chain_ends
from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.delay import DelayLine
from xnorscan.rtl.equivalence import prove_equal
from xnorscan.rtl.popcount import XorPopcount
from xnorscan.rtl.signed_sum import SignedSum


class _PlainCount(wiring.Component):
    """Σ a_i ^ b_i in one expression, as late as ``XorPopcount``."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__({"i_a": In(lanes), "i_b": In(lanes), "o": Out(lanes.bit_length())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.delay = delay = DelayLine(len(self.o), XorPopcount(self.lanes).latency)
        m.d.comb += [delay.i.eq(sum(self.i_a ^ self.i_b)), self.o.eq(delay.o)]
        return m


def _prove_levels(tree: Callable[..., Any], lanes: int) -> None:
    for gold, gate in zip(tree(lanes).levels(), tree(lanes, "ecp5").levels(), strict=True):
        prove_equal(gold, gate, "ecp5")


def _as_black_box(adders: Adders, platform: object) -> Module:
    m = Module()
    ports = {name if name.startswith("i_") else f"o_{name}": getattr(adders, name) for name in adders.signature.members}
    sizes = {"p_COUNT": adders.count, "p_WIDTH": adders.width, "p_CARRY_DELAY": str(adders.carry_delay)}
    m.submodules.box = Instance("LEVEL", **sizes, **ports)
    return m


def _accumulators(activations: str, lanes: int, inputs: int) -> list[Accumulator]:
    sizes: dict[str, Any] = {"rows": 1, "cols": 1, "lanes": lanes, "activations": activations, "inputs_max": inputs}
    return [Accumulator(ArrayConfig(tech=tech, **sizes)) for tech in ("generic", "ecp5")]


@pytest.mark.parametrize("tree", [XorPopcount, SignedSum])
def test_the_levels_of_the_trees_that_presets_use(tree: Callable[..., Any]) -> None:
    _prove_levels(tree, 64)


@pytest.mark.verify
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32, 128, 256])
def test_the_levels_of_every_popcount(lanes: int) -> None:
    _prove_levels(XorPopcount, lanes)


@pytest.mark.verify
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32])
def test_the_levels_of_every_signed_sum(lanes: int) -> None:
    _prove_levels(SignedSum, lanes)


@pytest.mark.parametrize("tree", [XorPopcount, SignedSum])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_around_its_levels_a_tree_is_the_same_in_every_tech(
    tree: Callable[..., Any], lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Adders, "elaborate", _as_black_box)
    netlists = {rtlil.convert(tree(lanes, tech), name="top") for tech in ("generic", "ecp5", "ice40")}
    assert len(netlists) == 1
    assert netlists.pop().count("cell \\LEVEL") == max(1, lanes.bit_length() - 1)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_whole_small_popcounts_against_a_plain_sum(lanes: int) -> None:
    prove_equal(_PlainCount(lanes), XorPopcount(lanes, "ecp5"), "ecp5")


@pytest.mark.parametrize(("activations", "lanes"), [("serial", 64), ("parallel", 64), ("serial", 1), ("parallel", 1)])
def test_accumulators(activations: str, lanes: int) -> None:
    gold, gate = _accumulators(activations, lanes, 16384 if lanes > 1 else 3)
    prove_equal(gold, gate, "ecp5")


def test_a_carry_that_comes_a_cycle_early_is_found() -> None:
    gold, gate = Adders(2, 2, carry_delay=2), Adders(2, 2, carry_delay=1, tech="ecp5")
    with pytest.raises(ValueError, match="proof did fail"):
        prove_equal(gold, gate, "ecp5")


@pytest.mark.parametrize("row", [1, 6, 15])
def test_a_wrong_row_of_a_table_is_found(row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(x: Sequence[Any], y: Sequence[Any]) -> Half:
        half = add_half(x, y)
        return Half(half.table ^ 1 << row, half.pins)

    monkeypatch.setattr("xnorscan.rtl.adders.add_half", wrong)
    with pytest.raises(ValueError, match="proof did fail"):
        prove_equal(Adders(1, 2, flips=True), Adders(1, 2, flips=True, tech="ecp5"), "ecp5")


def test_an_accumulator_that_doubles_wrongly_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(i: Sequence[Any], shifted: Sequence[Any], kept: Any, shift: Any) -> Half:
        return shift_add_half(i, [kept], *shifted or [kept], shift)

    monkeypatch.setattr("xnorscan.rtl.accumulator.shift_add_half", wrong)
    gold, gate = _accumulators("serial", 4, 8)
    with pytest.raises(ValueError, match="proof did fail"):
        prove_equal(gold, gate, "ecp5")


class _InvertedDelay(wiring.Component):
    def __init__(self, cycles: int) -> None:
        self.cycles = cycles
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.delay = delay = DelayLine(1, self.cycles, init=1)
        m.d.comb += [delay.i.eq(~self.i), self.o.eq(~delay.o)]
        return m


def test_what_is_equal_but_takes_too_many_cycles_to_decide_is_not_called_proven() -> None:
    prove_equal(DelayLine(1, 10, init=0), _InvertedDelay(10), "generic")
    with pytest.raises(ValueError, match="proof did fail"):
        prove_equal(DelayLine(1, 20, init=0), _InvertedDelay(20), "generic")


def test_only_chain_ends_that_nothing_depends_on_are_opened() -> None:
    slot = {"INIT0": f"{6:016b}"}
    adds = {"INIT0": f"{0x6996:016b}"}
    cells = {
        "first": _ccu2c(slot, "1", "0", 2),
        "last": _ccu2c(adds, 7, 2, 3),
        "yosys": _ccu2c(adds, "1", "0", 4),
        "read": {"type": "LUT4", "connections": {"A": [4]}},
    }
    open_chain_ends({"modules": {"top": {"cells": cells, "ports": {}}}})
    ends = {
        name: (cell["connections"]["CIN"], cell["connections"]["COUT"])
        for name, cell in cells.items()
        if name != "read"
    }
    assert ends == {"first": (["x"], [2]), "last": ([2], ["x"]), "yosys": (["0"], [4])}


def _ccu2c(parameters: dict[str, str], c_and_d: str | int, carry_in: str | int, carry_out: int) -> dict[str, Any]:
    pins = {"C0": [c_and_d], "D0": [c_and_d], "CIN": [carry_in], "COUT": [carry_out]}
    return {"type": "CCU2C", "parameters": parameters, "connections": pins}
