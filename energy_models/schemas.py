"""JSON Schemas of every kind of YAML file, made from the models that read them; ``schemas/*.json`` holds them.

``python -m xnorscan.energy_models.schemas`` writes them again.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from ..designs.design import KINDS
from .asic_area import PublishedAreas
from .scaling import Scaling
from .technology import DramTable, GpuTable, Technology
from .validation.chip import EnergyChip, ThroughputChip

FOLDER = Path(__file__).parent / "schemas"
MODELS: dict[str, type[BaseModel]] = {
    **{f"design-{kind}": model for kind, model in KINDS.items()},
    "technology": Technology,
    "dram": DramTable,
    "gpu": GpuTable,
    "scaling": Scaling,
    "published-areas": PublishedAreas,
    "chip-energy": EnergyChip,
    "chip-throughput": ThroughputChip,
}
"""Kind of file → what it is read into; a design's kind stands in its file as ``kind``."""


def schema(kind: str) -> str:
    """The JSON Schema (draft 2020-12) of a kind of ``MODELS``, as the text of its file."""
    found = MODELS[kind].model_json_schema()
    if kind.startswith("design-"):
        found["required"].insert(0, "kind")  # a file must say it, Python need not
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | found, indent=2) + "\n"


def write() -> None:
    """Write every schema into ``FOLDER``."""
    FOLDER.mkdir(exist_ok=True)
    for kind in MODELS:
        (FOLDER / f"{kind}.json").write_text(schema(kind), encoding="utf-8")


if __name__ == "__main__":
    write()
