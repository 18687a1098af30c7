"""The report as one HTML page that needs nothing but itself: no script, no request, figures inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import jinja2
import pandas as pd

from .. import __version__
from . import measures as m
from .plotting import Picture
from .tables import COLUMNS, Column, cells


@dataclass(frozen=True, kw_only=True)
class Card:
    """One of the numbers that a reader sees first: the question, the number, what it is, and why it is so."""

    ask: str
    number: str
    what: str
    why: str


@dataclass(frozen=True)
class Row:
    """Text and detail of each cell of a table's row, and its style (``new`` starts a group, ``one-bit`` stands out)."""

    cells: Sequence[tuple[str, str]]
    style: str = ""


@dataclass(frozen=True)
class PageTable:
    """A table on the page."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    sources: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands under it: paragraphs, tables, pictures, notes, in this order."""

    title: str
    texts: Sequence[str] = ()
    tables: Sequence[PageTable] = ()
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything the page says. All of it is text; only pictures bring markup, and that is matplotlib's."""

    title: str
    lead: str
    cards: Sequence[Card]
    sections: Sequence[Section]
    command: str
    versions: Sequence[tuple[str, str]]


def comparison_table(comparison: pd.DataFrame, title: str, columns: Sequence[Column] = COLUMNS) -> PageTable:
    """The rows of a comparison frame, each model's first row starting a group."""
    rows = [
        Row(texts, " ".join(s for s, on in (("new", bool(texts[0][0])), ("one-bit", role == m.ONE_BIT)) if on))
        for role, texts in zip(comparison["role"], cells(comparison, columns), strict=True)
    ]
    return PageTable(title, columns, rows)


def render(page: Page) -> str:
    """The page as HTML; every text is escaped."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    template = (resources.files(__package__) / "templates" / "page.html").read_text("utf-8")
    return environment.from_string(template).render(page=page, version=__version__)
