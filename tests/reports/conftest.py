"""A comparison that needs no run: two Bi-Mambas on the edge design, its FP16 twin and a GPU, at two batches, and its
figures."""

from __future__ import annotations

import pytest

from xnorscan.designs.design import load_design
from xnorscan.models.precision import Precision
from xnorscan.reports.plotting import Picture
from xnorscan.reports.results import Results, results
from xnorscan.reports.story import pictures
from xnorscan.reports.subjects import subject


@pytest.fixture(scope="session")
def found() -> Results:
    designs = [load_design(name) for name in ("edge-28nm/fp16", "edge-28nm", "gpu-h100")]
    models = [subject(name, precision=Precision()) for name in ("bi-mamba-780m", "bi-mamba-2.7b")]
    return results([(model, designs) for model in models], "decode", (1, 8))


@pytest.fixture(scope="session")
def drawn_sections(found: Results) -> dict[str, list[Picture]]:
    return pictures(found)
