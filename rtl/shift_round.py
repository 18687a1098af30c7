"""Shifts by a run-time amount, rounded half to even: ``ShiftRound``, and its ``Shifter`` without the addition."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.hdl import signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .stages import registered

_LEVELS_PER_STAGE = 2


def counts(value_bits: int, result_bits: int) -> range:
    """Every ``i_count`` of a ``Shifter``: 0 is the farthest shift to the left, the last the farthest to the right."""
    return range(value_bits + result_bits)


def count_of(shift: Any, value_bits: int, result_bits: int) -> Any:
    """The ``i_count`` of a shift to the right by signed ``shift`` bits, exact however far it goes.

    By value_bits to the right everything rounds to 0; by result_bits − 1 to the left everything but 0 and −1 overflows,
    and −1 becomes the least result.
    """
    left = result_bits - 1
    return Mux(shift < -left, 0, Mux(shift > value_bits, value_bits + left, shift + left))


class Shifter(wiring.Component):
    """v / 2^shift with ``i_count`` = shift + result_bits − 1: rounded down, and what rounding half to even adds.

        round(v / 2^shift) = o + o_round  where it fits result_bits,
        o_overflow = 1                    where floor(v / 2^shift) does not: it is beyond the end that the sign tells.

    Levels of two-way multiplexers from the longest shift to the shortest; every level keeps only the bits that may
    still reach the result, one below it, whether a lost low bit was 1, and whether a lost high bit was not the sign.

    Members: ``i``: In, signed(value_bits); ``i_count``: In, range(value_bits + result_bits); ``o``: Out,
    signed(result_bits), undefined with ``o_overflow``; ``o_round``, ``o_overflow``, ``o_negative``: Out, 1.
    Latency ceil(levels / 2) with levels = bits of the greatest count; interval 1.
    Raises ``ValueError`` for a width below 2.
    """

    interval = 1

    def __init__(self, value_bits: int, result_bits: int) -> None:
        if min(value_bits, result_bits) < 2:
            raise ValueError(f"widths are {value_bits} and {result_bits}, a signed number must have at least 2 bits")
        self._result_bits = result_bits
        count = counts(value_bits, result_bits)
        self._levels = count[-1].bit_length()
        super().__init__(
            {
                "i": In(signed(value_bits)),
                "i_count": In(count),
                "o": Out(signed(result_bits)),
                "o_round": Out(1),
                "o_overflow": Out(1),
                "o_negative": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a value to its result."""
        return -(-self._levels // _LEVELS_PER_STAGE)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word, low = self.i, self._result_bits - 1
        sticky: Any = Const(0)
        overflow: Any = Const(0)
        negative, count = self.i[-1], self.i_count
        for level in reversed(range(self._levels)):
            word, low, lost, outside = self._level(word, low, 1 << level, count[level], negative)
            sticky, overflow = sticky | lost, overflow | outside
            if level % _LEVELS_PER_STAGE == 0:
                held = [registered(m, value) for value in (word, sticky, overflow, negative, count[:level])]
                word, sticky, overflow, negative, count = held
        m.d.comb += [
            self.o.eq(word[1:]),
            self.o_round.eq(word[0] & (sticky | word[1])),
            self.o_overflow.eq(overflow | (word[-1] ^ negative)),
            self.o_negative.eq(negative),
        ]
        return m

    def _level(self, word: Any, low: int, step: int, select: Any, negative: Any) -> tuple[Any, int, Any, Any]:
        """One level: ``word``, whose lowest bit weighs 2^low, moves by ``step`` to the right or stays."""
        high = min(low + len(word) - 1, self._result_bits - 1 + step - 1)
        new_low = max(-1, low - step)
        stays = Cat(Const(0, low - new_low), word).as_signed()
        dropped = max(0, new_low + step - low)
        moves = Cat(Const(0, max(0, low - new_low - step)), word[dropped:]).as_signed()
        lost = select & word[:dropped].any()
        outside = ~select & (word[high + 1 - low :] ^ negative.replicate(low + len(word) - 1 - high)).any()
        return Mux(select, moves, stays)[: high - new_low + 1].as_signed(), new_low, lost, outside


class ShiftRound(wiring.Component):
    """o = saturate(round_half_even(i / 2^i_shift), result_bits); a negative ``i_shift`` shifts to the left.

    Equal to the simulator's ``shift_round`` saturated to ``result_bits``, for every value and every shift.

    Members: ``i``: In, signed(value_bits); ``i_shift``: In, signed(shift_bits); ``o``: Out, signed(result_bits).
    Latency 3 + ``Shifter``'s, interval 1. Raises as ``Shifter`` does.
    """

    interval = 1

    def __init__(self, value_bits: int, result_bits: int, shift_bits: int) -> None:
        self._value_bits, self._result_bits = value_bits, result_bits
        self._shifter = Shifter(value_bits, result_bits)
        super().__init__(
            {"i": In(signed(value_bits)), "i_shift": In(signed(shift_bits)), "o": Out(signed(result_bits))}
        )

    @property
    def latency(self) -> int:
        """Cycles from a value to its result."""
        return 3 + self._shifter.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.shifter = shifter = self._shifter
        m.d.sync += shifter.i.eq(self.i)
        count = Signal.like(shifter.i_count, reset_less=True)
        m.d.sync += count.eq(count_of(self.i_shift, self._value_bits, self._result_bits))
        m.d.comb += shifter.i_count.eq(count)
        total = registered(m, shifter.o + shifter.o_round)
        overflow, negative = registered(m, shifter.o_overflow), registered(m, shifter.o_negative)
        greatest = (1 << (self._result_bits - 1)) - 1
        beyond = overflow | (total > greatest)
        m.d.sync += self.o.eq(Mux(beyond, Mux(negative, ~greatest, greatest), total))
        return m
