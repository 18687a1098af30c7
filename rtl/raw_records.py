"""``RawRecords``: the records of tokens whose activations software has loaded, past the quantizer."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .settings import TILES_BITS


class RawRecords(wiring.Component):
    """A record {multiplier: 1, shift: 0, beta_sum: 0} for each token of every loaded slot: y = round(acc / 2^exponent).

    Slots may be loaded before the start; their records leave after it, because only then is it known how many rows the
    last token tile has.

    Members:
      ``i_settings``: In, {token_tiles, last_height}, stable while busy; ``i_start``: In, 1: a layer begins;
      ``i_busy``: In, 1, from the start at the latest until the layer is done, 0 for a cycle at least between layers;
      ``i_slot_full``: In, 1: a slot has been loaded;
      ``o``: Out, stream of ``record``.
    Interval 1: a record a cycle, one cycle more between slots. ``rows``: tokens of a whole tile; ``slots_max``: slots
    that may be loaded and not read.
    """

    interval = 1

    def __init__(self, record: ShapeLike, rows: int, slots_max: int) -> None:
        self._rows, self._slots_max = rows, slots_max
        settings = {"token_tiles": TILES_BITS, "last_height": range(rows + 1)}
        super().__init__(
            {
                "i_settings": In(data.StructLayout(settings)),
                "i_start": In(1),
                "i_busy": In(1),
                "i_slot_full": In(1),
                "o": Out(stream.Signature(record)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        loaded = Signal(range(self._slots_max + 1))
        tiles_left, rows_left = Signal(TILES_BITS), Signal(range(self._rows + 1))
        take: Any = Signal()
        m.d.comb += [
            self.o.valid.eq(rows_left != 0),
            self.o.payload.multiplier.eq(1),
            take.eq(self.i_busy & (loaded != 0) & (rows_left == 0) & (tiles_left != 0)),
        ]
        m.d.sync += loaded.eq(loaded + self.i_slot_full - take)
        with m.If(self.i_start):
            m.d.sync += tiles_left.eq(self.i_settings.token_tiles)
        with m.Elif(~self.i_busy):
            m.d.sync += tiles_left.eq(0)
        with m.Elif(take):
            m.d.sync += [
                tiles_left.eq(tiles_left - 1),
                rows_left.eq(Mux(tiles_left == 1, self.i_settings.last_height, self._rows)),
            ]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += rows_left.eq(rows_left - 1)
        return m
