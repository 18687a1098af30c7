"""``DotUnit``: the dot product of one step of one element."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..designs.pipeline import dot_latency
from .config import ArrayConfig
from .popcount import XorPopcount
from .signed_sum import SignedSum


class DotUnit(wiring.Component):
    """``o = Σ_i u_i ^ {w_i}`` over the lanes of a step, in which a weight flips every bit of its activation.

    Members: ``i_activations`` (In, lanes·word_bits), ``i_weights`` (In, lanes), ``o`` (Out, dot_bits; registered).
    Latency ``dot_latency(lanes, levels_per_stage)``, interval 1.
    """

    interval = 1

    def __init__(self, config: ArrayConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i_activations": In(config.lanes * config.word_bits),
                "i_weights": In(config.lanes),
                "o": Out(config.dot_bits),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``i_activations`` and ``i_weights`` to ``o``."""
        return dot_latency(self._config.lanes, self._config.levels_per_stage)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        if config.activations == "serial":
            m.submodules.sum = unit = XorPopcount(config.lanes, config.tech, config.levels_per_stage)
            activations, weights = unit.i_a, unit.i_b
        else:
            m.submodules.sum = unit = SignedSum(config.lanes, config.tech, config.levels_per_stage)
            activations, weights = unit.i_activations, unit.i_weights
        m.d.comb += [activations.eq(self.i_activations), weights.eq(self.i_weights), self.o.eq(unit.o)]
        return m
