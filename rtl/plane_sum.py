"""``PlaneSum``: from the counts of a tile's planes to its dot products."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .back_config import BackConfig
from .product import Product
from .settings import COEFFICIENT_BITS
from .stages import delayed


class PlaneSum(wiring.Component):
    """o[c] = i_offset[c] − Σ_p coefficient_p · raw_p[c], the planes of a row one after the other.

    With ``config.planes_max`` = 1 the coefficient is 1 or 2 (its bit 1 tells) and a result is a wire and a subtraction.
    With more, a memory of ``rows`` words holds the sums between the planes; a row's next plane may follow at once.

    Members:

    * ``i_valid``: In, 1; ``i_first``, ``i_last``: In, 1: the row is of its tile's first, last plane;
      ``i_row``: In, range(rows); ``i_coefficient``: In, signed(16).
    * ``i_raw``: In, cols of unsigned(acc_bits).
    * ``i_offset``: In, cols of signed(sum_bits), ``offset_delay`` cycles after its row; of the first plane's row.
    * ``o_valid``: Out, 1; ``o``: Out, cols of signed(sum_bits), after the last plane.

    Latency ``offset_delay`` + 1, interval 1. Exact modulo 2^sum_bits, so exact for every layer of ``config``'s domain.
    """

    interval = 1

    def __init__(self, config: BackConfig) -> None:
        self._config = config
        array = config.array
        self._products: list[Any] = []
        if config.planes_max > 1:
            shapes = unsigned(array.acc_bits), signed(COEFFICIENT_BITS)
            self._products = [Product(*shapes, array.tech) for _ in range(array.cols)]
        super().__init__(
            {
                "i_valid": In(1),
                "i_first": In(1),
                "i_last": In(1),
                "i_row": In(range(array.rows)),
                "i_coefficient": In(signed(COEFFICIENT_BITS)),
                "i_raw": In(data.ArrayLayout(unsigned(array.acc_bits), array.cols)),
                "i_offset": In(data.ArrayLayout(signed(config.sum_bits), array.cols)),
                "o_valid": Out(1),
                "o": Out(data.ArrayLayout(signed(config.sum_bits), array.cols)),
            }
        )

    @property
    def offset_delay(self) -> int:
        """Cycles from a row's counts to its offsets."""
        return self._products[0].latency if self._products else 2

    @property
    def latency(self) -> int:
        """Cycles from the counts of a row's last plane to its sums."""
        return self.offset_delay + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        terms = self._multiplied(m) if self._products else self._doubled(m)
        bases = self._kept(m, terms) if self._products else list(self.i_offset)
        m.d.sync += [total.eq(base - term) for total, base, term in zip(self.o, bases, terms, strict=True)]
        m.d.comb += self.o_valid.eq(delayed(m, self.i_valid & self.i_last, self.latency, 0))
        return m

    def _doubled(self, m: Module) -> list[Any]:
        shape = unsigned(self._config.array.acc_bits + 1)
        terms = data.ArrayLayout(shape, self._config.array.cols)
        first, second = Signal(terms, reset_less=True), Signal(terms, reset_less=True)
        double = self.i_coefficient[1]
        m.d.sync += second.eq(first)
        m.d.sync += [term.eq(Mux(double, raw << 1, raw)) for term, raw in zip(first, self.i_raw, strict=True)]
        return list(second)

    def _multiplied(self, m: Module) -> list[Any]:
        for index, unit in enumerate(self._products):
            m.submodules[f"product_{index}"] = unit
            m.d.comb += [unit.i_a.eq(self.i_raw[index]), unit.i_b.eq(self.i_coefficient)]
        return [unit.o for unit in self._products]

    def _kept(self, m: Module, terms: list[Any]) -> list[Any]:
        """What a row starts from: its offsets, or its earlier planes; the new sum takes its place at once."""
        config = self._config
        m.submodules.sums = memory = Memory(shape=self.o.shape(), depth=config.array.rows, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        flags = Cat(self.i_valid, self.i_first, self.i_row)
        valid, first, row = _split(delayed(m, flags, self.offset_delay, 0))
        bases = [Mux(first, offset, kept) for offset, kept in zip(self.i_offset, read.data, strict=True)]
        m.d.comb += [read.addr.eq(row), write.addr.eq(row), write.en.eq(valid)]
        m.d.comb += [new.eq(base - term) for new, base, term in zip(write.data, bases, terms, strict=True)]
        return bases


def _split(flags: Any) -> tuple[Any, Any, Any]:
    return flags[0], flags[1], flags[2:]
