"""The simulator's figures, measured on this machine, as one table beside their bars; exit 1 where one is missed.

    python benchmarks/run.py

Each part is a module here that gives its ``figures`` and can be run alone.
"""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version

import decode
import full_size
import held_out
import shape_traces
from figure import Figure
from rich.console import Console
from rich.table import Table

PARTS = {
    "held-out text": held_out.figures,
    "decode": decode.figures,
    "shape-only traces": shape_traces.figures,
    "full size": full_size.figures,
}


def table_of(figures: list[Figure]) -> Table:
    """Each figure beside its bar and how far it is from it."""
    table = Table(title="measured on one core, in CPU time", title_justify="left")
    for column in ("figure", "measured", "bar", "of the bar", ""):
        table.add_column(column, justify="left" if column in ("figure", "") else "right")
    for figure in figures:
        table.add_row(figure.name, f"{_number(figure.value)} {figure.unit}", *_against_bar(figure))
    return table


def _against_bar(figure: Figure) -> tuple[str, str, str]:
    if figure.bar is None:
        return "", "", ""
    side = "≤" if figure.most else "≥"
    verdict = "ok" if figure.reached else "[red]missed[/red]"
    return f"{side} {_number(figure.bar)}", f"{figure.value / figure.bar:.3g} ×", verdict


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> int:
    """Measure all parts, print the table, say whether all bars are held."""
    console = Console()
    figures: list[Figure] = []
    for name, part in PARTS.items():
        with console.status(f"measuring {name}"):
            figures += part()
    console.print(table_of(figures))
    console.print(
        f"Python {platform.python_version()}, numba {version('numba')}, numpy {version('numpy')}, "
        f"{platform.machine()} {platform.processor()}"
    )
    return 0 if all(figure.reached for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
