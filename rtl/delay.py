"""``DelayLine``: a value some cycles later."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class DelayLine(wiring.Component):
    """o = i of ``cycles`` cycles ago; 0 cycles is a wire.

    ``init``: what the registers hold after a reset; without it they are not reset, as befits data.

    Members: ``i``: In, ``shape``; ``o``: Out, ``shape``.
    Latency ``cycles``, interval 1. Raises ``ValueError`` for a negative delay.
    """

    interval = 1

    def __init__(self, shape: ShapeLike, cycles: int, init: object = None) -> None:
        if cycles < 0:
            raise ValueError(f"cycles is {cycles}, a delay must be at least 0")
        self._shape, self._cycles, self._init = shape, cycles, init
        super().__init__({"i": In(shape), "o": Out(shape)})

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``."""
        return self._cycles

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value = self.i
        for index in range(self._cycles):
            stage = Signal(self._shape, name=f"stage_{index}", init=self._init, reset_less=self._init is None)
            m.d.sync += stage.eq(value)
            value = stage
        m.d.comb += self.o.eq(value)
        return m
