"""The order of an array's steps: ``Sequencer`` tells what ends with each, ``AddressCounter`` where its words are."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..designs.design import ACTIVATION_BITS
from .config import CoreConfig
from .counting import minus_one, moved, plus_one
from .settings import PLANES_LIMIT, TILES_BITS


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
    """One step. ``word``, ``bit``, ``tile``, ``slot``: the loop over these comes to its end with it; ``height``: rows
    of its token tile. The end of ``bit`` is that of a pass, that of ``tile`` the last use of a slot.
    """
    return data.StructLayout({"word": 1, "bit": 1, "tile": 1, "slot": 1, "height": range(config.array.rows + 1)})


class Sequencer(wiring.Component):
    """One step a cycle, in the order: token tile, output tile, plane, (serial) bit from the highest, word.

    A token tile waits until its slot is full. Slots are used in turn.

    Members:
      ``i_settings``: In, ``settings_layout``, stable from the cycle before a start to the last step;
      ``i_start``: In, 1, not while busy; ``o_busy``: Out, 1: steps are left;
      ``i_slot_full``: In, 1: another slot has been filled, also before the start;
      ``o``: Out, stream of ``step_layout``.
    Latency 1: from a start with its first slot full to the first step. Interval 1.
    """

    interval = 1

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
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
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pace = _Pace(begin=~self.o_busy, step=self.o.valid & self.o.ready)

        settings = self.i_settings
        word = _count(m, "word", settings.words, pace, Const(1))
        serial = self._config.array.activations == "serial"
        bit = _count(m, "bit", settings.bits, pace, word.ends) if serial else word
        plane = _count(m, "plane", settings.planes, pace, bit.ends)
        tile = _count(m, "tile", settings.output_tiles, pace, plane.ends)
        layer = _count(m, "token_tile", settings.token_tiles, pace, tile.ends)
        slot = _count(m, "slot", settings.slots, pace, tile.ends)
        step = self.o.payload
        m.d.comb += [
            step.word.eq(word.ends),
            step.bit.eq(bit.ends),
            step.tile.eq(tile.ends),
            step.slot.eq(slot.ends),
            step.height.eq(Mux(layer.last, settings.last_height, self._config.array.rows)),
        ]
        self._take_slots(m, pace, tile.ends, layer.ends)
        return m

    def _take_slots(self, m: Module, pace: _Pace, tile_ends: Value, layer_ends: Value) -> None:
        """Steps are valid while a token tile holds its slot; the next one may take its own in the same cycle."""
        full = Signal(range(self._config.activation_words + 1))
        tile_done, layer_done, take, taken = Signal(), Signal(), Signal(), Signal()
        waiting = self.o_busy & ~self.o.valid
        m.d.comb += [
            tile_done.eq(pace.step & tile_ends),
            layer_done.eq(pace.step & layer_ends),
            take.eq((full[1:].any() | (full[0] & ~taken)) & (self.i_start | waiting | (tile_done & ~layer_done))),
        ]
        m.d.sync += [taken.eq(take), full.eq(moved(full, up=self.i_slot_full, down=taken))]
        with m.If(take):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(tile_done):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i_start):
            m.d.sync += self.o_busy.eq(1)
        with m.Elif(layer_done):
            m.d.sync += self.o_busy.eq(0)


class AddressCounter(wiring.Component):
    """Where the operands of each step are. Addresses only count, nothing is multiplied.

    Weights of the passes of a token tile lie one after the other, and each bit of the activations reads those of its
    pass again; activations lie in the order in which a pass reads them, in slots from address 0.

    Members:
      ``i_start``: In, 1: back to the first step; ``i_step``: In, 1: a step is taken; ``i``: In, ``step_layout``, of it;
      ``o_weight_address``, ``o_activation_address``: Out; ``o_double``: Out, 1: (serial) the first word of a bit. All
      are of the step that is taken now or next.
    Latency 0, interval 1.
    """

    interval = 1
    latency = 0

    def __init__(self, config: CoreConfig) -> None:
        self._is_serial = config.array.activations == "serial"
        super().__init__(
            {
                "i_start": In(1),
                "i_step": In(1),
                "i": In(step_layout(config)),
                "o_weight_address": Out(range(config.weight_words)),
                "o_activation_address": Out(range(config.activation_words)),
                "o_double": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pace, ends = _Pace(begin=self.i_start, step=self.i_step), self.i
        _follow(m, self.o_weight_address, pace, again=ends.word & ~ends.bit, on=ends.bit, reset=ends.tile)
        _follow(m, self.o_activation_address, pace, again=ends.bit & ~ends.tile, on=ends.tile, reset=ends.slot)
        if self._is_serial:
            with m.If(pace.begin):
                m.d.sync += self.o_double.eq(1)
            with m.Elif(pace.step):
                m.d.sync += self.o_double.eq(ends.word)
        return m


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
        m.d.sync += [left.eq(minus_one(left)), last.eq(left == 2)]
    return _Loop(last, ends)


def _follow(m: Module, address: Value, pace: _Pace, *, again: Value, on: Value, reset: Value) -> None:
    """Count steps: at ``again`` back to the base, at ``on`` make the next address the base, at ``reset`` back to 0."""
    base, following = Signal.like(address, name="base"), Signal.like(address, name="following")
    m.d.comb += following.eq(plus_one(address))
    with m.If(pace.begin | (pace.step & reset)):
        m.d.sync += [address.eq(0), base.eq(0)]
    with m.Elif(pace.step):
        m.d.sync += address.eq(Mux(again, base, following))
        with m.If(on):
            m.d.sync += base.eq(following)
