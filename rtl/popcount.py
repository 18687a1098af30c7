"""``XorPopcount``: how many bits of two words differ, the heart of a serial element."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..designs.pipeline import dot_latency
from .adders import Adders, connect_levels
from .config import Tech


class XorPopcount(wiring.Component):
    """Mismatches of two words: ``o = popcount(i_a ^ i_b)``.

    A level of adders takes two sums of 2^k − 1 lanes and, as the carry in, one more lane: a sum of 2^(k+1) − 1 lanes,
    in which no code is wasted. One lane is left after log2(lanes) − 1 levels: the carry into a last adder of one word.

    ``lanes``: a power of two; ``tech``: what it is built of; ``levels_per_stage``: levels between two registers.
    Members: ``i_a``, ``i_b`` (In, ``lanes``; not registered here), ``o`` (Out, ``bit_length(lanes)``; registered).
    Latency ``dot_latency(lanes, levels_per_stage)`` whatever the tech, interval 1.
    Raises ``ValueError`` where ``lanes`` is not a power of two.
    """

    interval = 1

    def __init__(self, lanes: int, tech: Tech = "generic", levels_per_stage: int = 1) -> None:
        if lanes < 1 or lanes & (lanes - 1):
            raise ValueError(f"lanes is {lanes}, it must be a power of two: each level of adders halves the words")
        self._lanes, self._tech, self._levels_per_stage = lanes, tech, levels_per_stage
        super().__init__({"i_a": In(lanes), "i_b": In(lanes), "o": Out(lanes.bit_length())})

    @property
    def latency(self) -> int:
        """Cycles from ``i_a`` and ``i_b`` to ``o``."""
        return dot_latency(self._lanes, self._levels_per_stage)

    def levels(self) -> list[Adders]:
        """The levels of adders, leaves first."""
        top = self._lanes.bit_length() - 1
        add = partial(Adders, tech=self._tech, levels_per_stage=self._levels_per_stage)
        if top < 2:
            return [add(1, 1, operands=self._lanes, flips=True)]
        return [
            add(self._lanes // 4, 1, flips=True, carry_delay=0),
            *(
                add(self._lanes >> (level + 1), level, carry_delay=self._registers_before(level))
                for level in range(2, top)
            ),
            add(1, top, operands=1, carry_delay=self._registers_before(top)),
        ]

    def _registers_before(self, level: int) -> int:
        """Registers between the inputs and ``level``, the leaves being level 1."""
        return (level - 1) // self._levels_per_stage

    def elaborate(self, platform: object) -> Module:
        m = Module()
        levels = self.levels()
        leaves = levels[0]
        taken = len(leaves.i_flips)
        m.d.comb += [
            leaves.i_words.eq(self.i_a[:taken]),
            leaves.i_flips.eq(self.i_b[:taken]),
            self.o.eq(connect_levels(m, levels, self._levels_per_stage)),
        ]
        for adders in levels:
            if adders.carry_delay is not None:
                carries = slice(taken, taken + adders.count)
                m.d.comb += [adders.i_carries.eq(self.i_a[carries]), adders.i_carry_flips.eq(self.i_b[carries])]
                taken = carries.stop
        return m
