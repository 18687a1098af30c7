"""Draw the README's picture again from the models' dimensions and the design presets: ``python docs/figures.py``."""

from __future__ import annotations

from pathlib import Path

from xnorscan.designs.design import load_design
from xnorscan.models.precision import Precision
from xnorscan.reports.compare import DESIGNS, MODELS
from xnorscan.reports.results import results
from xnorscan.reports.story import pictures
from xnorscan.reports.subjects import subject

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Write ``images/energy-per-token.png``: Bi-Mamba decoding beside FP16 on the same memory system."""
    designs = [load_design(f"{name}{twin}") for name in DESIGNS for twin in ("/fp16", "")]
    subjects = [subject(name, precision=Precision()) for name in MODELS if name.startswith("bi-mamba")]
    picture = pictures(results([(each, designs) for each in subjects], "decode"))["energy"][0]
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / f"{picture.name}.png"
    path.write_bytes(picture.png)
    print(f"{path}: {picture.title}")


if __name__ == "__main__":
    main()
