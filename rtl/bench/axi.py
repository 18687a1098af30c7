"""AXI4-Stream and AXI4-Lite on the bench's side, built from the ports of ``streams``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .streams import Sink, Source, Stream, run

OKAY, SLVERR = 0b00, 0b10
"""Responses (AMBA AXI and ACE protocol specification, IHI 0022, A3.4.4)."""


class Fields:
    """Several signals side by side as one, the first in the low bits."""

    def __init__(self, signals: Sequence[Any]) -> None:
        self._signals = signals

    def __len__(self) -> int:
        return sum(map(len, self._signals))

    @property
    def value(self) -> int:
        together = 0
        for signal in reversed(self._signals):
            together = together << len(signal) | int(signal.value)
        return together

    @value.setter
    def value(self, together: int) -> None:
        for signal in self._signals:
            signal.value = together & ((1 << len(signal)) - 1)
            together >>= len(signal)


def axi_channel(dut: Any, prefix: str, fields: Sequence[str]) -> Stream:
    """The channel ``prefix`` (``s_axis_t``, ``axi__aw``) of ``dut``, with ``fields`` behind the prefix as its payload.

    A beat of AXI4-Stream with ``fields`` data and last is thus ``data | last << data bits``.
    """
    payload = Fields([getattr(dut, prefix + field) for field in fields])
    return Stream(prefix, payload, getattr(dut, f"{prefix}valid"), getattr(dut, f"{prefix}ready"))


class AxiLite:
    """A manager of 32-bit AXI4-Lite, one access at a time.

    ``gaps`` of an access: idle cycles before its address, before its data, and of the response once it is there. Call
    it just after a rising edge of ``clock``, where it also returns.
    """

    def __init__(self, dut: Any, prefix: str, clock: Any) -> None:
        self._clock = clock
        self._aw = axi_channel(dut, f"{prefix}aw", ("addr", "prot"))
        self._w = axi_channel(dut, f"{prefix}w", ("data", "strb"))
        self._b = axi_channel(dut, f"{prefix}b", ("resp",))
        self._ar = axi_channel(dut, f"{prefix}ar", ("addr", "prot"))
        self._r = axi_channel(dut, f"{prefix}r", ("data", "resp"))
        for channel in (self._aw, self._w, self._ar):
            channel.valid.value = 0
        for channel in (self._b, self._r):
            channel.ready.value = 0

    async def write(self, address: int, data: int, strobe: int = 0xF, gaps: Sequence[int] = (0, 0, 0)) -> int:
        """Write bytes of a word; returns the response."""
        response = Sink(self._b, gaps[2:])
        sources = [Source(self._aw, [address], gaps[:1]), Source(self._w, [data | strobe << 32], gaps[1:2])]
        await run(self._clock, [*sources, response])
        return response.beats[0]

    async def read(self, address: int, gaps: Sequence[int] = (0, 0)) -> tuple[int, int]:
        """Read a word; returns data and response."""
        response = Sink(self._r, gaps[1:])
        await run(self._clock, [Source(self._ar, [address], gaps[:1]), response])
        return response.beats[0] & 0xFFFF_FFFF, response.beats[0] >> 32
