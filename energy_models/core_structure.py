"""What a generated core is made of on an ECP5, counted from its structure: a closed form for each part of ``rtl/``.

Counted are the parts whose size follows from their definition: flip-flops, the carry chains of the dot products and
accumulators, the select trees, distributed and block RAMs. What synthesis makes of the control logic is not: of that
``control`` only counts what there is, and ``area.py`` has fitted what each takes.

Everything is arithmetic over the arrays of ``CoreSizes``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..designs.design import ACTIVATION_BITS
from ..designs.pipeline import ADDRESS_WIRE_LATENCY, MEMORY_LATENCY, WORD_WIRE_LATENCY, core_latency
from .core_sizes import (
    EBR_WIDTHS,
    RAM_BITS,
    RAM_WORDS,
    CoreSizes,
    Ints,
    Memory,
    bit_length,
    ceil_div,
    select_trees,
    total,
)

HALVES_MAX = 24
"""Greatest length of a carry chain that sums share, over ``levels_per_stage``; half a CCU2C is a LUT4."""
LUTS_PER_RAM = 4
"""LUT4s of a distributed RAM (DPR16X4)."""
BANKS_PER_GROUP = 4
"""Banks that share the registers of a write."""
COUNTER_BITS = 32
_READ_LATENCY = ADDRESS_WIRE_LATENCY + MEMORY_LATENCY + WORD_WIRE_LATENCY


@dataclass(frozen=True)
class _Level:
    """One level of the adders of dot products: ``sums`` of words of ``width`` bits; ``is_registered``: a register is
    behind it; ``carry_delay``: cycles that the lanes wait that enter as its carries. Each an array."""

    sums: Ints
    width: Ints
    is_registered: npt.NDArray[np.bool_]
    carry_delay: Ints


def _dot_levels(core: CoreSizes) -> Iterator[_Level]:
    """Leaves first; no sums where a core has fewer levels."""
    for level in range(1, int(core.levels.max()) + 1):
        halved = core.lanes >> np.minimum(level + core.is_serial, core.levels)
        yield _Level(
            sums=np.where(level > core.levels, 0, np.where(level == core.levels, 1, halved)),
            width=np.where(core.is_serial, level, level + ACTIVATION_BITS - 1),
            is_registered=(level % core.levels_per_stage == 0) | (level == core.levels),
            carry_delay=np.where(core.is_serial, (level - 1) // core.levels_per_stage, 0),
        )


def flip_flops(core: CoreSizes) -> Ints:
    """[…]: flip-flops of each core."""
    return _operand_ff(core) + _element_ff(core) + _drain_ff(core) + _sequencer_ff(core) + _memory_ff(core)


def _operand_ff(core: CoreSizes) -> Ints:
    """Registers of activations, weights and flags in front of the elements, and what skews rows and columns."""
    word = core.lanes * core.word_bits
    flags = 3 + core.is_serial
    delayed_flags = core.rows * core.blocks * core.dot_latency + core.elements
    late_rows = _floors(core.rows, core.rows_per_block)
    full = core.blocks - 1
    late_columns = core.cols_per_block * (full * (full - 1) // 2) + full * core.last_block
    registers = core.rows * core.blocks * word + ceil_div(core.rows, core.rows_per_block) * core.cols * core.lanes
    return registers + flags * delayed_flags + word * late_rows + core.lanes * late_columns


def _element_ff(core: CoreSizes) -> Ints:
    """Dot products, their wait for their turn, accumulators."""
    waits = core.rows * (core.rows - 1) // 2 - _floors(core.rows, core.rows_per_block)
    return core.elements * (_dot_ff(core) + core.acc_bits) + core.cols * core.dot_bits * waits


def _dot_ff(core: CoreSizes) -> Ints:
    """Of one dot product: sums behind a stage, and the two bits of each lane that waits to be a carry."""
    return total(
        level.sums * (level.is_registered * np.minimum(level.width + 1, core.dot_bits) + 2 * level.carry_delay)
        for level in _dot_levels(core)
    )


def _drain_ff(core: CoreSizes) -> Ints:
    """Select trees, FIFOs, the marks of rows on their way, and the control of the array and of the core."""
    trees = select_trees(core.rows)
    row = core.cols * core.acc_bits
    # valid and filled; nobody asks whether a FIFO is full
    fifo = 2 + bit_length(core.capacity) + 2 * bit_length(core.capacity - 1)
    # a mark for each FIFO and those of last rows; earlier FIFOs count as late as the last
    marks = (core.blocks + 1) * (core.array_latency - 3)
    control = core.height_bits + bit_length(core.capacity) + 3
    same = 3 * (core.rows == 1)  # whether a row leaves, is the last, and how many do: of one row all is one register
    # the array registers that a row has left, which the core does of its own, and which row is the last of its pass
    return row * (trees.words + 1) + 1 + core.blocks * fifo + marks + 2 * control + 2 - same


def _sequencer_ff(core: CoreSizes) -> Ints:
    """Loops, addresses, the buffer of steps and the step admitted, the flags beside the memories, the counters."""
    addresses = core.weights.address_bits + core.activations.address_bits
    # a bit for the last turn of each loop; full slots; whether steps are left, are valid, a slot was taken
    loops = core.loop_bits + 5 + core.is_serial + bit_length(core.activation_words) + 3
    steps = 3 * (core.height_bits + 4 + 1)
    beside = _READ_LATENCY * (core.height_bits + 2 + core.is_serial)
    # passes inside; started, busy, a step taken, a row freed, a slot freed
    counters = 2 * COUNTER_BITS + bit_length(core.capacity + core_latency()) + 5
    return loops + 2 * addresses + core.is_serial + steps + beside + counters


def _memory_ff(core: CoreSizes) -> Ints:
    """Registers on the wires to and from the banks, and in those of distributed RAM."""
    return total(map(_wired_ff, core.memories))


def _wired_ff(memory: Memory) -> Ints:
    entry = np.minimum(memory.bank_width, memory.width)
    groups = ceil_div(memory.banks, BANKS_PER_GROUP)
    written = 3 * (groups * (memory.address_bits + entry) + memory.banks)
    address = memory.address_bits * (1 + (ADDRESS_WIRE_LATENCY - 1) * memory.banks)
    inside = np.where(memory.is_distributed, MEMORY_LATENCY * memory.width, 2 * memory.banks * (memory.pieces - 1))
    return written + address + WORD_WIRE_LATENCY * memory.width + inside


def datapath_luts(core: CoreSizes) -> Ints:
    """[…]: LUT4s of each core but those of its control: elements, select trees, memories."""
    trees = core.cols * core.acc_bits * select_trees(core.rows).luts
    fifo = _read_luts(core.cols * core.acc_bits + 1, core.capacity)
    memories = total(
        np.where(memory.is_distributed, _read_luts(memory.width, memory.words), memory.width * (memory.pieces - 1))
        + memory.banks
        for memory in core.memories
    )
    return core.elements * _element_luts(core) + trees + fifo + memories + LUTS_PER_RAM * distributed_rams(core)


def _element_luts(core: CoreSizes) -> Ints:
    """Of one element: the chains of its dot product, that of its accumulator, the LUT4 that clears it."""
    halves_max = HALVES_MAX // core.levels_per_stage
    dot = total(_chain_luts(level.sums, level.width + 1, halves_max) for level in _dot_levels(core))
    return dot + _even(core.acc_bits + 1) + 1


def _chain_luts(sums: Ints, size: Ints, halves_max: Ints) -> Ints:
    """LUT4s of the chains of ``sums`` sums of ``size`` halves: each chain has a slot more and an even number."""
    per_chain = np.maximum(1, (halves_max - 1) // size)
    full, rest = sums // per_chain, sums % per_chain
    return full * _even(per_chain * size + 1) + np.where(rest > 0, _even(rest * size + 1), 0)


def _read_luts(width: Ints, words: Ints) -> Ints:
    """LUT4s that choose among the distributed RAMs of a depth: two choose one of four."""
    return width * -(-2 * (ceil_div(words, RAM_WORDS) - 1) // 3)


def distributed_rams(core: CoreSizes) -> Ints:
    """[…]: DPR16X4 of each core, in its FIFOs and shallow memories."""
    row, last_row = core.acc_bits * core.cols_per_block, core.acc_bits * core.last_block + 1
    side_by_side = (core.blocks - 1) * ceil_div(row, RAM_BITS) + ceil_div(last_row, RAM_BITS)
    fifos = side_by_side * ceil_div(core.capacity, RAM_WORDS)
    memories = (
        memory.is_distributed * memory.columns(RAM_BITS) * ceil_div(memory.words, RAM_WORDS) for memory in core.memories
    )
    return fifos + total(memories)


def block_rams(core: CoreSizes) -> Ints:
    """[…]: DP16KD of each core: every piece of a depth has the one shape that needs no multiplexer."""
    return total(
        memory.has_piece(words) * memory.columns(bits) for memory in core.memories for words, bits in EBR_WIDTHS.items()
    )


def control(core: CoreSizes) -> dict[str, Ints]:
    """What there is of each kind of control logic: kind → […] number in each core."""
    return {
        "fifo": core.blocks,
        "fifo_bit": core.blocks * bit_length(core.capacity - 1),
        "piece": total(memory.banks * (memory.pieces - 1) for memory in core.memories),
        "loop_bit": core.loop_bits,
        "height_bit": core.height_bits,
        "capacity_bit": bit_length(core.capacity),
        "core": np.ones_like(core.rows),
    }


def _even(n: Ints) -> Ints:
    return n + n % 2


def _floors(count: Ints, size: Ints) -> Ints:
    """Σ floor(i / size) over i < count."""
    full = count // size
    return size * (full * (full - 1) // 2) + full * (count % size)
