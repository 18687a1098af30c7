"""``AxiLiteSlave``: the AXI4-Lite face of a register bus."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

OKAY, SLVERR = 0b00, 0b10
"""Responses (AMBA AXI and ACE protocol specification, IHI 0022, A3.4.4)."""


def axi_lite_signature(address_bits: int) -> wiring.Signature:
    """AXI4-Lite of 32-bit data as its manager sees it, with the names of the AMBA specification."""
    return wiring.Signature(
        {
            "awaddr": Out(address_bits),
            "awprot": Out(3),
            "awvalid": Out(1),
            "awready": In(1, init=1),
            "wdata": Out(32),
            "wstrb": Out(4),
            "wvalid": Out(1),
            "wready": In(1, init=1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(address_bits),
            "arprot": Out(3),
            "arvalid": Out(1),
            "arready": In(1, init=1),
            "rdata": In(32),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


def register_bus_signature(address_bits: int) -> wiring.Signature:
    """What lies behind the face, as the face sees it; reads and writes are independent of each other.

    ``write`` / ``read`` is high for one cycle; its address (in 32-bit words), data and strobes stay until
    ``write_done`` / ``read_done``, high for one cycle at any later one, with ``…_error`` and ``read_data`` beside it.
    """
    return wiring.Signature(
        {
            "write": Out(1),
            "write_address": Out(address_bits - 2),
            "write_data": Out(32),
            "write_strobe": Out(4),
            "write_done": In(1),
            "write_error": In(1),
            "read": Out(1),
            "read_address": Out(address_bits - 2),
            "read_done": In(1),
            "read_data": In(32),
            "read_error": In(1),
        }
    )


class AxiLiteSlave(wiring.Component):
    """One write and one read at a time; address and data of a write arrive in either order.

    An error on the bus is answered with SLVERR. The two low address bits are ignored, as is the protection. Every
    output is a register, so no ready follows a valid or another ready within a cycle.

    Members: ``axi`` In(axi_lite_signature(address_bits)), ``bus`` Out(register_bus_signature(address_bits)).

    ``latency``: cycles from the later of address and data to ``bvalid`` (or from the address to ``rvalid``), the bus's
    own not counted. ``interval``: cycles from one transfer to the next of its kind, again without the bus's.

    Raises ``ValueError`` for fewer than 3 address bits.
    """

    def __init__(self, address_bits: int) -> None:
        if address_bits < 3:
            raise ValueError(f"address_bits is {address_bits}, it must be at least 3: two 32-bit registers")
        super().__init__(
            {"axi": In(axi_lite_signature(address_bits)), "bus": Out(register_bus_signature(address_bits))}
        )

    @property
    def latency(self) -> int:
        """Of a write 3; a read has one cycle less."""
        return 3

    @property
    def interval(self) -> int:
        """Of a write 4; a read has one cycle less."""
        return 4

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _write(self, m: Module) -> None:
        axi, bus = self.axi, self.bus
        pending = Signal()
        m.d.sync += bus.write.eq(0)
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [axi.awready.eq(0), bus.write_address.eq(axi.awaddr[2:])]
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += [axi.wready.eq(0), bus.write_data.eq(axi.wdata), bus.write_strobe.eq(axi.wstrb)]
        with m.If(~axi.awready & ~axi.wready & ~pending):
            m.d.sync += [pending.eq(1), bus.write.eq(1)]
        with m.If(bus.write_done):
            m.d.sync += [axi.bvalid.eq(1), axi.bresp.eq(Mux(bus.write_error, SLVERR, OKAY))]
        with m.If(axi.bvalid & axi.bready):
            m.d.sync += [axi.bvalid.eq(0), pending.eq(0), axi.awready.eq(1), axi.wready.eq(1)]

    def _read(self, m: Module) -> None:
        axi, bus = self.axi, self.bus
        m.d.sync += bus.read.eq(0)
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [axi.arready.eq(0), bus.read.eq(1), bus.read_address.eq(axi.araddr[2:])]
        with m.If(bus.read_done):
            m.d.sync += [axi.rvalid.eq(1), axi.rdata.eq(bus.read_data), axi.rresp.eq(Mux(bus.read_error, SLVERR, OKAY))]
        with m.If(axi.rvalid & axi.rready):
            m.d.sync += [axi.rvalid.eq(0), axi.arready.eq(1)]
