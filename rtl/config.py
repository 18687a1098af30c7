"""``ArrayConfig``: every size of a generated array, its widths derived from them; a wrong one is refused here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..designs.design import ACTIVATION_BITS, OneBitDesign

Tech = Literal["generic", "ecp5", "ice40"]
_GREATEST_ACC_BITS = 36
"""Two 18-bit multiplier ports: the widest accumulator that the output scale takes."""
_BITS_PER_KIB = 8192


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """Sizes of the systolic array.

    ``rows`` tokens × ``cols`` outputs; an element takes ``lanes`` inputs a step. ``serial``: one bit of each, and 1, 2,
    4 or 8 activation bits chosen at run time; ``parallel``: 8 bits of each. ``inputs_max``: greatest K.
    ``cols_per_block``: elements of a row that share an activation register (the last block may be narrower);
    ``rows_per_block``: elements of a column that share a weight register, their sums waiting for their turn instead.
    ``levels_per_stage``: levels of adders between two registers of a dot product.

    Raises ``ValueError`` for a size that cannot be built, saying what would be right.
    """

    rows: int
    cols: int
    lanes: int
    activations: Literal["serial", "parallel"] = "serial"
    tech: Tech = "generic"
    inputs_max: int = 16384
    cols_per_block: int = 4
    rows_per_block: int = 1
    levels_per_stage: int = 1

    def __post_init__(self) -> None:
        for name in ("rows", "cols", "lanes", "inputs_max", "cols_per_block", "rows_per_block", "levels_per_stage"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be at least 1")
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"lanes is {self.lanes}, it must be a power of two: a memory word of lanes is addressed")
        if self.activations not in ("serial", "parallel"):
            raise ValueError(f"activations is {self.activations!r}, it must be serial or parallel")
        if self.acc_bits > _GREATEST_ACC_BITS:
            raise ValueError(
                f"inputs_max is {self.inputs_max}: its accumulator of {self.acc_bits} bits is too wide, "
                f"at most {_GREATEST_ACC_BITS} bits are multiplied at once"
            )

    @classmethod
    def of_design(cls, design: OneBitDesign) -> ArrayConfig:
        """The array of ``design``."""
        return cls(
            rows=design.rows,
            cols=design.cols,
            lanes=design.lanes,
            activations=design.activations,
            tech=design.rtl.tech,
            inputs_max=design.rtl.inputs_max,
            cols_per_block=design.rtl.cols_per_block,
            rows_per_block=design.rtl.rows_per_block,
            levels_per_stage=design.rtl.levels_per_stage,
        )

    @property
    def word_bits(self) -> int:
        """Activation bits of one lane in one step: 1 or 8."""
        return 1 if self.activations == "serial" else ACTIVATION_BITS

    @property
    def dot_bits(self) -> int:
        """Width of one step's unsigned dot product: at most lanes · (2^word_bits − 1)."""
        return (self.lanes * ((1 << self.word_bits) - 1)).bit_length()

    @property
    def words_max(self) -> int:
        """Words of ``lanes`` inputs in the greatest K."""
        return -(-self.inputs_max // self.lanes)

    @property
    def acc_bits(self) -> int:
        """Width of an unsigned accumulator that the greatest K of 8-bit activations cannot overflow."""
        return (self.words_max * self.lanes * ((1 << ACTIVATION_BITS) - 1)).bit_length()

    @property
    def blocks(self) -> int:
        """Blocks of columns in a row."""
        return -(-self.cols // self.cols_per_block)

    @property
    def binary_macs(self) -> int:
        """Products of one weight bit and ``word_bits`` activation bits in a cycle."""
        return self.rows * self.cols * self.lanes


@dataclass(frozen=True, kw_only=True)
class CoreConfig:
    """The array and the depths of its memories.

    ``weight_words``: words of cols · lanes weights. ``activation_words``: words of lanes · word_bits activation bits in
    each row's memory. A layer's weights stay while all its tokens pass, so both must hold a tile of the greatest K.

    Raises ``ValueError`` for a depth that cannot, with the greatest ``inputs_max`` that fits.
    """

    array: ArrayConfig
    weight_words: int
    activation_words: int

    def __post_init__(self) -> None:
        for name, words, needed in (
            ("weight_words", self.weight_words, self.array.words_max),
            ("activation_words", self.activation_words, self.array.words_max * self.bits_max),
        ):
            if words < needed:
                raise ValueError(
                    f"{name} is {words}, a tile of {self.array.inputs_max} inputs takes {needed}: {self._fitting()}"
                )

    @classmethod
    def of_design(cls, design: OneBitDesign) -> CoreConfig:
        """The core of ``design``, its memories as deep as its ``rtl`` options say, or as their KiB reach.

        Raises as the two configurations do.
        """
        array, options = ArrayConfig.of_design(design), design.rtl
        weight_bits, activation_bits = array.cols * array.lanes, array.rows * array.lanes * array.word_bits
        try:
            return cls(
                array=array,
                weight_words=options.weight_words or design.weight_memory_kib * _BITS_PER_KIB // weight_bits,
                activation_words=options.activation_words
                or design.activation_memory_kib * _BITS_PER_KIB // activation_bits,
            )
        except ValueError as error:
            raise ValueError(f"{design.name}: {error}") from None

    @property
    def bits_max(self) -> int:
        """Words of a row's memory that one word of lanes takes with 8-bit activations."""
        return ACTIVATION_BITS // self.array.word_bits

    def _fitting(self) -> str:
        words = min(self.weight_words, self.activation_words // self.bits_max)
        if words < 1:
            return f"not even inputs_max={self.array.lanes} fits"
        return f"at most inputs_max={words * self.array.lanes} fits"
