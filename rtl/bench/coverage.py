"""Functional coverage: which combinations of precision, planes, rest of the inputs and stalls the array has done."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

PRECISIONS = ("serial 1", "serial 2", "serial 4", "serial 8", "parallel 8")
PLANES = (1, 2, 3, 4)
REMAINDERS = ("0", "1", "lanes − 1", "other")
"""Inputs of the last word, where it is not full."""
STALLS = ("none", "activations", "weights", "rows", "several")
"""Who made whom wait during a product: nobody, a late input the array, a busy consumer its rows, or more than one."""

Bin = tuple[str, int, str, str]
BINS: tuple[Bin, ...] = tuple(product(PRECISIONS, PLANES, REMAINDERS, STALLS))


def remainder(inputs: int, lanes: int) -> str:
    """The class of ``inputs`` modulo ``lanes``."""
    rest = inputs % lanes
    return str(rest) if rest < 2 else "lanes − 1" if rest == lanes - 1 else "other"


def stalls(activations: bool, weights: bool, rows: bool) -> str:
    """The class of what was seen to wait."""
    seen = [name for name, waited in zip(STALLS[1:4], (activations, weights, rows), strict=True) if waited]
    return STALLS[4] if len(seen) > 1 else seen[0] if seen else STALLS[0]


class Coverage:
    """How often each bin was hit. Raises ``ValueError`` for a bin that does not exist."""

    def __init__(self) -> None:
        self.hits: Counter[Bin] = Counter()

    def add(self, precision: str, planes: int, rest: str, stall: str, times: int = 1) -> None:
        """A product of that kind was done."""
        place = (precision, planes, rest, stall)
        if place not in BINS:
            raise ValueError(f"coverage has no bin {place}")
        self.hits[place] += times

    @property
    def missing(self) -> list[Bin]:
        """Bins that were never hit."""
        return [place for place in BINS if not self.hits[place]]

    @property
    def ratio(self) -> float:
        """Bins that were hit, of all."""
        return 1 - len(self.missing) / len(BINS)

    def write(self, path: Path) -> None:
        """Leave the hits as JSON."""
        path.write_text(json.dumps([[*place, count] for place, count in sorted(self.hits.items())]))

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Coverage:
        """The hits of several runs together."""
        merged = cls()
        for path in paths:
            for place in json.loads(path.read_text()):
                merged.add(*place)
        return merged


def table(coverage: Coverage) -> Table:
    """Bins hit, of all, by precision and number of planes."""
    from rich.table import Table  # not there where a bench runs beside an exported design

    shown = Table(title=f"functional coverage: {coverage.ratio:.1%} of {len(BINS)} bins", title_justify="left")
    shown.add_column("activations")
    for planes in PLANES:
        shown.add_column(f"planes {planes}", justify="right")
    for precision in PRECISIONS:
        cells = []
        for planes in PLANES:
            bins = [place for place in BINS if place[:2] == (precision, planes)]
            cells.append(f"{sum(coverage.hits[place] > 0 for place in bins)} of {len(bins)}")
        shown.add_row(precision, *cells)
    return shown
