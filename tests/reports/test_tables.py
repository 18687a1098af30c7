from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from xnorscan.reports import tables
from xnorscan.reports.results import Results

ROW = {
    "model": "bi-mamba-2.7b", "phase": "decode", "design": "edge-28nm", "role": "one-bit", "memory_system": "LPDDR5",
    "energy_uj": 25_600.0, "energy_low_uj": 19_900.0, "energy_high_uj": 32_000.0, "latency_s": 0.0114,
    "tokens_per_s": 87.8, "dram_bytes": 582e6, "bound": "weights", "bound_share": 0.55, "memory_bytes": 496e6,
    "ratio": 9.02, "ratio_low": 8.6, "ratio_high": 9.31,
}  # fmt: skip


def printed(frame: pd.DataFrame, width: int = 160) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(tables.terminal(frame, "Per token"))
    return out.getvalue()


def test_a_cell_shows_the_number_of_the_frame_and_its_range_below() -> None:
    (cells,) = tables.cells(tables.frame([ROW]))
    shown = dict(zip((c.title for c in tables.COLUMNS), cells, strict=True))
    assert shown == {
        "model": ("Bi-Mamba 2.7B", ""),
        "design": ("edge-28nm", "LPDDR5"),
        "energy per token": ("25.6 mJ", "19.9–32.0 mJ"),
        "less than FP16": ("9.0×", "8.6–9.3×"),
        "time per token": ("11.4 ms", "87.8 tokens/s"),
        "bound by": ("weights", "55 % of time"),
        "memory": ("496 MB", "582 MB moved"),
        "bits/byte": ("–", ""),
    }


def test_every_number_of_a_real_comparison_is_in_its_cell(found: Results) -> None:
    rows = found.comparison[found.comparison["phase"] == "decode"]
    for row, texts in zip(rows.to_dict("records"), tables.cells(rows), strict=True):
        number, unit = texts[2][0].split()
        scale = {"J": 1e6, "mJ": 1e3, "µJ": 1.0}[unit]
        assert float(number) * scale == pytest.approx(row["energy_uj"], rel=0.005)
        assert (texts[3][0] == "–") == pd.isna(row["ratio"])


def test_the_frame_has_all_fields_in_order_and_missing_ones_are_missing() -> None:
    frame = tables.frame([ROW])
    assert list(frame) == list(tables.FIELDS)
    assert pd.isna(frame["bits_per_byte"].iloc[0])
    assert frame["bits_per_byte"].dtype == "Float64"


def test_the_terminal_shows_what_the_cells_hold() -> None:
    text = printed(tables.frame([ROW, ROW | {"design": "other"}]))
    for expected in ("Bi-Mamba 2.7B", "25.6 mJ", "19.9–32.0 mJ", "9.0×", "87.8 tokens/s", "496 MB"):
        assert expected in text
    assert text.count("Bi-Mamba 2.7B") == 1, "a model is named once"


def test_a_name_is_never_read_as_markup() -> None:
    assert "[red]x[/red]" in printed(tables.frame([ROW | {"model": "[red]x[/red]", "design": "[/nothing]"}]))


def test_a_narrow_terminal_still_shows_every_column() -> None:
    assert "bits" in printed(tables.frame([ROW]), width=60)
