"""rtl/axi_lite.py: the handshakes of AXI4-Lite under stalls on every channel, against a memory behind the bus."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from xnorscan.rtl.axi_lite import OKAY, SLVERR, AxiLiteSlave, register_bus_signature

ADDRESS_BITS = 6
WORDS = 1 << ADDRESS_BITS - 2
HANG = 5000
"""Far more cycles than a test takes."""
REFUSED = 13
"""The word address that the memory behind the bus answers with an error."""


class SlowMemory(wiring.Component):
    """Registers behind the bus that answer after ``latency`` cycles; one address is refused."""

    def __init__(self, latency: int) -> None:
        self.latency = latency
        self.words = [Signal(32, name=f"word_{index}") for index in range(WORDS)]
        super().__init__({"bus": In(register_bus_signature(ADDRESS_BITS))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        for kind in ("write", "read"):
            done = getattr(bus, kind)
            for index in range(self.latency):
                later = Signal(name=f"{kind}_{index}")
                m.d.sync += later.eq(done)
                done = later
            m.d.comb += [
                getattr(bus, f"{kind}_done").eq(done),
                getattr(bus, f"{kind}_error").eq(getattr(bus, f"{kind}_address") == REFUSED),
            ]
        for index, word in enumerate(self.words):
            with m.If(bus.read_address == index):
                m.d.comb += bus.read_data.eq(word)
            with m.If(bus.write & (bus.write_address == index)):
                for byte in range(4):
                    with m.If(bus.write_strobe[byte]):
                        m.d.sync += word[8 * byte : 8 * byte + 8].eq(bus.write_data[8 * byte : 8 * byte + 8])
        return m


class Bench:
    """The face before a slow memory, and a driver for each channel that pauses at random."""

    def __init__(self, seed: int, bus_latency: int = 1, pauses: float = 0.5) -> None:
        self.random, self.pauses = random.Random(seed), pauses
        m = Module()
        m.submodules.dut = self.dut = AxiLiteSlave(ADDRESS_BITS)
        m.submodules.memory = self.memory = SlowMemory(bus_latency)
        wiring.connect(m, self.dut.bus, self.memory.bus)
        self.axi = self.dut.axi
        self.simulator = Simulator(m)
        self.simulator.add_clock(1e-6)
        self.cycle = 0

    async def pause(self, ctx, cycles: int | None = None) -> None:
        while self.random.random() < self.pauses if cycles is None else cycles > 0:
            cycles = None if cycles is None else cycles - 1
            await ctx.tick()

    async def send(self, ctx, channel: str, pause: int | None = None, **payload: int) -> int:
        """One transfer to the slave; the cycle in which it happened. Ready must not need valid, nor valid ready."""
        await self.pause(ctx, pause)
        for name, value in payload.items():
            ctx.set(getattr(self.axi, name), value)
        ctx.set(getattr(self.axi, f"{channel}valid"), 1)
        while True:
            cycle = self.cycle
            _, _, ready = await ctx.tick().sample(getattr(self.axi, f"{channel}ready"))
            if ready:
                break
        ctx.set(getattr(self.axi, f"{channel}valid"), 0)
        return cycle

    async def receive(self, ctx, channel: str, *names: str, pause: int | None = None) -> tuple[int, ...]:
        """One transfer from the slave: its payload and its cycle."""
        await self.pause(ctx, pause)
        ctx.set(getattr(self.axi, f"{channel}ready"), 1)
        while True:
            cycle = self.cycle
            signals = (getattr(self.axi, f"{channel}valid"), *(getattr(self.axi, name) for name in names))
            _, _, valid, *payload = await ctx.tick().sample(*signals)
            if valid:
                break
        ctx.set(getattr(self.axi, f"{channel}ready"), 0)
        return (*payload, cycle)

    async def watch(self, ctx) -> None:
        """Count cycles. A response, once valid, stays as it is until it was taken."""
        names = ("bvalid", "bready", "bresp", "rvalid", "rready", "rresp", "rdata")
        before: dict[str, int] = {}
        async for _, _, *values in ctx.tick().sample(*(getattr(self.axi, name) for name in names)):
            self.cycle += 1
            assert self.cycle < HANG, "a transfer hangs"
            now = dict(zip(names, values, strict=True))
            if before.get("bvalid") and not before["bready"]:
                assert now["bvalid"]
                assert now["bresp"] == before["bresp"]
            if before.get("rvalid") and not before["rready"]:
                assert now["rvalid"]
                assert (now["rresp"], now["rdata"]) == (before["rresp"], before["rdata"])
            before = now

    def run(self, *testbenches) -> None:
        self.simulator.add_process(self.watch)
        for testbench in testbenches:
            self.simulator.add_testbench(testbench)
        self.simulator.run()


def strobed(old: int, data: int, strobe: int) -> int:
    mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
    return old & ~mask | data & mask


def writes_of(seed: int, addresses: range, count: int) -> Iterator[tuple[int, int, int]]:
    rng = random.Random(seed)
    for _ in range(count):
        yield rng.choice(addresses), rng.getrandbits(32), rng.getrandbits(4)


@pytest.mark.parametrize("bus_latency", [1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_writes_and_reads_with_stalls_everywhere(seed: int, bus_latency: int) -> None:
    """The three write channels and the two read channels run apart from each other, each with pauses of its own."""
    bench, transfers = Bench(seed, bus_latency), list(writes_of(seed, range(WORDS), 60))
    responses: list[int] = []

    async def addresses(ctx) -> None:
        for word, _, _ in transfers:
            await bench.send(ctx, "aw", awaddr=4 * word + bench.random.randrange(4))

    async def data(ctx) -> None:
        for _, value, strobe in transfers:
            await bench.send(ctx, "w", wdata=value, wstrb=strobe)

    async def answers(ctx) -> None:
        for _ in transfers:
            response, _ = await bench.receive(ctx, "b", "bresp")
            responses.append(response)

    reads: list[tuple[int, int, int]] = []
    asked = [word for word, _, _ in writes_of(seed + 100, range(WORDS), 60)]

    async def read_addresses(ctx) -> None:
        for word in asked:
            await bench.send(ctx, "ar", araddr=4 * word)

    async def read_data(ctx) -> None:
        for word in asked:
            value, response, _ = await bench.receive(ctx, "r", "rdata", "rresp")
            reads.append((word, value, response))

    bench.run(addresses, data, answers, read_addresses, read_data)
    expected, history = [0] * WORDS, [{0} for _ in range(WORDS)]
    for word, value, strobe in transfers:
        expected[word] = strobed(expected[word], value, strobe)
        history[word].add(expected[word])
    assert responses == [SLVERR if word == REFUSED else OKAY for word, _, _ in transfers]
    assert [word for word, _, _ in reads] == asked
    for word, value, response in reads:
        assert value in history[word]
        assert response == (SLVERR if word == REFUSED else OKAY)
    assert len(reads) == 60


@pytest.mark.parametrize("seed", range(2))
def test_a_read_after_its_write_returns_it(seed: int) -> None:
    bench, transfers, wrong = Bench(seed, 1), list(writes_of(seed, range(WORDS), 60)), []
    expected = [0] * WORDS

    async def run(ctx) -> None:
        for word, value, strobe in transfers:
            first, second = ("aw", {"awaddr": 4 * word}), ("w", {"wdata": value, "wstrb": strobe})
            if bench.random.random() < 0.5:
                first, second = second, first
            await bench.send(ctx, first[0], **first[1])
            await bench.send(ctx, second[0], **second[1])
            await bench.receive(ctx, "b", "bresp")
            expected[word] = strobed(expected[word], value, strobe)
            await bench.send(ctx, "ar", araddr=4 * word)
            value, _, _ = await bench.receive(ctx, "r", "rdata", "rresp")
            wrong.append(value != expected[word])

    bench.run(run)
    assert wrong == [False] * len(transfers)


@pytest.mark.parametrize(("address_pause", "data_pause"), [(0, 0), (0, 7), (7, 0)])
@pytest.mark.parametrize("bus_latency", [1, 3])
def test_write_latency_and_interval(address_pause: int, data_pause: int, bus_latency: int) -> None:
    """Address first, data first and both at once: the response comes ``latency`` after the later one."""
    bench, heard = Bench(0, bus_latency), {"aw": [], "w": [], "b": []}

    async def addresses(ctx) -> None:
        for pause in (address_pause, 0):
            heard["aw"].append(await bench.send(ctx, "aw", pause, awaddr=4))

    async def data(ctx) -> None:
        for pause in (data_pause, 0):
            heard["w"].append(await bench.send(ctx, "w", pause, wdata=1, wstrb=15))

    async def answers(ctx) -> None:
        ctx.set(bench.axi.bready, 1)
        for _ in range(2):
            heard["b"].append((await bench.receive(ctx, "b", "bresp", pause=0))[-1])

    bench.run(addresses, data, answers)
    assert heard["b"][0] - max(heard["aw"][0], heard["w"][0]) == bench.dut.latency + bus_latency
    assert heard["b"][1] - heard["b"][0] == bench.dut.interval + bus_latency


@pytest.mark.parametrize("bus_latency", [1, 3])
def test_read_latency_and_interval(bus_latency: int) -> None:
    bench, asked, heard = Bench(0, bus_latency), [], []

    async def addresses(ctx) -> None:
        for _ in range(2):
            asked.append(await bench.send(ctx, "ar", 0, araddr=4))

    async def data(ctx) -> None:
        for _ in range(2):
            heard.append((await bench.receive(ctx, "r", "rdata", pause=0))[-1])

    bench.run(addresses, data)
    assert heard[0] - asked[0] == bench.dut.latency - 1 + bus_latency
    assert heard[1] - heard[0] == bench.dut.interval - 1 + bus_latency


def test_response_waits_for_its_ready() -> None:
    """The manager may take its time: nothing else is accepted before, and the watch sees the response stay."""
    bench, accepted = Bench(0), []

    async def run(ctx) -> None:
        await bench.send(ctx, "aw", 0, awaddr=4)
        await bench.send(ctx, "w", 0, wdata=7, wstrb=15)
        await bench.send(ctx, "ar", 0, araddr=4)
        for _ in range(20):
            *_, aw, w, ar = await ctx.tick().sample(bench.axi.awready, bench.axi.wready, bench.axi.arready)
            accepted.append((aw, w, ar))
        await bench.receive(ctx, "b", "bresp", pause=0)
        await bench.receive(ctx, "r", "rdata", pause=0)

    bench.run(run)
    assert accepted == [(0, 0, 0)] * 20


def test_too_few_address_bits() -> None:
    with pytest.raises(ValueError, match=r"^address_bits is 2, it must be at least 3: two 32-bit registers$"):
        AxiLiteSlave(2)
