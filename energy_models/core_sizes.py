"""Sizes of generated cores as arrays: what a design states, and the widths and latencies that follow from it.

The same sizes as ``rtl/config.py`` derives for one core, as arithmetic over arrays of any one shape, so that a million
cores are described at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, reduce

import numpy as np
import numpy.typing as npt

from ..designs.design import ACTIVATION_BITS, OneBitDesign
from ..designs.pipeline import ADDRESS_WIRE_LATENCY, MEMORY_LATENCY, WORD_WIRE_LATENCY, rows_buffered

Ints = npt.NDArray[np.int64]

DISTRIBUTED_WORDS = 64
"""Up to this depth a memory lies in distributed RAM."""
EBR_WIDTHS = {512: 36, 1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}
"""Words of a block RAM → bits of each."""
RAM_WORDS, RAM_BITS = 16, 4
"""Shape of a distributed RAM (DPR16X4)."""
WEIGHT_BANK_BITS = 32
TOKEN_TILE_BITS = 16
"""Width of the greatest loop of the sequencer; the others count to sizes of the core."""
PLANES_BITS = 3
_BITS_PER_KIB = 8192
_AHEAD = ADDRESS_WIRE_LATENCY + MEMORY_LATENCY + WORD_WIRE_LATENCY + 2
"""Cycles between the array and whoever decides its steps."""


@dataclass(frozen=True)
class Memory:
    """``words`` of ``width`` bits in banks of ``bank_width``, the last maybe narrower. Each an array."""

    width: Ints
    bank_width: Ints
    words: Ints

    @cached_property
    def banks(self) -> Ints:
        return ceil_div(self.width, self.bank_width)

    @cached_property
    def address_bits(self) -> Ints:
        return bit_length(self.words - 1)

    @cached_property
    def is_distributed(self) -> npt.NDArray[np.bool_]:
        return self.words <= DISTRIBUTED_WORDS

    def has_piece(self, words: int) -> Ints:
        """1 where a piece of ``words`` words is among those of the depth, powers of two that add up to it."""
        least = min(EBR_WIDTHS)
        return np.where(self.is_distributed, 0, ceil_div(self.words, least) // (words // least) % 2)

    @cached_property
    def pieces(self) -> Ints:
        """Pieces of its depth, each a power of two of block RAM words; distributed RAM is one."""
        return np.maximum(1, total(self.has_piece(words) for words in EBR_WIDTHS))

    def columns(self, bits: int) -> Ints:
        """Memories of ``bits`` bits side by side, that the banks are made of."""
        last = self.width - (self.banks - 1) * self.bank_width
        return (self.banks - 1) * ceil_div(self.bank_width, bits) + ceil_div(last, bits)


@dataclass(frozen=True, kw_only=True)
class CoreSizes:
    """Sizes of cores, as in ``OneBitDesign`` and ``RtlOptions``, each an integer array of one shape.

    ``is_serial``: 1 for a serial array, 0 for a parallel one.
    Raises ``ValueError`` for other numbers, for shapes that differ, and for the first size that cannot be built.
    """

    is_serial: Ints
    rows: Ints
    cols: Ints
    lanes: Ints
    cols_per_block: Ints
    rows_per_block: Ints
    levels_per_stage: Ints
    inputs_max: Ints
    weight_words: Ints
    activation_words: Ints

    def __post_init__(self) -> None:
        sizes = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        shapes = {size.shape for size in sizes.values()}
        if len(shapes) > 1:
            raise ValueError(f"the sizes have shapes {', '.join(map(str, sorted(shapes)))}, they must have one")
        for name, size in sizes.items():
            if not np.issubdtype(size.dtype, np.integer):
                raise ValueError(f"{name} is of {size.dtype}, it must be of integers")
            object.__setattr__(self, name, size.astype(np.int64))
            if name != "is_serial":
                _require(size, size >= 1, name, "at least 1")
        _require(self.is_serial, self.is_serial // 2 == 0, "is_serial", "0 or 1")
        _require(self.lanes, self.lanes & (self.lanes - 1) == 0, "lanes", "a power of two")
        deepest, words = max(EBR_WIDTHS), self.words_max
        for name, needed in (("weight_words", words), ("activation_words", words * self.bits_max)):
            held: Ints = getattr(self, name)
            _require(held, held <= deepest, name, f"at most {deepest}: a block RAM is no deeper")
            short = held < needed
            if np.any(short):
                takes = needed[short].flat[0]
                raise ValueError(f"{name} is {held[short].flat[0]}, a tile of inputs_max inputs takes {takes}")

    @classmethod
    def of_designs(cls, designs: Sequence[OneBitDesign]) -> CoreSizes:
        """The cores of ``designs``, arrays of their number. Raises ``ValueError`` in the name of the design."""
        for design in designs:
            try:
                cls(**{name: np.array(size) for name, size in _sizes(design).items()})
            except ValueError as error:
                raise ValueError(f"{design.name}: {error}") from None
        sizes = [_sizes(design) for design in designs]
        return cls(**{name: np.array([size[name] for size in sizes]) for name in sizes[0]})

    @cached_property
    def word_bits(self) -> Ints:
        """Activation bits of a lane in a step."""
        return np.where(self.is_serial, 1, ACTIVATION_BITS)

    @property
    def bits_max(self) -> Ints:
        """Words of a row's activation memory that one word of lanes takes."""
        return ACTIVATION_BITS // self.word_bits

    @cached_property
    def words_max(self) -> Ints:
        """Words of lanes in ``inputs_max``."""
        return ceil_div(self.inputs_max, self.lanes)

    @cached_property
    def dot_bits(self) -> Ints:
        return bit_length(self.lanes * ((1 << self.word_bits) - 1))

    @cached_property
    def acc_bits(self) -> Ints:
        return bit_length(self.words_max * self.lanes * ((1 << ACTIVATION_BITS) - 1))

    @cached_property
    def elements(self) -> Ints:
        return self.rows * self.cols

    @cached_property
    def blocks(self) -> Ints:
        """Blocks of columns, each with a FIFO."""
        return ceil_div(self.cols, self.cols_per_block)

    @cached_property
    def last_block(self) -> Ints:
        """Columns of the last block, which may be narrower."""
        return self.cols - (self.blocks - 1) * self.cols_per_block

    @cached_property
    def height_bits(self) -> Ints:
        """Width of a number of rows."""
        return bit_length(self.rows)

    @cached_property
    def levels(self) -> Ints:
        """Levels of adders of a dot product."""
        return np.maximum(1, bit_length(self.lanes - 1))

    @cached_property
    def dot_latency(self) -> Ints:
        return ceil_div(self.levels, self.levels_per_stage)

    @cached_property
    def array_latency(self) -> Ints:
        return self.blocks + self.dot_latency + select_trees(self.rows).levels + 2

    @cached_property
    def capacity(self) -> Ints:
        """Rows that fit in the FIFOs behind the array."""
        return rows_buffered(self.rows, self.array_latency + _AHEAD)

    @cached_property
    def weights(self) -> Memory:
        """The weight memory."""
        return Memory(self.cols * self.lanes, np.full_like(self.cols, WEIGHT_BANK_BITS), self.weight_words)

    @cached_property
    def activations(self) -> Memory:
        """The activation memory, a bank a row."""
        width = self.lanes * self.word_bits
        return Memory(self.rows * width, width, self.activation_words)

    @property
    def memories(self) -> tuple[Memory, Memory]:
        return self.weights, self.activations

    @cached_property
    def loop_bits(self) -> Ints:
        """Widths of the sequencer's loops: words, bits of serial activations, planes, output and token tiles, slots."""
        to_sizes = (self.words_max, self.weight_words, self.activation_words)
        bits = np.where(self.is_serial, ACTIVATION_BITS.bit_length(), 0)
        return bits + total(map(bit_length, to_sizes)) + PLANES_BITS + TOKEN_TILE_BITS


@dataclass(frozen=True)
class SelectTrees:
    """Of a tree that reads one of some rows: ``levels``, words in registers, LUT4s for each bit. Each an array."""

    levels: Ints
    words: Ints
    luts: Ints


def _sizes(design: OneBitDesign) -> dict[str, int]:
    """Fields of ``CoreSizes``; memories as deep as the options say, or as their KiB reach."""
    options, is_serial = design.rtl, design.activations == "serial"
    weight_bits = design.cols * design.lanes
    activation_bits = design.rows * design.lanes * (1 if is_serial else ACTIVATION_BITS)
    weight_words = design.weight_memory_kib * _BITS_PER_KIB // weight_bits
    activation_words = design.activation_memory_kib * _BITS_PER_KIB // activation_bits
    return {
        "is_serial": int(is_serial),
        "rows": design.rows,
        "cols": design.cols,
        "lanes": design.lanes,
        "cols_per_block": options.cols_per_block,
        "rows_per_block": options.rows_per_block,
        "levels_per_stage": options.levels_per_stage,
        "inputs_max": options.inputs_max,
        "weight_words": options.weight_words or weight_words,
        "activation_words": options.activation_words or activation_words,
    }


def select_trees(rows: Ints) -> SelectTrees:
    """A level of two words each, in a LUT4 with their select bits, then of four; a word alone takes no LUT4."""
    left = ceil_div(rows, 2)
    levels, words, luts = np.ones_like(left), left, rows // 2
    while np.any(left > 1):
        goes_on, merged = left > 1, ceil_div(left, 4)
        levels = levels + goes_on
        words = words + np.where(goes_on, merged, 0)
        luts = luts + np.where(goes_on, merged - (left % 4 == 1), 0)
        left = merged
    return SelectTrees(levels, words, luts)


def bit_length(n: Ints) -> Ints:
    """[…]: ``int.bit_length`` of each of ``n``, exact below 2^53."""
    return np.frexp(n)[1].astype(np.int64)


def total(parts: Iterable[Ints]) -> Ints:
    """Their sum, at least one."""
    return reduce(np.add, parts)


def ceil_div(n: Ints, size: Ints | int) -> Ints:
    """n / size, rounded up."""
    return -(-n // size)


def _require(size: Ints, is_right: npt.NDArray[np.bool_], name: str, right: str) -> None:
    if not np.all(is_right):
        raise ValueError(f"{name} is {size[~is_right].flat[0]}, it must be {right}")
