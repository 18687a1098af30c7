"""``docs/array.md`` and its pictures: its examples run, its names exist, its drawings show what was simulated."""

from __future__ import annotations

import doctest
import importlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from xnorscan.rtl.config import ArrayConfig, CoreConfig
from xnorscan.rtl.register_table import register_table
from xnorscan.rtl.register_text import c_header
from xnorscan.rtl.settings import EngineConfig

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "array.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture
def docs(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module


def test_the_examples_give_what_is_written() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted > 30
    assert result.failed == 0


def test_every_register_name_of_the_c_example_is_in_the_header() -> None:
    core = CoreConfig(array=ArrayConfig(rows=2, cols=4, lanes=8, inputs_max=64), weight_words=64, activation_words=128)
    header = c_header(register_table(EngineConfig(core=core, output_tiles_max=8, vector_lanes=2)))
    used = set(re.findall(r"XNORSCAN_[A-Z_]+", TEXT))
    assert len(used) > 8
    assert used <= set(re.findall(r"#define (\w+)", header))


def test_every_link_leads_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", TEXT) if not target.startswith("https://")]
    headings = {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.*)$", TEXT, re.M)}
    for target in targets:
        path, _, anchor = target.partition("#")
        assert (DOCS / path).exists(), target
        assert not anchor or anchor in headings, target


def test_the_pictures_are_drawn_to_their_edges_and_not_beyond(docs: Any) -> None:
    drawn = docs("array_figures").pictures()
    assert {f"images/{picture.name}.png" for picture in drawn} == set(re.findall(r"images/array[\w-]*\.png", TEXT))
    for picture in drawn:
        pixels = imread(io.BytesIO(picture.png), format="png")[..., :3]
        assert (pixels.min(2) < 0.9).mean() > 0.02, f"{picture.name} is nearly empty"
        for edge in (pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:]):
            assert (edge > 0.99).all(), f"{picture.name} touches its edge"


def test_waves_are_refused_if_the_array_is_wrong(docs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waves = docs("array_waves")
    monkeypatch.setattr(waves, "_packed", lambda lanes: 0)
    with pytest.raises(RuntimeError, match=r"^the array gave \[\[0, 0, 0, 0\], .*, the product has \[\["):
        waves.waves()


def test_a_recording_is_read_just_before_each_rising_edge(docs: Any) -> None:
    text = """\
$scope module bench $end
$scope module top $end
$var wire 1 ! clk $end
$scope module inner $end
$var wire 4 " \\word[0] $end
$upscope $end
$upscope $end
$upscope $end
#0
$dumpvars
0!
b11 "
$end
#1
1!
b101 "
#2
0!
#3
1!
"""
    assert docs("array_waves").read_vcd(text) == {"clk": [0, 0], "inner.word[0]": [3, 5]}
