"""``SignedSum``: activations added or subtracted by the sign of their weight, the heart of a parallel element."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..designs.design import ACTIVATION_BITS
from ..designs.pipeline import dot_latency
from .adders import Adders, connect_levels
from .config import Tech


class SignedSum(wiring.Component):
    """Sum of 8-bit activations, each flipped where its weight is 1.

        o = Σ_i u_i ^ {8{w_i}} = Σ_i (w_i ? 255 − u_i : u_i)

    ``lanes``: a power of two; ``tech``: what it is built of; ``levels_per_stage``: levels between two registers.
    Members: ``i_activations`` (In, lanes·8, lane 0 in the low bits), ``i_weights`` (In, ``lanes``), neither
    registered here; ``o`` (Out, ``bit_length(255·lanes)``; registered).
    Latency ``dot_latency(lanes, levels_per_stage)`` whatever the tech, interval 1.
    Raises ``ValueError`` where ``lanes`` is not a power of two.
    """

    interval = 1

    def __init__(self, lanes: int, tech: Tech = "generic", levels_per_stage: int = 1) -> None:
        if lanes < 1 or lanes & (lanes - 1):
            raise ValueError(f"lanes is {lanes}, it must be a power of two: each level of adders halves the words")
        self._lanes, self._tech, self._levels_per_stage = lanes, tech, levels_per_stage
        sum_bits = (lanes * ((1 << ACTIVATION_BITS) - 1)).bit_length()
        super().__init__({"i_activations": In(lanes * ACTIVATION_BITS), "i_weights": In(lanes), "o": Out(sum_bits)})

    @property
    def latency(self) -> int:
        """Cycles from ``i_activations`` and ``i_weights`` to ``o``."""
        return dot_latency(self._lanes, self._levels_per_stage)

    def levels(self) -> list[Adders]:
        """The levels of adders, leaves first."""
        pairs = max(1, self._lanes // 2)
        add = partial(Adders, tech=self._tech, levels_per_stage=self._levels_per_stage)
        leaves = add(pairs, ACTIVATION_BITS, operands=min(2, self._lanes), flips=True)
        widths = range(ACTIVATION_BITS + 1, ACTIVATION_BITS + pairs.bit_length())
        return [leaves, *(add(pairs >> (width - ACTIVATION_BITS), width) for width in widths)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        levels = self.levels()
        m.d.comb += [
            levels[0].i_words.eq(self.i_activations),
            levels[0].i_flips.eq(self.i_weights),
            self.o.eq(connect_levels(m, levels, self._levels_per_stage)),
        ]
        return m
