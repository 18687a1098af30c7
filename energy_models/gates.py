"""Arithmetic as counts of gates: what a block is built of, what it toggles, and its area.

A block is a :class:`Gates`: full adders, half adders, two-input gates, multiplexers and register bits. Counts follow
the generated hardware where it exists (``rtl/popcount.py``, ``signed_sum.py``, ``accumulator.py``, ``element.py``) and
the textbook block where it does not. Every size may be an array: a million designs are counted at once. Lanes are a
power of two in the hardware; between them the trees are interpolated.

Energy: count × price of each gate at random data × its activity in the data at hand. The activity of a gate is the
share of steps in which its outputs change, over that share in random data; its inputs are independent of each other and
each is a two-state Markov chain with a share of ones (density) and of changes (toggle): the zero-delay model of Najm,
IEEE TVLSI 2(4) 1994. Random data has density and toggle ½. What changes and does not last is counted beside it, in
adder trees (:mod:`.glitches`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from ..designs.design import ACTIVATION_BITS, OneBitDesign
from ..designs.pipeline import dot_latency
from .glitches import popcount_glitches, signed_sum_glitches
from .ops import HALF, Floats
from .technology import Action, Cell, Price, Technology

Sizes = npt.ArrayLike
"""A size, or an array of them: shapes broadcast."""
FLAG_BITS = 4
"""What travels with an activation word through the array: enable, double, last, select."""
_GUARD_BITS = 3
"""Of a floating-point sum: guard, round and sticky."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gates:
    """Counts, float64 or arrays of one shape that broadcast: fractions where a gate is shared."""

    full_adder: Sizes = 0.0
    half_adder: Sizes = 0.0
    xnor: Sizes = 0.0
    and2: Sizes = 0.0
    mux2: Sizes = 0.0
    register_bits: Sizes = 0.0

    def __add__(self, other: Gates) -> Gates:
        return Gates(**{name: self[name] + other[name] for name in CELLS})

    def __mul__(self, n: Sizes) -> Gates:
        """``n`` of these."""
        return Gates(**{name: self[name] * np.asarray(n, dtype=np.float64) for name in CELLS})

    __rmul__ = __mul__

    def __getitem__(self, name: str) -> Floats:
        return np.asarray(getattr(self, name), dtype=np.float64)


CELLS: tuple[str, ...] = tuple(field.name for field in fields(Gates))
"""The kinds of gates that are counted."""


def xnor_popcount(lanes: Sizes, levels_per_stage: Sizes = 1) -> Gates:
    """``lanes`` products of two bits and how many of them are one, pipelined; the result has log2(lanes) + 1 bits.

    Level ℓ of the tree adds two words of ℓ bits and one more lane as the carry in: lanes − log2(lanes) − 1 full adders
    in all. One lane is left, which log2(lanes) half adders add last. A register stands behind every
    ``levels_per_stage`` levels and behind the last; lanes that enter later wait one bit each.
    """
    lanes = np.asarray(lanes, dtype=np.float64)
    last = np.log2(lanes)
    depth = np.ceil(last)
    registers = last + 1 + np.maximum(np.floor_divide(depth - 1, levels_per_stage), 0)
    for level in range(1, int(depth.max())):
        words = np.where(level < depth, lanes / 2 ** (level + 1), 0)
        registers = registers + words * ((level + 1) * _stands(level, levels_per_stage))
        registers = registers + words * np.floor_divide(level - 1, levels_per_stage)
    return Gates(full_adder=lanes - last - 1, half_adder=last, xnor=lanes, register_bits=registers)


def signed_sum(lanes: Sizes, bits: Sizes, levels_per_stage: Sizes = 1) -> Gates:
    """Sum of ``lanes`` activations of ``bits`` bits, each inverted where its weight says so, pipelined; the result has
    bits + log2(lanes) bits.

    Level k has lanes / 2^k adders of bits + k − 1 bits, the first of which is a half adder.
    """
    lanes, bits = np.asarray(lanes, dtype=np.float64), np.asarray(bits, dtype=np.float64)
    last = np.log2(lanes)
    registers = bits + last
    for level in range(1, int(np.ceil(last).max())):
        words = np.where(level < np.ceil(last), lanes / 2**level, 0)
        registers = registers + words * (bits + level) * _stands(level, levels_per_stage)
    full_adders = (bits - 2) * (lanes - 1) + 2 * lanes - last - 2
    return Gates(full_adder=full_adders, half_adder=lanes - 1, xnor=lanes * bits, register_bits=registers)


def accumulator(bits: Sizes, *, doubling: bool, summand_bits: Sizes | None = None) -> Gates:
    """A register of ``bits`` bits to which a word of ``summand_bits`` (all, if not given) is added, cleared by a gate
    per bit; ``doubling``: it may be doubled first."""
    bits = np.asarray(bits, dtype=np.float64)
    summand = bits if summand_bits is None else np.asarray(summand_bits, dtype=np.float64)
    mux2 = bits if doubling else 0.0
    return Gates(full_adder=summand, half_adder=bits - summand, and2=bits, mux2=mux2, register_bits=bits)


def multiplier(bits_a: Sizes, bits_b: Sizes) -> Gates:
    """Array multiplier (Braun, Baugh–Wooley where signed; no Booth recoding), not pipelined, of 2 bits or more:
    a·b products of two bits, a·(b − 2) full and a half adders."""
    bits_a, bits_b = np.asarray(bits_a, dtype=np.float64), np.asarray(bits_b, dtype=np.float64)
    return Gates(full_adder=bits_a * (bits_b - 2), half_adder=bits_a, and2=bits_a * bits_b)


def shifter(bits: Sizes, greatest: Sizes) -> Gates:
    """Logarithmic shifter of ``bits`` bits by 0 to ``greatest`` places."""
    levels = np.ceil(np.log2(np.asarray(greatest, dtype=np.float64) + 1))
    return Gates(mux2=np.asarray(bits) * levels)


def quantizer(bits: Sizes) -> Gates:
    """One lane that quantizes integers of ``bits`` bits to 8 bits by a power of two per token: magnitude and greatest
    magnitude so far (first pass), shift, round half to even and saturation (second pass), a register after each."""
    bits = np.asarray(bits, dtype=np.float64)
    magnitude = Gates(xnor=bits, half_adder=bits)
    greatest = Gates(full_adder=bits, mux2=bits, register_bits=bits)
    rounding = Gates(and2=bits, half_adder=ACTIVATION_BITS, register_bits=ACTIVATION_BITS)
    saturation = Gates(mux2=ACTIVATION_BITS, register_bits=ACTIVATION_BITS)
    return magnitude + greatest + shifter(bits, bits - 1) + rounding + saturation


def piecewise_linear(segments: Sizes, bits: Sizes) -> Gates:
    """slope · x + intercept of one of ``segments``, all of ``bits`` bits: trees of multiplexers over constants, the
    leaves of which are wires, then a multiplier, an adder and the registers of both results."""
    segments, bits = np.asarray(segments, dtype=np.float64), np.asarray(bits, dtype=np.float64)
    coefficients = Gates(mux2=2 * bits * (segments / 2 - 1))
    return coefficients + multiplier(bits, bits) + Gates(full_adder=bits, register_bits=3 * bits)


def fp_multiply_add(exponent_bits: Sizes, mantissa_bits: Sizes, accumulate_bits: Sizes) -> Gates:
    """Product of two floating-point numbers added to a sum of ``accumulate_bits`` (32: FP32), no operand registers.

    Significands (with the hidden bit) multiplied; exponents added and compared with the sum's; product aligned by a
    shifter, added or subtracted (an XNOR and a full adder per bit); leading zeros counted (two gates and a multiplexer
    per bit), normalised by a second shifter, rounded, the exponent corrected: the textbook's single path. The sum is
    counted ``accumulate_bits`` wide, its guard bits in place of its exponent.
    """
    exponent, width = np.asarray(exponent_bits, dtype=np.float64), np.asarray(accumulate_bits, dtype=np.float64)
    significand = np.asarray(mantissa_bits, dtype=np.float64) + 1
    exponents = Gates(full_adder=4 * (exponent + 1))
    add = Gates(xnor=width, full_adder=width)
    count_zeros = Gates(and2=2 * width, mux2=width)
    round_sum = Gates(half_adder=width - _GUARD_BITS, register_bits=width)
    shifters = 2 * shifter(width, width - 1)
    return multiplier(significand, significand) + exponents + add + count_zeros + round_sum + shifters


def accumulator_bits(inputs_max: Sizes, lanes: Sizes) -> Floats:
    """Bits of an unsigned accumulator that ``inputs_max`` 8-bit activations, in words of ``lanes``, cannot overflow."""
    words = -(-np.asarray(inputs_max) // np.asarray(lanes))
    return _bit_length(words * np.asarray(lanes) * ((1 << ACTIVATION_BITS) - 1))


def dot_unit(design: OneBitDesign) -> Gates:
    """One step's dot product in an element of ``design``."""
    stages = design.rtl.levels_per_stage
    if design.activations == "serial":
        return xnor_popcount(design.lanes, stages)
    return signed_sum(design.lanes, ACTIVATION_BITS, stages)


def dot_glitches(design: OneBitDesign) -> Floats:
    """Glitches per full adder in one step of :func:`dot_unit`."""
    glitches = popcount_glitches if design.activations == "serial" else signed_sum_glitches
    return glitches(design.lanes, design.rtl.levels_per_stage)


def dot_bits(design: OneBitDesign) -> float:
    """Width of one step's dot product."""
    return float(_bit_length(design.lanes * ((1 << word_bits(design)) - 1)))


def word_bits(design: OneBitDesign) -> int:
    """Activation bits of one lane in one step."""
    return 1 if design.activations == "serial" else ACTIVATION_BITS


def waits(rows: Sizes, rows_per_block: int) -> Floats:
    """Registers, summed over the first ``rows`` rows, in which a dot product waits for its row's turn: row r has
    r − r // rows_per_block of them, for its block of rows has one register of weights."""
    rows = np.asarray(rows, dtype=np.float64)
    blocks = np.floor_divide(rows, rows_per_block)
    before = rows_per_block * blocks * (blocks - 1) / 2 + blocks * (rows - blocks * rows_per_block)
    return np.asarray(rows * (rows - 1) / 2 - before)


def flag_registers(design: OneBitDesign) -> Gates:
    """Of one block of columns in one row: the flags in front of it, delayed until its dot products are there."""
    return Gates(register_bits=FLAG_BITS * dot_latency(design.lanes, design.rtl.levels_per_stage))


def element(design: OneBitDesign) -> Gates:
    """One element of the array of ``design`` with its share of what it shares: the activation register and the flags of
    its block of columns, the weight register of its block of rows, the wait for its row's turn (their mean over the
    array). Skew at the array's edges, select trees and FIFOs are not counted."""
    rtl = design.rtl
    blocks = -(-design.cols // rtl.cols_per_block) / design.cols
    weight_rows = -(-design.rows // rtl.rows_per_block) / design.rows
    operands = Gates(register_bits=design.lanes * (word_bits(design) * blocks + weight_rows))
    waiting = Gates(register_bits=dot_bits(design) * waits(design.rows, rtl.rows_per_block) / design.rows)
    flags = Gates(register_bits=FLAG_BITS) + flag_registers(design) * blocks
    total = accumulator(
        accumulator_bits(rtl.inputs_max, design.lanes),
        doubling=design.activations == "serial",
        summand_bits=dot_bits(design),
    )
    return dot_unit(design) + total + operands + waiting + flags


def xnor_output(
    toggle: Sizes, density: Sizes, other_toggle: Sizes = HALF, other_density: Sizes = HALF
) -> tuple[Floats, Floats]:
    """Toggle and density of the XNOR of two independent bits: it changes where exactly one of them does. A bit that is
    random makes the result random, whatever the other does."""
    toggle, density = np.asarray(toggle, dtype=np.float64), np.asarray(density, dtype=np.float64)
    other_toggle, other_density = np.asarray(other_toggle), np.asarray(other_density)
    return (
        toggle * (1 - other_toggle) + other_toggle * (1 - toggle),
        density * other_density + (1 - density) * (1 - other_density),
    )


def activity(cell: str, toggle: Sizes = HALF, density: Sizes = HALF) -> Floats:
    """How much the outputs of a gate of ``CELLS`` (but registers) change, over how much they do at random data.

    No bit changes more often than 2 · min(density, 1 − density); a rate that was counted on few words
    and does is taken as that.
    """
    changes = _CHANGES[cell]
    density = np.asarray(density, dtype=np.float64)
    toggle = np.asarray(np.minimum(toggle, 2 * np.minimum(density, 1 - density)), dtype=np.float64)
    return np.asarray(changes(toggle, density) / changes(_RANDOM, _RANDOM))


def switched(
    gates: Gates, toggle: Sizes = HALF, density: Sizes = HALF, clocked: Sizes = 1.0, glitches: Sizes = 0.0
) -> dict[Action, Floats]:
    """Actions of ``gates`` in one step: gates at random data that cost as much, register bits clocked and changed.

    ``toggle``, ``density``: of every gate's inputs and of the registers; ``clocked``: share of the register bits that
    get a clock, the others keep what they have; ``glitches``: per full adder at random data.
    """
    registers = gates["register_bits"] * np.asarray(clocked)
    full_adders = gates["full_adder"] * activity("full_adder", toggle, density)
    return {
        "full_adder": full_adders,
        "glitch": full_adders * np.asarray(glitches),
        "half_adder": gates["half_adder"] * activity("half_adder", toggle, density),
        "xnor": gates["xnor"] * activity("xnor", toggle, density),
        "and2": gates["and2"] * activity("and2", toggle, density),
        "mux2": gates["mux2"] * activity("mux2", toggle, density),
        "register_clock": registers,
        "register_data": registers * np.asarray(toggle),
    }


def switching_energy(
    gates: Gates,
    technology: Technology,
    toggle: Sizes = HALF,
    density: Sizes = HALF,
    clocked: Sizes = 1.0,
    glitches: Sizes = 0.0,
) -> Price:
    """[…, 3]: pJ of one step of ``gates`` in data as in :func:`switched`: low, typical, high."""
    actions = switched(gates, toggle, density, clocked, glitches)
    return np.asarray(sum(count[..., None] * technology.action(action) for action, count in actions.items()))


def area_um2(gates: Gates, technology: Technology) -> Price:
    """[…, 3]: µm² of the cells of ``gates``, no wires and no space between them: low, typical, high.

    Raises ``ValueError`` where ``technology`` has no areas of cells, as one of an FPGA has not.
    """
    if not technology.areas:
        raise ValueError(f"{technology.name} has no areas of cells; give a table of standard cells, with areas")
    return np.asarray(sum(gates[name][..., None] * technology.areas[cell].price for name, cell in _CELL_OF.items()))


def gate_equivalents(gates: Gates, technology: Technology) -> Price:
    """[…, 3]: area of ``gates`` in NAND2 of the same table, low, typical, high. Raises as :func:`area_um2` does."""
    return np.asarray(area_um2(gates, technology) / technology.areas["nand2"].value)


_CELL_OF: dict[str, Cell] = {
    "full_adder": "full_adder", "half_adder": "half_adder", "xnor": "xnor", "and2": "and2", "mux2": "mux2",
    "register_bits": "register_bit",
}  # fmt: skip
"""The cell that one of each count of ``Gates`` is."""


def _xor_changes(inputs: int, toggle: Floats) -> Floats:
    """An XOR changes where an odd number of its inputs do."""
    return np.asarray((1 - (1 - 2 * toggle) ** inputs) / 2)


def _and_changes(toggle: Floats, density: Floats) -> Floats:
    """Twice the chance that both inputs are one, less that they stay so."""
    return np.asarray(2 * (density**2 - (density - toggle / 2) ** 2))


def _majority_changes(toggle: Floats, density: Floats) -> Floats:
    """Twice the chance that two of three inputs are one, less that two are now and two a step later."""
    stays = density - toggle / 2
    both = stays**3 + 3 * stays**2 * (1 - stays) + 6 * stays * (toggle / 2) ** 2
    return np.asarray(2 * (3 * density**2 - 2 * density**3 - both))


def _mux_changes(toggle: Floats, density: Floats) -> Floats:
    """The input that stays selected changes, or the selection does and the two inputs differ."""
    return np.asarray(toggle * (1 - toggle) + toggle * 2 * density * (1 - density))


_RANDOM = np.asarray(HALF)
_CHANGES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "full_adder": lambda toggle, density: _xor_changes(3, toggle) + _majority_changes(toggle, density),
    "half_adder": lambda toggle, density: _xor_changes(2, toggle) + _and_changes(toggle, density),
    "xnor": lambda toggle, density: _xor_changes(2, toggle),
    "and2": _and_changes,
    "mux2": _mux_changes,
}
"""Changes of a gate's outputs in a step, in all, by the toggle rate and the density of its inputs."""


def _stands(level: int, levels_per_stage: Sizes) -> npt.NDArray[np.bool_]:
    """Whether a register stands behind a level that is not the last."""
    return np.asarray(level % np.asarray(levels_per_stage) == 0)


def _bit_length(value: npt.ArrayLike) -> Floats:
    """Of positive integers below 2^53."""
    return np.asarray(np.frexp(np.asarray(value, dtype=np.float64))[1], dtype=np.float64)
