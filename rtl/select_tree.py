"""``SelectTree``: the one selected of many words, one-hot, without a long multiplexer path."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..designs.pipeline import select_latency

_OR_INPUTS = 4
"""Words that one level merges: as many as a four-input LUT takes."""


class SelectTree(wiring.Component):
    """o = OR over ``count`` words of (word if its select bit is set else 0): 0.5 + 1/6 LUT4 per word and bit.

    The first level takes two words and their select bits, every further level four words; each is registered.

    Members: ``i``: In, ``count`` × ``bits``; ``i_select``: In, ``count`` bits, at most one of them set; ``o``: Out,
    ``bits``.
    Latency ``select_latency(count)``, interval 1.
    """

    interval = 1

    def __init__(self, count: int, bits: int) -> None:
        self._count, self._bits = count, bits
        super().__init__({"i": In(data.ArrayLayout(bits, count)), "i_select": In(count), "o": Out(bits)})

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``."""
        return select_latency(self._count)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = [Mux(self.i_select[index], self.i[index], 0) for index in range(self._count)]
        group = 2
        for level in range(self.latency):
            groups = [words[start : start + group] for start in range(0, len(words), group)]
            words = [Signal(self._bits, name=f"level_{level}_{index}", reset_less=True) for index in range(len(groups))]
            m.d.sync += [word.eq(reduce(or_, members)) for word, members in zip(words, groups, strict=True)]
            group = _OR_INPUTS
        m.d.comb += self.o.eq(words[0])
        return m
