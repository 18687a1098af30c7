"""On-chip memories: ``Ram`` has one write and one read port, ``BankedRam`` lays several side by side in one wide word.

A read takes two cycles in every technology: the memory's array, then its output register. ``i_enable`` holds both, so a
reader that waits keeps its words without a FIFO.
"""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..designs.pipeline import ADDRESS_WIRE_LATENCY, MEMORY_LATENCY, WORD_WIRE_LATENCY
from .config import Tech
from .ebr import DEEPEST, Access, add_ebr, add_spram
from .stages import delayed, registered

_ECP5_DISTRIBUTED_WORDS = 64
"""Up to this depth a memory of the ECP5 lies in LUTs: a block RAM has 512 words, however few are used."""
_BANKS_PER_GROUP = 4
"""Banks that share the registers of a write where the memory is spread."""
_ICE40_BLOCK_WORDS = 2048
"""Words of an iCE40 block RAM in its narrowest shape; deeper memories are single-port RAMs."""


class Ram(wiring.Component):
    """``depth`` words of ``width`` bits. A word that is read in the cycle in which it is written is undefined.

    Members:
      ``i_write``: In, {enable, address, data}; ``i_enable``: In, 1: the read advances; ``i_address``: In, what to read;
      ``o``: Out, ``width``: the word that was addressed two enabled cycles ago.
    Latency 2 (enabled cycles), interval 1. ``tech="ecp5"``: block RAMs with their output registers, up to 64 words
    distributed RAM;
    ``tech="ice40"``: inferred block RAMs, above 2048 words the single-port RAMs of the UltraPlus, in which a write
    spoils the reads that are under way.
    Raises ``ValueError`` for a width or depth below 1, and for more words than a block of the technology can address.
    """

    interval = 1

    def __init__(self, width: int, depth: int, tech: Tech = "generic") -> None:
        if width < 1 or depth < 1:
            raise ValueError(f"a memory of {depth} words of {width} bits: it must have at least one of each")
        if tech != "generic" and depth > DEEPEST:
            raise ValueError(f"a memory of {depth} words is too deep for {tech}, its blocks reach {DEEPEST}")
        self._width, self._depth, self._tech = width, depth, tech
        write = data.StructLayout({"enable": 1, "address": range(depth), "data": width})
        super().__init__({"i_write": In(write), "i_enable": In(1), "i_address": In(range(depth)), "o": Out(width)})

    @property
    def latency(self) -> int:
        """Enabled cycles from an address to its word."""
        return MEMORY_LATENCY

    def elaborate(self, platform: object) -> Module:
        m = Module()
        access = Access(
            write_enable=self.i_write.enable,
            write_address=self.i_write.address,
            write_data=self.i_write.data,
            read_enable=self.i_enable,
            read_address=self.i_address,
            read_data=self.o,
        )
        if self._tech == "ecp5" and self._depth > _ECP5_DISTRIBUTED_WORDS:
            add_ebr(m, self._depth, access)
        elif self._tech == "ice40" and self._depth > _ICE40_BLOCK_WORDS:
            add_spram(m, access)
        else:
            self._infer(m, access)
        return m

    def _infer(self, m: Module, access: Access) -> None:
        attributes = {"ram_style": "distributed"} if self._tech == "ecp5" else {}
        m.submodules.memory = memory = Memory(shape=self._width, depth=self._depth, init=[], attrs=attributes)
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(access.write_enable),
            write.addr.eq(access.write_address),
            write.data.eq(access.write_data),
            read.en.eq(access.read_enable),
            read.addr.eq(access.read_address),
        ]
        with m.If(access.read_enable):
            m.d.sync += access.read_data.eq(read.data)


class BankedRam(wiring.Component):
    """Words of ``width`` bits, written in banks of ``bank_width`` (the last may be narrower), read whole.

    A write is registered at the entry: its word can be read from the second cycle after it on (``spread``: fourth).

    Members:
      ``i_write``: In, {enable, bank, address, data (bank_width)}; ``i_enable``: In, 1; ``i_address``: In;
      ``o``: Out, ``width``: bank b in bits b · bank_width and up.
    ``spread``: each bank has registers of its own for its address and its word, and so do groups of banks for writes:
    the banks may lie far apart. These are not held, ``i_enable`` stays 1.
    Latency 2 (enabled cycles), ``spread`` 6; interval 1. Raises as ``Ram`` does.
    """

    interval = 1

    def __init__(
        self, width: int, bank_width: int, depth: int, tech: Tech = "generic", *, spread: bool = False
    ) -> None:
        self._address_wire, self._word_wire = (ADDRESS_WIRE_LATENCY, WORD_WIRE_LATENCY) if spread else (0, 0)
        self._is_spread = spread
        lows = range(0, width, bank_width)
        self._banks = [Ram(min(bank_width, width - low), depth, tech) for low in lows]
        write = {"enable": 1, "bank": range(len(lows)), "address": range(depth), "data": min(bank_width, width)}
        super().__init__(
            {
                "i_write": In(data.StructLayout(write)),
                "i_enable": In(1),
                "i_address": In(range(depth)),
                "o": Out(width),
            }
        )

    @property
    def latency(self) -> int:
        """Enabled cycles from an address to its word."""
        return self._address_wire + MEMORY_LATENCY + self._word_wire

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._write(m)
        address, own, words = self.i_address, self._address_wire, []
        if self._is_spread:
            address, own = registered(m, address, "address"), own - 1
        for index, bank in enumerate(self._banks):
            m.submodules[f"bank_{index}"] = bank
            m.d.comb += [
                bank.i_enable.eq(self.i_enable),
                bank.i_address.eq(delayed(m, address, own, name=f"address_{index}")),
            ]
            words.append(delayed(m, bank.o, self._word_wire, name=f"word_{index}"))
        m.d.comb += self.o.eq(Cat(words))
        return m

    def _write(self, m: Module) -> None:
        """To each bank: its enable, decoded at once; to each group of banks: address and data. All equally late.

        Each wire is a module of its own, or synthesis would make one register of all.
        """
        size, cycles = (_BANKS_PER_GROUP, 3) if self._is_spread else (len(self._banks), 1)
        write = self.i_write
        for index, bank in enumerate(self._banks):
            if index % size == 0:
                address = delayed(m, write.address, cycles, name=f"write_address_{index // size}")
                word = delayed(m, write.data, cycles, name=f"write_data_{index // size}")
            enable = Signal(name=f"enable_{index}")
            m.d.sync += enable.eq(write.enable & (write.bank == index))
            m.d.comb += [
                bank.i_write.enable.eq(delayed(m, enable, cycles - 1, name=f"write_enable_{index}")),
                bank.i_write.address.eq(address),
                bank.i_write.data.eq(word),
            ]
