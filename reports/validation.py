"""Published chips beside the cost model: the rows of the table, and one page per chip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..energy_models.validation.chip import (
    EnergyChip,
    EnergyPoint,
    Memory,
    Operation,
    Part,
    Stated,
    ThroughputPoint,
    Wire,
    load_chip,
)
from ..energy_models.validation.predict import WITHIN, Prediction, tally
from .quantities import digits, factor, share, size

Row = dict[str, Any]
_PART = {
    "xnor_popcount": "sum of {0.lanes} XNORs",
    "signed_sum": "signed sum of {0.lanes} × {0.bits} bits",
    "multiply_sum": "sum of {0.lanes} products of {0.bits} × {0.bits} bits",
    "accumulator": "accumulator of {0.bits} bits",
    "registers": "{0.bits} register bits",
}


def records(found: Iterable[Prediction]) -> list[Row]:
    """One row per published figure, as JSON holds it."""
    return [
        {
            "chip": each.chip,
            "point": each.point,
            "where": each.where,
            "quantity": each.quantity,
            "unit": each.unit,
            "claim": each.claim,
            "fitted": each.fitted,
            "ours": float(each.ours[1]),
            "ours_low": float(each.ours[0]),
            "ours_high": float(each.ours[2]),
            "published": each.published,
            "ratio": each.ratio,
            "inside": each.inside,
            "near": each.near,
            "remarks": list(each.remarks),
        }
        for each in found
    ]


def rows(found: Iterable[Prediction]) -> list[dict[str, str]]:
    """The same as text, for the terminal and the pages."""
    return [
        {
            "chip": each.chip,
            "point": each.point,
            "where": each.where,
            "ours": _ours(each),
            "published": f"{digits(each.published)} {each.unit}",
            "ratio": factor(each.ratio),
            "inside": _verdict(each),
            "claim": "fit" if each.fitted else each.claim,
        }
        for each in found
    ]


def summary(found: Sequence[Prediction]) -> str:
    """One line: how many predictions are near and inside, how many bounds hold, whether anything was fitted."""
    count = tally(found)
    of, clauses = count.predictions, []
    if count.predictions:
        clauses += [f"{count.near} of {of} predictions within {WITHIN:g}× of the published figure"]
        clauses += [f"{count.inside} of {of} inside our range"]
    if count.bounds:
        clauses += [f"{count.holding} of {count.bounds} bounds hold"]
    clauses += [f"{count.fitted} rest on a fit" if count.fitted else "nothing was fitted"]
    return "; ".join(clauses)


def chip_page(name: str, found: Sequence[Prediction]) -> str:
    """The page of one chip, in Markdown: result, description, what our figure is made of, how to read it."""
    chip = load_chip(name)
    energy = isinstance(chip, EnergyChip)
    where = chip.process.name if isinstance(chip, EnergyChip) else chip.board
    sections = [
        f"# {chip.name}: {chip.title}",
        f"{chip.paper}. Read: {chip.read}.",
        chip.about,
        f"```sh\nxnorscan validate {name}\n```",
        _table(_POINT_HEADINGS, [[row[column] for column in _POINT_HEADINGS] for row in rows(found)]),
        "\n".join(_published(point) for point in chip.points),
        f"Fitted to this chip: {'; '.join(chip.fitted) or 'nothing'}.",
        *(f"Corrected after its ratio was seen: {each}." for each in chip.corrected),
    ]
    if chip.miss:
        sections += ["## Why it is missed" if _missed(found) else "## How to read it", chip.miss]
    sections += [
        f"## The chip as described ({where})",
        f"From [{name}.yaml](../../energy_models/validation/chips/{name}.yaml). What is assumed has a range, or is a "
        "choice of structure.",
        _described(chip.points),
        f"## What our figure is made of, {'fJ per operation' if energy else 'bytes per token'}",
        *(_made_of(each, energy) for each in found),
        "The [index](index.md) has all chips, and what the model leaves out.",
    ]
    return "\n\n".join(sections) + "\n"


def table(found: Sequence[Prediction], pages: dict[str, str]) -> str:
    """The Markdown table of all chips, each linked to its page of ``pages`` (chip → file)."""
    headings = {"chip": "chip", **_POINT_HEADINGS}
    lines = [
        [f"[{row['chip']}]({pages[row['chip']]})", *(row[column] for column in _POINT_HEADINGS)] for row in rows(found)
    ]
    return _table(headings, lines)


_POINT_HEADINGS = {
    "point": "point",
    "where": "where",
    "ours": "ours (low–high)",
    "published": "published",
    "ratio": "ours / published",
    "inside": "inside our range?",
    "claim": "prediction or fit",
}


def _ours(each: Prediction) -> str:
    low, typical, high = (digits(float(value)) for value in each.ours)
    return f"{typical} ({low}–{high}) {each.unit}"


def _verdict(each: Prediction) -> str:
    if each.claim == "bound":
        return "bound holds" if each.inside else "bound broken"
    return "yes" if each.inside else "no"


def _missed(found: Sequence[Prediction]) -> bool:
    return any(each.claim == "prediction" and not (each.near and each.inside) for each in found)


def _published(point: EnergyPoint | ThroughputPoint) -> str:
    figure = point.published
    return f"- {point.name}: published {figure.value:g} {figure.unit}; {figure.includes}. Source: {figure.source}."


def _described(points: Sequence[EnergyPoint | ThroughputPoint]) -> str:
    """What is stated of the points; a line that an earlier point has already is not written again."""
    written: list[list[str]] = []
    for point in points:
        for line in _lines(point):
            if line not in written:
                written.append(line)
    return _table({name: name for name in ("what", "as described", "basis", "source")}, written)


def _lines(point: EnergyPoint | ThroughputPoint) -> list[list[str]]:
    if isinstance(point, EnergyPoint):
        return [
            _stated("supply voltage", point.vdd_v, "V"),
            _stated("operations a cycle", point.operations_per_cycle, ""),
            *(_part(part) for part in point.parts),
            *(_memory(memory) for memory in point.memories),
            *(_wire(wire) for wire in point.wires),
        ]
    macs = point.macs_per_cycle
    return [
        _stated("clock", point.clock_mhz, "MHz"),
        _stated("memory bandwidth", point.bandwidth_gb_per_s, "GB/s"),
        _stated("products a cycle", macs, "") if macs else ["products a cycle", "not described", "–", "–"],
        *(_operation(operation) for operation in point.operations),
    ]


def _wire(wire: Wire) -> list[str]:
    length = wire.length_mm
    return [wire.name, f"{wire.bits:,g} bits over {_ranged(length, 'mm')} a cycle", length.basis, length.source]


def _stated(what: str, stated: Stated, unit: str) -> list[str]:
    return [what, _ranged(stated, unit), stated.basis, stated.source]


def _ranged(stated: Stated, unit: str) -> str:
    low, value, high = stated.range
    text = f"{value:,.7g}" if low == high else f"{value:,.7g} ({low:,.7g}–{high:,.7g})"
    return f"{text} {unit}".strip()


def _part(part: Part) -> list[str]:
    times = f"{part.count} × " if part.count > 1 else ""
    return [part.name, times + _PART[part.kind].format(part), part.basis, part.source]


def _memory(memory: Memory) -> list[str]:
    if memory.bank_kib is not None:
        kind = f"SRAM, banks of {_ranged(memory.bank_kib, 'KiB')}, port of {memory.port_bits or 64} bits"
    else:
        kind = f"latches, {memory.words:,} words"
    text = f"{kind}; {memory.read_bits:g} bits read, {memory.write_bits:g} written a cycle"
    source = memory.source if memory.bank_kib is None else f"{memory.source}; banks: {memory.bank_kib.source}"
    return [memory.name, text, memory.basis, source]


def _operation(operation: Operation) -> list[str]:
    weights = operation.weight_bits
    parts = [f"{operation.weights:,} weights of {_ranged(weights, 'bits')}"] if weights else []
    parts += [f"{size(operation.read_bytes)} read"] if operation.read_bytes else []
    parts += [f"{size(operation.write_bytes)} written"] if operation.write_bytes else []
    times = f"{operation.count} × " if operation.count > 1 else ""
    source = f"{operation.source}; width: {weights.source}" if weights else operation.source
    return [operation.name, times + ", ".join(parts), operation.basis, source]


def _made_of(each: Prediction, energy: bool) -> str:
    total = sum(float(part[1]) for part in each.parts.values())
    write = digits if energy else size
    lines = [
        [name, *(write(float(end)) for end in part), share(float(part[1]) / total)] for name, part in each.parts.items()
    ]
    remarks = "".join(f"\n\n{remark[0].upper()}{remark[1:]}." for remark in each.remarks)
    headings = {name: name for name in (each.point, "low", "typical", "high", "share")}
    return _table(headings, lines) + remarks


def _table(headings: dict[str, str], lines: Iterable[Sequence[str]]) -> str:
    rule = "|" + "---|" * len(headings)
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join(["| " + " | ".join(headings.values()) + " |", rule, *body])
