"""reports/rooflines.py and reports/batches.py: what the titles and the alternative texts say is in the frames."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from xnorscan.designs.design import load_design
from xnorscan.models.precision import Precision
from xnorscan.reports.batches import over_batch
from xnorscan.reports.plotting import Picture
from xnorscan.reports.results import Results, results
from xnorscan.reports.rooflines import Span, roofline_plot
from xnorscan.reports.story import pictures
from xnorscan.reports.subjects import subject


def drawn(sections: dict[str, list[Picture]], name: str) -> Picture:
    (picture,) = [p for group in sections.values() for p in group if p.name == name]
    return picture


def test_the_roofline_names_every_kind_of_the_largest_model(
    found: Results, drawn_sections: dict[str, list[Picture]]
) -> None:
    picture = drawn(drawn_sections, "roofline-edge-28nm")
    rows = found.roofline
    rows = rows[(rows["model"] == "bi-mamba-2.7b") & (rows["batch"] == 1) & (rows["role"] != "GPU")]
    assert picture.alt.count(" operations per byte") == len(rows) == 2 * 2 * 8
    whole = rows[(rows["kind"] == "all") & (rows["role"] == "one-bit")].set_index("phase")
    parts = (whole["attained_ops_per_s"] / whole["attainable_ops_per_s"] * 100).round()
    assert picture.title == (
        f"One-bit decode reaches {parts['decode']:.0f} % of the DRAM's slope, "
        f"a prefill {parts['prefill']:.0f} % of the compute roof"
    )


def test_kinds_that_move_nothing_have_a_place(found: Results) -> None:
    designs = [load_design("datacenter-7nm"), load_design("datacenter-7nm/fp16")]
    model = results([(subject("fbi-llm-130m", precision=Precision()), designs)], "decode")
    assert model.roofline["intensity_ops_per_byte"].max() == math.inf
    picture = roofline_plot(model.roofline, "HBM3")
    assert picture.name == "roofline-datacenter-7nm"
    assert picture.title.startswith("One-bit decode reaches ")


def test_a_place_in_the_panel_is_logarithmic() -> None:
    span = Span(left=0, right=2, low=6, high=8, still=0)
    corner, middle, end = span.points(1, 1e6), span.points(10, 1e7), span.points(100, 1e8)
    assert corner == (0, 0)
    assert middle == pytest.approx((end[0] / 2, end[1] / 2))


def test_a_design_that_moves_nothing_has_no_roofline_plot() -> None:
    model = results([(subject("mamba2-130m", precision=Precision()), [load_design("edge-28nm")])], "decode")
    still = model.comparison.assign(dram_bytes=0.0)
    assert [p.name for p in pictures(model)["limits"]] == ["roofline-edge-28nm"]
    assert pictures(Results(**vars(model) | {"comparison": still}))["limits"] == []


def test_the_figure_over_the_batch_states_the_ratios(found: Results, drawn_sections: dict[str, list[Picture]]) -> None:
    picture = drawn(drawn_sections, "batch-decode-bi-mamba-2.7b-edge-28nm")
    rows = found.batches
    rows = rows[(rows["model"] == "bi-mamba-2.7b") & (rows["phase"] == "decode") & (rows["role"] == "one-bit")]
    one, eight = rows.sort_values("batch")["ratio"]
    assert one > eight
    assert picture.title == (f"Decode: {one:.1f}× less energy than FP16 at batch 1, {eight:.1f}× at 8, bound by state")
    assert picture.alt.startswith("batch 1: ")
    assert "batch 8: " in picture.alt


def test_many_batches_are_drawn_with_few_of_them_named(found: Results) -> None:
    rows = found.batches[(found.batches["model"] == "bi-mamba-2.7b") & (found.batches["role"] != "GPU")]
    rows = rows[(rows["phase"] == "decode") & (rows["batch"] == 1)]
    many = [rows.assign(batch=2**i) for i in range(11)]
    assert over_batch(pd.concat(many)).alt.count("batch ") == 11
