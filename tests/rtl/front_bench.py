"""Drivers of the streams of the front end's parts: every transfer with its cycle, counted from the start."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.sim import Simulator

GIVE_UP = 2_000
"""Cycles without a transfer after which a sink stops waiting."""


@dataclass(frozen=True)
class Transfer:
    """What passed a stream, and in which cycle."""

    cycle: int
    payload: Any


def never() -> bool:
    """No pauses."""
    return False


def sometimes(seed: int, share: float = 0.5) -> Callable[[], bool]:
    """Pauses at random."""
    draw = random.Random(seed)
    return lambda: draw.random() < share


def beats(values: Sequence[int], lanes: int, name: str, pad: int = 0) -> list[dict[str, Any]]:
    """One token as payloads of {name: lanes values, last}."""
    groups = [values[i : i + lanes] for i in range(0, len(values), lanes)]
    padded = [[*group, *[pad] * (lanes - len(group))] for group in groups]
    return [{name: group, "last": index == len(groups) - 1} for index, group in enumerate(padded)]


def tokens_of(transfers: Iterable[Transfer], name: str) -> list[list[int]]:
    """The values of each token, padding and all."""
    tokens, current = [], []
    for transfer in transfers:
        current += list(transfer.payload[name])
        if transfer.payload.last:
            tokens.append(current)
            current = []
    return tokens


class Bench:
    """A component, payloads for some of its inputs, and what leaves its outputs."""

    def __init__(self, component: Any) -> None:
        self.component = component
        self.sent: dict[str, list[Transfer]] = {}
        self.got: dict[str, list[Transfer]] = {}
        self._simulator = Simulator(component)
        self._simulator.add_clock(1e-6)
        self._delay = 0

    def add(self, testbench: Callable[[Any], Any]) -> None:
        """A driver of its own kind."""
        self._simulator.add_testbench(testbench)

    def write(self, port: Any, writes: Sequence[dict[str, Any]]) -> None:
        """A write port without handshake, used before any stream moves."""

        async def testbench(ctx: Any) -> None:
            for write in writes:
                ctx.set(port, {"enable": 1, **write})
                await ctx.tick()
            ctx.set(port.enable, 0)

        self._delay = len(writes) + 3
        self.add(testbench)

    def send(self, name: str, payloads: Sequence[Any], pause: Callable[[], bool] = never) -> None:
        """Feeds an input stream."""
        port, sent = getattr(self.component, name), self.sent.setdefault(name, [])

        async def testbench(ctx: Any) -> None:
            for _ in range(self._delay):
                await ctx.tick()
            cycle = 0
            for payload in payloads:
                while pause():
                    await ctx.tick()
                    cycle += 1
                ctx.set(port.payload, payload)
                ctx.set(port.valid, 1)
                ready = False
                while not ready:
                    *_, ready = await ctx.tick().sample(port.ready)
                    cycle += 1
                sent.append(Transfer(cycle, payload))
                ctx.set(port.valid, 0)

        self.add(testbench)

    def receive(self, name: str, number: int, pause: Callable[[], bool] = never) -> None:
        """Takes ``number`` payloads from an output stream."""
        port, got = getattr(self.component, name), self.got.setdefault(name, [])
        always_ready = port.signature.always_ready

        async def testbench(ctx: Any) -> None:
            for _ in range(self._delay):
                await ctx.tick()
            cycle = since = 0
            while len(got) < number:
                ready = always_ready or not pause()
                if not always_ready:
                    ctx.set(port.ready, ready)
                *_, valid, payload = await ctx.tick().sample(port.valid, port.payload)
                cycle, since = cycle + 1, since + 1
                if valid and ready:
                    got.append(Transfer(cycle, payload))
                    since = 0
                assert since < GIVE_UP, f"{name}: {len(got)} of {number} payloads came"
            if not always_ready:
                ctx.set(port.ready, 0)

        self.add(testbench)

    def run(self) -> None:
        """Until every driver is done."""
        self._simulator.run()

    def cycles(self, name: str) -> list[int]:
        """The cycle of every transfer."""
        return [transfer.cycle for transfer in (self.sent | self.got)[name]]
