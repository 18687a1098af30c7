"""Widths of the columns of a table in a terminal: headings break between words first, numbers and words stay whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDEST_WORD = 30
"""Characters of a word, beyond which it may be broken."""


@dataclass(frozen=True)
class Cells:
    """A column as text: its heading, the lines of its cells, and whether these stay ``whole``, as numbers do."""

    heading: str
    lines: Sequence[str]
    whole: bool

    @property
    def natural(self) -> int:
        """Characters with nothing broken."""
        return max(map(len, [self.heading, *self.lines]))

    @property
    def least(self) -> int:
        """Characters with no word of it broken, and no line that stays whole."""
        words = [word for line in self.lines for word in ([line] if self.whole else line.split())]
        return min(WIDEST_WORD, max(map(len, [*self.heading.split(), *words]), default=0))


def fits(columns: Sequence[Cells], room: int) -> bool:
    """Whether ``columns`` have ``room`` without breaking a word or a number."""
    return sum(column.least for column in columns) <= room


def widths(columns: Sequence[Cells], room: int, widest: int | None = None) -> list[int]:
    """Characters of each column, together at most ``room``, each at most ``widest``.

    What there is too much is taken where most can be; where it is not to be had, from the widest column.
    """
    found = [min(column.natural, widest or column.natural) for column in columns]
    slack = [max(0, width - column.least) for width, column in zip(found, columns, strict=True)]
    while sum(found) > max(room, len(found)):
        largest = slack if any(slack) else found
        index = largest.index(max(largest))
        found[index] -= 1
        slack[index] = max(0, slack[index] - 1)
    return found
