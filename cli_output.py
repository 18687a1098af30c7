"""How the command line shows things: tables or JSON on stdout, progress on stderr, tables into files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .reports.widths import Cells, fits, widths

if TYPE_CHECKING:
    import pandas as pd

WIDTH_WITHOUT_TERMINAL = 200
TABLE_SUFFIXES = (".csv", ".parquet")

Record = Mapping[str, Any]
Report = Callable[[int, int], None]
"""Called with what is done and what there is to do."""


@dataclass(frozen=True)
class Column:
    """A column of a printed table: its heading and how its values are written; text stands left, the rest right.

    ``spare``: left out where the terminal is too narrow for the whole table.
    """

    heading: str
    write: Callable[[Any], str] = str
    left: bool = False
    spare: bool = False


def console() -> Console:
    """Standard output; a file or a pipe gets lines that are not folded at 80 characters."""
    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_WITHOUT_TERMINAL)


def error_console() -> Console:
    """Standard error, for progress and remarks: standard output holds results alone."""
    return Console(stderr=True)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of ``frame`` as JSON values: what is missing or not finite is ``None``."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows


def show(
    rows: Sequence[Record],
    columns: Mapping[str, Column],
    *,
    title: str = "",
    groups: str = "",
    as_json: bool = False,
) -> None:
    """Print ``rows``: as a table of ``columns`` under a ``title``, or every field of them as JSON.

    ``groups`` names a field: a line parts rows whose values of it differ.
    """
    if as_json:
        show_json(rows)
        return
    out = console()
    texts = {
        name: ["–" if row.get(name) is None else column.write(row[name]) for row in rows]
        for name, column in columns.items()
    }
    cells = {name: Cells(column.heading, texts[name], not column.left) for name, column in columns.items()}
    kept = list(columns)
    for name in reversed([name for name, column in columns.items() if column.spare]):
        if fits([cells[each] for each in kept], _room(out, kept)):
            break
        kept.remove(name)
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, width in zip(kept, widths([cells[each] for each in kept], _room(out, kept)), strict=True):
        justify: Literal["left", "right"] = "left" if columns[name].left else "right"
        table.add_column(escape(columns[name].heading), justify=justify, overflow="fold", width=width)
    for index, row in enumerate(rows):
        if groups and index and row[groups] != rows[index - 1][groups]:
            table.add_section()
        table.add_row(*(escape(texts[name][index]) for name in kept))
    if title:
        out.print(escape(title), style="bold", highlight=False, soft_wrap=True)
    out.print(table)
    if len(kept) < len(columns):
        left_out = ", ".join(column.heading for name, column in columns.items() if name not in kept)
        out.print(f"left out at {out.width} characters: {escape(left_out)}", style="dim", highlight=False)
    out.print()


def _room(out: Console, columns: Sequence[str]) -> int:
    """Characters of the terminal beside what stands between a table's columns."""
    return out.width - 3 * (len(columns) - 1)


def show_json(value: object) -> None:
    """Print ``value`` as JSON, to be read by a program."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write ``frame`` as CSV or Parquet, as the suffix of ``path`` says; the file appears whole or not at all.

    Raises ``ValueError`` or ``OSError`` where the file cannot be written.
    """
    check_output(path, *TABLE_SUFFIXES)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            if path.suffix == ".csv":
                frame.to_csv(file, index=False)
            else:
                frame.to_parquet(file, index=False)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check_output(path: Path, *suffixes: str) -> None:
    """Refuse, before any work is done, a file that could not be written in the end.

    ``suffixes``: those that say how the file is written, where that matters. Raises ``ValueError``.
    """
    if suffixes and path.suffix not in suffixes:
        raise ValueError(f"{path}: the name must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise ValueError(f"{path}: is a folder, name a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}, make it first")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{path}: the folder {path.parent} cannot be written")


@contextmanager
def progress(doing: str) -> Iterator[Report]:
    """A bar on stderr that the given function moves and that leaves no trace; nothing where stderr is no terminal."""
    errors = error_console()
    if not errors.is_terminal:
        yield lambda done, total: None
        return
    parts = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*parts, console=errors, transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """Say on stderr what goes on where its end is not known; nothing where stderr is no terminal.

    The given function says what goes on next.
    """
    errors = error_console()
    if not errors.is_terminal:
        yield lambda what: None
        return
    with errors.status(escape(what)) as status:
        yield lambda what: status.update(escape(what))
