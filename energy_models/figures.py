"""Every table of sourced figures by its name, those of technologies and the published areas: what can be looked up."""

from __future__ import annotations

from .asic_area import published_areas
from .technology import Figure, table_figures, table_names

PUBLISHED_AREAS = "published_areas"


def figure_tables() -> tuple[str, ...]:
    """Names of all tables of figures that come with the package."""
    return (*table_names(), PUBLISHED_AREAS)


def figures(name_or_path: str) -> dict[str, Figure]:
    """Every figure, by its name, of a table of :func:`figure_tables` or of a technology's YAML file.

    Raises ``ValueError`` (file, field, fault) for an invalid or unknown table, ``OSError`` for an unreadable file.
    """
    if name_or_path == PUBLISHED_AREAS:
        return dict(published_areas())
    if name_or_path.endswith((".yaml", ".yml")) or name_or_path in table_names():
        return table_figures(name_or_path)
    raise ValueError(f"no table {name_or_path!r}: give a .yaml file or one of {', '.join(figure_tables())}")
