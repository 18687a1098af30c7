"""``Workload``: a trace collapsed to what is different in it, made once and costed on many designs.

Operations that are equal in every column that a cost reads become one. A step becomes its runs of equal layers, each a
short list of operations and how often it is repeated; equal steps become one. Bi-Mamba 2.7B's 387 operations of a
decoded token are nine operations in three runs, one of them 64 times.

Toggle rates, which a recorded trace has a different one of in every linear, change the energy of the array and nothing
else. So linears are collapsed a second time, toggle rates included, for that energy alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from ..designs.design import OneBitDesign
from ..traces.trace import Trace
from .ops import Bools, Floats, Ints, Ops
from .space import key
from .traffic import Flows, Needs, flows_of, needs_of
from .work import UnitWork, scan_work, vector_work

FORMATS = ("head.bits", "state.scan.bits", "state.conv1d.bits", "state.attention.bits")
"""Fields of a design that change the operations themselves."""
formats_of = key(FORMATS)
MEMO_LIMIT = 1 << 18
"""Results that a workload remembers before it forgets them all."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Program:
    """The order of distinct operations, integers throughout.

    ``order``: operations, run after run. ``runs`` [r, 3]: begin and end in ``order``, repeats. ``members`` [m, 2]:
    operation and how often a step has it. ``steps`` [s, 5]: begin and end in ``runs``, in ``members``, repeats.
    """

    order: Ints
    runs: Ints
    members: Ints
    steps: Ints


class AskedOps(Ops):
    """Operations that many designs are asked about: which are of a kind is found once."""

    @cached_property
    def _of_kinds(self) -> dict[tuple[str, ...], Bools]:
        return {}

    def is_kind(self, *kinds: str) -> Bools:
        """[n]: operations of one of these kinds."""
        if kinds not in self._of_kinds:
            self._of_kinds[kinds] = super().is_kind(*kinds)
        return self._of_kinds[kinds]


@dataclass(frozen=True, eq=False, kw_only=True)
class Formatted:
    """What no size of a design changes, in its own formats: the distinct operations; linears by toggle rate as well;
    the work of the vector and the scan unit in each operation; what memories must hold; what flows through each
    operation."""

    ops: Ops
    linears: Ops
    vector: UnitWork
    scan: UnitWork
    needs: Needs
    flows: Flows


@dataclass(frozen=True, eq=False, kw_only=True)
class Workload:
    """``ops``: n distinct operations; ``repeats`` [n] of each in the trace; ``linears`` and ``linear_repeats`` as told
    above; ``program``: their order. ``memo``: what has been worked out of it before."""

    ops: Ops
    repeats: Floats
    linears: Ops
    linear_repeats: Floats
    program: Program
    memo: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_trace(cls, trace: Trace) -> Workload:
        """Collapse ``trace``. Raises ``ValueError`` where it has no operation, or one of a kind that has no cost."""
        if trace.ops.empty:
            raise ValueError(f"the trace of {trace.metadata.model} has no operations; a workload needs at least one")
        ops = Ops.from_frame(trace.ops)
        columns = {each.name: getattr(ops, each.name) for each in fields(ops) if each.name not in ("step", "toggle")}
        columns["layer"] = ops.layer < 0
        number, first, repeats = _groups(columns)
        linear = np.flatnonzero(ops.is_kind("linear"))
        _, first_linear, linear_repeats = _groups({"number": number[linear], "toggle": ops.toggle[linear]})
        return cls(
            ops=_take(ops, first),
            repeats=repeats,
            linears=_take(ops, linear[first_linear]),
            linear_repeats=linear_repeats,
            program=_program(number, ops.step, ops.layer),
        )

    def in_formats_of(self, design: OneBitDesign) -> Formatted:
        """The operations as ``design`` runs them."""
        return self.remembered("formats", formats_of(design), lambda: self._formatted(design))

    def remembered(self, what: str, of: Hashable, make: Any) -> Any:
        """``make()``, or what it gave when it was asked for ``what`` of the same before."""
        known = (what, of)
        if known not in self.memo:
            result = make()  # which may remember more
            if len(self.memo) >= MEMO_LIMIT:
                self.memo.clear()
            self.memo[known] = result
        return self.memo[known]

    def _formatted(self, design: OneBitDesign) -> Formatted:
        ops, linears = self.ops.in_formats_of(design), self.linears.in_formats_of(design)
        return Formatted(
            ops=ops,
            linears=linears,
            vector=vector_work(ops, one_bit=True),
            scan=scan_work(ops),
            needs=needs_of(self._held(ops)),
            flows=flows_of(ops, one_bit=True),
        )

    def _held(self, ops: Ops) -> Ops:
        """The operations of each step, with the bytes of all that are equal."""
        members = self.program.members
        sums = ("weight_bytes", "state_read_bytes", "state_write_bytes")
        each = _take(ops, members[:, 0])
        return replace(
            each,
            step=np.repeat(np.arange(len(self.program.steps)), np.diff(self.program.steps[:, 2:4])[:, 0]),
            **{name: getattr(each, name) * members[:, 1] for name in sums},
        )


def _groups(columns: dict[str, Any]) -> tuple[Ints, Ints, Floats]:
    """Equal rows: [rows] their number in order of first appearance; [groups] first row and size of each."""
    frame = pd.DataFrame(columns)
    number = frame.groupby(list(frame), sort=False).ngroup().to_numpy()
    _, first, sizes = np.unique(number, return_index=True, return_counts=True)
    return number, first, sizes.astype(np.float64)


def _take(ops: Ops, rows: Ints) -> AskedOps:
    return AskedOps(**{each.name: getattr(ops, each.name)[rows] for each in fields(ops)})


def _program(number: Ints, step: Ints, layer: Ints) -> Program:
    """Runs of equal layers within a step, and equal steps as one, in order of first appearance."""
    changed = np.flatnonzero((np.diff(step) != 0) | (np.diff(layer) != 0)) + 1
    layers = [tuple(part.tolist()) for part in np.split(number, changed)]
    starts = np.append(0, changed)
    by_step: list[tuple[tuple[tuple[int, ...], int], ...]] = []
    for _, of_step in groupby(zip(step[starts].tolist(), layers, strict=True), key=lambda pair: pair[0]):
        runs = groupby(part for _, part in of_step)
        by_step.append(tuple((part, sum(1 for _ in same)) for part, same in runs))
    order: list[int] = []
    all_runs: list[tuple[int, int, int]] = []
    members: list[tuple[int, int]] = []
    steps: list[tuple[int, int, int, int, int]] = []
    for runs_of_step, repeats in Counter(by_step).items():
        counts: Counter[int] = Counter()
        begin = (len(all_runs), len(members))
        for part, times in runs_of_step:
            all_runs.append((len(order), len(order) + len(part), times))
            order += part
            for operation in part:
                counts[operation] += times
        members += sorted(counts.items())
        steps.append((begin[0], len(all_runs), begin[1], len(members), repeats))
    tables = (np.array(table, dtype=np.int64) for table in (order, all_runs, members, steps))
    return Program(**dict(zip(("order", "runs", "members", "steps"), tables, strict=True)))
