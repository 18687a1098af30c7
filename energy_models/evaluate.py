"""``evaluate``: latency, energy and DRAM traffic of a whole workload on every design of a space.

The same functions that give a cost frame (``cycles``, ``traffic``, ``energy``) are asked once for every combination of
the fields that each of them reads: a :class:`~.space.Factor`. A compiled kernel then puts the parts of each point
together, runs its schedule and sums its energy. One design is a space of one point.

The schedule of a step (``schedule.py``) is linear in max-plus algebra, where a sum is a maximum and a product is a sum:

    ⎛E(i)⎞   ⎛ c        b          ⎞   ⎛E(i−1)⎞        b = max(f + c, m + e)  where m > 0, else −∞
    ⎝V(i)⎠ = ⎝ c − h    max(m, b−h) ⎠ ⊗ ⎝V(i−1)⎠

so a run of n equal layers is the n-th power of the product of one layer's matrices, by repeated squaring (Baccelli,
Cohen, Olsder, Quadrat, Synchronization and Linearity, 1992, chapter 3). All entries are multiples of one power of two
whose sums float64 holds exactly, so the cycles are those of ``schedule``, to the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from ..designs.design import Dram, OneBitDesign
from .bounds import BOUNDS
from .cycles import array_cycles, scan_cycles, vector_cycles
from .energy import array_counts, sram_energy, unit_counts
from .evaluate_kernel import LANES, Places, evaluate_points
from .ops import Bools, Floats, Ints
from .schedule import HALF_BUFFER, ROUNDING, cycles_per_byte
from .space import Factor, Space, key
from .technology import ACTIONS, dram_figures, load_technology
from .traffic import Placement, Traffic, fit, place, traffic
from .units import DMA
from .work import scan_work, vector_work
from .workload import FORMATS, Workload

_INNER = 4096
"""Points over which the place of each in its factors is laid out, where the space has as many."""
_MEMORIES = ("weight_memory_kib", "activation_memory_kib", "state_memory_kib")
_ACCESSES = (
    "weight_reads", "stream_reads", "stream_writes", "activation_reads", "activation_writes", "state_reads",
    "state_writes",
)  # fmt: skip
_PLACES = ("head.at", "state.scan.at", "state.conv1d.at", "state.attention.at")

ARRAY = ("activations", "rows", "cols", "lanes", "rtl", *FORMATS)
VECTOR = ("vector_lanes", *FORMATS)
SCAN = ("scan_lanes", *FORMATS)
TRAFFIC = ("rows", "cols", *_MEMORIES, *_PLACES, *FORMATS)
RATE = ("clock_mhz", "dram")
SWITCHING = (*ARRAY, "technology")
STORAGE = (*TRAFFIC, "technology")


@dataclass(frozen=True, eq=False, kw_only=True)
class Totals:
    """[n] of the whole workload on each design, in the order of the space; ``energy_pj`` [n, 3]: low, typical, high.

    ``cycles``, ``latency_s``, ``energy_pj``, ``dram_bytes`` are the sums of the columns of a cost frame.
    ``compute_cycles``: with every operand at hand. ``bound``: index into ``BOUNDS``: ``compute`` where that takes as
    long as the DRAM or longer, over all operations, else the largest part of the DRAM traffic. ``feasible``: False
    where a design does not hold what it must; its numbers are −1 and NaN.
    """

    cycles: Ints
    compute_cycles: Ints
    latency_s: Floats
    energy_pj: Floats
    dram_bytes: Ints
    bound: npt.NDArray[np.int8]
    feasible: Bools


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One point of :class:`Totals`; ``energy_pj``: low, typical, high."""

    cycles: int
    compute_cycles: int
    latency_s: float
    energy_pj: tuple[float, float, float]
    dram_bytes: int
    bound: str


def evaluate(workload: Workload, space: Space) -> Totals:
    """What ``workload`` costs on every design of ``space``.

    Raises ``ValueError`` where a technology is unknown. Designs that cannot hold the workload are marked.
    """
    factors = [space.factor(fields) for fields in (ARRAY, VECTOR, SCAN, TRAFFIC, RATE, SWITCHING, STORAGE)]
    outer, inner = _split(space, factors)
    blocks = np.arange(0, inner.shape[1], LANES)
    varies = np.minimum.reduceat(inner, blocks, axis=1) != np.maximum.reduceat(inner, blocks, axis=1)
    tables = tuple(
        np.stack([entry(workload, design) for design in factor.designs], axis=1)
        for factor, entry in zip(factors, _ENTRIES, strict=True)
    )
    points, program = len(space), workload.program
    whole = np.empty((3, points), dtype=np.int64)
    parts = np.empty((4, points))
    bound, feasible = np.empty(points, dtype=np.int8), np.empty(points, dtype=np.bool_)
    evaluate_points(
        outer, inner, varies, tables, tables[0].any(axis=1), tables[2].any(axis=1),
        program.order, program.runs, program.members, program.steps,
        float(DMA.latency), float(HALF_BUFFER), ROUNDING, whole, parts, bound, feasible,
    )  # fmt: skip
    return Totals(
        cycles=whole[0],
        compute_cycles=whole[1],
        latency_s=parts[0],
        energy_pj=parts[1:].T,
        dram_bytes=whole[2],
        bound=bound,
        feasible=feasible,
    )


def evaluate_one(workload: Workload, design: OneBitDesign) -> Evaluation:
    """What ``workload`` costs on ``design``.

    Raises ``ValueError`` where the design cannot hold it (need and have in KiB) or the technology is unknown.
    """
    totals = evaluate(workload, Space.of([design]))
    if not totals.feasible[0]:
        raise ValueError(fit(_placement(workload, design), design).reason)
    low, typical, high = totals.energy_pj[0].tolist()
    return Evaluation(
        cycles=int(totals.cycles[0]),
        compute_cycles=int(totals.compute_cycles[0]),
        latency_s=float(totals.latency_s[0]),
        energy_pj=(low, typical, high),
        dram_bytes=int(totals.dram_bytes[0]),
        bound=BOUNDS[totals.bound[0]],
    )


def _split(space: Space, factors: Sequence[Factor]) -> tuple[Places, Places]:
    """[factors, outer] and [factors, inner]: the place of point o · inner + i in each factor is the sum of both."""
    split, points = len(space.axes), 1
    while split and points < _INNER:
        split -= 1
        points *= space.shape[split]

    def summed(offsets: Sequence[Ints]) -> Places:
        places = reduce(lambda slow, fast: np.add.outer(slow, fast).ravel(), offsets, np.zeros(1, dtype=np.int64))
        return places.astype(np.uint64)

    outer = np.stack([summed(factor.offsets[:split]) for factor in factors])
    inner = np.stack([summed(factor.offsets[split:]) for factor in factors])
    return outer, inner


def _remembers(fields: Sequence[str]) -> Callable[[Callable[[Workload, OneBitDesign], Any]], Any]:
    """The function, asked once per workload for each combination of ``fields``."""
    key_of = key(fields)

    def remembering(function: Callable[[Workload, OneBitDesign], Any]) -> Any:
        def asked(workload: Workload, design: OneBitDesign) -> Any:
            return workload.remembered(function.__name__, key_of(design), lambda: function(workload, design))

        return asked

    return remembering


@_remembers(ARRAY)
def _array(workload: Workload, design: OneBitDesign) -> Floats:
    """[operations]: cycles in the array."""
    return array_cycles(workload.in_formats_of(design).ops, design).astype(np.float64)


@_remembers(VECTOR)
def _vector(workload: Workload, design: OneBitDesign) -> Floats:
    """[operations]: cycles in the vector unit."""
    return vector_cycles(workload.in_formats_of(design).ops, design).astype(np.float64)


@_remembers(SCAN)
def _scan(workload: Workload, design: OneBitDesign) -> Floats:
    """[operations]: cycles in the scan unit."""
    return scan_cycles(workload.in_formats_of(design).ops, design).astype(np.float64)


@_remembers((*_MEMORIES[::2], *_PLACES, *FORMATS))
def _placement(workload: Workload, design: OneBitDesign) -> Placement:
    return place(workload.in_formats_of(design).held, design)


@dataclass(frozen=True, eq=False)
class _Moved:
    """``dram`` [operations] bytes, ``parts`` [4] of them over the whole workload in the order of ``BOUNDS`` without
    compute, ``accesses`` [7] bytes read and written on chip in the order of ``_ACCESSES``."""

    dram: Floats
    parts: Floats
    accesses: Floats


def _moved(workload: Workload, design: OneBitDesign) -> _Moved:
    """What is moved hangs on what is kept, not on the size of what keeps it, so a few results serve many memories."""
    placement = _placement(workload, design)
    of = (placement, design.rows, design.cols, design.activation_memory_kib, key(FORMATS)(design))
    return workload.remembered("moved", of, lambda: _summed(workload, design, placement))


def _summed(workload: Workload, design: OneBitDesign, placement: Placement) -> _Moved:
    ops = workload.in_formats_of(design).ops
    moved, repeats = traffic(ops, design, placement), workload.repeats
    head = ops.is_head | ops.is_kind("embedding")
    weights, of_head = (float(np.sum(repeats * moved.dram_weights, where=where)) for where in (~head, head))
    parts = [weights, of_head, repeats @ moved.dram_state, repeats @ moved.dram_activations]
    accesses = np.array([repeats @ getattr(moved, name) for name in _ACCESSES])
    return _Moved(moved.dram.astype(np.float64), np.array(parts), accesses)


@_remembers(TRAFFIC)
def _traffic(workload: Workload, design: OneBitDesign) -> Floats:
    """[operations + 4]: DRAM bytes of each; of all; the largest part of them, an index into ``BOUNDS``; whether the
    workload can run without DRAM, and with."""
    moved, placement = _moved(workload, design), _placement(workload, design)
    total = moved.parts.sum()
    alone = fit(placement, design.model_copy(update={"dram": None})).feasible and not total
    together = fit(placement, design.model_copy(update={"dram": design.dram or _ANY_DRAM})).feasible
    return np.concatenate([moved.dram, [total, 1 + np.argmax(moved.parts), alone, together]])


def _rate(_workload: Workload, design: OneBitDesign) -> Floats:
    """[6]: DRAM cycles per byte, cycles per second, whether there is DRAM, pJ per byte low, typical, high."""
    price = dram_figures()[design.dram.kind].price if design.dram else np.zeros(3)
    return np.array([cycles_per_byte(design), design.clock_hz, design.dram is not None, *(8.0 * price)])


@_remembers(SWITCHING)
def _switching(workload: Workload, design: OneBitDesign) -> Floats:
    """[3]: pJ of array, vector and scan unit over the whole workload."""
    technology = load_technology(design.technology)
    has_multiplier = technology.multiply_18x18 is not None
    of_units = (has_multiplier, key(FORMATS)(design))
    units = workload.remembered("units", of_units, lambda: _unit_actions(workload, design, has_multiplier))
    counts = _array_actions(workload, design) + units
    used = np.flatnonzero(counts)
    return np.asarray(counts[used] @ np.stack([technology.action(ACTIONS[index]) for index in used]))


@_remembers(ARRAY)
def _array_actions(workload: Workload, design: OneBitDesign) -> Floats:
    """[actions] of the array over the whole workload."""
    linears = workload.in_formats_of(design).linears
    return _total(array_counts(linears, design), workload.linear_repeats) if len(linears) else np.zeros(len(ACTIONS))


def _unit_actions(workload: Workload, design: OneBitDesign, has_multiplier: bool) -> Floats:
    """[actions] of vector and scan unit over the whole workload."""
    ops = workload.in_formats_of(design).ops
    vector = unit_counts(vector_work(ops, one_bit=True), True, has_multiplier)
    scan = unit_counts(scan_work(ops), True, has_multiplier)
    return _total(vector, workload.repeats) + _total(scan, workload.repeats)


def _total(counts: Any, repeats: Floats) -> Floats:
    totals = np.zeros(len(ACTIONS))
    for action, count in counts.items():
        totals[ACTIONS.index(action)] = np.sum(repeats * count)
    return totals


@_remembers(STORAGE)
def _storage(workload: Workload, design: OneBitDesign) -> Floats:
    """[6]: pJ of the accesses to on-chip memories over the whole workload; mW of leakage; low, typical, high each."""
    energy = _moved(workload, design).accesses @ _access_prices(workload, design)
    memories_kib = sum(getattr(design, memory) for memory in _MEMORIES)
    return np.concatenate([energy, load_technology(design.technology).leakage_mw(memories_kib)])


@_remembers((*_MEMORIES, "technology"))
def _access_prices(_workload: Workload, design: OneBitDesign) -> Floats:
    """[7, 3]: pJ of one byte of each access."""
    one, none = np.eye(len(_ACCESSES)), np.zeros(len(_ACCESSES), dtype=np.int64)
    accesses = dict(zip(_ACCESSES, one, strict=True))
    moved = Traffic(dram_weights=none, dram_state=none, dram_activations=none, **accesses)
    return sram_energy(moved, design, load_technology(design.technology))


_ENTRIES = (_array, _vector, _scan, _traffic, _rate, _switching, _storage)
"""What a point takes from each of its factors."""
_ANY_DRAM = Dram(kind="lpddr4", bandwidth_gb_per_s=1.0)
