"""``BackEnd``: from the array's rows of counts to rows of results, with each token's scale and bias."""

from __future__ import annotations

from typing import Any, NamedTuple

from amaranth import Module, Mux, Signal
from amaranth.hdl import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .array import raw_row
from .back_config import BackConfig
from .memory import BankedRam
from .output_scale import OutputScale
from .plane_sum import PlaneSum
from .settings import COEFFICIENT_BITS, PLANES_LIMIT, RESULT_BITS, TILES_BITS
from .stages import delayed
from .stream import StreamFifo
from .token_records import EXPONENT, TokenRecords, record_layout

_FIFO_STEP = 16
"""Distributed RAM comes in steps of 16 words."""
_FIFO_MARGIN = 5
"""Rows in the FIFO, and those that the count of room learns of late, while rows flow at full rate."""


class _Place(NamedTuple):
    """Where the next row stands: three counters, and whether it is in the last of each round."""

    row: Any
    plane: Any
    output_tile: Any
    last_row: Any
    last_plane: Any
    last_output: Any
    last_tokens: Any


class BackEnd(wiring.Component):
    """y[c] = saturate(round(acc[c] · multiplier / 2^(exponent − shift)) + bias) of every row.

    With acc[c] = offset[c] − Σ_p C_p · raw_p[c] and bias = round(beta_sum / 2^bias_exponent); every rounding is half to
    even; multiplier, shift and beta_sum are the token's. Bit for bit the tail of the simulator's ``apply_linear`` in
    ``BackConfig``'s domain.

    Rows come in the array's order: for token tile, for output tile, for plane, the rows of the tile; all tiles have
    ``rows`` rows but the last, which has ``last_height``. Counters follow it, so that a row carries no tags; after a
    layer's last row they stand at the next layer's first. A row waits until its token's record is there; a record is
    freed with its token tile's last row. Nothing inside waits: a row is taken only if there is room for its results.

    Members:

    * ``i_settings``: In, {planes, coefficients (4 of signed(16)), output_tiles, token_tiles, last_height, exponent,
      bias_exponent (signed(8)), result_bits (18, 24 or 32)}, constant from two cycles before a layer's first record
      to its last result.
    * ``offset_write``: In, {enable, bank (column), address (output tile), data (sum_bits, two's complement)}: readable
      from the second cycle after it on.
    * ``i_record``: In, stream of ``record_layout``, in the order of the tokens.
    * ``i``: In, stream of ``raw_row``, its ``last`` not read.
    * ``o``: Out, stream of {y: cols of signed(32), last: the layer's last row}.

    Latency ``latency``, interval 1.
    """

    interval = 1

    def __init__(self, config: BackConfig) -> None:
        self._config = config
        array = config.array
        self._sums, self._scale, self._records = PlaneSum(config), OutputScale(config), TokenRecords(config)
        self._offsets = BankedRam(config.sum_bits * array.cols, config.sum_bits, config.output_tiles_max, array.tech)
        result = data.StructLayout({"y": data.ArrayLayout(signed(RESULT_BITS[-1]), array.cols), "last": 1})
        depth = self._sums.latency + self._scale.latency + _FIFO_MARGIN
        self._depth = -(-depth // _FIFO_STEP) * _FIFO_STEP
        self._fifo = StreamFifo(result, self._depth, array.tech)
        settings = {
            "planes": range(config.planes_max + 1),
            "coefficients": data.ArrayLayout(signed(COEFFICIENT_BITS), PLANES_LIMIT),
            "output_tiles": range(config.output_tiles_max + 1),
            "token_tiles": TILES_BITS,
            "last_height": range(array.rows + 1),
            "exponent": EXPONENT,
            "bias_exponent": EXPONENT,
            "result_bits": RESULT_BITS[-1].bit_length(),
        }
        super().__init__(
            {
                "i_settings": In(data.StructLayout(settings)),
                "offset_write": In(self._offsets.i_write.shape()),
                "i_record": In(stream.Signature(record_layout(config))),
                "i": In(stream.Signature(raw_row(array))),
                "o": Out(stream.Signature(result)),
            }
        )

    @property
    def record_latency(self) -> int:
        """Cycles from a record's transfer to the earliest transfer of a row that needs it."""
        return self._records.latency

    @property
    def latency(self) -> int:
        """Cycles from the transfer of a row of the last plane to the earliest transfer of its results."""
        return self._sums.latency + self._scale.latency + self._fifo.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sums, m.submodules.scale = self._sums, self._scale
        m.submodules.records, m.submodules.offsets = self._records, self._offsets
        room, taken = Signal(), Signal()
        place = self._count_rows(m, taken)
        m.d.comb += [
            self.i.ready.eq(room & self._records.o_ready),
            taken.eq(self.i.valid & self.i.ready),
        ]
        self._connect_records(m, place, taken)
        self._connect_sums(m, place, taken)
        self._connect_scale(m)
        self._connect_output(m, place, taken, room)
        return m

    def _count_rows(self, m: Module, taken: Any) -> _Place:
        settings, config = self.i_settings, self._config
        row, last_row = Signal(range(config.array.rows)), Signal()
        row_ends, plane_ends, output_tile_ends = (
            Signal(name=f"{name}_ends") for name in ("row", "plane", "output_tile")
        )
        plane, last_plane = _counter(m, range(config.planes_max), settings.planes, row_ends)
        output_tile, last_output = _counter(m, range(config.output_tiles_max), settings.output_tiles, plane_ends)
        _, last_tokens = _counter(m, range(1 << TILES_BITS), settings.token_tiles, output_tile_ends)
        low_tile_ends = Signal.like(row)
        m.d.sync += low_tile_ends.eq(settings.last_height - 1)
        m.d.comb += [
            last_row.eq(row == Mux(last_tokens, low_tile_ends, config.array.rows - 1)),
            row_ends.eq(taken & last_row),
            plane_ends.eq(row_ends & last_plane),
            output_tile_ends.eq(plane_ends & last_output),
        ]
        with m.If(taken):
            m.d.sync += row.eq(Mux(last_row, 0, row + 1))
        return _Place(row, plane, output_tile, last_row, last_plane, last_output, last_tokens)

    def _connect_records(self, m: Module, place: _Place, taken: Any) -> None:
        records, settings = self._records, self.i_settings
        wiring.connect(m, wiring.flipped(self.i_record), records.i)
        m.d.comb += [
            records.i_exponent.eq(settings.exponent),
            records.i_bias_exponent.eq(settings.bias_exponent),
            records.i_next.eq(taken),
            records.i_again.eq(place.last_row & ~(place.last_plane & place.last_output)),
            records.i_free.eq(place.last_row & place.last_plane & place.last_output),
        ]

    def _connect_sums(self, m: Module, place: _Place, taken: Any) -> None:
        sums, offsets = self._sums, self._offsets
        m.d.comb += [
            sums.i_valid.eq(taken),
            sums.i_first.eq(place.plane == 0),
            sums.i_last.eq(place.last_plane),
            sums.i_row.eq(place.row),
            sums.i_coefficient.eq(self.i_settings.coefficients[place.plane]),
            sums.i_raw.eq(self.i.p.raw),
            offsets.i_write.eq(self.offset_write),
            offsets.i_enable.eq(1),
            offsets.i_address.eq(delayed(m, place.output_tile, sums.offset_delay - offsets.latency)),
            sums.i_offset.eq(offsets.o),
        ]

    def _connect_scale(self, m: Module) -> None:
        scale, record = self._scale, self._records.o
        waits = self._sums.latency - self._records.read_latency
        m.d.comb += [
            scale.i.eq(self._sums.o),
            scale.i_multiplier.eq(delayed(m, record.multiplier, waits)),
            scale.i_count.eq(delayed(m, record.count, waits)),
            scale.i_bias.eq(delayed(m, record.bias, waits)),
            scale.i_result_bits.eq(self.i_settings.result_bits),
        ]

    def _connect_output(self, m: Module, place: _Place, taken: Any, room: Any) -> None:
        """A FIFO as deep as the pipeline is long, and a count of the rows that have left neither."""
        m.submodules.fifo = fifo = self._fifo
        inside = Signal(range(self._depth + 1))
        m.d.sync += [
            inside.eq(inside + (taken & place.last_plane) - (self.o.valid & self.o.ready)),
            room.eq(inside <= self._depth - 2),
        ]
        last_of_layer = place.last_row & place.last_plane & place.last_output & place.last_tokens
        last = delayed(m, last_of_layer, self._sums.latency + self._scale.latency)
        m.d.comb += [
            fifo.i.valid.eq(delayed(m, self._sums.o_valid, self._scale.latency, 0)),
            fifo.i.p.y.eq(self._scale.o),
            fifo.i.p.last.eq(last),
        ]
        wiring.connect(m, fifo.o, wiring.flipped(self.o))


def _counter(m: Module, values: range, count: Any, step: Any) -> tuple[Any, Any]:
    """A counter over 0 … ``count`` − 1 and a register that tells its last value; ``count`` stands two cycles before."""
    counter, ends = Signal(values), Signal()
    last, last_but_one = Signal(count.shape()), Signal(count.shape())
    m.d.sync += [
        last.eq(count - 1),
        last_but_one.eq(count - 2),
        ends.eq(Mux(step, Mux(ends, last == 0, counter == last_but_one), counter == last)),
    ]
    with m.If(step):
        m.d.sync += counter.eq(Mux(ends, 0, counter + 1))
    return counter, ends
