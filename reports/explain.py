"""``--explain``: every term behind the numbers of a comparison or of a cost, for the terminal and as JSON."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..designs.design import Design, OneBitDesign
from ..energy_models.energy import COMPONENTS
from ..energy_models.explain import (
    End,
    EnergyTerm,
    Explanation,
    OperationCycles,
    RatioPart,
    RatioRange,
    TableRow,
    explain,
)
from ..traces.trace import Trace
from . import measures as m
from . import quantities as q
from .compare import CompareResult
from .results import tokens

Range = tuple[float, float, float]
SOURCE_LENGTH = 150
"""Characters of a source that the terminal shows; JSON and ``xnorscan sources`` have all of it."""
_ENDS = ("low", "typical", "high")
_END_INDEX: Mapping[End, int] = {"low": 0, "high": 2}


def of_costs(trace: Trace, designs: Sequence[Design]) -> list[Explanation]:
    """The cost of ``trace`` on each of ``designs``, and the energy ratios of the one-bit ones to those that are named
    after them (``edge-28nm/fp16`` after ``edge-28nm``). Raises as ``cost`` does."""
    return [explain(trace, design, _baselines(design, designs)) for design in designs]


def of_comparison(found: CompareResult, phase: str | None = None) -> list[Explanation]:
    """The rows of ``found``, per token, in their order, the one-bit ones with the energy ratios to their baselines.
    With ``phase`` those of the headline alone: the largest model that has an FP16 baseline, or of all where none has,
    in that phase at batch 1.

    Measured rows have no terms.
    """
    rows = found.comparison[found.comparison["design"].isin(list(found.designs))]
    if phase is not None:
        rows = rows[(rows["phase"] == phase) & (rows["batch"] == 1)]
        paired = rows[rows["ratio"].notna()]
        lead = (paired if len(paired) else rows).sort_values("memory_bytes", ascending=False, kind="stable").iloc[0]
        rows = rows[rows["model"] == lead["model"]]
    explanations = []
    for (model, of_phase, batch), alike in rows.groupby(["model", "phase", "batch"], sort=False):
        trace = found.subjects[model].trace(of_phase, int(batch))
        designs = [found.designs[name] for name in alike["design"]]
        explanations += [explain(trace, each, _baselines(each, designs), tokens(trace)) for each in designs]
    return explanations


def _baselines(design: Design, designs: Iterable[Design]) -> list[Design]:
    one_bit = isinstance(design, OneBitDesign)
    return [other for other in designs if one_bit and other.name.startswith(f"{design.name}/")]


def records(explanations: Iterable[Explanation]) -> list[dict[str, Any]]:
    """Everything, as JSON holds it; energies in pJ, ranges as low, typical and high."""
    return [
        asdict(each)
        | {
            "energy_pj": _named(each.energy_pj),
            "terms": [_term_record(term) for term in each.terms],
            "ratios": [_ratio_record(ratio) for ratio in each.ratios],
        }
        for each in explanations
    ]


def _term_record(term: EnergyTerm) -> dict[str, Any]:
    rows = [{"table": row.table, "name": row.name, **row.figure.model_dump()} for row in term.rows]
    return {
        "component": term.component,
        "what": term.what,
        "count": term.count,
        "count_unit": term.count_unit,
        "price": _named(term.price),
        "energy_pj": _named(term.energy_pj),
        "rows": rows,
        "share": term.share,
    }


def _ratio_record(ratio: RatioRange) -> dict[str, Any]:
    parts = [
        asdict(part) | {"energy_pj": _named(part.energy_pj), "baseline_pj": _named(part.baseline_pj)}
        for part in ratio.parts
    ]
    return asdict(ratio) | {"parts": parts}


def _named(values: Range) -> dict[str, float]:
    return dict(zip(_ENDS, values, strict=True))


def show(explanations: Sequence[Explanation], console: Console) -> None:
    """Print each explanation, then the sources that they refer to by number."""
    numbers: dict[str, int] = {}
    for each in explanations:
        _show_one(each, numbers, console)
    console.print(Text("Sources", style="bold"))
    listed = Table.grid(padding=(0, 2))
    for source, number in numbers.items():
        listed.add_row(Text(f"{number:3}"), Text(textwrap.shorten(source, SOURCE_LENGTH, placeholder=" …"), "dim"))
    console.print(listed)
    tables = sorted({row.table for each in explanations for term in each.terms for row in term.rows})
    console.print(Text(f"In full: xnorscan sources {' '.join(tables)}"))


def _show_one(each: Explanation, numbers: dict[str, int], console: Console) -> None:
    low, typical, high = (value / 1e6 for value in each.energy_pj)
    per = "energy of the trace" if each.tokens is None else "energy per token"
    where = f"{m.label(each.model)}, {each.phase}, batch {each.batch}, on {each.design}"
    console.print(Text(f"{where}: {per} {q.energy(typical)} ({q.energy_range(low, high)})", style="bold"))
    console.print()
    console.print(_energy_table(each, numbers))
    console.print(Text("Price and energy: typical, below it low–high. Counts of 0 are left out.", style="dim"))
    if any(term.share for term in each.terms):
        console.print(Text("Share s of two memories: first · (second ÷ first)^s, beyond both above 1.", style="dim"))
    console.print()
    time = f"{each.cycles:,} cycles at {each.clock_hz / 1e6:g} MHz = {q.duration(each.time_s)}"
    if each.tokens is not None and each.tokens > 1:
        time += f" for {each.tokens:,} tokens = {q.duration(each.time_s / each.tokens)} per token"
    console.print(Text(f"{where}: {time}", style="bold"))
    console.print()
    console.print(_cycles_table(each.operations))
    console.print()
    for ratio in each.ratios:
        words = f"{q.factor(ratio.typical)}, {q.factor_range(ratio.low, ratio.high)}"
        console.print(Text(f"{m.label(each.model)}, {each.phase}: {ratio.baseline} ÷ {each.design} = {words}", "bold"))
        console.print()
        console.print(_ratio_table(ratio, each.design))
        console.print()


def _table(*columns: str, left: Sequence[str] = ()) -> Table:
    table = Table(header_style="dim", box=None, pad_edge=False)
    for title in columns:
        table.add_column(Text(title), justify="left" if title in left else "right", overflow="fold")
    return table


def _energy_table(each: Explanation, numbers: dict[str, int]) -> Table:
    table = _table("term", "count", "× price", "= energy", "row of a technology table", left=("term",))
    table.columns[-1].justify = "left"
    for component in COMPONENTS:
        terms = [term for term in each.terms if term.component == component and term.count]
        if not terms:
            continue
        low, typical, high = (sum(term.energy_pj[end] for term in terms) for end in range(3))
        table.add_row(Text(component, "bold"), "", "", _detailed(*_energy((low, typical, high)), style="bold"), "")
        for term in terms:
            table.add_row(
                Text(f" {term.what}"),
                Text(_COUNTS[term.count_unit](term.count)),
                _detailed(*_price(term)),
                _detailed(*_energy(term.energy_pj)),
                _rows(term, numbers),
            )
    return table


def _detailed(text: str, detail: str, style: str = "") -> Text:
    return Text.assemble((text, style), "\n", (detail, "dim"))


def _energy(energy_pj: Range) -> tuple[str, str]:
    low, typical, high = (value / 1e6 for value in energy_pj)
    return q.energy(typical), q.energy_range(low, high)


def _price(term: EnergyTerm) -> tuple[str, str]:
    low, typical, high = map(q.digits, term.price)
    unit = term.rows[0].figure.unit
    return f"{typical} {unit if unit != 'ratio' else ''}".rstrip(), f"{low}–{high}"


def _rows(term: EnergyTerm, numbers: dict[str, int]) -> Text:
    """``asic-28nm: full_adder``, further rows below it, then kind and number of the source."""
    first, *others = term.rows
    joint = "…" if term.share is not None else "and"
    lines = [f"{first.table}: {first.name}", *(f" {joint} {row.name}" for row in others)]
    kinds = dict.fromkeys(_kind(row, numbers) for row in term.rows)
    how = f", share {q.digits(term.share)}" if term.share is not None else ""
    return Text.assemble("\n".join(lines), "\n", (", ".join(kinds) + how, "dim"))


def _kind(row: TableRow, numbers: dict[str, int]) -> str:
    return f"{row.figure.kind} [{numbers.setdefault(row.figure.source, len(numbers) + 1)}]"


def _prefixed(value: float, unit: str = "") -> str:
    """``1.23 Gbit``: three digits and an SI prefix."""
    prefixes = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
    scale, prefix = next((each for each in prefixes if value >= each[0]), (1.0, ""))
    return f"{q.digits(value / scale)} {prefix}{unit}".rstrip()


_COUNTS: Mapping[str, Callable[[float], str]] = {
    "": _prefixed,
    "bit": lambda count: _prefixed(count, "bit"),
    "KiB·ns": lambda count: f"{q.digits(count / 1e9)} KiB·s",
    "ns": lambda count: q.duration(count / 1e9),
    "pJ": lambda count: q.energy(count / 1e6),
}
"""How a count in each unit is written."""


def _cycles_table(operations: Iterable[OperationCycles]) -> Table:
    table = _table("operation", "formula with its numbers", "cycles each", "in all", left=("operation",))
    table.columns[1].justify = "left"
    for each in operations:
        title = Text.assemble((each.name, "bold"), f" × {each.operations:,}")
        table.add_row(title, each.kind if each.kind != each.name else "", "", Text(f"{each.cycles:,}", "bold"))
        for what, formula, cycles, total in _cycle_rows(each):
            table.add_row(Text(f" {what}"), Text(formula), cycles, total)
    return table


def _cycle_rows(each: OperationCycles) -> Iterator[tuple[str, str, str, str]]:
    for term in each.terms:
        if term.cycles:
            formula = _with_numbers(term.formula, term.numbers)
            yield term.what, formula, f"{term.cycles:,}", f"{term.cycles * each.operations:,}"
    if each.waits:
        yield (
            "waits for DRAM",
            f"{q.size(each.dram_bytes)} take {each.transfer_cycles:,} cycles to come",
            "",
            f"{each.waits:,}",
        )


def _with_numbers(formula: str, numbers: Mapping[str, int | float]) -> str:
    """``(passes − 1) · max(steps, height)`` as ``(passes 160 − 1) · max(steps 40, height 1)``."""

    def numbered(match: re.Match[str]) -> str:
        name = match.group()
        return f"{name.replace('_', ' ')} {numbers[name]:,.10g}" if name in numbers else name

    return re.sub(r"[a-z_]+", numbered, formula)


def _ratio_table(ratio: RatioRange, design: str) -> Table:
    least, greatest = f"for {q.factor(ratio.low)}", f"for {q.factor(ratio.high)}"
    table = _table("component", design, ratio.baseline, least, greatest, left=("component",))
    for part in ratio.parts:
        mine, other = _detailed(*_energy(part.energy_pj)), _detailed(*_energy(part.baseline_pj))
        table.add_row(part.component, mine, other, part.least_at, part.greatest_at)
    mine_all = q.energy(sum(part.energy_pj[1] for part in ratio.parts) / 1e6)
    other_all = q.energy(sum(part.baseline_pj[1] for part in ratio.parts) / 1e6)
    at_least = _quotient((part, part.least_at) for part in ratio.parts)
    at_greatest = _quotient((part, part.greatest_at) for part in ratio.parts)
    table.add_row(Text("sum", "bold"), mine_all, other_all, at_least, at_greatest)
    return table


def _quotient(corner: Iterable[tuple[RatioPart, End]]) -> str:
    """Energy of the baseline over that of the design, each component's prices at its end."""
    energies = [(part.baseline_pj[index], part.energy_pj[index]) for part, end in corner for index in [_END_INDEX[end]]]
    other, mine = (sum(column) for column in zip(*energies, strict=True))
    return f"{q.energy(other / 1e6)} ÷ {q.energy(mine / 1e6)}"
