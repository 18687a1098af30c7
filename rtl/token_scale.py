"""``TokenScale``: from a token's products to its scale: the greatest magnitude, normalized, rounded."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .front_config import ABSMAX_BITS, FrontConfig
from .product import Product
from .rounding_shift import product_rounded
from .stages import delayed, registered, tree

_GREATEST = 127
_GREATEST_BITS = 7
_INVERSE_127 = 33026
_INVERSE_FRACTION = 15


def greatest_down(config: FrontConfig) -> int:
    """The greatest right shift of a product: to 127 in pow2 mode; in absmax mode from 23 bits further to the left."""
    return config.magnitude_bits - (_GREATEST_BITS if config.quantizer == "pow2" else 0)


class TokenScale(wiring.Component):
    """A token's scale from its products, with absmax = max |p| and n = bits of absmax.

    * pow2: shift = ``down`` = the least s ≥ 0 with absmax ≤ 127·2^s; multiplier = 1.
    * absmax: ``scale`` = max(1, round(absmax / 2^(n − 23))), ``down`` = n, multiplier = round(scale·33026 / 2^15),
      shift = n − 30. Products shifted left by 23 and right by ``down`` are on ``scale``'s own scale.

    Members: ``i``: In, stream of ``config.product_layout``, always ready; ``o``: Out, stream of
    {scale: ``config.scale_layout``, divisor: unsigned(24), down: range(``greatest_down(config)`` + 1)}, always ready,
    one for each token.

    Latency ``latency`` from a token's last beat, interval 1.
    """

    interval = 1

    def __init__(self, config: FrontConfig) -> None:
        self._config = config
        scale, inverse = unsigned(ABSMAX_BITS + 1), unsigned(_INVERSE_127.bit_length())
        self._inverse = Product(scale, inverse, config.tech) if config.quantizer == "absmax" else None
        result = data.StructLayout(
            {
                "scale": config.scale_layout,
                "divisor": unsigned(ABSMAX_BITS + 1),
                "down": range(greatest_down(config) + 1),
            }
        )
        super().__init__(
            {
                "i": In(stream.Signature(config.product_layout, always_ready=True)),
                "o": Out(stream.Signature(result, always_ready=True)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a token's last beat: magnitudes, tree over the lanes, running maximum, normalizer, rounding."""
        absmax = 1 + (self._config.lanes - 1).bit_length() + 1
        scale = 2 + self._inverse.latency if self._inverse else 1
        return absmax + self._levels + scale

    @property
    def _levels(self) -> int:
        """Levels of the normalizer: it shifts by at most magnitude_bits − 1."""
        return (self._config.magnitude_bits - 1).bit_length()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self._config.magnitude_bits
        normal, zeros = self._normalized(m, self._absmax(m))
        nonzero = normal[-1]
        if self._inverse is None:
            above = normal[-_GREATEST_BITS:].all() & normal[:-_GREATEST_BITS].any()
            least = bits - _GREATEST_BITS
            shift = registered(m, Mux(zeros < least, least - zeros + above, 0), "shift")
            m.d.comb += [self.o.p.down.eq(shift), self.o.p.scale.shift.eq(shift), self.o.p.scale.multiplier.eq(1)]
        else:
            self._scale(
                m,
                self._inverse,
                Mux(nonzero, product_rounded(normal, bits - ABSMAX_BITS), 1),
                Mux(nonzero, bits - zeros, 0),
            )
        m.d.comb += self.o.valid.eq(delayed(m, self.i.valid & self.i.p.last, self.latency, init=0))
        return m

    def _absmax(self, m: Module) -> Any:
        """max |p| of a token, in the cycle after its last beat has passed the tree."""
        bits, lanes = self._config.magnitude_bits, self._config.lanes
        magnitudes = [registered(m, abs(self.i.p.p[k])[:bits], f"magnitude_{k}") for k in range(lanes)]
        beat = tree(m, magnitudes, _maximum, "maximum")
        cycles = 1 + (lanes - 1).bit_length()
        valid, last = delayed(m, self.i.valid, cycles, init=0), delayed(m, self.i.p.last, cycles)
        first, absmax = Signal(init=1), Signal(bits, reset_less=True)
        with m.If(valid):
            m.d.sync += first.eq(last)
        with m.If(valid & (first | _greater(beat, absmax))):
            m.d.sync += absmax.eq(beat)
        return absmax

    def _normalized(self, m: Module, value: Any) -> tuple[Any, Any]:
        """``value`` shifted left until its first bit is 1, and by how much; zero stays zero."""
        zeros = Const(0, 0)
        for level in reversed(range(self._levels)):
            far = 1 << level
            empty = ~value[-far:].any()
            moved = Mux(empty, value.shift_left(far), value)[: len(value)]
            value, zeros = registered(m, moved, f"normal_{level}"), registered(m, Cat(empty, zeros), f"zeros_{level}")
        return value, zeros

    def _scale(self, m: Module, inverse: Product, scale: Any, bits: Any) -> None:
        divisor = registered(m, scale[: ABSMAX_BITS + 1], "divisor")
        m.submodules.inverse = inverse
        wait = inverse.latency + 1
        down = delayed(m, registered(m, bits, "down"), wait)
        m.d.comb += [
            inverse.i_a.eq(divisor),
            inverse.i_b.eq(_INVERSE_127),
            self.o.p.divisor.eq(delayed(m, divisor, wait)),
            self.o.p.down.eq(down),
            self.o.p.scale.shift.eq(down - ABSMAX_BITS - _GREATEST_BITS),
        ]
        m.d.sync += self.o.p.scale.multiplier.eq(product_rounded(inverse.o, _INVERSE_FRACTION))


def _greater(x: Any, y: Any) -> Any:
    """x > y as one borrow chain: synthesis adds a test for equality to an ordinary comparison."""
    return (y - x)[-1]


def _maximum(x: Any, y: Any) -> Any:
    return Mux(_greater(x, y), x, y)
