"""Carry chains of the Lattice ECP5: sums whose operands are XORed, or chosen, in the adder's own LUTs.

Half a ``CCU2C`` is a LUT4 of its pins A to D and, in the low four bits of the same table, a LUT2 of A and B:

    S = LUT4 ^ CIN        COUT = CIN if LUT4 else LUT2

With LUT4 = A^B^C^D and LUT2 = A^B it adds the bits A^B and C^D: no LUT is spent on the XORs. With LUT4 = 0 it is a slot
between two sums of one chain: S reads the carry out of the one, and LUT2 is the carry into the other.
The model is that of Yosys (``ccu2c_sim.vh``) with both INJECT1 = "NO".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Const, Instance, Module, Signal

HALVES_MAX = 24
"""Greatest length of the chains that sums share in a stage: timing analysis takes them for one ripple, slots or not.

A popcount of 256 lanes, placed and routed alone (speed grade 6): 16 halves 1.70 LUT4 a lane and 298 MHz, 24 halves
1.65 and 254 MHz, 48 halves 1.59 and 222 MHz.
"""
_UNUSED = Const(1)
"""What an unused pin is tied to: high takes no wire."""


@dataclass(frozen=True)
class Half:
    """Half a ``CCU2C``: its table and its pins A to D."""

    table: int
    pins: tuple[Any, ...]


def add_half(x: Sequence[Any], y: Sequence[Any] = ()) -> Half:
    """One bit of x + y: ``x`` is the XOR of one or two bits, ``y`` of up to two."""
    xored = _mask(x) | _mask(y) << 2
    return _half(lambda n: _parity(n & xored), lambda n: _parity(n & _mask(x)), x, y)


def slot_half(carry: Sequence[Any] = ()) -> Half:
    """Reads the carry out of what is before it; the carry into what is behind it is the XOR of up to two bits."""
    return _half(lambda n: 0, lambda n: _parity(n & _mask(carry)), carry, ())


def shift_add_half(i: Sequence[Any], shifted: Sequence[Any], kept: Any, shift: Any) -> Half:
    """One bit of i + (shifted if shift else kept), where ``i`` and ``shifted`` may be absent."""
    kept_mask, shifted_mask = _mask(i) | 0b0100, _mask(i) | _mask(shifted) << 1
    return _half(
        lambda n: _parity(n & (shifted_mask if n & 0b1000 else kept_mask)),
        lambda n: n & _mask(i),
        (*(i or [_UNUSED]), *shifted),
        (kept, shift),
    )


def add_sums(m: Module, sums: Sequence[Sequence[Half]], halves_max: int) -> list[list[Any]]:
    """The bits of each sum, carry out last. A sum is given as a slot with its carry in and the halves of its bits.

    The sums, all of one length, share chains of up to ``halves_max`` halves.
    """
    size = len(sums[0])
    per_chain = max(1, (halves_max - 1) // size)
    found: list[list[Any]] = []
    for first in range(0, len(sums), per_chain):
        chain = [half for halves in sums[first : first + per_chain] for half in halves]
        bits = add_chain(m, [*chain, slot_half()])
        found += [bits[start + 1 : start + size + 1] for start in range(0, len(chain), size)]
    return found


def add_chain(m: Module, halves: Sequence[Half]) -> list[Any]:
    """S of each half of one chain, which must start with a slot: its own carry in is left open.

    A wire from the fabric into a chain, or out of its end, would take a slice more.
    """
    even = [*halves, *[slot_half()] * (len(halves) % 2)]
    sums, carries = Signal(len(even)), Signal(len(even) // 2 - 1)
    for n in range(len(even) // 2):
        ports = {f"i_{pin}{k}": value for k in (0, 1) for pin, value in zip("ABCD", even[2 * n + k].pins, strict=True)}
        if n > 0:
            ports["i_CIN"] = carries[n - 1]
        if n < len(carries):
            ports["o_COUT"] = carries[n]
        m.submodules += Instance(
            "CCU2C",
            p_INIT0=Const(even[2 * n].table, 16),
            p_INIT1=Const(even[2 * n + 1].table, 16),
            p_INJECT1_0="NO",
            p_INJECT1_1="NO",
            o_S0=sums[2 * n],
            o_S1=sums[2 * n + 1],
            **ports,
        )
    return list(sums[: len(halves)])


def _half(
    propagate: Callable[[int], int], generate: Callable[[int], int], ab: Sequence[Any], cd: Sequence[Any]
) -> Half:
    """The half whose LUT4 is ``propagate`` and whose LUT2 is ``generate`` of the number that the pins make, A lowest.

    The LUT2 has rows 0 to 3, which the LUT4 reads with C = D = 0: there both agree, or C or D is tied high.
    """
    table = sum((generate(n) if n < 4 else propagate(n)) << n for n in range(16))
    return Half(table, (*_tied(ab), *_tied(cd)))


def _tied(pins: Sequence[Any]) -> list[Any]:
    return [*pins, *[_UNUSED] * (2 - len(pins))]


def _mask(pins: Sequence[Any]) -> int:
    return (1 << len(pins)) - 1


def _parity(n: int) -> int:
    return n.bit_count() % 2
