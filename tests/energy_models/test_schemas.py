"""energy_models/schemas.py: what is checked in is what the models say, and it refuses unknown fields."""

from __future__ import annotations

import json

import pytest

from xnorscan.designs.design import KINDS
from xnorscan.energy_models.schemas import FOLDER, MODELS, schema


def test_every_kind_of_file_has_a_schema_and_nothing_else_lies_there() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{kind}.json" for kind in MODELS}
    assert {f"design-{kind}" for kind in KINDS} < set(MODELS)


@pytest.mark.parametrize("kind", MODELS)
def test_a_schema_is_what_its_model_says(kind: str) -> None:
    assert (FOLDER / f"{kind}.json").read_text(encoding="utf-8") == schema(kind)


@pytest.mark.parametrize("kind", MODELS)
def test_no_object_takes_an_unknown_field(kind: str) -> None:
    found = json.loads(schema(kind))
    objects = [found, *found.get("$defs", {}).values()]
    assert all(o["additionalProperties"] is False for o in objects if o.get("type") == "object")


@pytest.mark.parametrize("kind", KINDS)
def test_a_design_must_say_its_kind(kind: str) -> None:
    assert json.loads(schema(f"design-{kind}"))["required"][0] == "kind"
