"""``explain``: what the cost of a trace on a design is made of, term by term.

An energy is a sum of count × price; every price is a figure of a technology table or is interpolated between two. The
cycles of an operation are a sum of closed forms, each with its numbers, and of the waits that the schedule finds. The
range of an energy ratio has two corners. The sums are those of ``cost``: the counts, the prices and the cycles are the
same, only listed here instead of added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd

from ..designs.design import ArrayDesign, Design, GpuDesign, OneBitDesign
from ..designs.pipeline import array_latency, core_latency, dot_latency, pass_steps, select_latency
from ..traces.op import KINDS
from ..traces.trace import Trace
from .cost import RANGE, cost
from .cycles import PARALLEL_BITS, fp16_lanes
from .energy import COMPONENTS, memory_accesses, on_chip_kib, unit_actions
from .gpu import gpu_compute_cycles
from .ops import Ops
from .summary import energy_ratio
from .technology import SAME_LUT, Action, Figure, Technology, dram_figures, gpu_figures, load_technology
from .traffic import Traffic, place, traffic
from .units import SCAN, VECTOR
from .work import scan_work, vector_work, vector_work_of

CountUnit = Literal["", "bit", "KiB·ns", "ns", "pJ"]
"""Of a count: actions, bits moved, memory × time, time, energy at board power. Count × price is in pJ."""
End = Literal["low", "high"]


@dataclass(frozen=True)
class TableRow:
    """Where a figure stands: the table as ``xnorscan sources`` names it, the name of the figure in it, the figure."""

    table: str
    name: str
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class EnergyTerm:
    """``count`` × ``price`` = ``energy_pj``, part of one of ``COMPONENTS``.

    ``price``: low, typical, high, in the unit of the figures in ``rows``. One row is the price itself; of two rows,
    memories of two capacities, it is first · (second / first)^``share``, beyond both where ``share`` is above 1. Of a
    GPU as it is used, the rows are the utilization that takes the time and the power: price = power ÷ utilization
    relative to the typical one, for which the count is.
    """

    component: str
    what: str
    count: float
    count_unit: CountUnit
    price: tuple[float, float, float]
    rows: tuple[TableRow, ...]
    share: float | None = None

    @property
    def energy_pj(self) -> tuple[float, float, float]:
        """Low, typical, high."""
        low, typical, high = self.price
        return self.count * low, self.count * typical, self.count * high


@dataclass(frozen=True, kw_only=True)
class CycleTerm:
    """``cycles`` of one operation: ``formula`` of the names in ``numbers``."""

    what: str
    formula: str
    numbers: Mapping[str, int | float]
    cycles: int


@dataclass(frozen=True, kw_only=True)
class OperationCycles:
    """Cycles of ``operations`` that are all alike: each takes the sum of ``terms``, all of them together ``waits`` more
    because their ``dram_bytes`` take ``transfer_cycles`` to come."""

    name: str
    kind: str
    operations: int
    terms: tuple[CycleTerm, ...]
    waits: int
    cycles: int
    dram_bytes: int
    transfer_cycles: int


@dataclass(frozen=True, kw_only=True)
class RatioPart:
    """Energy of a component in the design and in its baseline, pJ per token: low, typical, high; the end that its
    prices are at, in both, where the ratio is least and where it is greatest."""

    component: str
    energy_pj: tuple[float, float, float]
    baseline_pj: tuple[float, float, float]
    least_at: End
    greatest_at: End


@dataclass(frozen=True, kw_only=True)
class RatioRange:
    """Energy of ``baseline`` ÷ energy of the design: Σ ``baseline_pj`` ÷ Σ ``energy_pj`` over ``parts``, all typical,
    or each at its end. Components that neither has are left out."""

    baseline: str
    typical: float
    low: float
    high: float
    parts: tuple[RatioPart, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The cost of a trace on a design.

    ``energy_pj`` (low, typical, high) and the counts of ``terms`` are those of the trace ÷ ``tokens``, or all of them
    where that is not given; ``cycles`` and ``time_s`` are of the whole trace. ``ratios``: against each design that it
    was compared with.
    """

    model: str
    phase: str
    batch: int
    design: str
    clock_hz: float
    tokens: int | None
    energy_pj: tuple[float, float, float]
    terms: tuple[EnergyTerm, ...]
    cycles: int
    time_s: float
    operations: tuple[OperationCycles, ...]
    ratios: tuple[RatioRange, ...]


def explain(trace: Trace, design: Design, baselines: Sequence[Design] = (), tokens: int | None = None) -> Explanation:
    """What the cost of ``trace`` on ``design`` is made of, and its energy ratio to each of ``baselines``.

    ``tokens``: divides the energies and their counts. Raises ``ValueError`` as :func:`~.cost.cost` does, and where
    ``tokens`` is not positive.
    """
    divisor = 1 if tokens is None else tokens
    if divisor < 1:
        raise ValueError(f"tokens is {tokens}, it must be at least 1")
    costs = cost(trace, [design, *baselines])
    own = costs[costs["design"] == design.name]
    ops = Ops.from_frame(trace.ops).in_formats_of(design)
    low, typical, high = (float(own[f"energy_pj{end}"].sum()) / divisor for end in RANGE)
    return Explanation(
        model=trace.metadata.model,
        phase=trace.metadata.phase,
        batch=trace.metadata.batch,
        design=design.name,
        clock_hz=design.clock_hz,
        tokens=tokens,
        energy_pj=(low, typical, high),
        terms=tuple(replace(term, count=term.count / divisor) for term in _terms(ops, design, own)),
        cycles=int(own["cycles"].sum()),
        time_s=float(own["time_s"].sum()),
        operations=tuple(_operations(ops, design, own)),
        ratios=tuple(_ratio_range(costs, design.name, baseline.name, divisor) for baseline in baselines),
    )


def _terms(ops: Ops, design: Design, costs: pd.DataFrame) -> Iterator[EnergyTerm]:
    """Of the whole trace, component by component."""
    time_s = float(costs["time_s"].sum())
    if isinstance(design, GpuDesign):
        yield from _gpu_terms(design, costs)
        return
    technology = load_technology(design.technology)
    moved = traffic(ops, design, place(ops, design))
    for unit, counts in unit_actions(ops, design, technology).items():
        for action, count in counts.items():
            total = float(np.broadcast_to(count, len(ops)).sum())
            yield _term(unit, action.replace("_", " "), total, "", _action_row(design.technology, technology, action))
    yield from _sram_terms(moved, design, technology)
    yield from _dram_terms(moved, design)
    figures = technology.figures
    leaking = on_chip_kib(design) * time_s * 1e9
    yield _term("leakage", "memories", leaking, "KiB·ns", _row(design.technology, "sram_leakage", figures))
    yield _term("leakage", "static power", time_s * 1e9, "ns", _row(design.technology, "static_power", figures))


def _gpu_terms(design: GpuDesign, costs: pd.DataFrame) -> Iterator[EnergyTerm]:
    """Energy at board power over the time; as achieved by what takes that time, at each end of the range."""
    figures = gpu_figures()
    pj_per_cycle = design.board_power_w / design.clock_hz * 1e12
    if design.utilization == "peak":
        energy = float(costs["cycles"].sum()) * pj_per_cycle
        yield _term("board", "board power × time", energy, "pJ", _row("gpu", "board_energy_factor", figures))
        return
    counts = costs[["compute_cycles", "memory_cycles"]].to_numpy(np.float64)
    names = ("achieved_arithmetic", "achieved_bandwidth")
    factors = [figures[name].value / figures[name].price[::-1] for name in names]
    slower = np.argmax([np.outer(counts[:, i], factors[i]) for i in range(2)], axis=0)
    for ends in sorted({tuple(map(int, each)) for each in slower}):
        alike = (slower == ends).all(axis=1)
        pj = [float(counts[alike, i].sum()) * pj_per_cycle for i in range(2)]
        count = pj[ends[1]]
        low, typical, high = (
            pj[i] / count * float(factors[i][end] * figures["achieved_power"].price[end]) for end, i in enumerate(ends)
        )
        limits = [names[i] for i in dict.fromkeys(ends)]
        yield EnergyTerm(
            component="board",
            what=f"time of {' or '.join(limit.removeprefix('achieved_') for limit in limits)}",
            count=count,
            count_unit="pJ",
            price=(low, typical, high),
            rows=tuple(_row("gpu", name, figures) for name in (*limits, "achieved_power")),
        )


def _term(component: str, what: str, count: float, unit: CountUnit, row: TableRow) -> EnergyTerm:
    """Of a price that is one row."""
    figure = row.figure
    price = (figure.low, figure.value, figure.high)
    return EnergyTerm(component=component, what=what, count=count, count_unit=unit, price=price, rows=(row,))


def _row(table: str, name: str, figures: Mapping[str, Figure]) -> TableRow:
    return TableRow(table, name, figures[name])


def _action_row(table: str, technology: Technology, action: Action) -> TableRow:
    """The row of an action, or of the gate whose LUT does it too: see :meth:`Technology.action`."""
    figures = technology.figures
    return _row(table, action if action in figures else SAME_LUT[action], figures)


def _sram_terms(moved: Traffic, design: ArrayDesign, technology: Technology) -> Iterator[EnergyTerm]:
    kinds: tuple[Literal["read", "write"], ...] = ("read", "write")
    for memory in memory_accesses(moved, design):
        for access, counted in zip(kinds, (memory.reads, memory.writes), strict=True):
            rows, share = _sram_rows(design.technology, technology, memory.capacity_kib, access)
            low, typical, high = map(float, technology.sram_pj_per_bit(memory.capacity_kib, access))
            yield EnergyTerm(
                component="sram",
                what=f"{memory.memory} {access}",
                count=8 * float(counted.sum()),
                count_unit="bit",
                price=(low, typical, high),
                rows=rows,
                share=share,
            )


def _sram_rows(
    table: str, technology: Technology, capacity_kib: float, access: Literal["read", "write"]
) -> tuple[tuple[TableRow, ...], float | None]:
    """The row, or the two with the share of the second, that :meth:`Technology.sram_pj_per_bit` takes a price from."""
    points, figures = technology.sram, technology.figures

    def row(index: int) -> TableRow:
        return _row(table, f"{points[index].capacity_kib:g} KiB x{points[index].port_bits} {access}", figures)

    last = len(points) - 1
    upper = next((index for index, point in enumerate(points) if point.capacity_kib >= capacity_kib), last)
    if upper == 0 or points[upper].capacity_kib == capacity_kib:
        return (row(upper),), None
    below, above = points[upper - 1].capacity_kib, points[upper].capacity_kib
    return (row(upper - 1), row(upper)), math.log(capacity_kib / below) / math.log(above / below)


def _dram_terms(moved: Traffic, design: ArrayDesign) -> Iterator[EnergyTerm]:
    if design.dram is None:
        return
    row = _row("dram", design.dram.kind, dram_figures())
    for what, moving in (
        ("weights", moved.dram_weights),
        ("state", moved.dram_state),
        ("activations", moved.dram_activations),
    ):
        yield _term("dram", what, 8 * float(moving.sum()), "bit", row)


_SHAPE = (
    "kind", "sequences", "tokens", "outputs", "inputs", "heads", "headdim", "d_state", "context", "weight_planes",
    "activation_bits",
)  # fmt: skip
"""What the compute cycles of an operation depend on."""


def _operations(ops: Ops, design: Design, costs: pd.DataFrame) -> Iterator[OperationCycles]:
    """Operations of one name and shape together, in the order in which they are met."""
    numbers = costs[["name", "cycles", "compute_cycles", "memory_cycles", "dram_bytes"]].reset_index(drop=True)
    shapes = pd.DataFrame({field: getattr(ops, field) for field in _SHAPE}).assign(outside=ops.layer < 0)
    alike = numbers.join(shapes).groupby(["name", *shapes], sort=False)
    sums = alike[["cycles", "compute_cycles", "memory_cycles", "dram_bytes"]].sum()
    for index, count, total in zip(alike.head(1).index, alike.size(), sums.itertuples(), strict=True):
        one = _take(ops, int(index))
        yield OperationCycles(
            name=str(numbers["name"][index]),
            kind=KINDS[int(one.kind[0])],
            operations=int(count),
            terms=tuple(_cycle_terms(one, design)),
            waits=int(total.cycles - total.compute_cycles),
            cycles=int(total.cycles),
            dram_bytes=int(total.dram_bytes),
            transfer_cycles=int(total.memory_cycles),
        )


def _take(ops: Ops, index: int) -> Ops:
    """The operation at ``index`` alone."""
    return replace(ops, **{field.name: getattr(ops, field.name)[index : index + 1] for field in fields(ops)})


def _cycle_terms(one: Ops, design: Design) -> Iterator[CycleTerm]:
    """Compute cycles of one operation: the closed forms of ``cycles.py`` and ``gpu.py``, summand by summand."""
    if isinstance(design, GpuDesign):
        yield _gpu_term(one, design)
        return
    if one.is_kind("linear")[0]:
        yield from _one_bit_terms(one, design) if isinstance(design, OneBitDesign) else _linear_terms(one, design)
    if one.is_kind("attention")[0] and not isinstance(design, OneBitDesign):
        yield from _attention_terms(one, design)
    if one.is_kind("scan")[0]:
        yield from _scan_terms(one, design.scan_lanes)
    work = int(vector_work_of(one, design).lane_cycles[0])
    if work:
        yield _cycles(
            "vector unit", "ceil(lane_cycles / lanes) · interval",
            -(-work // design.vector_lanes) * VECTOR.interval,
            lane_cycles=work, lanes=design.vector_lanes, interval=VECTOR.interval,
        )  # fmt: skip
        yield _cycles("vector latency", "latency", VECTOR.latency, latency=VECTOR.latency)


def _cycles(what: str, formula: str, cycles: int, **numbers: int | float) -> CycleTerm:
    return CycleTerm(what=what, formula=formula, numbers=numbers, cycles=cycles)


def _one_bit_terms(one: Ops, design: OneBitDesign) -> Iterator[CycleTerm]:
    """``core_latency`` + ``layer_cycles`` of ``designs/pipeline.py``."""
    tokens, outputs, bits = int(one.tokens[0]), int(one.outputs[0]), int(one.activation_bits[0])
    planes = int(one.weight_planes[0]) * (1 if design.activations == "serial" else -(-bits // PARALLEL_BITS))
    steps = int(pass_steps(one.inputs, one.activation_bits, design.lanes, design.activations)[0])
    rows, rtl = design.rows, design.rtl
    tiles, passes = -(-tokens // rows), -(-outputs // design.cols) * planes
    height = tokens - (tiles - 1) * rows
    blocks, select = -(-design.cols // rtl.cols_per_block), select_latency(rows)
    dot = dot_latency(design.lanes, rtl.levels_per_stage)
    latency = array_latency(rows, design.cols, design.lanes, rtl.cols_per_block, rtl.levels_per_stage)
    yield _cycles("start of the core", "latency", core_latency(), latency=core_latency())
    yield _cycles(
        "full token tiles", "passes · (tiles − 1) · max(steps, rows)", passes * (tiles - 1) * max(steps, rows),
        passes=passes, tiles=tiles, steps=steps, rows=rows,
    )  # fmt: skip
    yield _cycles(
        "last token tile", "(passes − 1) · max(steps, height)", (passes - 1) * max(steps, height),
        passes=passes, steps=steps, height=height,
    )  # fmt: skip
    yield _cycles("its last pass", "steps", steps, steps=steps)
    yield _cycles(
        "array latency", "blocks + dot + select + fifo", latency,
        blocks=blocks, dot=dot, select=select, fifo=latency - blocks - dot - select,
    )  # fmt: skip
    yield _cycles("its other rows", "height − 1", height - 1, height=height)


def _linear_terms(one: Ops, design: ArrayDesign) -> Iterator[CycleTerm]:
    steps = -(-int(one.inputs[0]) // (design.lanes if one.is_layer_linear[0] else fp16_lanes(design)))
    yield from _gemm_terms("", int(one.tokens[0]), int(one.outputs[0]), steps, design)


def _attention_terms(one: Ops, design: ArrayDesign) -> Iterator[CycleTerm]:
    new, pairs = int(one.tokens[0] // max(one.sequences[0], 1)), int(one.sequences[0] * one.heads[0])
    context, headdim, lanes = int(one.context[0]), int(one.headdim[0]), fp16_lanes(design)
    yield from _gemm_terms("q·k ", new, context, -(-headdim // lanes), design, pairs)
    yield from _gemm_terms("p·v ", new, headdim, -(-context // lanes), design, pairs)


def _gemm_terms(
    of: str, tokens: int, outputs: int, steps: int, design: ArrayDesign, products: int = 1
) -> Iterator[CycleTerm]:
    """``gemm_cycles`` of ``cycles.py``."""
    height = min(tokens, design.rows)
    tiles = products * -(-tokens // design.rows) * -(-outputs // design.cols)
    yield _cycles(
        f"{of}tiles but the last", "(tiles − 1) · max(steps, height)", (tiles - 1) * max(steps, height),
        tiles=tiles, steps=steps, height=height,
    )  # fmt: skip
    yield _cycles(f"{of}last tile", "steps", steps, steps=steps)
    yield _cycles(f"{of}skew", "height + cols − 2", height + design.cols - 2, height=height, cols=design.cols)
    yield _cycles(f"{of}drain", "height", height, height=height)


def _scan_terms(one: Ops, lanes: int) -> Iterator[CycleTerm]:
    """Tokens of a sequence follow each other through the recurrence."""
    tokens = max(int(one.tokens[0] // max(one.sequences[0], 1)), 1)
    elements = int(scan_work(one).lane_cycles[0]) // tokens
    per_token = max(-(-elements // lanes) * SCAN.interval, SCAN.latency)
    yield _cycles(
        "recurrence", "tokens · max(ceil(elements / lanes) · interval, latency)", tokens * per_token,
        tokens=tokens, elements=elements, lanes=lanes, interval=SCAN.interval, latency=SCAN.latency,
    )  # fmt: skip
    yield _cycles("scan latency", "latency", SCAN.latency, latency=SCAN.latency)


def _gpu_term(one: Ops, design: GpuDesign) -> CycleTerm:
    vector, scan = vector_work(one, one_bit=False), scan_work(one)
    fused = np.maximum(vector.multiplies, vector.adds) + np.maximum(scan.multiplies, scan.adds)
    numbers: dict[str, float] = {"macs": float((one.macs + fused)[0]), "peak": design.peak_macs_per_cycle}
    cycles = int(gpu_compute_cycles(one, design)[0])
    if design.utilization == "peak":
        return CycleTerm(what="arithmetic", formula="ceil(macs / peak)", numbers=numbers, cycles=cycles)
    numbers["share"] = gpu_figures()["achieved_arithmetic"].value
    return CycleTerm(what="arithmetic", formula="ceil(macs / (peak · share))", numbers=numbers, cycles=cycles)


def _ratio_range(costs: pd.DataFrame, design: str, baseline: str, tokens: int) -> RatioRange:
    """The ratio of ``energy_ratio``, and the corners where it finds the ends of its range."""
    found = energy_ratio(costs, design, baseline)
    mine, other = _component_energies(costs, design, tokens), _component_energies(costs, baseline, tokens)
    present = [component for component in COMPONENTS if mine[component][2] + other[component][2] > 0]

    def ratio(ends: tuple[End, ...]) -> float:
        indices = [(component, 0 if end == "low" else 2) for component, end in zip(present, ends, strict=True)]
        return sum(other[c][index] for c, index in indices) / sum(mine[c][index] for c, index in indices)

    either: tuple[End, ...] = ("low", "high")
    corners = list(product(either, repeat=len(present)))
    least, greatest = min(corners, key=ratio), max(corners, key=ratio)
    parts = tuple(
        RatioPart(component=c, energy_pj=mine[c], baseline_pj=other[c], least_at=at_least, greatest_at=at_greatest)
        for c, at_least, at_greatest in zip(present, least, greatest, strict=True)
    )
    return RatioRange(baseline=baseline, typical=found.typical, low=found.low, high=found.high, parts=parts)


def _component_energies(costs: pd.DataFrame, design: str, tokens: int) -> dict[str, tuple[float, float, float]]:
    """pJ per token of each component: low, typical, high."""
    own = costs[costs["design"] == design]
    energies = {}
    for component in COMPONENTS:
        low, typical, high = (float(own[f"energy_{component}_pj{end}"].sum()) / tokens for end in RANGE)
        energies[component] = (low, typical, high)
    return energies
