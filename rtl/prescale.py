"""``Prescale``: what a token meets first: the products x·α, and the sum Σ β·x."""

from __future__ import annotations

import operator
from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..designs.pipeline import MEMORY_LATENCY
from .front_config import SCALE_BITS, FrontConfig
from .memory import BankedRam
from .product import Product
from .stages import delayed, tree


class Prescale(wiring.Component):
    """p = x·α for every channel, and Σ β·x for every token, both exact.

    α and β lie side by side in a memory with an output register, a word for each beat; the beat counter restarts after
    ``last``. A token has at most ``inputs_max`` channels. Nothing here waits: whoever feeds ``i`` knows of the room.

    Members:

    * ``i``: In, stream of ``config.x_layout``, always ready; lanes beyond K hold 0.
    * ``parameter_write``: In, ``config.parameter_layout``: one α or β a cycle while no token that needs it is here.
    * ``o``: Out, stream of ``config.product_layout``, always ready.
    * ``o_beta_sum``: Out, stream of signed(``config.beta_sum_bits``), always ready, one for each token.

    Latency: ``latency`` to ``o``, ``beta_sum_latency`` from a token's last beat to ``o_beta_sum``. Interval 1.
    """

    interval = 1

    def __init__(self, config: FrontConfig) -> None:
        self._config = config
        self._products = [
            Product(signed(config.x_bits), signed(SCALE_BITS), config.tech) for _ in range(2 * config.lanes)
        ]
        super().__init__(
            {
                "i": In(stream.Signature(config.x_layout, always_ready=True)),
                "parameter_write": In(config.parameter_layout),
                "o": Out(stream.Signature(config.product_layout, always_ready=True)),
                "o_beta_sum": Out(stream.Signature(signed(config.beta_sum_bits), always_ready=True)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a beat of x to its beat of products."""
        return MEMORY_LATENCY + self._products[0].latency

    @property
    def beta_sum_latency(self) -> int:
        """Cycles from a token's last beat to its Σ β·x: the products, an adder tree over the lanes, the accumulator."""
        return self.latency + self._tree_levels + 1

    @property
    def _tree_levels(self) -> int:
        return (self._config.lanes - 1).bit_length()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._config.lanes
        parameters = self._read_parameters(m)
        x = delayed(m, self.i.p.x, MEMORY_LATENCY)
        for index, product in enumerate(self._products):
            m.submodules[f"product_{index}"] = product
            m.d.comb += [product.i_a.eq(x[index % lanes]), product.i_b.eq(parameters[index])]
        products = [product.o for product in self._products]
        m.d.comb += [self.o.p.p[lane].eq(products[lane]) for lane in range(lanes)]
        valid, last = _flags(m, self.latency, self.i.valid, self.i.p.last)
        m.d.comb += [self.o.valid.eq(valid), self.o.p.last.eq(last)]
        total = tree(m, products[lanes:], operator.add, "beta_sum")
        self._accumulate(m, total, *_flags(m, self._tree_levels, valid, last))
        return m

    def _read_parameters(self, m: Module) -> Any:
        config, source = self._config, self.parameter_write
        m.submodules.memory = memory = BankedRam(
            2 * config.lanes * SCALE_BITS, SCALE_BITS, config.beats_max, config.tech
        )
        beat = Signal(range(config.beats_max))
        with m.If(self.i.valid):
            m.d.sync += beat.eq(Mux(self.i.p.last, 0, beat + 1))
        m.d.comb += [
            memory.i_write.enable.eq(source.enable),
            memory.i_write.bank.eq(Cat(source.lane, source.select)),
            memory.i_write.address.eq(source.address),
            memory.i_write.data.eq(source.data),
            memory.i_enable.eq(1),
            memory.i_address.eq(beat),
        ]
        return data.View(data.ArrayLayout(signed(SCALE_BITS), 2 * config.lanes), memory.o)

    def _accumulate(self, m: Module, total: Any, valid: Any, last: Any) -> None:
        accumulator = Signal(signed(self._config.beta_sum_bits))
        with m.If(valid):
            m.d.sync += [accumulator.eq(Mux(last, 0, accumulator + total)), self.o_beta_sum.p.eq(accumulator + total)]
        m.d.sync += self.o_beta_sum.valid.eq(valid & last)


def _flags(m: Module, cycles: int, valid: Any, last: Any) -> tuple[Any, Any]:
    return delayed(m, valid, cycles, init=0), delayed(m, last, cycles)
