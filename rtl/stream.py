"""Small parts of streams: a buffer that cuts a timing path, and a FIFO. Every item leaves once, in order."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import Tech
from .counting import minus_one, plus_one
from .stages import delayed


class SkidBuffer(wiring.Component):
    """Two entries, so that neither ``valid`` and ``payload`` nor ``ready`` pass through in the same cycle.

    All but the payload's choice comes straight out of registers, ``ready`` too: an inverter behind it would be a LUT.

    Members: ``i``: In, stream of ``shape``; ``o``: Out, stream of ``shape``.
    Latency 1, interval 1.
    """

    interval = 1

    def __init__(self, shape: ShapeLike) -> None:
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    @property
    def latency(self) -> int:
        """Cycles from an item's transfer at ``i`` to its earliest transfer at ``o``."""
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        out = Signal(self._shape, reset_less=True)
        spare = Signal(self._shape, reset_less=True)
        spare_free = Signal(init=1)
        m.d.comb += [self.i.ready.eq(spare_free), self.o.payload.eq(out)]
        with m.If(spare_free):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                out.eq(Mux(spare_free, self.i.payload, spare)),
                self.o.valid.eq(~spare_free | self.i.valid),
                spare_free.eq(1),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += spare_free.eq(0)
        return m


class StreamFifo(wiring.Component):
    """FIFO of ``depth`` items in a memory, and one more in the output register.

    ``i.ready`` depends on registers only. On ``tech="ecp5"`` the memory is asked for in distributed RAM, which comes in
    steps of 16 items.

    ``late``: the items are parts of wider ones, of which others come to FIFOs of their own, up to ``late`` cycles after
    these. So an item leaves ``late`` cycles later, and all FIFOs in step, though each decides for itself: nothing but
    ``o.ready`` joins them. Who writes then counts the room: an item is taken without asking ``i.ready``.

    Members: ``i``: In, stream of ``shape``; ``o``: Out, stream of ``shape``.
    Latency 2 (+ ``late``), interval 1. Raises ``ValueError`` for a depth below 2.
    """

    interval = 1

    def __init__(self, shape: ShapeLike, depth: int, tech: Tech = "generic", *, late: int | None = None) -> None:
        if depth < 2:
            raise ValueError(f"depth is {depth}, it must be at least 2: one item enters while another leaves")
        self._shape, self._depth, self._tech, self._late = shape, depth, tech, late
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    @property
    def latency(self) -> int:
        """Cycles from an item's transfer at ``i`` to its earliest transfer at ``o``."""
        return 2 + (self._late or 0)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        attributes = {"ram_style": "distributed"} if self._tech == "ecp5" else {}
        m.submodules.memory = memory = Memory(shape=self._shape, depth=self._depth, init=[], attrs=attributes)
        write = memory.write_port()
        read = memory.read_port()
        filled = Signal()
        full = Signal()
        put = Signal()
        get = Signal()
        m.d.comb += [
            self.i.ready.eq(~full),
            put.eq(self.i.valid if self._late is not None else self.i.valid & ~full),
            get.eq(filled & (self.o.ready | ~self.o.valid)),
            write.en.eq(put),
            write.data.eq(self.i.payload),
            read.en.eq(get),
            self.o.payload.eq(read.data),
        ]
        counted = put if not self._late else delayed(m, put, self._late, init=0, name="late")
        m.submodules.count = self._count(read.addr, counted, filled, full)
        with m.If(put):
            m.d.sync += write.addr.eq(self._next(write.addr))
        with m.If(get):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m

    def _next(self, address: Value) -> Value:
        return Mux(address == self._depth - 1, 0, plus_one(address))

    def _count(self, address: Signal, put: Signal, filled: Signal, full: Signal) -> Module:
        """Where to read and how much is left; ``filled`` and ``full``, which decide for every bit, in registers.

        It finds out for itself what is got: synthesis keeps modules apart, so this LUT may stand here and that of the
        output register there.
        """
        m = Module()
        level = Signal(range(self._depth + 1))
        get = Signal()
        m.d.comb += get.eq(filled & (self.o.ready | ~self.o.valid))
        with m.If(put & ~get):
            m.d.sync += [level.eq(plus_one(level)), filled.eq(1), full.eq(level == self._depth - 1)]
        with m.Elif(get & ~put):
            m.d.sync += [level.eq(minus_one(level)), filled.eq(level != 1), full.eq(0)]
        with m.If(get):
            m.d.sync += address.eq(self._next(address))
        return m
