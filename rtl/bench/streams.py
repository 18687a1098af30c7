"""Streams with valid and ready: sources that drive them, sinks that take them, and the loop that runs both.

One coroutine serves all ports of a run, with two triggers a cycle: before the rising edge of the clock (at the falling
one) every handshake of that edge is settled and is read, after it new values are driven. No simulator's order of events
within an edge matters to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

PERIOD_NS = 2
PATIENCE = 4096
"""Cycles without a transfer after which a run is hung: more than any idle time that golden data ask for."""


@dataclass(frozen=True)
class Stream:
    """The signals of a stream; ``payload`` has a length in bits and a ``value`` that is or takes an int."""

    name: str
    payload: Any
    valid: Any
    ready: Any


def stream(dut: Any, name: str) -> Stream:
    """The stream ``name`` of ``dut``, its signals called as Amaranth writes them."""
    return Stream(name, *(getattr(dut, f"{name}__{signal}") for signal in ("payload", "valid", "ready")))


class Port(Protocol):
    """One end of a stream, on the bench's side."""

    @property
    def done(self) -> bool:
        """Whether all of its beats have been transferred."""

    def sample(self, cycle: int) -> bool:
        """Read the handshake that the coming rising edge will see; whether a beat is transferred."""

    def drive(self) -> None:
        """Put out what the next cycle needs."""


class Source:
    """Offers ``beats`` in order, beat i after ``gaps[i]`` idle cycles; what is offered stays until it is taken.

    ``at``: the cycle in which each beat was taken. ``starved``: the beats for which the device stood ready in an idle
    cycle. In idle cycles the payload is the complement of the last beat, so that using it is seen.
    """

    def __init__(self, port: Stream, beats: Sequence[int], gaps: Sequence[int]) -> None:
        self.at: list[int] = []
        self.starved: set[int] = set()
        self._port, self._beats, self._gaps = port, beats, gaps
        self._mask = (1 << len(port.payload)) - 1
        self._offered, self._idle = False, 0
        port.valid.value = 0

    @property
    def done(self) -> bool:
        return len(self.at) == len(self._beats)

    def sample(self, cycle: int) -> bool:
        ready = self._port.ready.value == 1
        if ready and self._offered:
            self.at.append(cycle)
            self._offered = False
            return True
        if ready and not self.done:
            self.starved.add(len(self.at))
        return False

    def drive(self) -> None:
        if self._offered:
            return
        place = len(self.at)
        if not self.done and self._idle == self._gaps[place]:
            self._port.payload.value = self._beats[place]
            self._port.valid.value = 1
            self._offered, self._idle = True, 0
            return
        if not self._idle:
            self._port.valid.value = 0
            if place:
                self._port.payload.value = self._beats[place - 1] ^ self._mask
        self._idle += 1

    def __str__(self) -> str:
        return f"{self._port.name}: {len(self.at)} of {len(self._beats)} beats taken"


class Sink:
    """Takes ``len(gaps)`` beats, beat i once it has been valid for ``gaps[i]`` cycles, at once where that is 0.

    ``beats``: the payloads, ``at``: the cycle of each, ``held``: the beats that had to wait. Raises ``AssertionError``
    where a beat that waits is withdrawn or changes, or a beat comes that nobody expects.
    """

    def __init__(self, port: Stream, gaps: Sequence[int]) -> None:
        self.beats: list[int] = []
        self.at: list[int] = []
        self.held: set[int] = set()
        self._port, self._gaps = port, gaps
        self._waiting: int | None = None
        self._left = 0
        self._ready: bool | None = None

    @property
    def done(self) -> bool:
        return len(self.at) == len(self._gaps)

    def sample(self, cycle: int) -> bool:
        name, place = self._port.name, len(self.at)
        if self._port.valid.value != 1:
            assert self._waiting is None, f"{name}: beat {place} is withdrawn before it is taken"
            return False
        beat = int(self._port.payload.value)
        assert self._waiting in (None, beat), f"{name}: beat {place} changes while it waits"
        assert not self.done, f"{name}: a beat after the {place} that were expected"
        if not self._ready:
            self.held.add(place)
            self._waiting = beat
            return False
        self._waiting = None
        self.beats.append(beat)
        self.at.append(cycle)
        return True

    def drive(self) -> None:
        if self._waiting is not None:
            self._left -= 1
        elif not self.done:
            self._left = self._gaps[len(self.at)]
        ready = self._left == 0
        if ready != self._ready:
            self._port.ready.value = int(ready)
            self._ready = ready

    def __str__(self) -> str:
        return f"{self._port.name}: {len(self.at)} of {len(self._gaps)} beats came"


def start_clock(dut: Any) -> None:
    """Let ``clk`` run until the test ends."""
    Clock(dut.clk, PERIOD_NS, "ns", impl="gpi").start()


async def reset(dut: Any, cycles: int = 3) -> None:
    """Hold the reset for ``cycles``; returns just after a rising edge.

    The ports must have been made: a device whose ``valid`` inputs nobody drives during a reset is not reset.
    """
    dut.rst.value = 1
    edge = RisingEdge(dut.clk)
    for _ in range(cycles):
        await edge
    dut.rst.value = 0
    await edge


async def run(clock: Any, ports: Sequence[Port], spare: int = 0) -> None:
    """Serve ``ports`` until all are done, then for ``spare`` cycles more in which nothing may come.

    Called just after a rising edge, as ``reset`` leaves it. Raises ``AssertionError`` where nothing moves for
    ``PATIENCE`` cycles, with what each port still waits for.
    """
    before, after = FallingEdge(clock), RisingEdge(clock)
    cycle = quiet = 0
    for port in ports:
        port.drive()
    while quiet < spare or not all(port.done for port in ports):
        await before
        quiet += 1
        for port in ports:
            if port.sample(cycle):
                quiet = 0
        assert quiet < PATIENCE, f"nothing moved for {PATIENCE} cycles; {'; '.join(map(str, ports))}"
        await after
        for port in ports:
            port.drive()
        cycle += 1
