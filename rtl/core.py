"""``ArrayCore``: the array between its memories: weights and activations on chip, one layer a start."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..designs.pipeline import core_latency
from .array import SystolicArray, raw_row
from .config import CoreConfig
from .counting import moved
from .delay import DelayLine
from .memory import BankedRam
from .pass_control import PassControl
from .sequencer import AddressCounter, Sequencer, settings_layout, step_layout
from .stream import SkidBuffer

WEIGHT_BANK_BITS = 32
"""Weights are written in words of this width."""
COUNTER_BITS = 32
_STEPS_AHEAD = core_latency()
"""Steps between the sequencer and the array at most: in the buffer, in the memories, on their wires."""


class ArrayCore(wiring.Component):
    """A layer from its memories: token tiles × output tiles × planes passes of the array, without a cycle in between.

    Weight word (output_tile · planes + plane) · words + w holds inputs w · lanes and up of each column, column c in
    bits c · lanes and up; it is written in banks of 32 bits. Slot s of the activations begins at address s · stride:
    parallel: stride = words, input by input; serial: stride = words · bits, the words of the highest bit first. Slots
    are filled and read in turn, slot 0 first after a start.

    Members:
      ``i_settings``: In, ``settings_layout``, stable from the cycle before a start until it is done;
      ``i_start``: In, 1, ignored while busy; ``o_busy``: Out, 1: until the last row has left;
      ``weight_write``: In, {enable, address, bank, data (32)}: a layer's weights, all by the cycle of its start;
      ``activation_write``: In, {enable, row, address, data (lanes · word_bits)};
      ``i_slot_full``: In, 1: a slot has been filled, its last write in this cycle or before;
      ``o_slot_free``: Out, 1: a slot has been read and may be written;
      ``o``: Out, stream of ``raw_row``: the rows of each pass in turn;
      ``o_cycles``, ``o_steps``: Out, 32: cycles from the start to the last row, both counted, and steps of the array.
    Latency ``core_latency()`` from a start to the first step (its slot full), interval 1: a step a cycle.
    """

    interval = 1

    def __init__(self, config: CoreConfig) -> None:
        self._config, array = config, config.array
        self._weights = BankedRam(
            array.cols * array.lanes, WEIGHT_BANK_BITS, config.weight_words, array.tech, spread=True
        )
        width = array.lanes * array.word_bits
        self._activations = BankedRam(array.rows * width, width, config.activation_words, array.tech, spread=True)
        super().__init__(
            {
                "i_settings": In(settings_layout(config)),
                "i_start": In(1),
                "o_busy": Out(1),
                "weight_write": In(weight_write_layout(config)),
                "activation_write": In(activation_write_layout(config)),
                "i_slot_full": In(1),
                "o_slot_free": Out(1),
                "o": Out(stream.Signature(raw_row(array))),
                "o_cycles": Out(COUNTER_BITS),
                "o_steps": Out(COUNTER_BITS),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a start, its first slot full, to the first step."""
        return core_latency()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.weights = self._weights
        m.submodules.activations = self._activations
        m.submodules.array = array = SystolicArray(self._config.array, ahead=self._weights.latency + 2)
        m.submodules.sequencer = sequencer = Sequencer(self._config)
        start = Signal()
        started = Signal()
        step = Signal()
        m.d.sync += started.eq(start)
        m.d.comb += [
            start.eq(self.i_start & ~self.o_busy),
            sequencer.i_settings.eq(self.i_settings),
            sequencer.i_start.eq(start),
            sequencer.i_slot_full.eq(self.i_slot_full),
        ]
        self._write(m)
        # A cycle for which loops end, the next for whether the step may be taken, one more for its addresses.
        m.submodules.ahead = ahead = SkidBuffer(step_layout(self._config))
        wiring.connect(m, sequencer.o, ahead.i)
        self._read(m, started, self._admitted(m, ahead.o, array), array, step)
        wiring.connect(m, array.o, wiring.flipped(self.o))
        self._count(m, started, step)
        self._watch(m, start, sequencer, array)
        return m

    def _write(self, m: Module) -> None:
        for write, port, bank in (
            (self._weights.i_write, self.weight_write, self.weight_write.bank),
            (self._activations.i_write, self.activation_write, self.activation_write.row),
        ):
            m.d.comb += [
                write.enable.eq(port.enable),
                write.bank.eq(bank),
                write.address.eq(port.address),
                write.data.eq(port.data),
            ]

    def _admitted(self, m: Module, steps: Any, array: SystolicArray) -> Any:
        """The steps that the array takes, a cycle later, as {valid, step}.

        This is decided before the memories, by the same control as in the array: what has been read is always taken. A
        hold would have to reach every block memory within a cycle.
        """
        m.submodules.gate = gate = PassControl(self._config.array.rows, array.capacity)
        admitted = Signal(data.StructLayout({"valid": 1, "step": step_layout(self._config)}))
        freed = Signal()
        m.d.comb += [
            gate.i_activations.eq(steps.valid),
            gate.i_weights.eq(1),
            gate.i_last.eq(steps.payload.bit),
            gate.i_height.eq(steps.payload.height),
            gate.i_freed.eq(freed),
            steps.ready.eq(gate.o_activations),
        ]
        m.d.sync += [
            freed.eq(array.o.valid & array.o.ready),
            admitted.valid.eq(gate.o_step),
            admitted.step.eq(steps.payload),
        ]
        return admitted

    def _read(self, m: Module, started: Signal, admitted: Any, array: SystolicArray, step: Signal) -> None:
        """Addresses through the memories, flags beside them."""
        m.submodules.addresses = addresses = AddressCounter(self._config)
        flags = data.StructLayout({"valid": 1, "double": 1, "last": 1, "height": range(self._config.array.rows + 1)})
        m.submodules.flags = beside = DelayLine(flags, self._weights.latency, init={})
        read = beside.o
        m.d.comb += [
            addresses.i_start.eq(started),
            addresses.i_step.eq(admitted.valid),
            addresses.i.eq(admitted.step),
            beside.i.valid.eq(admitted.valid),
            beside.i.double.eq(addresses.o_double),
            beside.i.last.eq(admitted.step.bit),
            beside.i.height.eq(admitted.step.height),
            self._weights.i_enable.eq(1),
            self._weights.i_address.eq(addresses.o_weight_address),
            self._activations.i_enable.eq(1),
            self._activations.i_address.eq(addresses.o_activation_address),
            step.eq(read.valid),
            array.i_weights.valid.eq(read.valid),
            array.i_weights.payload.words.eq(self._weights.o),
            array.i_activations.valid.eq(read.valid),
            array.i_activations.payload.words.eq(self._activations.o),
            *(array.i_activations.payload[name].eq(read[name]) for name in ("double", "last", "height")),
        ]
        m.d.sync += self.o_slot_free.eq(admitted.valid & admitted.step.tile)

    def _count(self, m: Module, started: Value, step: Value) -> None:
        """From the cycle after a start on, in which it and that cycle are counted at once."""
        stepped = Signal()
        m.d.sync += stepped.eq(step)
        with m.If(started):
            m.d.sync += [self.o_cycles.eq(2), self.o_steps.eq(0)]
        with m.Else():
            m.d.sync += [self.o_cycles.eq(self.o_cycles + self.o_busy), self.o_steps.eq(self.o_steps + stepped)]

    def _watch(self, m: Module, start: Value, sequencer: Sequencer, array: SystolicArray) -> None:
        """Busy from a start until the sequencer has no more passes and the last row of the last one leaves."""
        inside = Signal(range(array.capacity + _STEPS_AHEAD + 1))
        steps = sequencer.o
        entered = steps.valid & steps.ready & steps.payload.bit
        left = self.o.valid & self.o.ready & self.o.payload.last
        m.d.sync += inside.eq(moved(inside, up=entered, down=left))
        with m.If(start):
            m.d.sync += self.o_busy.eq(1)
        with m.Elif(left & (inside == 1) & ~sequencer.o_busy):
            m.d.sync += self.o_busy.eq(0)


def weight_write_layout(config: CoreConfig) -> data.StructLayout:
    """One write of a bank of a weight word."""
    array = config.array
    bits = array.cols * array.lanes
    return data.StructLayout(
        {
            "enable": 1,
            "address": range(config.weight_words),
            "bank": range(-(-bits // WEIGHT_BANK_BITS)),
            "data": WEIGHT_BANK_BITS,
        }
    )


def activation_write_layout(config: CoreConfig) -> data.StructLayout:
    """One write of a row's activations of a step, lane 0 in the low bits."""
    array = config.array
    return data.StructLayout(
        {
            "enable": 1,
            "row": range(array.rows),
            "address": range(config.activation_words),
            "data": array.lanes * array.word_bits,
        }
    )
