"""energy_models/figures.py: every table by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from xnorscan.energy_models.asic_area import published_areas
from xnorscan.energy_models.figures import figure_tables, figures
from xnorscan.energy_models.technology import load_technology, table_names


def test_published_areas_stand_beside_the_tables_of_prices() -> None:
    assert figure_tables() == (*table_names(), "published_areas")
    assert figures("published_areas") == {
        "fp16_multiply": published_areas().fp16_multiply,
        "fp16_add": published_areas().fp16_add,
    }


def test_every_table_has_figures_with_sources() -> None:
    for name in figure_tables():
        assert all(figure.source for figure in figures(name).values())
    assert figures("asic-28nm") == load_technology("asic-28nm").figures


def test_a_file_is_a_technology(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        figures(str(tmp_path / "own.yaml"))


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^no table 'tsmc': give a .yaml file or one of asic.*, dram, gpu, published"):
        figures("tsmc")
