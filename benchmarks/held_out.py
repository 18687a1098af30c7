"""Bits per byte of the shipped models beside gzip and xz, on held-out files of the running interpreter's library.

    python benchmarks/held_out.py [--all]

The models run as the hardware runs them. Without ``--all`` only the first files by name, none above ``LONGEST`` bytes,
are read, ``SAMPLE`` bytes together at most.
"""

from __future__ import annotations

import gzip
import lzma
import sys
from itertools import accumulate

from figure import Figure
from rich.console import Console
from rich.table import Table

from xnorscan.models.shipped import load_shipped, shipped_names
from xnorscan.models.training.corpus import SourceFile, library, library_name
from xnorscan.sim.run import Simulator

SAMPLE = 200_000
LONGEST = 32_768
Row = dict[str, float]


def sample(everything: bool) -> list[SourceFile]:
    """The held-out files that are read, in the order of their paths."""
    files = library("held-out")
    if everything:
        return files
    short = [file for file in files if len(file.text) <= LONGEST]
    sizes = accumulate(len(file.text) for file in short)
    return [file for file, size in zip(short, sizes, strict=True) if size <= SAMPLE]


def coded(file: SourceFile, models: dict[str, Simulator]) -> Row:
    """Bytes that each coder needs for ``file`` (its code length for a model)."""
    row = {"gzip -9": len(gzip.compress(file.text, 9)), "xz -9": len(lzma.compress(file.text, preset=9))}
    lengths = {name: model.evaluate(file.text, record=False).bits_per_byte for name, model in models.items()}
    return row | {name: bits * len(file.text) / 8 for name, bits in lengths.items()}


def measure(files: list[SourceFile]) -> list[Row]:
    """``coded`` of every file, by the compressors and by all shipped models."""
    models = {name: Simulator(load_shipped(name)) for name in shipped_names()}
    return [coded(file, models) for file in files]


def bits_per_byte(files: list[SourceFile], rows: list[Row]) -> Row:
    """Each coder's bits per byte over all bytes of ``files``."""
    total = sum(len(file.text) for file in files)
    return {coder: 8 * sum(row[coder] for row in rows) / total for coder in rows[0]}


def figures() -> list[Figure]:
    """Each shipped model over the sample, with gzip's figure as its bar, and xz's."""
    files = sample(everything=False)
    bits = bits_per_byte(files, measure(files))
    bars = dict.fromkeys(shipped_names(), bits["gzip -9"])
    return [
        Figure(f"{coder}: held-out text", value, "bits/byte", bars.get(coder), most=True)
        for coder, value in bits.items()
    ]


def main() -> None:
    """Print the table, file by file."""
    files = sample("--all" in sys.argv[1:])
    rows = measure(files)
    table = Table(title=f"bits per byte, held-out files of {library_name()}", title_justify="left")
    table.add_column("file")
    for column in ("bytes", *rows[0]):
        table.add_column(column, justify="right")
    for file, row in zip(files, rows, strict=True):
        bits = (f"{8 * size / len(file.text):.3f}" for size in row.values())
        table.add_row(file.path, f"{len(file.text):,}", *bits)
    table.add_section()
    total = bits_per_byte(files, rows)
    table.add_row("all bytes", f"{sum(len(f.text) for f in files):,}", *(f"{value:.3f}" for value in total.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
