"""``Element``: one output of one token, the inner product of the array."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..designs.pipeline import dot_latency
from .accumulator import Accumulator
from .config import ArrayConfig
from .delay import DelayLine
from .dot import DotUnit
from .once import once

FLAGS = data.StructLayout({"enable": 1, "double": 1, "last": 1, "select": 1})
"""What travels with an activation word.

``enable``: there is a step; ``double``: the sums are doubled before it (idle in a parallel array); ``last``: the pass
ends with it; ``select``: this row's sums leave with it.
"""
CLEAR = {"enable": 1, "last": 1}
"""What every register of flags holds after a reset, so that each accumulator is cleared by the way passes end."""


@once("_config", "_wait")
class Element(wiring.Component):
    """Mismatches of ``lanes`` weights and activations a step, added up over the steps of a pass.

    The flags come ``latency`` − 1 cycles after the words that they belong to, into registers of this element, and
    ``o_sum`` stands a cycle after the flags: it is the sum up to and including their step. ``wait``: cycles that each
    dot product waits for its turn to be added.

    Members:
        ``i_activations``: In, ``lanes · word_bits``, from registers; ``i_weights``: In, ``lanes``, from registers;
        ``i_flags``: In, ``FLAGS``;
        ``o_sum``: Out, ``acc_bits``; ``o_select``: Out, 1 bit: ``o_sum`` is a result that leaves now.
    Latency ``dot_latency`` and ``wait``, interval 1.
    """

    interval = 1

    def __init__(self, config: ArrayConfig, wait: int = 0) -> None:
        self._config, self._wait = config, wait
        super().__init__(
            {
                "i_activations": In(config.lanes * config.word_bits),
                "i_weights": In(config.lanes),
                "i_flags": In(FLAGS),
                "o_sum": Out(config.acc_bits),
                "o_select": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a step's words to the sum that contains them."""
        return dot_latency(self._config.lanes, self._config.levels_per_stage) + self._wait

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dot = dot = DotUnit(self._config)
        m.submodules.wait = wait = DelayLine(self._config.dot_bits, self._wait)
        m.submodules.accumulator = accumulator = Accumulator(self._config)
        flags = Signal(FLAGS, init=CLEAR)
        m.d.sync += flags.eq(self.i_flags)
        m.d.comb += [
            dot.i_activations.eq(self.i_activations),
            dot.i_weights.eq(self.i_weights),
            wait.i.eq(dot.o),
            accumulator.i.eq(wait.o),
            accumulator.i_enable.eq(flags.enable),
            accumulator.i_last.eq(flags.last),
            self.o_sum.eq(accumulator.o_sum),
            self.o_select.eq(flags.select),
        ]
        if self._config.activations == "serial":
            m.d.comb += accumulator.i_double.eq(flags.double)
        return m
