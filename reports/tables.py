"""The comparison as rows: one definition of the columns for the terminal, the page and the files.

:data:`FIELDS` names the columns of ``compare.csv`` and ``compare.parquet``, units in the names; :data:`COLUMNS` says how
they are shown to people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from . import measures as m
from . import quantities as q

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
    "memory_bytes": "Float64",
    "bits_per_byte": "Float64",
    "ratio": "Float64",
    "ratio_low": "Float64",
    "ratio_high": "Float64",
}
"""Columns and pandas types. One row per model, phase and design.

``role``: ``one-bit``, ``FP16`` or ``GPU``. ``baseline``: the FP16 design that ``ratio`` divides by this row (one-bit
rows). ``basis``: how energy and time were found. ``energy_*_uj``, ``latency_s``, ``dram_bytes``: per token.
``bound``: what bounds the operations that take most of the time, and
``bound_share`` of it. ``not_binary_share``: share of the DRAM bytes that are not one-bit weights. ``memory_bytes``: weights and the state of
one sequence. ``bits_per_byte``: measured on held-out text, where the model was run. ``ratio*``: energy of the baseline
over energy of this row, and its range.
"""


@dataclass(frozen=True)
class Column:
    """A column as people see it: its ``title``, its ``text`` for a row, whether it holds numbers, and what it ``means``."""

    title: str
    text: Callable[[Mapping[str, Any]], str]
    numeric: bool = True
    means: str = ""


def _optional(name: str, show: Callable[[float], str]) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: show(float(row[name])) if pd.notna(row[name]) else "–"


def _ratio(row: Mapping[str, Any]) -> str:
    if pd.isna(row["ratio"]):
        return "–"
    return f"{q.factor(row['ratio'])} ({q.factor(row['ratio_low'])[:-1]}–{q.factor(row['ratio_high'])})"


COLUMNS: tuple[Column, ...] = (
    Column("model", lambda r: m.label(r["model"]), numeric=False),
    Column("design", lambda r: str(r["design"]), numeric=False),
    Column("memory system", lambda r: str(r["memory_system"]), numeric=False),
    Column("energy per token", _optional("energy_uj", q.energy), means="typical"),
    Column("range", lambda r: q.energy_range(r["energy_low_uj"], r["energy_high_uj"]), means="low–high of the sources"),
    Column("times less than FP16", _ratio, means="energy of the FP16 baseline over this, and its range"),
    Column("latency", _optional("latency_s", q.duration), means="per token"),
    Column("tokens/s", _optional("tokens_per_s", q.digits)),
    Column("bound by", lambda r: f"{r['bound']} {q.share(r['bound_share'])}", means="share of the time"),
    Column("DRAM per token", _optional("dram_bytes", q.size)),
    Column("memory", _optional("memory_bytes", q.size), means="weights and state of one sequence"),
    Column("bits/byte", _optional("bits_per_byte", lambda v: f"{v:.3f}"), means="on held-out text, where it was run"),
)


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as the comparison frame: :data:`FIELDS` in order and type; what a row leaves out is missing."""
    return pd.DataFrame({name: pd.Series([r.get(name) for r in rows], dtype=kind) for name, kind in FIELDS.items()})


def cells(comparison: pd.DataFrame, columns: Sequence[Column] = COLUMNS) -> list[list[str]]:
    """The texts of each row, column by column."""
    return [[column.text(row) for column in columns] for row in comparison.to_dict("records")]


def terminal(comparison: pd.DataFrame, title: str, columns: Sequence[Column] = COLUMNS) -> Table:
    """A rich table; one-bit rows stand out, a rule parts the models. Names are shown as they are, never as markup."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.title, justify="right" if column.numeric else "left", overflow="fold")
    previous = None
    for row, texts in zip(comparison.to_dict("records"), cells(comparison, columns), strict=True):
        if previous not in (None, row["model"]):
            table.add_section()
        first = texts if row["model"] != previous else ["", *texts[1:]]
        table.add_row(*(Text(t) for t in first), style="bold" if row["role"] == m.ONE_BIT else None)
        previous = row["model"]
    return table
