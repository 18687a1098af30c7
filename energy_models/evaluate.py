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
from functools import cache, reduce
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..designs.design import OneBitDesign
from .bounds import BOUNDS
from .cycles import array_cycles, scan_cycles_of, vector_cycles_of
from .energy import ArraySteps, array_steps, sram_energy, step_counts, unit_counts
from .evaluate_kernel import LANES, Places, evaluate_points
from .ops import Bools, Floats, Ints
from .schedule import HALF_BUFFER, ROUNDING, cycles_per_byte
from .space import Factor, Space, key
from .technology import ACTIONS, Price, dram_figures, load_technology
from .traffic import WEIGHT_GROUPS, Placement, Traffic, fit, must_hold, place_needs, traffic_of
from .units import DMA
from .workload import FORMATS, Workload, formats_of

_INNER = 4096
"""Points over which the place of each in its factors is laid out, where the space has as many."""
_MEMORIES = ("weight_memory_kib", "activation_memory_kib", "state_memory_kib")
_ACCESSES = (
    "weight_reads", "stream_reads", "stream_writes", "activation_reads", "activation_writes", "state_reads",
    "state_writes",
)  # fmt: skip
_NO_DRAM = np.zeros(len(_ACCESSES), dtype=np.int64)
_ONE_OF_EACH = Traffic(
    dram_weights=_NO_DRAM,
    dram_state=_NO_DRAM,
    dram_activations=_NO_DRAM,
    **dict(zip(_ACCESSES, np.eye(len(_ACCESSES)), strict=True)),
)
"""One byte of each access, one after the other."""
_STEPS = ("elements", "blocks", "weights", "waits")
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
        np.array([entry(workload, design) for design in factor.designs], order="F").T
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
    offsets = [np.stack([factor.offsets[axis] for factor in factors]) for axis in range(len(space.axes))]
    first = np.zeros((len(factors), 1), dtype=np.int64)
    outer, inner = (reduce(_sums, part, first).astype(np.uint64) for part in (offsets[:split], offsets[split:]))
    return outer, inner


def _sums(slow: Ints, fast: Ints) -> Ints:
    """[factors, slow · fast]: every sum of one of each."""
    return (slow[:, :, None] + fast[:, None, :]).reshape(len(slow), -1)


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
    return vector_cycles_of(workload.in_formats_of(design).vector, design).astype(np.float64)


@_remembers(SCAN)
def _scan(workload: Workload, design: OneBitDesign) -> Floats:
    """[operations]: cycles in the scan unit."""
    formatted = workload.in_formats_of(design)
    return scan_cycles_of(formatted.scan, formatted.ops, design).astype(np.float64)


@_remembers((*_MEMORIES[::2], *_PLACES, *FORMATS))
def _placement(workload: Workload, design: OneBitDesign) -> Placement:
    return place_needs(workload.in_formats_of(design).needs, design)


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
    of = (placement, design.rows, design.cols, design.activation_memory_kib, formats_of(design))
    return workload.remembered("moved", of, lambda: _summed(workload, design, placement))


def _summed(workload: Workload, design: OneBitDesign, placement: Placement) -> _Moved:
    formatted = workload.in_formats_of(design)
    moved = traffic_of(formatted.flows, formatted.ops, design, placement)
    head = formatted.flows.weight_groups[WEIGHT_GROUPS.index("head")]
    parts = (moved.dram_weights * ~head, moved.dram_weights * head, moved.dram_state, moved.dram_activations)
    accesses = [getattr(moved, name) for name in _ACCESSES]
    totals = np.stack([*parts, *accesses]) @ workload.repeats
    return _Moved(moved.dram.astype(np.float64), totals[: len(parts)], totals[len(parts) :])


@_remembers(TRAFFIC)
def _traffic(workload: Workload, design: OneBitDesign) -> Floats:
    """[operations + 4]: DRAM bytes of each; of all; the largest part of them, an index into ``BOUNDS``; whether the
    workload can run without DRAM, and with."""
    moved, placement = _moved(workload, design), _placement(workload, design)
    total = moved.parts.sum()
    alone, together = (
        all(need <= getattr(design, memory) * 1024 for _, need, memory in must_hold(placement, design, has_dram))
        for has_dram in (False, True)
    )
    return np.append(moved.dram, [total, 1 + np.argmax(moved.parts), alone and not total, together])


def _rate(_workload: Workload, design: OneBitDesign) -> Floats:
    """[6]: DRAM cycles per byte, cycles per second, whether there is DRAM, pJ per byte low, typical, high."""
    price = dram_figures()[design.dram.kind].price if design.dram else np.zeros(3)
    return np.array([cycles_per_byte(design), design.clock_hz, design.dram is not None, *(8.0 * price)])


@_remembers(SWITCHING)
def _switching(workload: Workload, design: OneBitDesign) -> Floats:
    """[3]: pJ of array, vector and scan unit over the whole workload."""
    has_multiplier = load_technology(design.technology).multiply_18x18 is not None
    of_units = (has_multiplier, formats_of(design))
    units = workload.remembered("units", of_units, lambda: _unit_actions(workload, design, has_multiplier))
    return np.asarray((_array_actions(workload, design) + units) @ _action_prices(design.technology))


@cache
def _action_prices(technology: str) -> Floats:
    """[actions, 3]: pJ of each; 0 of a multiply that is built of gates, which none counts."""
    table = load_technology(technology)
    known = [action for action in ACTIONS if action != "multiply_18x18" or table.multiply_18x18 is not None]
    prices = np.zeros((len(ACTIONS), 3))
    prices[[ACTIONS.index(action) for action in known]] = [table.action(action) for action in known]
    return prices


@_remembers(ARRAY)
def _array_actions(workload: Workload, design: OneBitDesign) -> Floats:
    """[actions] of the array over the whole workload."""
    linears = workload.in_formats_of(design).linears
    steps = array_steps(linears, design)
    repeated = workload.linear_repeats * np.stack([getattr(steps, name) for name in _STEPS])
    return np.asarray(_step_actions(workload, design) @ repeated.ravel())


@_remembers(("activations", "lanes", "rtl"))
def _step_actions(workload: Workload, design: OneBitDesign) -> Floats:
    """[actions, 4 · linears] of one step of each kind of ``_STEPS`` in each linear."""
    steps = ArraySteps(**dict(zip(_STEPS, np.eye(len(_STEPS))[..., None], strict=True)))
    counts = step_counts(steps, design, workload.linears.toggle)
    actions = np.zeros((len(ACTIONS), len(_STEPS), len(workload.linears)))
    for action, count in counts.items():
        actions[ACTIONS.index(action)] = count
    return actions.reshape(len(ACTIONS), -1)


def _unit_actions(workload: Workload, design: OneBitDesign, has_multiplier: bool) -> Floats:
    """[actions] of vector and scan unit over the whole workload."""
    formatted, totals = workload.in_formats_of(design), np.zeros(len(ACTIONS))
    for work in (formatted.vector, formatted.scan):
        for action, count in unit_counts(work, True, has_multiplier).items():
            totals[ACTIONS.index(action)] += np.sum(workload.repeats * count)
    return totals


@_remembers(STORAGE)
def _storage(workload: Workload, design: OneBitDesign) -> Floats:
    """[6]: pJ of the accesses to on-chip memories over the whole workload; mW of leakage; low, typical, high each."""
    energy = _moved(workload, design).accesses @ _access_prices(workload, design)
    memories_kib = sum(getattr(design, memory) for memory in _MEMORIES)
    return np.concatenate([energy, load_technology(design.technology).leakage_mw(memories_kib)])


@_remembers((*_MEMORIES, "technology"))
def _access_prices(workload: Workload, design: OneBitDesign) -> Floats:
    """[7, 3]: pJ of one byte of each access."""
    table = load_technology(design.technology)

    def pj_per_bit(capacity_kib: int, access: Literal["read", "write"]) -> Price:
        of = (design.technology, capacity_kib, access)
        price: Price = workload.remembered("sram", of, lambda: table.sram_pj_per_bit(capacity_kib, access))
        return price

    return sram_energy(_ONE_OF_EACH, design, pj_per_bit)


_ENTRIES = (_array, _vector, _scan, _traffic, _rate, _switching, _storage)
"""What a point takes from each of its factors."""
