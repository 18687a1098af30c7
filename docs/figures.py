"""Draw the pictures of README and cost.md again from the models' dimensions and the design presets:
``python docs/figures.py``."""

from __future__ import annotations

from dataclasses import replace

from sheet import save

from xnorscan.designs.design import load_design
from xnorscan.models.precision import Precision
from xnorscan.reports.compare import DESIGNS, MODELS
from xnorscan.reports.results import results
from xnorscan.reports.story import pictures
from xnorscan.reports.subjects import subject

BATCHES = tuple(2**power for power in range(11))
NAMES = {
    "energy-per-token": "energy-per-token",
    "roofline-edge-28nm": "roofline",
    "batch-decode-bi-mamba-2.7b-edge-28nm": "batch",
}
"""Pictures of a report and the files they become here."""


def main() -> None:
    """Write ``images/``: Bi-Mamba beside FP16 on the same memory system, its roofline, the gain over the batch."""
    designs = [load_design(f"{name}{twin}") for name in DESIGNS for twin in ("/fp16", "")]
    subjects = [subject(name, precision=Precision()) for name in MODELS if name.startswith("bi-mamba")]
    drawn = pictures(results([(each, designs) for each in subjects], "decode", BATCHES))
    found = [picture for section in drawn.values() for picture in section if picture.name in NAMES]
    save(*(replace(picture, name=NAMES[picture.name]) for picture in found))


if __name__ == "__main__":
    main()
