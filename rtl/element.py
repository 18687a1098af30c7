"""``Element``: one output of one token, the inner product of the array."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..designs.pipeline import dot_latency
from .accumulator import Accumulator
from .config import ArrayConfig
from .delay import DelayLine
from .dot import DotUnit
from .once import once


@once("_config", "_wait")
class Element(wiring.Component):
    """Mismatches of ``lanes`` weights and activations a step, added up over the steps of a pass.

    The flags come ``latency`` cycles after the words that they belong to, and ``o_sum`` stands with the flags: it is
    the sum up to and including their step. ``wait``: cycles that each dot product waits for its turn to be added.

    Members:
        ``i_activations``: In, ``lanes · word_bits``, from registers; ``i_weights``: In, ``lanes``, from registers;
        ``i_enable``, ``i_double`` (idle in a parallel array), ``i_last``: In, 1 bit each, as of ``Accumulator``;
        ``o_sum``: Out, ``acc_bits``.
    Latency ``dot_latency`` and ``wait``, interval 1.
    """

    interval = 1

    def __init__(self, config: ArrayConfig, wait: int = 0) -> None:
        self._config, self._wait = config, wait
        super().__init__(
            {
                "i_activations": In(config.lanes * config.word_bits),
                "i_weights": In(config.lanes),
                "i_enable": In(1),
                "i_double": In(1),
                "i_last": In(1),
                "o_sum": Out(config.acc_bits),
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
        m.d.comb += [
            dot.i_activations.eq(self.i_activations),
            dot.i_weights.eq(self.i_weights),
            wait.i.eq(dot.o),
            accumulator.i.eq(wait.o),
            accumulator.i_enable.eq(self.i_enable),
            accumulator.i_last.eq(self.i_last),
            self.o_sum.eq(accumulator.o_sum),
        ]
        if self._config.activations == "serial":
            m.d.comb += accumulator.i_double.eq(self.i_double)
        return m
