"""``Sequencer``: the order of an array's steps, as addresses of the operands and flags of the pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..designs.design import ACTIVATION_BITS
from .config import CoreConfig
from .settings import PLANES_LIMIT, TILES_BITS
from .stream import SkidBuffer


def settings_layout(config: CoreConfig) -> data.StructLayout:
    """What a layer tells the core.

    ``words``: ceil(K / lanes); ``bits``: activation bits (parallel: not read); ``planes``; ``output_tiles``;
    ``token_tiles``; ``last_height``: rows of the last token tile; ``slots``: token tiles that the activation memory
    holds. Each at least 1.
    """
    return data.StructLayout(
        {
            "words": range(config.array.words_max + 1),
            "bits": range(ACTIVATION_BITS + 1),
            "planes": range(PLANES_LIMIT + 1),
            "output_tiles": range(config.weight_words + 1),
            "token_tiles": TILES_BITS,
            "last_height": range(config.array.rows + 1),
            "slots": range(config.activation_words + 1),
        }
    )


def step_layout(config: CoreConfig) -> data.StructLayout:
    """One step: where its operands are, the flags of the array that go with them, ``frees``: its slot's last step."""
    return data.StructLayout(
        {
            "weight_address": range(config.weight_words),
            "activation_address": range(config.activation_words),
            "frees": 1,
            "double": 1,
            "last": 1,
            "height": range(config.array.rows + 1),
        }
    )


class Sequencer(wiring.Component):
    """One step a cycle, in the order: token tile, output tile, plane, (serial) bit from the highest, word.

    Addresses only count, nothing is multiplied: weights of the passes of a token tile lie one after the other, and each
    bit of the activations reads those of its pass again; activations lie in the order in which a pass reads them, in
    slots used in turn from address 0. A token tile waits until its slot is full.

    Which loops end with a step is found out in one cycle, what that makes of the addresses in the next.

    Members:
      ``i_settings``: In, ``settings_layout``, stable from the cycle before a start to the last step;
      ``i_start``: In, 1, not while busy; ``o_busy``: Out, 1: steps are left;
      ``i_slot_full``: In, 1: another slot has been filled, also before the start;
      ``o``: Out, stream of ``step_layout``.
    Latency 2: from a start with its first slot full to the first step. Interval 1.
    """

    interval = 1

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._is_serial = config.array.activations == "serial"
        super().__init__(
            {
                "i_settings": In(settings_layout(config)),
                "i_start": In(1),
                "i_slot_full": In(1),
                "o_busy": Out(1),
                "o": Out(stream.Signature(step_layout(config))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the start to the first step, where its slot is full."""
        return 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        height = self.o.payload.height.shape()
        ends = data.StructLayout({"word": 1, "bit": 1, "tile": 1, "slot": 1, "height": height})
        m.submodules.ends = buffer = SkidBuffer(ends)
        left = Signal()
        self._loop(m, buffer.i, left)
        m.d.comb += self.o_busy.eq(left | buffer.o.valid)
        self._address(m, buffer.o)
        return m

    def _loop(self, m: Module, ends: Any, left: Signal) -> None:
        """The loops of all steps, as the stream of what ends with each; ``left``: there are more."""
        pace = _Pace(begin=~left, step=ends.valid & ends.ready)
        settings = self.i_settings
        word = _count(m, "word", settings.words, pace, Const(1))
        bit = _count(m, "bit", settings.bits, pace, word.ends) if self._is_serial else word
        plane = _count(m, "plane", settings.planes, pace, bit.ends)
        tile = _count(m, "tile", settings.output_tiles, pace, plane.ends)
        layer = _count(m, "token_tile", settings.token_tiles, pace, tile.ends)
        slot = _count(m, "slot", settings.slots, pace, tile.ends)
        m.d.comb += [
            ends.payload.word.eq(word.ends),
            ends.payload.bit.eq(bit.ends),
            ends.payload.tile.eq(tile.ends),
            ends.payload.slot.eq(slot.ends),
            ends.payload.height.eq(Mux(layer.last, settings.last_height, self._config.array.rows)),
        ]
        tile_done, layer_done = Signal(), Signal()
        m.d.comb += [tile_done.eq(pace.step & tile.ends), layer_done.eq(pace.step & layer.ends)]
        self._take_slots(m, ends.valid, left, tile_done, layer_done)

    def _address(self, m: Module, ends: Any) -> None:
        """Operands and flags of each step of the stream."""
        end, step = ends.payload, self.o.payload
        pace = _Pace(begin=self.i_start, step=self.o.valid & self.o.ready)
        _follow(m, step.weight_address, pace, again=end.word & ~end.bit, on=end.bit, reset=end.tile)
        _follow(m, step.activation_address, pace, again=end.bit & ~end.tile, on=end.tile, reset=end.slot)
        m.d.comb += [
            self.o.valid.eq(ends.valid),
            ends.ready.eq(self.o.ready),
            step.last.eq(end.bit),
            step.frees.eq(end.tile),
            step.height.eq(end.height),
        ]
        if self._is_serial:
            with m.If(pace.begin):
                m.d.sync += step.double.eq(1)
            with m.Elif(pace.step):
                m.d.sync += step.double.eq(end.word)

    def _take_slots(self, m: Module, valid: Signal, left: Signal, tile_done: Value, layer_done: Value) -> None:
        """Steps are valid while a token tile holds its slot; the next one may take its own in the same cycle."""
        full = Signal(range(self._config.activation_words + 1))
        take, taken = Signal(), Signal()
        waiting = left & ~valid
        wanted = self.i_start | waiting | (tile_done & ~layer_done)
        m.d.comb += take.eq((full[1:].any() | (full[0] & ~taken)) & wanted)
        m.d.sync += [taken.eq(take), full.eq(full + self.i_slot_full - taken)]
        with m.If(take):
            m.d.sync += valid.eq(1)
        with m.Elif(tile_done):
            m.d.sync += valid.eq(0)
        with m.If(self.i_start):
            m.d.sync += left.eq(1)
        with m.Elif(layer_done):
            m.d.sync += left.eq(0)


@dataclass(frozen=True)
class _Pace:
    """``begin``: back to the beginning of the loops; ``step``: a step is taken."""

    begin: Value
    step: Value


@dataclass(frozen=True)
class _Loop:
    """``last``: the loop is in its last turn; ``ends``: this is the last step of that turn."""

    last: Value
    ends: Value


def _count(m: Module, name: str, turns: Value, pace: _Pace, inner: Value) -> _Loop:
    """A loop of ``turns`` around one that ends with ``inner``. Its last turn is known a cycle ahead, in a register."""
    left, last, ends = Signal.like(turns, name=f"{name}_left"), Signal(name=f"{name}_last"), Signal(name=f"{name}_ends")
    m.d.comb += ends.eq(inner & last)
    with m.If(pace.begin | (pace.step & ends)):
        m.d.sync += [left.eq(turns), last.eq(turns == 1)]
    with m.Elif(pace.step & inner):
        m.d.sync += [left.eq(left - 1), last.eq(left == 2)]
    return _Loop(last, ends)


def _follow(m: Module, address: Value, pace: _Pace, *, again: Value, on: Value, reset: Value) -> None:
    """Count steps: at ``again`` back to the base, at ``on`` make the next address the base, at ``reset`` back to 0."""
    base, following = Signal.like(address, name="base"), Signal.like(address, name="following")
    m.d.comb += following.eq(address + 1)
    with m.If(pace.begin | (pace.step & reset)):
        m.d.sync += [address.eq(0), base.eq(0)]
    with m.Elif(pace.step):
        m.d.sync += address.eq(Mux(again, base, following))
        with m.If(on):
            m.d.sync += base.eq(following)
