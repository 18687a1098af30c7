"""``PassControl``: when the array may take a step, and which of its rows leave."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .counting import minus_one, plus_one

_UNCOUNTED = 2
"""Rows that may be on their way without having been taken off the room behind the array."""


class PassControl(wiring.Component):
    """Joins the two input streams of the array and keeps its results apart.

    A step is taken when both streams have one, and the last step of a pass only if its rows cannot meet the rows of
    the pass before, nor overrun the ``capacity`` rows behind the array. Both are known one cycle ahead, in a register:

    - rows: the rows of a pass leave one a cycle from the cycle after its last step on, and the pass behind it may end
      when at most one of them is left;
    - capacity: ``free`` counts rows that fit behind the array, ``roomy`` says that they are enough. A row is taken off
      as it leaves, so up to two rows of earlier passes are not counted yet when the register decides for a pass of up
      to ``rows``.

    Members:
        ``i_activations``, ``i_weights``: In, 1 bit, ``valid`` of the streams; ``i_last``: In, 1 bit, ``i_height``:
        In, rows of the pass (1 to ``rows``), both of the step at hand; ``i_freed``: In, 1 bit, a row behind the array
        has been taken; ``o_activations``, ``o_weights``: Out, 1 bit, ``ready`` of the streams; ``o_step``: Out, 1 bit,
        a step is taken now; ``o_row``: Out, 1 bit, a row leaves; ``o_row_last``: Out, 1 bit, it is the last of its
        pass.
    Latency 1 from a last step to its first ``o_row``, interval 1.
    Raises ``ValueError`` for a capacity that would never let a pass of ``rows`` end.
    """

    interval = 1

    def __init__(self, rows: int, capacity: int) -> None:
        if capacity < rows + _UNCOUNTED:
            raise ValueError(f"capacity is {capacity}, a pass of {rows} rows needs at least {rows + _UNCOUNTED}")
        self._rows, self._capacity = rows, capacity
        super().__init__(
            {
                "i_activations": In(1),
                "i_weights": In(1),
                "i_last": In(1),
                "i_height": In(range(rows + 1)),
                "i_freed": In(1),
                "o_activations": Out(1),
                "o_weights": Out(1),
                "o_step": Out(1),
                "o_row": Out(1),
                "o_row_last": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a last step to the first row that leaves."""
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows_left = Signal(range(self._rows + 1))
        rows_left_next = Signal(range(self._rows + 1))
        free = Signal(range(self._capacity + 1), init=self._capacity)
        roomy = Signal(init=1)
        may_end = Signal()
        allowed = Signal()
        m.d.comb += [
            allowed.eq(may_end | ~self.i_last),
            self.o_activations.eq(self.i_weights & allowed),
            self.o_weights.eq(self.i_activations & allowed),
            self.o_step.eq(self.i_activations & self.i_weights & allowed),
        ]
        with m.If(self.o_step & self.i_last):
            m.d.comb += rows_left_next.eq(self.i_height)
        with m.Else():
            m.d.comb += rows_left_next.eq(Mux(self.o_row, minus_one(rows_left), 0))
        m.d.sync += [
            rows_left.eq(rows_left_next),
            self.o_row.eq(rows_left_next != 0),
            self.o_row_last.eq(rows_left_next == 1),
            may_end.eq(~rows_left_next[1:].any() & roomy),
        ]
        least = self._rows + _UNCOUNTED
        with m.If(self.i_freed & ~self.o_row):
            m.d.sync += [free.eq(plus_one(free)), roomy.eq(roomy | (free == least - 1))]
        with m.Elif(self.o_row & ~self.i_freed):
            m.d.sync += [free.eq(minus_one(free)), roomy.eq(roomy & (free != least))]
        return m
