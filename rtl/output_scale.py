"""``OutputScale``: from dot products to results in the layer's format."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.hdl import signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .back_config import BIAS_BITS, SCALED_BITS, BackConfig
from .product import Product
from .settings import RESULT_BITS
from .shift_round import Shifter, counts
from .stages import delayed

_FINISH = 3
"""Registers after the shift: the sum, whether it is outside, the result."""


class OutputScale(wiring.Component):
    """o[c] = saturate(round_half_even(i[c] · i_multiplier / 2^shift) + i_bias, i_result_bits): a row in every cycle.

    Multiplier, shift and bias are a token's, so all columns share them. The rounding's carry enters the addition of the
    bias: a column is one shifter and one adder (and a multiplier in ``absmax``). A scaled sum beyond ``SCALED_BITS``
    saturates by its sign, which no bias of ``BIAS_BITS`` can undo.

    Members:

    * ``i``: In, cols of signed(sum_bits).
    * ``i_multiplier``: In, unsigned(multiplier_bits), not read in ``pow2``.
    * ``i_count``: In, a ``Shifter``'s count of value_bits and ``SCALED_BITS``: shift + ``SCALED_BITS`` − 1.
    * ``i_bias``: In, signed(``BIAS_BITS``).
    * ``i_result_bits``: In, unsigned(6): 18, 24 or 32, constant while rows are here.
    * ``o``: Out, cols of signed(32).

    Latency: the product's + the shifter's + 3. Interval 1.
    """

    interval = 1

    def __init__(self, config: BackConfig) -> None:
        self._config = config
        cols = config.array.cols
        self._products: list[Any] = []
        if config.quantizer == "absmax":
            shapes = signed(config.sum_bits), unsigned(config.multiplier_bits)
            self._products = [Product(*shapes, config.array.tech) for _ in range(cols)]
        self._shifters = [Shifter(config.value_bits, SCALED_BITS) for _ in range(cols)]
        super().__init__(
            {
                "i": In(data.ArrayLayout(signed(config.sum_bits), cols)),
                "i_multiplier": In(unsigned(config.multiplier_bits)),
                "i_count": In(counts(config.value_bits, SCALED_BITS)),
                "i_bias": In(signed(BIAS_BITS)),
                "i_result_bits": In(RESULT_BITS[-1].bit_length()),
                "o": Out(data.ArrayLayout(signed(RESULT_BITS[-1]), cols)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a row to its results."""
        return self._product_latency + self._shifters[0].latency + _FINISH

    @property
    def _product_latency(self) -> int:
        return self._products[0].latency if self._products else 0

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values = self._multiplied(m) if self._products else list(self.i)
        count = delayed(m, self.i_count, self._product_latency)
        bias = delayed(m, self.i_bias, self._product_latency + self._shifters[0].latency)
        widths = Signal(len(RESULT_BITS) - 1)
        m.d.sync += widths.eq(Cat(self.i_result_bits <= bits for bits in RESULT_BITS[:-1]))
        for index, (shifter, value) in enumerate(zip(self._shifters, values, strict=True)):
            m.submodules[f"shifter_{index}"] = shifter
            m.d.comb += [shifter.i.eq(value), shifter.i_count.eq(count)]
            m.d.sync += self.o[index].eq(_finished(m, shifter, bias, widths))
        return m

    def _multiplied(self, m: Module) -> list[Any]:
        for index, unit in enumerate(self._products):
            m.submodules[f"product_{index}"] = unit
            m.d.comb += [unit.i_a.eq(self.i[index]), unit.i_b.eq(self.i_multiplier)]
        return [unit.o for unit in self._products]


def _finished(m: Module, shifter: Any, bias: Any, widths: Any) -> Any:
    """round + bias, saturated to the first width of ``RESULT_BITS`` whose bit in ``widths`` is set, else to the last.

    ``total`` has a bit below its point that is 1 in one operand and the rounding in the other: a carry at no cost.
    """
    total = Signal(signed(SCALED_BITS + 2), reset_less=True)
    overflow, negative = Signal(reset_less=True), Signal(reset_less=True)
    m.d.sync += [
        total.eq(Cat(Const(1, 1), shifter.o).as_signed() + Cat(shifter.o_round, bias).as_signed()),
        overflow.eq(shifter.o_overflow),
        negative.eq(shifter.o_negative),
    ]
    value = total[1:]
    beyond = [_differ(value, bits) & enable for bits, enable in zip(RESULT_BITS, [*widths, 1], strict=True)]
    kept, below, outside = (Signal(shape, reset_less=True) for shape in (signed(RESULT_BITS[-1]), 1, 1))
    m.d.sync += [
        kept.eq(value),
        below.eq(Mux(overflow, negative, value[-1])),
        outside.eq(overflow | Cat(beyond).any()),
    ]
    return Mux(outside, _end(below, widths), kept)


def _differ(value: Any, bits: int) -> Any:
    """Whether ``value`` does not fit ``bits`` bits."""
    return value[bits - 1 :].any() & ~value[bits - 1 :].all()


def _end(below: Any, widths: Any) -> Any:
    """The least or the greatest number of the width that ``widths`` tells: the sign from its top bit on."""
    narrow, middle = widths
    return Cat(
        ~below.replicate(RESULT_BITS[0] - 1),
        (below ^ ~narrow).replicate(RESULT_BITS[1] - RESULT_BITS[0]),
        (below ^ ~middle).replicate(RESULT_BITS[2] - RESULT_BITS[1]),
        below,
    ).as_signed()
