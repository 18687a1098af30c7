"""Cycles that the generated hardware takes: the one place that the RTL's ``latency`` and the cost model both read."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_Sizes = TypeVar("_Sizes", int, Ints)


def dot_latency(lanes: int, levels_per_stage: int) -> int:
    """Cycles from the operands of one step's dot product to its registered result.

    A tree over ``lanes`` (a power of two) has log2(lanes) levels of adders, whether it counts bits or adds whole
    activations; a register stands behind every ``levels_per_stage`` of them and behind the last. One lane needs no
    adder, but has the register.
    """
    return max(1, -(-(lanes - 1).bit_length() // levels_per_stage))


def select_latency(count: int) -> int:
    """Cycles through the tree that reads one of ``count`` rows: a level of two words each, then levels of four."""
    words, levels = -(-count // 2), 1
    while words > 1:
        words, levels = -(-words // 4), levels + 1
    return levels


def array_latency(rows: int, cols: int, lanes: int, cols_per_block: int, levels_per_stage: int) -> int:
    """Cycles from the transfer of a pass's last step to the earliest transfer of its first row.

    One register in front of every block of columns, the dot product, the select tree, two cycles in the FIFO.
    """
    blocks = -(-cols // cols_per_block)
    return blocks + dot_latency(lanes, levels_per_stage) + select_latency(rows) + 2


def rows_buffered(rows: _Sizes, latency: _Sizes) -> _Sizes:
    """Rows that fit behind an array of ``latency`` cycles so that a consumer that is always ready never stalls it.

    As a pass ends, up to ``latency`` − 1 rows of others are on their way, two more may not have been counted, one may
    have left without having been counted yet, and ``rows`` must fit on top. Distributed RAM comes in steps of 16.
    """
    return -(-(latency + 2 + rows) // 16) * 16


def pass_steps(inputs: Ints, bits: Ints, lanes: int, activations: Literal["serial", "parallel"]) -> Ints:
    """Steps of one pass: a word of ``lanes`` inputs each, of one activation bit (serial) or of all of up to eight."""
    words = -(-inputs // lanes)
    return words * bits if activations == "serial" else words


def layer_cycles(
    tokens: Ints,
    outputs: Ints,
    inputs: Ints,
    planes: Ints,
    bits: Ints,
    *,
    rows: int,
    cols: int,
    lanes: int,
    activations: Literal["serial", "parallel"],
    cols_per_block: int,
    levels_per_stage: int,
) -> Ints:
    """Cycles of a layer from its first step to its last row, both counted, nobody stalling. Arguments from 1 on.

    A token tile of height h is outputs / cols · planes passes, rounded up; every pass but the very last puts off the
    end of the next by the greater of its steps and its height:

        cycles = steps + (passes · Σ_tiles max(steps, h)) − max(steps, h_last) + latency + h_last − 1
    """
    tiles = -(-tokens // rows)
    passes = -(-outputs // cols) * planes
    steps = pass_steps(inputs, bits, lanes, activations)
    height = tokens - (tiles - 1) * rows
    last_tile = np.maximum(steps, height)
    spacings = passes * ((tiles - 1) * np.maximum(steps, rows) + last_tile) - last_tile
    return steps + spacings + array_latency(rows, cols, lanes, cols_per_block, levels_per_stage) + height - 1


MEMORY_LATENCY = 2
"""Cycles from an address to the word of an on-chip memory: its array, then its output register."""

ADDRESS_WIRE_LATENCY = 3
"""Registers on the way of an address to memories that lie all over the chip: one for all, then two for each of them."""

WORD_WIRE_LATENCY = 1
"""Registers on the way of a word from there to the array."""


def core_latency() -> int:
    """Cycles from the core's start to its first step, operands on chip: loops, a buffer, addresses, memories, wires."""
    return 3 + ADDRESS_WIRE_LATENCY + MEMORY_LATENCY + WORD_WIRE_LATENCY
