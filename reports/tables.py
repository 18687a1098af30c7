"""The comparison as rows: one definition of the columns for the terminal, the page and the files.

:data:`FIELDS` names the columns of ``compare.csv`` and ``compare.parquet``, units in the names; :data:`COLUMNS` says
how they are shown to people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from rich.table import Table
from rich.text import Text

from ..energy_models.bounds import BOUNDS
from . import measures as m
from . import quantities as q
from .widths import Cells, fits, widths

FIELDS: Mapping[str, str] = {
    "model": "string",
    "phase": "string",
    "design": "string",
    "role": "string",
    "baseline": "string",
    "memory_system": "string",
    "basis": "string",
    "batch": "Int64",
    "prompt_length": "Int64",
    "energy_uj": "Float64",
    "energy_low_uj": "Float64",
    "energy_high_uj": "Float64",
    "latency_s": "Float64",
    "tokens_per_s": "Float64",
    "dram_bytes": "Float64",
    "bound": "string",
    "bound_share": "Float64",
    "not_binary_share": "Float64",
    **{f"outside_{what}_share": "Float64" for what in ("dram", "time", "energy")},
    **{f"{bound}_time_share": "Float64" for bound in BOUNDS},
    "memory_bytes": "Float64",
    "bits_per_byte": "Float64",
    "ratio": "Float64",
    "ratio_low": "Float64",
    "ratio_high": "Float64",
    "ratio_fp16_head": "Float64",
    "of": "string",
    "over": "Float64",
    "over_low": "Float64",
    "over_high": "Float64",
}
"""Columns and pandas types. One row per model, phase, batch and design.

``role``: ``one-bit``, a baseline on the same memory system (``FP16``, ``FP16, equal area``, ``W8A8``, …) or elsewhere
(``GPU``, ``GPU as used``, ``CPU``). ``baseline``: the FP16 design that ``ratio`` divides by this row (one-bit
rows). ``basis``: how energy and time were found. ``energy_*_uj``, ``latency_s``, ``dram_bytes``: per token.
``bound``: what bounds the operations that take most of the time, and ``bound_share`` of it. ``not_binary_share``:
share of the DRAM bytes that are not one-bit weights. ``outside_*_share``: of DRAM bytes, time and energy, what is not
the binary GEMM (its scales and spilled activations belong to it; for FP16, what are not the same linears).
``*_time_share``: of the time, by what binds. ``memory_bytes``: weights and the state of one sequence.
``bits_per_byte``: measured on held-out text, where the model was run. ``ratio*``: energy of the baseline over energy of
this row, and its range; ``ratio_fp16_head``: the ratio if embedding and head cost this design what they cost the
baseline, that is, with an FP16 head in both. ``of``, ``over*``: the one-bit design whose baseline this row is, and the
energy of this row over the energy of that one, with its range.
"""


Show = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Column:
    """A column as people see it: its ``title``, what it ``means``, the ``text`` for a row, a ``detail`` below the text,
    whether it holds numbers, and whether it may be left out where there is no room (``spare``)."""

    title: str
    text: Show
    detail: Show | None = None
    numeric: bool = True
    means: str = ""
    spare: bool = False


def _optional(name: str, show: Callable[[float], str]) -> Show:
    return lambda row: show(float(row[name])) if pd.notna(row[name]) else "–"


def _ratio_range(row: Mapping[str, Any]) -> str:
    return "" if pd.isna(row["ratio"]) else q.factor_range(row["ratio_low"], row["ratio_high"])


def _range(row: Mapping[str, Any]) -> str:
    return "" if pd.isna(row["energy_uj"]) else q.energy_range(row["energy_low_uj"], row["energy_high_uj"])


def _moved(row: Mapping[str, Any]) -> str:
    return "" if pd.isna(row["dram_bytes"]) else f"{q.size(row['dram_bytes'])} moved"


_MODEL = Column("model", lambda r: m.label(r["model"]), numeric=False)
_DESIGN = Column("design", lambda r: str(r["design"]), numeric=False)
_COSTS = (
    Column(
        "energy per token",
        _optional("energy_uj", q.energy),
        _range,
        means="typical, low–high",
    ),
    Column("less than FP16", _optional("ratio", q.factor), _ratio_range, means="same memory"),
    Column("time per token", _optional("latency_s", q.duration), lambda r: f"{q.digits(r['tokens_per_s'])} tokens/s"),
    Column(
        "bound by",
        lambda r: "–" if pd.isna(r["bound"]) else str(r["bound"]),
        lambda r: "" if pd.isna(r["bound"]) else f"{q.share(r['bound_share'])} of time",
        spare=True,
    ),
    Column("memory", _optional("memory_bytes", q.size), _moved, means="DRAM per token", spare=True),
    Column("bits/byte", _optional("bits_per_byte", lambda v: f"{v:.3f}"), means="held-out", spare=True),
)
TERMINAL = (_MODEL, _DESIGN, *_COSTS)
COLUMNS = (_MODEL, Column("design", _DESIGN.text, lambda r: str(r["memory_system"]), numeric=False), *_COSTS)
"""Columns of the page; the terminal has less room and names the memory systems below the table."""

_OUTSIDE = "outside the binary GEMM"
LIMITS = (
    _MODEL,
    Column("phase", lambda r: str(r["phase"]), numeric=False),
    Column("batch", lambda r: f"{r['batch']:,}"),
    _DESIGN,
    *(
        Column(title, _optional(f"outside_{what}_share", q.share), means=_OUTSIDE)
        for what, title in (("dram", "DRAM traffic"), ("time", "time"), ("energy", "energy"))
    ),
    *(
        Column(bound, _optional(f"{bound}_time_share", q.share), means="binds, of the time", spare=True)
        for bound in BOUNDS
    ),
)
"""Columns of what is not the binary GEMM, and of what binds."""

ROOFLINE = (
    _MODEL,
    _DESIGN,
    Column("kind", lambda r: str(r["kind"]), numeric=False),
    Column("unit", lambda r: str(r["unit"]), numeric=False, spare=True),
    Column("intensity", _optional("intensity_ops_per_byte", q.digits), means="operations per DRAM byte"),
    Column("attained", _optional("attained_ops_per_s", q.rate)),
    Column("attainable", _optional("attainable_ops_per_s", q.rate), means="under the roof", spare=True),
    Column("peak", _optional("peak_ops_per_s", q.rate), means="of the unit", spare=True),
    Column("ridge point", _optional("ridge_ops_per_byte", q.digits), means="operations per DRAM byte", spare=True),
    Column("bound by", lambda r: str(r["bound"]), numeric=False),
)
"""Columns of a roofline frame with model and role."""

_NOT_ELSEWHERE = ("less than FP16", "bits/byte")
ELSEWHERE = (
    _MODEL,
    Column("design", _DESIGN.text, lambda r: f"{r['basis']}; {r['memory_system']}", numeric=False),
    *(column for column in _COSTS if column.title not in _NOT_ELSEWHERE),
)
"""Columns of the rows on other memory systems: nothing in them is held against another row."""


def main_rows(comparison: pd.DataFrame) -> pd.DataFrame:
    """Rows of the designs and of the FP16 arrays of equal peak: what is left to :func:`baselines` and
    :data:`ELSEWHERE` is not among them."""
    roles = comparison["role"]
    own = roles.isin(m.PAIR_ROLES) | comparison["of"].isna()
    return comparison[own & ~roles.isin(m.ELSEWHERE)]


def limited_rows(comparison: pd.DataFrame) -> pd.DataFrame:
    """Rows whose shares and bounds are shown: the main ones and GPUs at their roofline."""
    return comparison[comparison.index.isin(main_rows(comparison).index) | comparison["role"].eq(m.GPU)]


def baselines(comparison: pd.DataFrame) -> pd.DataFrame:
    """One row per model and one-bit design of ``comparison`` (one phase and batch) that has baselines there: ``model``,
    ``design``, ``role``, ``energy_*_uj``, and by role of the baseline a mapping of its own row, or ``None``."""
    rows = comparison.to_dict("records")
    found = []
    for row in (r for r in rows if r["role"] == m.ONE_BIT):
        own = {r["role"]: r for r in rows if r["model"] == row["model"] and str(r["of"]) == row["design"]}
        if own:
            found.append(row | own)
    roles = [role for role in m.TWIN_ROLES.values() if any(role in row for row in found)]
    frame = pd.DataFrame(found, columns=[*FIELDS, *roles], dtype=object)
    return frame.where(frame.notna(), None)


def baseline_columns(rows: pd.DataFrame, *, times: bool = True) -> tuple[Column, ...]:
    """Columns of :func:`baselines`: a column for each kind of baseline, never two in one; ``times``: with its time."""

    def over(role: str) -> Show:
        return lambda row: q.factor(row[role]["over"]) if row[role] else "–"

    def detail(role: str) -> Show:
        def show(row: Mapping[str, Any]) -> str:
            own = row[role]
            if not own:
                return ""
            time = f", {q.duration(own['latency_s'])}" if times else ""
            return q.factor_range(own["over_low"], own["over_high"]) + time

        return show

    own_time = (lambda row: f"{_range(row)}, {q.duration(row['latency_s'])}") if times else _range
    return (
        _MODEL,
        _DESIGN,
        Column("one bit", _optional("energy_uj", q.energy), own_time, means="per token"),
        *(
            Column(role, over(role), detail(role), means="" if "area" in role else "equal peak", spare=role != m.FP16)
            for role in m.TWIN_ROLES.values()
            if role in rows
        ),
    )


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as the comparison frame: :data:`FIELDS` in order and type; what a row leaves out is missing."""
    return pd.DataFrame({name: pd.Series([r.get(name) for r in rows], dtype=kind) for name, kind in FIELDS.items()})


def cells(comparison: pd.DataFrame, columns: Sequence[Column] = COLUMNS) -> list[list[tuple[str, str]]]:
    """The text and the detail (or ``""``) of each row, column by column; a model is named in its first row only."""
    rows = []
    previous = None
    for row in comparison.to_dict("records"):
        texts = [(column.text(row), column.detail(row) if column.detail else "") for column in columns]
        rows.append(texts if row["model"] != previous else [("", ""), *texts[1:]])
        previous = row["model"]
    return rows


def terminal(
    comparison: pd.DataFrame, title: str, columns: Sequence[Column] = TERMINAL, width: int | None = None
) -> Table:
    """A rich table; one-bit rows stand out. Names are shown as they are, never read as markup.

    ``width``: of the terminal. Spare columns are left out from the last one on until the rest fits with its headings
    broken between words; a line says so.
    """
    kept = list(columns)
    while width is not None and not fits(_texts(comparison, kept), _room(width, kept)):
        spare = [column for column in kept if column.spare]
        if not spare:
            break
        kept.remove(spare[-1])
    table = _table(comparison, title, kept, width)
    if len(kept) < len(columns):
        left_out = ", ".join(column.title for column in columns if column not in kept)
        table.caption = Text(f"left out at {width} characters: {left_out}")
    return table


def _texts(comparison: pd.DataFrame, columns: Sequence[Column]) -> list[Cells]:
    rows = cells(comparison, columns)
    return [
        Cells(column.title, [line for texts in rows for line in texts[index]], column.numeric or not column.detail)
        for index, column in enumerate(columns)
    ]


def _room(width: int, columns: Sequence[Column]) -> int:
    return width - _GAP * (len(columns) - 1)


def _table(comparison: pd.DataFrame, title: str, columns: Sequence[Column], width: int | None) -> Table:
    table = Table(
        title=Text(title), title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False,
        caption_justify="left", caption_style="dim",
    )  # fmt: skip
    known = None if width is None else widths(_texts(comparison, columns), _room(width, columns), _WIDEST)
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column.numeric else "left"
        characters = None if known is None else known[index]
        table.add_column(Text(column.title), justify=justify, overflow="fold", width=characters, max_width=_WIDEST)
    for role, texts in zip(comparison["role"], cells(comparison, columns), strict=True):
        style = "bold" if role == m.ONE_BIT else ""
        lines = (Text.assemble((t, style), *([("\n" + d, "dim")] if d else [])) for t, d in texts)
        table.add_row(*lines)
    return table


_GAP = 2
"""Characters between two columns."""
_WIDEST = 30
"""Characters of a column in the terminal, beyond which its text is folded."""
