"""``Quantizer``: products to 8-bit activations, per token: first the token's scale, then its products once more."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.hdl import signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..designs.pipeline import MEMORY_LATENCY
from .front_config import ABSMAX_BITS, RECIPROCAL_BITS, FrontConfig
from .memory import Ram
from .product import Product
from .reciprocal import Reciprocal
from .rounding_shift import RoundingShift, rounded
from .stages import delayed, registered
from .stream import SkidBuffer, StreamFifo
from .token_scale import TokenScale, greatest_down

_RECIPROCAL_FRACTION = 40
_TOKENS = 32
"""Tokens whose scale is under way or waits."""
_SLACK = 64
"""Beats of room beyond the longest token: what arrives between its last beat and the first that is read back."""
_OUTPUT_BEATS = 16
"""Room for every beat between the product memory and ``o``, so that nothing in between ever waits."""


class Quantizer(wiring.Component):
    """u = q + 128, |q| ≤ 127, every rounding half to even:

    * pow2: q = round(p / 2^shift);
    * absmax: q = round(round(p·2^(23 − n))·reciprocal / 2^40), with n the bits of the token's greatest |p| and
      reciprocal = floor(127·2^40 / scale).

    Products wait in a ring of memory until their token's scale is known; meanwhile the next token's come in.

    ``headroom``: beats that may still come after ``o_room`` has fallen.

    Members:

    * ``i``: In, stream of ``config.product_layout``, always ready; a token has at most ``inputs_max`` channels.
    * ``o_room``: Out, 1: there is room for the beat accepted now, ``headroom`` − 2 cycles on its way, and those before.
    * ``o``: Out, stream of ``config.u_layout``.
    * ``o_scale``: Out, stream of ``config.scale_layout``, always ready, one for each token.

    ``latency`` from a token's last beat to its first at ``o``, if nothing waits; ``interval(inputs)`` between tokens.
    """

    def __init__(self, config: FrontConfig, headroom: int) -> None:
        self._config, self._headroom = config, headroom
        self._absmax = config.quantizer == "absmax"
        self._scale = TokenScale(config)
        self._token = data.StructLayout({"end": range(self._capacity), "down": range(greatest_down(config) + 1)})
        self._lanes = [_Lane(config) for _ in range(config.lanes)]
        super().__init__(
            {
                "i": In(stream.Signature(config.product_layout, always_ready=True)),
                "o_room": Out(1),
                "o": Out(stream.Signature(config.u_layout)),
                "o_scale": Out(stream.Signature(config.scale_layout, always_ready=True)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a token's last beat to its first at ``o``: scale, queue, division (or a buffer), memory, lane,
        output queue.
        """
        ahead = Reciprocal.latency if self._absmax else 1
        return self.scale_latency + 2 + ahead + MEMORY_LATENCY + self._lanes[0].latency + 2

    @property
    def scale_latency(self) -> int:
        """Cycles from a token's last beat to its scale at ``o_scale``."""
        return self._scale.latency

    def interval(self, inputs: int) -> int:
        """Cycles between tokens of ``inputs`` channels at full rate."""
        return max(self._config.beats(inputs), Reciprocal.interval if self._absmax else 1)

    @property
    def _capacity(self) -> int:
        """Beats of the product memory, a power of two: its addresses wrap."""
        return 1 << (self._config.beats_max + _SLACK - 1).bit_length()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.scale = scale = self._scale
        m.d.comb += [
            scale.i.valid.eq(self.i.valid),
            scale.i.p.eq(self.i.p),
            self.o_scale.valid.eq(scale.o.valid),
            self.o_scale.p.eq(scale.o.p.scale),
        ]
        write_address, read_address = Signal(range(self._capacity)), Signal(range(self._capacity))
        tokens, taken = self._queue_tokens(m, delayed(m, write_address, scale.latency))
        read, credit = Signal(), Signal(range(_OUTPUT_BEATS + 1), init=_OUTPUT_BEATS)
        last = read_address == self._tag(tokens).end
        m.d.comb += [read.eq(tokens.valid & (credit != 0)), tokens.ready.eq(read & last)]
        m.d.sync += [
            write_address.eq(write_address + self.i.valid),
            read_address.eq(read_address + read),
            credit.eq(credit - read + (self.o.valid & self.o.ready)),
        ]
        self._count_room(m, read, taken)
        products = self._product_memory(m, write_address, read_address)
        self._quantize(m, products, delayed(m, Cat(read, last), MEMORY_LATENCY, init=0), tokens)
        return m

    def _queue_tokens(self, m: Module, end: Any) -> tuple[Any, Any]:
        """The stream of tokens whose products can be read, and 1 when a token leaves the queue."""
        shape = data.StructLayout({"scale": ABSMAX_BITS + 1, "tag": self._token}) if self._absmax else self._token
        m.submodules.tokens = queue = StreamFifo(shape, _TOKENS, self._config.tech)
        scale, token = self._scale.o, self._tag(queue.i)
        m.d.comb += [queue.i.valid.eq(scale.valid), token.end.eq(end), token.down.eq(scale.p.down)]
        taken = queue.o.valid & queue.o.ready
        if not self._absmax:
            m.submodules.ahead = ahead = SkidBuffer(self._token)
            wiring.connect(m, queue.o, ahead.i)
            return ahead.o, taken
        m.submodules.reciprocal = reciprocal = Reciprocal(self._token)
        m.d.comb += queue.i.p.scale.eq(scale.p.divisor)
        wiring.connect(m, queue.o, reciprocal.i)
        return reciprocal.o, taken

    def _tag(self, tokens: Any) -> Any:
        return tokens.p.tag if self._absmax else tokens.p

    def _count_room(self, m: Module, read: Any, taken: Any) -> None:
        beats, tokens = Signal(range(self._capacity + 1)), Signal(range(_TOKENS + 1))
        m.d.sync += [
            beats.eq(beats + self.i.valid - read),
            tokens.eq(tokens + (self.i.valid & self.i.p.last) - taken),
            self.o_room.eq((beats <= self._capacity - self._headroom) & (tokens <= _TOKENS - self._headroom)),
        ]

    def _product_memory(self, m: Module, write_address: Any, read_address: Any) -> Any:
        products = self._config.product_layout["p"].shape
        m.submodules.products = memory = Ram(products.size, self._capacity, self._config.tech)
        m.d.comb += [
            memory.i_write.enable.eq(self.i.valid),
            memory.i_write.address.eq(write_address),
            memory.i_write.data.eq(self.i.p.p),
            memory.i_enable.eq(1),
            memory.i_address.eq(read_address),
        ]
        return data.View(products, memory.o)

    def _quantize(self, m: Module, products: Any, flags: Any, tokens: Any) -> None:
        """The lanes, and the output queue that has room for every beat that was read."""
        m.submodules.output = output = StreamFifo(self.o.p.shape(), _OUTPUT_BEATS, self._config.tech)
        down = delayed(m, self._tag(tokens).down, MEMORY_LATENCY)
        reciprocal = delayed(m, tokens.p.reciprocal, MEMORY_LATENCY) if self._absmax else None
        for index, lane in enumerate(self._lanes):
            m.submodules[f"lane_{index}"] = lane
            m.d.comb += [lane.i.eq(products[index]), lane.i_down.eq(down), output.i.p.u[index].eq(lane.o)]
            if self._absmax:
                m.d.comb += lane.i_reciprocal.eq(reciprocal)
        flags = delayed(m, flags, self._lanes[0].latency, init=0)
        m.d.comb += [output.i.valid.eq(flags[0]), output.i.p.last.eq(flags[1])]
        wiring.connect(m, output.o, wiring.flipped(self.o))


class _Lane(wiring.Component):
    """One product at a time to u = q + 128.

    Members: ``i``: In, signed(``config.product_bits``); ``i_down``: In, right shift; ``i_reciprocal`` (absmax): In,
    unsigned(25); ``o``: Out, unsigned(8). Interval 1.

    absmax: |p·2^(23 − n)| rounds to at most scale ≤ 2^23, times reciprocal at most 127·2^40.
    """

    def __init__(self, config: FrontConfig) -> None:
        absmax = config.quantizer == "absmax"
        up = ABSMAX_BITS if absmax else 0
        self._shift = RoundingShift(config.product_bits + up, greatest_down(config), ABSMAX_BITS + 2 if absmax else 8)
        self._product = Product(signed(ABSMAX_BITS + 2), unsigned(RECIPROCAL_BITS), config.tech) if absmax else None
        self._up = up
        members = {"i": In(signed(config.product_bits)), "i_down": In(range(greatest_down(config) + 1)), "o": Out(8)}
        super().__init__(members | ({"i_reciprocal": In(RECIPROCAL_BITS)} if absmax else {}))

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``."""
        return self._shift.latency + (self._product.latency + 2 if self._product else 0)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.shift = shift = self._shift
        m.d.comb += [shift.i.eq(self.i.shift_left(self._up)), shift.i_amount.eq(self.i_down)]
        q = self._multiplied(m, self._product, shift.o) if self._product else shift.o
        m.d.comb += self.o.eq(Cat(q[:7], ~q[7]))
        return m

    def _multiplied(self, m: Module, product: Product, value: Any) -> Any:
        m.submodules.product = product
        m.d.comb += [
            product.i_a.eq(value),
            product.i_b.eq(delayed(m, self.i_reciprocal, self._shift.latency)),
        ]
        floor, below = product.o[_RECIPROCAL_FRACTION:], product.o[:_RECIPROCAL_FRACTION]
        guard, sticky = registered(m, below[-1], "guard"), registered(m, below[:-1].any(), "sticky")
        return registered(m, rounded(registered(m, floor, "floor"), guard, sticky), "q")
