"""``Adders``: one level of an adder tree, its operands XORed on the way in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap
from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .carry_ecp5 import HALVES_MAX, add_half, add_sums, slot_half
from .config import Tech
from .stages import delayed


class Adders(wiring.Component):
    """``count`` sums, each of ``operands`` words of ``width`` bits and of a carry:

        o[n] = Σ_k (word[n + k·count] ^ {width{flip[n + k·count]}}) + (carry[n] ^ carry_flip[n])    k < operands

    ``operands``: 1 or 2. ``flips``: whether words are flipped. ``carry_delay``: cycles that the carries wait here for
    the words of their level, or ``None`` for no carries. ``tech``: on ``"ecp5"`` carry chains that several sums share
    and that XOR for nothing; elsewhere what synthesis makes of ``+`` (a carry of the iCE40 takes raw bits only).
    ``levels_per_stage``: levels that share a cycle, and the length of its chains.

    Members (a vector's item 0 lies in the low bits): ``i_words`` (In, operands·count·width), ``i_flips`` (In,
    operands·count, if ``flips``), ``i_carries`` and ``i_carry_flips`` (In, count, if there are carries),
    ``o`` (Out, count·(width + 1)).
    Latency 0 (``carry_delay`` for the carries), interval 1.
    """

    latency = 0
    interval = 1

    def __init__(
        self,
        count: int,
        width: int,
        *,
        operands: int = 2,
        flips: bool = False,
        carry_delay: int | None = None,
        tech: Tech = "generic",
        levels_per_stage: int = 1,
    ) -> None:
        self.count, self.width, self.operands = count, width, operands
        self.flips, self.carry_delay, self.tech = flips, carry_delay, tech
        self._halves_max = HALVES_MAX // levels_per_stage
        members = {"i_words": In(operands * count * width), "o": Out(count * (width + 1))}
        if flips:
            members["i_flips"] = In(operands * count)
        if carry_delay is not None:
            members |= {"i_carries": In(count), "i_carry_flips": In(count)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sums = self._add_on_ecp5(m) if self.tech == "ecp5" else self._add(m)
        m.d.comb += self.o.eq(Cat(value[: self.width + 1] for value in sums))
        return m

    def _add(self, m: Module) -> list[Any]:
        carries = [0] * self.count
        if self.carry_delay is not None:
            carries = delayed(m, self.i_carries ^ self.i_carry_flips, self.carry_delay, name="carries")
        addends = [self.i_words.word_select(index, self.width) for index in range(self.operands * self.count)]
        if self.flips:
            addends = [word ^ flip.replicate(self.width) for word, flip in zip(addends, self.i_flips, strict=True)]
        return [sum(addends[n :: self.count], carry) for n, carry in enumerate(carries)]

    def _add_on_ecp5(self, m: Module) -> list[Any]:
        """The XORs are left to the carry chains, so a carry waits as the two bits that it is the XOR of."""
        carries: list[tuple[Any, ...]] = [()] * self.count
        if self.carry_delay is not None:
            waited = delayed(m, Cat(self.i_carries, self.i_carry_flips), self.carry_delay, name="carries")
            carries = [(waited[n], waited[n + self.count]) for n in range(self.count)]
        addends = [self._pins(index) for index in range(self.operands * self.count)]
        halves = [
            [slot_half(carry), *starmap(add_half, zip(*addends[n :: self.count], strict=True))]
            for n, carry in enumerate(carries)
        ]
        return [Cat(bits) for bits in add_sums(m, halves, self._halves_max)]

    def _pins(self, index: int) -> list[tuple[Any, ...]]:
        """For each bit of a word, the bits that it is the XOR of."""
        flip = (self.i_flips[index],) if self.flips else ()
        return [(bit, *flip) for bit in self.i_words.word_select(index, self.width)]


def connect_levels(m: Module, levels: Sequence[Adders], levels_per_stage: int) -> Any:
    """The registered sums of the last of ``levels``, each of which adds the sums of the one before it.

    A register stands behind every ``levels_per_stage`` levels. Makes the levels submodules of ``m``.
    """
    for number, adders in enumerate(levels, 1):
        m.submodules[f"level_{number}"] = adders
        sums = adders.o
        if number % levels_per_stage == 0 or number == len(levels):
            sums = Signal.like(adders.o, name=f"sums_{number}", reset_less=True)
            m.d.sync += sums.eq(adders.o)
        if number < len(levels):
            m.d.comb += levels[number].i_words.eq(sums)
    return sums
