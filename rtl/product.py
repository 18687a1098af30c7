"""``Product``: an exact product wider than a multiplier block, in registered parts."""

from __future__ import annotations

from itertools import product
from typing import Any

from amaranth import ClockSignal, Const, Instance, Module, Signal
from amaranth.hdl import Shape, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import Tech
from .stages import registered

_PORT_BITS = 18
"""Signed operands of the multiplier blocks of ECP5; unsigned ones have a bit less."""


class Product(wiring.Component):
    """o = i_a · i_b, exact.

    Each operand is cut into pieces that fit a signed 18-bit port. Pieces and partial products are registered, on
    ``tech="ecp5"`` inside MULT18X18D; then the products are added pairwise with a register after each level, so that no
    path holds a multiplier and an adder.

    Members: ``i_a``: In, shape ``a``; ``i_b``: In, shape ``b``; ``o``: Out, as wide as both, signed if one of them is.
    Latency 2 + ceil(log2(partial products)), interval 1.
    """

    interval = 1

    def __init__(self, a: Shape, b: Shape, tech: Tech = "generic") -> None:
        self._multiply = _multiply_in_block if tech == "ecp5" else _multiply
        self._parts = len(_cuts(a)) * len(_cuts(b))
        super().__init__({"i_a": In(a), "i_b": In(b), "o": Out(Shape(a.width + b.width, a.signed or b.signed))})

    @property
    def latency(self) -> int:
        """Cycles from the operands to their product."""
        return 2 + (self._parts - 1).bit_length()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        parts = [
            (self._multiply(m, x, y, f"part_{i}_{j}"), i + j)
            for (i, x), (j, y) in product(_pieces(self.i_a), _pieces(self.i_b))
        ]
        while len(parts) > 1:
            parts = [_added(m, parts[k : k + 2]) for k in range(0, len(parts), 2)]
        m.d.comb += self.o.eq(parts[0][0])
        return m


def _multiply(m: Module, x: Any, y: Any, name: str) -> Any:
    return registered(m, registered(m, x, f"{name}_x") * registered(m, y, f"{name}_y"), name)


def _multiply_in_block(m: Module, x: Any, y: Any, name: str) -> Any:
    """``_multiply`` with the registers at the ports of a MULT18X18D (Lattice TN1267), both operands signed."""
    operands = {"A": Signal(signed(_PORT_BITS), name=f"{name}_a"), "B": Signal(signed(_PORT_BITS), name=f"{name}_b")}
    m.d.comb += [operands["A"].eq(x), operands["B"].eq(y)]
    result = Signal(signed(2 * _PORT_BITS), name=name)
    ports = {f"i_{pin}{bit}": word[bit] for pin, word in operands.items() for bit in range(_PORT_BITS)}
    ports |= {f"o_P{bit}": result[bit] for bit in range(len(result))}
    ports |= {"i_SIGNEDA": Const(1), "i_SIGNEDB": Const(1), "i_SOURCEA": Const(0), "i_SOURCEB": Const(0)}
    ports |= {"i_CLK0": ClockSignal(), "i_CE0": Const(1), "i_RST0": Const(0)}
    registers = {f"p_REG_{register}_CLK": "CLK0" for register in ("INPUTA", "INPUTB", "OUTPUT")}
    m.submodules[name] = Instance("MULT18X18D", **registers, **ports)
    return result[: len(x * y)].as_signed() if (x * y).shape().signed else result[: len(x * y)]


def _cuts(shape: Shape) -> range:
    """Where the pieces of an operand begin: all but the last are unsigned."""
    piece = _PORT_BITS - 1
    return range(0, max(1, shape.width - shape.signed), piece)


def _pieces(operand: Any) -> list[tuple[int, Any]]:
    cuts = _cuts(operand.shape())
    top = operand[cuts[-1] :]
    lower = [(cut, operand[cut : cut + cuts.step]) for cut in cuts[:-1]]
    return [*lower, (cuts[-1], top.as_signed() if operand.shape().signed else top)]


def _added(m: Module, parts: list[tuple[Any, int]]) -> tuple[Any, int]:
    least = parts[0][1]
    return registered(
        m, sum((value.shift_left(shift - least) for value, shift in parts[1:]), parts[0][0]), "sum"
    ), least
