"""``Block``: neighbouring elements of a row that share one activation register."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..designs.pipeline import dot_latency
from .config import ArrayConfig
from .delay import DelayLine
from .element import CLEAR, FLAGS, Element


class Block(wiring.Component):
    """``width`` elements of row ``row``, the registers in front of them, and the delay of their flags.

    Every input goes through one register, from there into the elements and on to the neighbours: activations and flags
    to the right, weights down. Of ``rows_per_block`` rows the first alone has registers of weights. So the words of a
    step reach row r after r // rows_per_block cycles, its flags still after r: the dot products wait for the rest.

    Members:
        ``i_activations``, ``o_activations``: In and Out, ``lanes · word_bits``;
        ``i_weights``, ``o_weights``: In and Out, ``width`` × ``lanes``;
        ``i_flags``, ``o_flags``: In and Out, ``FLAGS``;
        ``o_sums``: Out, ``width`` × ``acc_bits``; ``o_select``: Out, ``width``: results that leave now.
    Latency 1 to the neighbours (weights: 0 where the block has no registers of them), ``latency`` from flags to sums;
    interval 1.
    """

    interval = 1

    def __init__(self, config: ArrayConfig, width: int, row: int = 0) -> None:
        self._config, self._width, self._row = config, width, row
        weights = data.ArrayLayout(config.lanes, width)
        super().__init__(
            {
                "i_activations": In(config.lanes * config.word_bits),
                "i_weights": In(weights),
                "i_flags": In(FLAGS),
                "o_activations": Out(config.lanes * config.word_bits),
                "o_weights": Out(weights),
                "o_flags": Out(FLAGS),
                "o_sums": Out(data.ArrayLayout(config.acc_bits, width)),
                "o_select": Out(self._width),
            }
        )
        wait = row - row // config.rows_per_block
        self._elements = [Element(config, wait) for _ in range(width)]

    @property
    def latency(self) -> int:
        """Cycles from a step's flags to the sums that contain it."""
        return 1 + dot_latency(self._config.lanes, self._config.levels_per_stage)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        activations = Signal.like(self.i_activations, name="activations", reset_less=True)
        weights = Signal(data.ArrayLayout(self._config.lanes, self._width), reset_less=True)
        flags = Signal(FLAGS, init=CLEAR)
        m.d.sync += [activations.eq(self.i_activations), flags.eq(self.i_flags)]
        if self._row % self._config.rows_per_block == 0:
            m.d.sync += weights.eq(self.i_weights)
        else:
            m.d.comb += weights.eq(self.i_weights)
        m.d.comb += [self.o_activations.eq(activations), self.o_weights.eq(weights), self.o_flags.eq(flags)]

        m.submodules.delay = delay = DelayLine(FLAGS, self.latency - 2, CLEAR)
        m.d.comb += delay.i.eq(flags)
        for column, element in enumerate(self._elements):
            m.submodules[f"element_{column}"] = element
            m.d.comb += [
                element.i_activations.eq(activations),
                element.i_weights.eq(weights[column]),
                element.i_flags.eq(delay.o),
                self.o_sums[column].eq(element.o_sum),
                self.o_select[column].eq(element.o_select),
            ]
        return m
