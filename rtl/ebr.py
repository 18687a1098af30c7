"""Block memories of the devices as explicit primitives, each with its output in a register of the block.

A memory that Yosys infers has no output register on the ECP5: 5.8 ns from clock to data where the block's own register
takes 1 ns (nextpnr's timing of speed grade 6).
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value

DEEPEST = 1 << 14
"""Words of the deepest shape of a block, of the ECP5 (16384 × 1) and of the iCE40's single-port RAM (16384 × 16)."""
_EBR_WIDTHS = {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}
_EBR_LEAST = 512
_ADDRESS_BITS = 14
_ADDRESS_BITS_BELOW = {36: 5, 18: 4, 9: 3, 4: 2, 2: 1, 1: 0}
"""Address lines below those that count words of each width."""
_SPRAM_WIDTH = 16


@dataclass(frozen=True)
class Access:
    """Signals of one memory. ``write_enable`` with address and data; ``read_enable``, which freezes a read's stages."""

    write_enable: Value
    write_address: Value
    write_data: Value
    read_enable: Value
    read_address: Value
    read_data: Value


def add_ebr(m: Module, depth: int, access: Access) -> None:
    """Add to ``m`` a memory of ECP5 embedded block RAMs: read latency 2.

    The depth is cut into powers of two of 512 words, the greatest first, each in the one shape that needs no
    multiplexer; between them the outputs are chosen by the address, which follows the read through two registers.
    """
    pieces = ebr_depths(depth)
    found = [_ebr_piece(m, start, words, access) for start, words in pieces]
    data = found[-1][1]
    for chosen, earlier in reversed(found[:-1]):
        data = Mux(_delayed(m, chosen, access.read_enable), earlier, data)
    m.d.comb += access.read_data.eq(data)


def ebr_depths(depth: int) -> list[tuple[int, int]]:
    """First word and number of words of each piece that a memory of ``depth`` words is cut into."""
    blocks = -(-depth // _EBR_LEAST)
    pieces, start = [], 0
    for bit in reversed(range(blocks.bit_length())):
        if blocks >> bit & 1:
            pieces.append((start, _EBR_LEAST << bit))
            start += _EBR_LEAST << bit
    return pieces


def _ebr_piece(m: Module, start: int, words: int, access: Access) -> tuple[Value, Value]:
    """Whether the read address is in the piece, and its output."""
    bits, width = (words - 1).bit_length(), _EBR_WIDTHS[words]
    write_here, read_here = (address[bits:] == start >> bits for address in (access.write_address, access.read_address))
    data = Signal.like(access.read_data, name=f"words_{start}")
    for low in range(0, len(data), width):
        part = Access(
            write_enable=access.write_enable & write_here,
            write_address=access.write_address[:bits],
            write_data=access.write_data[low : low + width],
            read_enable=access.read_enable,
            read_address=access.read_address[:bits],
            read_data=data[low : low + width],
        )
        block = _wide_block(m, part) if width == 36 else _block(m, width, part)
        m.submodules[f"ebr_{start}_{low}"] = block
    return read_here, data


def _delayed(m: Module, value: Value, enable: Value) -> Value:
    for _ in range(2):
        later = Signal()
        with m.If(enable):
            m.d.sync += later.eq(value)
        value = later
    return value


def _wide_block(m: Module, access: Access) -> Instance:
    """512 × 36: bits 35…18 of a word come out on DO17…0, bits 17…0 on DO35…18 (as nextpnr's packer joins them)."""
    out = Signal(36)
    m.d.comb += access.read_data.eq(Cat(out[18:], out[:18]))
    return Instance(
        "PDPW16KD",
        p_DATA_WIDTH_W=36,
        p_DATA_WIDTH_R=36,
        p_REGMODE="OUTREG",
        p_GSR="DISABLED",
        i_CLKW=ClockSignal(),
        i_CEW=access.write_enable,
        **_bits("i_ADW", access.write_address, 9),
        **_bits("i_BE", Const(0b1111, 4), 4),
        **_bits("i_DI", access.write_data, 36),
        **_bits("i_CSW", Const(0), 3),
        i_CLKR=ClockSignal(),
        i_CER=access.read_enable,
        i_OCER=access.read_enable,
        **_bits("i_ADR", Cat(Const(0, _ADDRESS_BITS_BELOW[36]), access.read_address), _ADDRESS_BITS),
        **_bits("i_CSR", Const(0), 3),
        i_RST=Const(0),
        **_bits("o_DO", out, 36),
    )


def _block(m: Module, width: int, access: Access) -> Instance:
    """1024 × 18 to 16384 × 1: port A writes, port B reads. Of 18 bits, the two lowest of A's lines enable the bytes."""
    below = _ADDRESS_BITS_BELOW[width]
    enables = Const(0b11 if width == 18 else 0, below)
    out = Signal(18)
    m.d.comb += access.read_data.eq(out)
    return Instance(
        "DP16KD",
        p_DATA_WIDTH_A=width,
        p_DATA_WIDTH_B=width,
        p_REGMODE_A="NOREG",
        p_REGMODE_B="OUTREG",
        p_GSR="DISABLED",
        i_CLKA=ClockSignal(),
        i_CEA=access.write_enable,
        i_OCEA=Const(0),
        i_WEA=access.write_enable,
        i_RSTA=Const(0),
        **_bits("i_ADA", Cat(enables, access.write_address), _ADDRESS_BITS),
        **_bits("i_DIA", access.write_data, 18),
        **_bits("i_CSA", Const(0), 3),
        i_CLKB=ClockSignal(),
        i_CEB=access.read_enable,
        i_OCEB=access.read_enable,
        i_WEB=Const(0),
        i_RSTB=Const(0),
        **_bits("i_ADB", Cat(Const(0, below), access.read_address), _ADDRESS_BITS),
        **_bits("i_DIB", Const(0), 18),
        **_bits("i_CSB", Const(0), 3),
        **_bits("o_DOB", out, 18),
    )


def _bits(prefix: str, value: Value, width: int) -> dict[str, Value]:
    """``value`` bit by bit as ports ``prefix``0, ``prefix``1, …, with zeros above it."""
    return {f"{prefix}{bit}": wire for bit, wire in enumerate(_resized(value, width))}


def _resized(value: Value, width: int) -> Value:
    return value if len(value) == width else Cat(value, Const(0, width))[:width]


def add_spram(m: Module, access: Access) -> None:
    """Add to ``m`` a memory of the iCE40 UltraPlus' single-port RAMs, 16384 × 16 each: read latency 2.

    A write takes the port and spoils the reads that are under way.
    """
    read = Signal.like(access.read_data, name="read")
    address = Mux(access.write_enable, access.write_address, access.read_address)
    for low in range(0, len(read), _SPRAM_WIDTH):
        out = Signal(_SPRAM_WIDTH, name=f"out_{low}")
        m.d.comb += read[low : low + _SPRAM_WIDTH].eq(out)
        m.submodules[f"spram_{low}"] = Instance(
            "SB_SPRAM256KA",
            i_CLOCK=ClockSignal(),
            i_ADDRESS=_resized(address, _ADDRESS_BITS),
            i_DATAIN=_resized(access.write_data[low : low + _SPRAM_WIDTH], _SPRAM_WIDTH),
            i_MASKWREN=Const(0b1111, 4),
            i_WREN=access.write_enable,
            i_CHIPSELECT=access.write_enable | access.read_enable,
            i_STANDBY=Const(0),
            i_SLEEP=Const(0),
            i_POWEROFF=Const(1),  # active low
            o_DATAOUT=out,
        )
    with m.If(access.read_enable):
        m.d.sync += access.read_data.eq(read)
