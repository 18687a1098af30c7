"""``Reciprocal``: absmax mode's one division for each token, a bit a cycle."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.hdl import ShapeLike, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .front_config import ABSMAX_BITS, RECIPROCAL_BITS

_FIRST_REMAINDER = 127 << 15
"""127·2^40 without its last 25 bits: less than every scale, so that no quotient bit comes before."""


class Reciprocal(wiring.Component):
    """reciprocal = floor(127·2^40 / scale) for 2^22 ≤ scale ≤ 2^23, by restoring division; the dividend's bits that
    come in are all 0. For other scales (that of a token of zeros is 1) it is some number.

    ``tag``: the shape of what a token takes along.

    Members: ``i``: In, stream of {scale: unsigned(24), tag}; ``o``: Out, stream of {reciprocal: unsigned(25), tag}.
    The next division runs while a result waits at ``o``. Latency 27, interval 27.
    """

    latency = RECIPROCAL_BITS + 2
    interval = RECIPROCAL_BITS + 2

    def __init__(self, tag: ShapeLike) -> None:
        operands = data.StructLayout({"scale": unsigned(ABSMAX_BITS + 1), "tag": tag})
        result = data.StructLayout({"reciprocal": unsigned(RECIPROCAL_BITS), "tag": tag})
        super().__init__({"i": In(stream.Signature(operands)), "o": Out(stream.Signature(result))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operands = Signal(self.i.p.shape())
        remainder = Signal(ABSMAX_BITS + 1)
        quotient = Signal(RECIPROCAL_BITS)
        left = Signal(range(RECIPROCAL_BITS + 1))
        busy = Signal()
        difference = (remainder.shift_left(1)) - operands.scale
        fits = ~difference[-1]
        m.d.comb += self.i.ready.eq(~busy)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(~busy):
            m.d.sync += [
                busy.eq(self.i.valid),
                operands.eq(self.i.p),
                remainder.eq(_FIRST_REMAINDER),
                left.eq(RECIPROCAL_BITS),
            ]
        with m.Elif(left != 0):
            m.d.sync += [
                left.eq(left - 1),
                remainder.eq(difference),
                quotient.eq(Cat(fits, quotient)),
            ]
            with m.If(~fits):
                m.d.sync += remainder.eq(remainder.shift_left(1))
        with m.Elif(self.o.ready | ~self.o.valid):
            m.d.sync += [
                busy.eq(0),
                self.o.valid.eq(1),
                self.o.p.reciprocal.eq(quotient),
                self.o.p.tag.eq(operands.tag),
            ]
        return m
