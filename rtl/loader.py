"""``Loader``: a layer's parameters from a stream of 32-bit words into the memories of the engine."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi_stream import lanes_layout
from .back_config import BackConfig
from .config import CoreConfig
from .core import activation_write_layout, weight_write_layout
from .front_config import FrontConfig
from .register_table import TARGETS

BEAT_BITS = 32
_ROW_LOW = 16
"""Lowest bit of the row in the load address of activations."""


@dataclass(frozen=True)
class _Target:
    """How a memory is filled: ``beats`` make a value, ``values`` make an address, ``depth`` addresses exist."""

    beats: int
    values: int
    depth: int


def offset_write_layout(config: BackConfig) -> data.StructLayout:
    """One write of a column's offset: ``bank`` is the column, ``address`` the output tile."""
    return data.StructLayout(
        {
            "enable": 1,
            "bank": range(config.array.cols),
            "address": range(config.output_tiles_max),
            "data": config.sum_bits,
        }
    )


class Loader(wiring.Component):
    """A packet (up to ``last``) fills one memory from ``i_address`` on; both settings are read when it begins.

    A value is one beat, or several, low first; several values are an address: then the address is incremented. ::

        target                  values of an address                  beats of a value
        weights                 ceil(cols · lanes / 32) banks         1
        alpha, beta             vector lanes of 16 bits               1
        offset                  cols of sum_bits                      ceil(sum_bits / 32)
        activations             1 word of lanes · word_bits           ceil(lanes · word_bits / 32)
        last_activations        as activations; ``o_slot_full`` after the last write

    A packet may end within an address, not within a value. A value beyond its memory (address, row or target that
    does not exist) is dropped, the rest of the packet is still taken: nothing waits for ever.

    Members: ``i``: In, stream of {data: 1 × unsigned(32), last: 1}; ``i_target``: In, 3; ``i_address``: In, 32;
    ``weight_write``: Out, ``weight_write_layout``; ``parameter_write``: Out, ``front.parameter_layout``;
    ``offset_write``: Out, ``offset_write_layout``; ``activation_write``: Out, ``activation_write_layout``;
    ``o_slot_full``: Out, 1, for a cycle; ``o_error``: Out, 1, for a cycle per value that was dropped or cut.

    Latency 1: from a value's last beat to its write. Interval 1: beats of a packet; one cycle more between packets.
    Raises ``ValueError`` where the three parts are not of one engine.
    """

    latency = 1
    interval = 1

    def __init__(self, core: CoreConfig, front: FrontConfig, back: BackConfig) -> None:
        if core.array != back.array or core.array.inputs_max != front.inputs_max:
            raise ValueError("core, front and back are of different arrays, they must be parts of one engine")
        array, layout = core.array, weight_write_layout(core)
        banks = -(-array.cols * array.lanes // BEAT_BITS)
        parameters = _Target(1, front.lanes, front.beats_max)
        activations = _Target(_beats(array.lanes * array.word_bits), 1, core.activation_words)
        self._rows = array.rows
        self._targets = {
            "weights": _Target(1, banks, core.weight_words),
            "alpha": parameters,
            "beta": parameters,
            "offset": _Target(_beats(back.sum_bits), array.cols, back.output_tiles_max),
            "activations": activations,
            "last_activations": activations,
        }
        super().__init__(
            {
                "i": In(stream.Signature(lanes_layout("data", BEAT_BITS, 1))),
                "i_target": In(range(1 << (len(TARGETS) - 1).bit_length())),
                "i_address": In(32),
                "weight_write": Out(layout),
                "parameter_write": Out(front.parameter_layout),
                "offset_write": Out(offset_write_layout(back)),
                "activation_write": Out(activation_write_layout(core)),
                "o_slot_full": Out(1),
                "o_error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        targets = self._targets.values()
        target, address, depth = Signal.like(self.i_target), Signal(33), Signal(32)
        beat, beats = (Signal(range(max(t.beats for t in targets)), name=name) for name in ("beat", "last_beat"))
        place, places = (Signal(range(max(t.values for t in targets)), name=name) for name in ("place", "last_place"))
        row = Signal(32 - _ROW_LOW)
        taken, value_ends, fits = Signal(), Signal(), Signal()
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            value_ends.eq(beat == beats),
            fits.eq(address < depth),
        ]
        with m.If(~self.i.ready & self.i.valid):
            m.d.sync += [self.i.ready.eq(1), target.eq(self.i_target), beat.eq(0), place.eq(0)]
            self._begin(m, address, row, depth, beats, places)
        with m.If(taken):
            m.d.sync += beat.eq(beat + 1)
            with m.If(value_ends):
                m.d.sync += [beat.eq(0), place.eq(place + 1)]
                with m.If(place == places):
                    m.d.sync += [place.eq(0), address.eq(address + 1)]
            with m.If(self.i.payload.last):
                m.d.sync += self.i.ready.eq(0)
        m.d.sync += self.o_error.eq(taken & ((value_ends & ~fits) | (self.i.payload.last & ~value_ends)))
        self._write(m, target, address, place, row, taken & value_ends & fits)
        return m

    def _begin(self, m: Module, address: Signal, row: Signal, depth: Signal, beats: Signal, places: Signal) -> None:
        """What a packet needs to know of its target; an unknown one has no addresses."""
        m.d.sync += [address.eq(self.i_address), depth.eq(0), beats.eq(0), places.eq(0)]
        with m.Switch(self.i_target):
            for code, name in enumerate(TARGETS):
                filled = self._targets[name]
                with m.Case(code):
                    m.d.sync += [depth.eq(filled.depth), beats.eq(filled.beats - 1), places.eq(filled.values - 1)]
                    if name.endswith("activations"):
                        m.d.sync += [address.eq(self.i_address[:_ROW_LOW]), row.eq(self.i_address[_ROW_LOW:])]
                        with m.If(self.i_address[_ROW_LOW:] >= self._rows):
                            m.d.sync += depth.eq(0)

    def _write(self, m: Module, target: Signal, address: Signal, place: Signal, row: Signal, write: Value) -> None:
        """A value's beats gather from the top; all ports hold the same address and place, one of them is enabled."""
        gathered = Signal(BEAT_BITS * max(t.beats for t in self._targets.values()))
        at, where, of_row = Signal.like(address), Signal.like(place), Signal.like(row)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                gathered.eq(Cat(gathered, self.i.payload.data)[BEAT_BITS:]),
                at.eq(address),
                where.eq(place),
                of_row.eq(row),
            ]
        enables = {}
        for code, name in enumerate(TARGETS):
            enables[name] = Signal(name=f"write_{name}")
            m.d.sync += enables[name].eq(write & (target == code))
        m.d.sync += self.o_slot_full.eq(
            write & (target == list(TARGETS).index("last_activations")) & self.i.payload.last
        )
        for port, names, value in (
            (self.weight_write, ("weights",), {"bank": where}),
            (self.parameter_write, ("alpha", "beta"), {"lane": where, "select": enables["beta"]}),
            (self.offset_write, ("offset",), {"bank": where}),
            (self.activation_write, ("activations", "last_activations"), {"row": of_row}),
        ):
            low = len(gathered) - BEAT_BITS * self._targets[names[0]].beats
            m.d.comb += [
                port.enable.eq(Cat(enables[name] for name in names).any()),
                port.address.eq(at),
                port.data.eq(gathered[low:]),
                *(port[member].eq(source) for member, source in value.items()),
            ]


def _beats(bits: int) -> int:
    return -(-bits // BEAT_BITS)
