"""``Accumulator``: adds the dot products of a pass."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .carry_ecp5 import add_chain, add_half, shift_add_half, slot_half
from .config import ArrayConfig


class Accumulator(wiring.Component):
    """``o_sum = (acc << 1 if i_double else acc) + i``; with ``i_enable``: ``acc ← 0 if i_last else o_sum``.

    ``i_last`` ends a pass: ``o_sum`` is its result in that cycle, and the next pass starts from 0. Modulo 2^acc_bits,
    which no layer of up to ``inputs_max`` inputs reaches.

    Members: ``i`` (In, dot_bits), ``i_enable``, ``i_last``, ``i_double`` (In, 1; ``i_double`` in a serial array only),
    ``o_sum`` (Out, acc_bits; combinational).
    Latency 0, interval 1.
    """

    latency = 0
    interval = 1

    def __init__(self, config: ArrayConfig) -> None:
        self._config, self._is_serial = config, config.activations == "serial"
        members = {"i": In(config.dot_bits), "i_enable": In(1), "i_last": In(1), "o_sum": Out(config.acc_bits)}
        if self._is_serial:
            members["i_double"] = In(1)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        acc = Signal(self._config.acc_bits)
        add = self._add_on_ecp5 if self._config.tech == "ecp5" else self._add
        m.d.comb += self.o_sum.eq(add(m, acc))
        with m.If(self.i_enable & self.i_last):
            m.d.sync += acc.eq(0)
        with m.Elif(self.i_enable):
            m.d.sync += acc.eq(self.o_sum)
        return m

    def _add(self, m: Module, acc: Signal) -> Any:
        return self.i + (Mux(self.i_double, acc << 1, acc) if self._is_serial else acc)

    def _add_on_ecp5(self, m: Module, acc: Signal) -> Any:
        """One half of a carry chain for each bit; above ``i``, whose bits are absent there, it passes the carry on."""
        bits = [[bit] for bit in self.i] + [[]] * (len(acc) - len(self.i))
        if self._is_serial:
            shifted = [[], *([bit] for bit in acc[:-1])]
            halves = [shift_add_half(*pins, self.i_double) for pins in zip(bits, shifted, acc, strict=True)]
        else:
            halves = [add_half([kept], bit) for kept, bit in zip(acc, bits, strict=True)]
        _, *sums = add_chain(m, [slot_half([]), *halves])
        return Cat(sums)
