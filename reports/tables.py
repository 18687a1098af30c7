"""The comparison as rows: one definition of the columns for the terminal, the page and the files.

:data:`FIELDS` names the columns of ``compare.csv`` and ``compare.parquet``, units in the names; :data:`COLUMNS` says
how they are shown to people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from ..energy_models.bounds import BOUNDS
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
    **{f"outside_{what}_share": "Float64" for what in ("dram", "time", "energy")},
    **{f"{bound}_time_share": "Float64" for bound in BOUNDS},
    "memory_bytes": "Float64",
    "bits_per_byte": "Float64",
    "ratio": "Float64",
    "ratio_low": "Float64",
    "ratio_high": "Float64",
    "ratio_fp16_head": "Float64",
}
"""Columns and pandas types. One row per model, phase, batch and design.

``role``: ``one-bit``, ``FP16`` or ``GPU``. ``baseline``: the FP16 design that ``ratio`` divides by this row (one-bit
rows). ``basis``: how energy and time were found. ``energy_*_uj``, ``latency_s``, ``dram_bytes``: per token.
``bound``: what bounds the operations that take most of the time, and ``bound_share`` of it. ``not_binary_share``:
share of the DRAM bytes that are not one-bit weights. ``outside_*_share``: of DRAM bytes, time and energy, what is not
the binary GEMM (its scales and spilled activations belong to it; for FP16, what are not the same linears).
``*_time_share``: of the time, by what binds. ``memory_bytes``: weights and the state of one sequence.
``bits_per_byte``: measured on held-out text, where the model was run. ``ratio*``: energy of the baseline over energy of
this row, and its range; ``ratio_fp16_head``: the ratio if embedding and head cost this design what they cost the
baseline, that is, with an FP16 head in both.
"""


Show = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Column:
    """A column as people see it: its ``title``, what it ``means``, the ``text`` for a row, a ``detail`` below the text,
    and whether it holds numbers."""

    title: str
    text: Show
    detail: Show | None = None
    numeric: bool = True
    means: str = ""


def _optional(name: str, show: Callable[[float], str]) -> Show:
    return lambda row: show(float(row[name])) if pd.notna(row[name]) else "–"


def _ratio_range(row: Mapping[str, Any]) -> str:
    return "" if pd.isna(row["ratio"]) else q.factor_range(row["ratio_low"], row["ratio_high"])


_MODEL = Column("model", lambda r: m.label(r["model"]), numeric=False)
_DESIGN = Column("design", lambda r: str(r["design"]), numeric=False)
_COSTS = (
    Column(
        "energy per token",
        _optional("energy_uj", q.energy),
        lambda r: q.energy_range(r["energy_low_uj"], r["energy_high_uj"]),
        means="typical, low–high",
    ),
    Column("less than FP16", _optional("ratio", q.factor), _ratio_range, means="same memory"),
    Column("time per token", _optional("latency_s", q.duration), lambda r: f"{q.digits(r['tokens_per_s'])} tokens/s"),
    Column("bound by", lambda r: str(r["bound"]), lambda r: f"{q.share(r['bound_share'])} of time"),
    Column(
        "memory",
        _optional("memory_bytes", q.size),
        lambda r: f"{q.size(r['dram_bytes'])} moved",
        means="DRAM per token",
    ),
    Column("bits/byte", _optional("bits_per_byte", lambda v: f"{v:.3f}"), means="held-out"),
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
    *(Column(bound, _optional(f"{bound}_time_share", q.share), means="binds, of the time") for bound in BOUNDS),
)
"""Columns of what is not the binary GEMM, and of what binds."""

ROOFLINE = (
    _MODEL,
    _DESIGN,
    Column("kind", lambda r: str(r["kind"]), numeric=False),
    Column("unit", lambda r: str(r["unit"]), numeric=False),
    Column("intensity", _optional("intensity_ops_per_byte", q.digits), means="operations per DRAM byte"),
    Column("attained", _optional("attained_ops_per_s", q.rate)),
    Column("attainable", _optional("attainable_ops_per_s", q.rate), means="under the roof"),
    Column("peak", _optional("peak_ops_per_s", q.rate), means="of the unit"),
    Column("ridge point", _optional("ridge_ops_per_byte", q.digits), means="operations per DRAM byte"),
    Column("bound by", lambda r: str(r["bound"]), numeric=False),
)
"""Columns of a roofline frame with model and role."""

NOT_FOR_GPU = ("less than FP16", "bits/byte")
"""Titles of columns that say nothing about a GPU row."""


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


def terminal(comparison: pd.DataFrame, title: str, columns: Sequence[Column] = TERMINAL) -> Table:
    """A rich table; one-bit rows stand out. Names are shown as they are, never read as markup."""
    table = Table(
        title=Text(title), title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False
    )
    for column in columns:
        table.add_column(Text(column.title), justify="right" if column.numeric else "left", overflow="fold")
    for role, texts in zip(comparison["role"], cells(comparison, columns), strict=True):
        style = "bold" if role == m.ONE_BIT else ""
        lines = (Text.assemble((t, style), *([("\n" + d, "dim")] if d else [])) for t, d in texts)
        table.add_row(*lines)
    return table
