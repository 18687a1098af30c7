"""``WordPacker``: activations as channels come, to words as the array reads them, into its activation memory."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..designs.design import ACTIVATION_BITS
from .config import ArrayConfig

TOKEN_BITS = 24
"""Width of the number of tokens of a layer."""


class WordPacker(wiring.Component):
    """Gathers u = q + 128 into words of ``config.lanes`` and writes them where the array looks for them:

    token t of a layer → row t mod ``rows`` of slot (t div ``rows``) mod ``slots``; slot s begins at s·stride.

    * parallel: address s·words + word, data: 8 bits for each lane, lane 0 lowest; stride = words.
    * serial: address s·8·words + bit·words + word, bit 0 = most significant, data: one bit for each lane, lane 0
      lowest; stride = 8·words.

    Lanes beyond K hold 0. ``vector_lanes``: channels a beat, a power of two, at most ``config.lanes``.
    ``depth``: words in each row of the activation memory.

    Members:

    * ``i_settings``: In, {inputs: K, words: ceil(K / lanes), tokens ≥ 1, slots ≥ 1 with slots·stride ≤ ``depth``},
      stable while ``o_busy``.
    * ``i_start``: In, 1 for a cycle while not busy: a layer begins at slot 0, with all slots free.
    * ``o_busy``: Out, 1 from the cycle after ``i_start`` until the last word of the last token is written.
    * ``i``: In, stream of {u: ``vector_lanes`` × unsigned(8), last of token}; ready does not depend on other inputs.
    * ``activation_write``: Out, {enable, row, address, data}.
    * ``o_slot_full``: Out, 1 for a cycle after the last word of a slot, which is full or holds the last token.
    * ``i_slot_free``: In, 1 for a cycle when the slot that has been full longest may be overwritten.

    ``latency``: cycles from the last beat of a word to its first write. ``interval``: cycles between words at full
    rate: one write a cycle, one beat a cycle.

    Raises ``ValueError`` for other ``vector_lanes`` and for a ``depth`` that holds not even one word of a token.
    """

    latency = 2

    def __init__(self, config: ArrayConfig, vector_lanes: int, depth: int) -> None:
        if not 1 <= vector_lanes <= config.lanes or vector_lanes & (vector_lanes - 1):
            raise ValueError(f"vector_lanes is {vector_lanes}, it must be a power of two up to lanes, {config.lanes}")
        self._config, self._vector_lanes, self._depth = config, vector_lanes, depth
        self._planes = ACTIVATION_BITS // config.word_bits
        if depth < self._planes:
            raise ValueError(f"depth is {depth}, it must be at least {self._planes}: the words of one group of lanes")
        self._word_bits = config.lanes * config.word_bits
        settings = {
            "inputs": range(config.inputs_max + 1),
            "words": range(config.words_max + 1),
            "tokens": unsigned(TOKEN_BITS),
            "slots": range(depth + 1),
        }
        write = {"enable": 1, "row": range(config.rows), "address": range(depth), "data": unsigned(self._word_bits)}
        beat = data.StructLayout({"u": data.ArrayLayout(unsigned(ACTIVATION_BITS), vector_lanes), "last": 1})
        super().__init__(
            {
                "i_settings": In(data.StructLayout(settings)),
                "i_start": In(1),
                "o_busy": Out(1),
                "i": In(stream.Signature(beat)),
                "activation_write": Out(data.StructLayout(write)),
                "o_slot_full": Out(1),
                "i_slot_free": In(1),
            }
        )

    @property
    def interval(self) -> int:
        """Cycles between words at full rate."""
        return max(self._config.lanes // self._vector_lanes, self._planes)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = data.ArrayLayout(unsigned(ACTIVATION_BITS), self._config.lanes)
        word = Signal(data.StructLayout({"u": lanes, "full": 1, "ends_token": 1, "ends_layer": 1}))
        load, ready, first_of_slot, ends_slot = Signal(), Signal(), Signal(), Signal()
        room = self._count_slots(m, load & first_of_slot)
        m.d.comb += load.eq(word.full & ready & (~first_of_slot | room))
        more = self._gather(m, word, load)
        row, address = self._place(m, word, load, first_of_slot, ends_slot)
        writing = self._write(m, word, load, ready, row, address, ends_slot)
        m.d.comb += self.o_busy.eq(more | word.full | writing)
        return m

    def _count_slots(self, m: Module, take: Any) -> Any:
        """1 while a slot is free."""
        used = Signal(range(self._depth + 1))
        m.d.sync += used.eq(used + take - self.i_slot_free)
        with m.If(self.i_start):
            m.d.sync += used.eq(0)
        return used != self.i_settings.slots

    def _gather(self, m: Module, word: Any, load: Any) -> Any:
        """Fills ``word`` beat by beat; its first beat clears the others. Returns 1 while tokens are missing."""
        beat, flat = self.i.p, word.u.as_value()
        groups = self._config.lanes // self._vector_lanes
        beat_bits = self._vector_lanes * ACTIVATION_BITS
        position, left = Signal(range(groups)), Signal(TOKEN_BITS)
        tail = (self.i_settings.inputs - 1)[: (self._vector_lanes - 1).bit_length()]
        live = [Mux(beat.last & (lane > tail), 0, beat.u[lane]) for lane in range(self._vector_lanes)]
        m.d.comb += self.i.ready.eq((left != 0) & (~word.full | load))
        with m.If(load):
            m.d.sync += word.full.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                position.eq(Mux(beat.last, 0, position + 1)),
                left.eq(left - beat.last),
                word.full.eq(beat.last | (position == groups - 1)),
                word.ends_token.eq(beat.last),
                word.ends_layer.eq(beat.last & (left == 1)),
            ]
            for group in range(groups):
                bits = flat[group * beat_bits : (group + 1) * beat_bits]
                with m.If(position == group):
                    m.d.sync += bits.eq(Cat(*live))
                with m.Elif(position == 0):
                    m.d.sync += bits.eq(0)
        with m.If(self.i_start):
            m.d.sync += left.eq(self.i_settings.tokens)
        return left != 0

    def _place(self, m: Module, word: Any, load: Any, first_of_slot: Any, ends_slot: Any) -> tuple[Any, Any]:
        """Row and first address of ``word``: words of a token, rows of a slot, slots round and round."""
        settings = self.i_settings
        index, row = Signal(range(self._config.words_max)), Signal(range(self._config.rows))
        slot, base = Signal(range(self._depth)), Signal(range(self._depth))
        m.d.comb += [
            first_of_slot.eq((row == 0) & (index == 0)),
            ends_slot.eq(word.ends_token & (word.ends_layer | (row == self._config.rows - 1))),
        ]
        with m.If(load):
            m.d.sync += index.eq(Mux(word.ends_token, 0, index + 1))
            with m.If(word.ends_token):
                m.d.sync += row.eq(Mux(ends_slot, 0, row + 1))
            with m.If(ends_slot):
                wraps = slot == settings.slots - 1
                m.d.sync += [
                    slot.eq(Mux(wraps, 0, slot + 1)),
                    base.eq(Mux(wraps, 0, base + self._planes * settings.words)),
                ]
        with m.If(self.i_start):
            m.d.sync += [slot.eq(0), base.eq(0)]
        return row, base + index

    def _write(self, m: Module, word: Any, load: Any, ready: Any, row: Any, address: Any, ends_slot: Any) -> Any:
        """One write a cycle: the word itself, or its bit planes, the most significant first. 1 while writing."""
        write = self.activation_write
        planes = Signal(data.ArrayLayout(unsigned(self._word_bits), self._planes), reset_less=True)
        plane, closes = Signal(range(self._planes)), Signal()
        last_plane = plane == self._planes - 1
        m.d.comb += [ready.eq(~write.enable | last_plane), write.data.eq(planes[0])]
        m.d.sync += self.o_slot_full.eq(write.enable & last_plane & closes)
        with m.If(load):
            m.d.sync += [
                planes.eq(Cat(*self._split(word.u))),
                plane.eq(0),
                write.enable.eq(1),
                write.row.eq(row),
                write.address.eq(address),
                closes.eq(ends_slot),
            ]
        with m.Elif(last_plane):
            m.d.sync += write.enable.eq(0)
        with m.Else():
            m.d.sync += [
                planes.eq(planes.as_value()[self._word_bits :]),
                plane.eq(plane + 1),
                write.address.eq(write.address + self.i_settings.words),
            ]
        return write.enable

    def _split(self, u: Any) -> list[Any]:
        if self._planes == 1:
            return [u.as_value()]
        lanes = range(self._config.lanes)
        return [Cat(*(u[lane][bit] for lane in lanes)) for bit in reversed(range(ACTIVATION_BITS))]
