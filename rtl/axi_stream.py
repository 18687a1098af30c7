"""AXI4-Stream faces of streams of lanes.

A lane has a field of whole bytes of its own, lane 0 in the lowest, little-endian: signed(24) takes 3 bytes, signed(18)
takes 3, signed(32) takes 4. To AXI4-Stream a lane is extended by its sign (or by 0) to its field; from it, the field's
bits above the lane are not read. ``tlast`` is the stream's ``last``.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .stream import SkidBuffer


def axi_stream_signature(data_bytes: int, *, keep: bool = False) -> wiring.Signature:
    """AXI4-Stream as its transmitter sees it, with the names of the AMBA specification (IHI 0051)."""
    return wiring.Signature(
        {
            "tdata": Out(8 * data_bytes),
            **({"tkeep": Out(data_bytes)} if keep else {}),
            "tvalid": Out(1),
            "tready": In(1),
            "tlast": Out(1),
        }
    )


def field_bytes(shape: ShapeLike) -> int:
    """Bytes of a lane of ``shape``."""
    return -(-Shape.cast(shape).width // 8)


def lanes_layout(name: str, shape: ShapeLike, lanes: int, *, keep: bool = False) -> data.StructLayout:
    """{``name``: ``lanes`` × ``shape``, keep: a bit for each lane, last: 1}."""
    return data.StructLayout(
        {name: data.ArrayLayout(shape, lanes), **({"keep": lanes} if keep else {}), "last": 1},
    )


class FromAxiStream(wiring.Component):
    """AXI4-Stream → stream of ``lanes_layout(name, shape, lanes)``; all outputs are registers.

    With ``keep``, a lane whose lowest byte is not kept is 0: the end of a vector that does not fill its last beat.

    Members: ``i``: In, ``axi_stream_signature(lanes · field_bytes(shape), keep)``; ``o``: Out, the stream.
    Latency 1, interval 1. Raises ``ValueError`` for less than one lane.
    """

    latency = 1
    interval = 1

    def __init__(self, name: str, shape: ShapeLike, lanes: int, *, keep: bool = False) -> None:
        _check_lanes(lanes)
        self._name, self._shape, self._lanes, self._keep = name, Shape.cast(shape), lanes, keep
        self._layout = lanes_layout(name, shape, lanes)
        super().__init__(
            {
                "i": In(axi_stream_signature(lanes * field_bytes(shape), keep=keep)),
                "o": Out(stream.Signature(self._layout)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = SkidBuffer(self._layout)
        wiring.connect(m, buffer.o, wiring.flipped(self.o))
        size = field_bytes(self._shape)
        m.d.comb += [
            buffer.i.valid.eq(self.i.tvalid),
            self.i.tready.eq(buffer.i.ready),
            buffer.i.payload.last.eq(self.i.tlast),
        ]
        for lane, target in enumerate(buffer.i.payload[self._name]):
            value = self.i.tdata.word_select(lane, 8 * size)[: self._shape.width]
            m.d.comb += target.eq(Mux(self.i.tkeep[lane * size], value, 0) if self._keep else value)
        return m


class ToAxiStream(wiring.Component):
    """Stream of ``lanes_layout(name, shape, lanes, keep)`` → AXI4-Stream; all outputs are registers.

    With ``keep``, the bytes of a lane are kept where the lane's bit of ``keep`` is 1.

    Members: ``i``: In, the stream; ``o``: Out, ``axi_stream_signature(lanes · field_bytes(shape), keep)``.
    Latency 1, interval 1. Raises ``ValueError`` for less than one lane.
    """

    latency = 1
    interval = 1

    def __init__(self, name: str, shape: ShapeLike, lanes: int, *, keep: bool = False) -> None:
        _check_lanes(lanes)
        self._name, self._shape, self._keep = name, Shape.cast(shape), keep
        self._layout = lanes_layout(name, shape, lanes, keep=keep)
        super().__init__(
            {
                "i": In(stream.Signature(self._layout)),
                "o": Out(axi_stream_signature(lanes * field_bytes(shape), keep=keep)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = SkidBuffer(self._layout)
        wiring.connect(m, wiring.flipped(self.i), buffer.i)
        size, payload = field_bytes(self._shape), buffer.o.payload
        fields = []
        for lane, value in enumerate(payload[self._name]):
            field = Signal(8 * size, name=f"field_{lane}")
            m.d.comb += field.eq(value)
            fields.append(field)
        m.d.comb += [
            self.o.tvalid.eq(buffer.o.valid),
            buffer.o.ready.eq(self.o.tready),
            self.o.tdata.eq(Cat(*fields)),
            self.o.tlast.eq(payload.last),
        ]
        if self._keep:
            m.d.comb += self.o.tkeep.eq(Cat(bit.replicate(size) for bit in payload.keep))
        return m


def _check_lanes(lanes: int) -> None:
    if lanes < 1:
        raise ValueError(f"lanes is {lanes}, it must be at least 1")
