from __future__ import annotations

import io
import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from xnorscan.energy_models.bounds import BOUNDS
from xnorscan.reports import figures
from xnorscan.reports import measures as m
from xnorscan.reports.plotting import GRID, INK, MUTED, Picture, ink_on, text_width
from xnorscan.reports.results import Results

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn(drawn_sections: dict[str, list[Picture]]) -> dict[str, Picture]:
    return {p.name: p for group in drawn_sections.values() for p in group}


def decode(found: Results) -> dict[str, object]:
    rows = found.comparison
    rows = rows[(rows["phase"] == "decode") & (rows["role"] != "GPU")]
    return {"comparison": rows, "parts": found.parts[found.parts["phase"] == "decode"]}


def test_the_report_has_the_figures_that_it_promises(drawn: dict[str, Picture]) -> None:
    assert set(drawn) == {
        "energy-per-token", "energy-components", "energy-kinds", "memory", "dram-traffic", "decode-prefill",
        "roofline-edge-28nm", "batch-decode-bi-mamba-2.7b-edge-28nm", "batch-prefill-bi-mamba-2.7b-edge-28nm",
    }  # fmt: skip


def test_a_png_is_a_picture_with_ink_in_it(drawn: dict[str, Picture]) -> None:
    for picture in drawn.values():
        pixels = imread(io.BytesIO(picture.png), format="png")[..., :3]
        assert pixels.shape[1] == 1920, picture.name
        assert (pixels.min(2) < 0.9).mean() > 0.02, f"{picture.name} is nearly empty"
        colours = np.unique((pixels[::3, ::3].reshape(-1, 3) * 255).astype(np.uint8), axis=0)
        assert len(colours) > 20, picture.name


def test_nothing_is_drawn_past_the_edge(drawn: dict[str, Picture]) -> None:
    for picture in drawn.values():
        pixels = imread(io.BytesIO(picture.png), format="png")[..., :3]
        for edge in (pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:]):
            assert (edge > 0.99).all(), f"{picture.name} touches its edge"


def test_an_svg_is_xml_with_the_same_findings_drawn(drawn: dict[str, Picture]) -> None:
    for picture in drawn.values():
        root = ElementTree.fromstring(picture.svg)
        assert root.tag == f"{SVG}svg"
        assert len(list(root.iter(f"{SVG}path"))) > 20, picture.name


def test_equal_numbers_give_equal_bytes(found: Results, drawn: dict[str, Picture]) -> None:
    again = figures.energy_per_token(**decode(found))
    assert again.png == drawn["energy-per-token"].png
    assert again.svg == drawn["energy-per-token"].svg


def test_the_titles_state_the_numbers_of_the_frames(found: Results, drawn: dict[str, Picture]) -> None:
    rows = found.comparison[(found.comparison["phase"] == "decode") & found.comparison["ratio"].notna()]
    low, high = rows["ratio"].min(), rows["ratio"].max()
    assert drawn["energy-per-token"].title == (
        f"A one-bit Bi-Mamba spends {low:.1f}–{high:.1f}× less energy per token than FP16, not 16×"
    )
    shares = rows["not_binary_share"]
    assert drawn["dram-traffic"].title.startswith(f"{shares.min() * 100:.0f}–{shares.max() * 100:.0f} % of the DRAM")


def test_the_alternative_text_names_every_energy_with_its_range(found: Results, drawn: dict[str, Picture]) -> None:
    text = drawn["energy-per-token"].alt
    assert text.count(" mJ (") == 4
    assert "Bi-Mamba 2.7B on edge-28nm/fp16: " in text


def test_a_title_promises_no_gain_where_there_is_none(found: Results) -> None:
    rows = decode(found)["comparison"].assign(ratio=0.8)
    assert figures.energy_title(rows) == "A one-bit Bi-Mamba needs FP16's energy per token divided by 0.80×"


def test_a_model_that_is_not_binarized_is_not_called_one_bit(found: Results) -> None:
    rows = decode(found)["comparison"].assign(model="mamba2-130m")
    assert figures.energy_title(rows).startswith("An int8 Mamba-2 spends ")


def test_one_model_on_several_chips(found: Results) -> None:
    rows = decode(found)["comparison"]
    picture = figures.energy_by_design(rows[rows["model"] == "bi-mamba-2.7b"])
    assert picture.name == "energy-bi-mamba-2.7b"
    assert re.fullmatch(r"Bi-Mamba 2\.7B: [\d.]+ mJ per token, on edge-28nm", picture.title)
    assert "differ" not in picture.caption, "both rows have the same memory system"
    other = rows[rows["design"] == "edge-28nm"][-1:].assign(design="other", memory_system="140 KiB on chip")
    several = figures.energy_by_design(pd.concat([rows[rows["model"] == "bi-mamba-2.7b"], other]))
    assert several.title.endswith("per token, by the chip it runs on")
    assert "The memory systems differ" in several.caption


def test_drawing_leaves_matplotlib_as_it_was(found: Results) -> None:
    before = dict(matplotlib.rcParams)
    figures.energy_components(decode(found)["parts"])
    assert dict(matplotlib.rcParams) == before


def test_a_users_settings_do_not_reach_the_figures(found: Results, drawn: dict[str, Picture]) -> None:
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert figures.energy_per_token(**decode(found)).png == drawn["energy-per-token"].png


def test_pyplot_is_never_imported() -> None:
    code = "import sys, xnorscan.reports.compare; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_markup_follows_the_pages_theme_and_keeps_its_ids_apart(drawn: dict[str, Picture]) -> None:
    ids: list[str] = []
    for picture in drawn.values():
        markup = picture.markup()
        for colour in (INK, MUTED, GRID):
            assert colour not in markup, "a colour of the light theme is left"
        assert "var(--ink)" in markup
        own = re.findall(r'\bid="([^"]+)"', markup)
        ids += own
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', markup)) <= set(own), "a reference leads nowhere"
        assert "xmlns" not in markup
        assert "<metadata" not in markup
        ElementTree.fromstring(markup)
    assert len(ids) == len(set(ids))


def test_the_headline_is_cropped_from_the_markup(drawn: dict[str, Picture]) -> None:
    for picture in drawn.values():
        height = float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', picture.svg).group(1))
        top, rest = map(float, re.search(r'viewBox="0 (\d+) [\d.]+ ([\d.]+)"', picture.markup()).groups())
        assert top > 0
        assert top + rest == pytest.approx(height, abs=0.01)
        assert 'id="' + picture.name + '-headline-7"' in picture.markup(), "the page hides it by this id"


def test_every_part_has_a_colour() -> None:
    named = {*m.PARTS, *m.KIND_GROUPS, *m.MEMORY_PARTS, *m.TRAFFIC_PARTS, *BOUNDS}
    assert named <= set(figures.COLOURS)


@pytest.mark.parametrize("parts", [m.PARTS, tuple(m.KIND_GROUPS), m.MEMORY_PARTS, m.TRAFFIC_PARTS, BOUNDS])
def test_parts_of_one_bar_differ_in_colour(parts: tuple[str, ...]) -> None:
    colours = [figures.COLOURS[p] for p in parts if p != "attention"]  # a model has a scan or attention, never both
    assert len(colours) == len(set(colours))


def test_writing_on_a_colour_keeps_contrast() -> None:
    for colour in set(figures.COLOURS.values()):
        assert contrast(colour, ink_on(colour)) > 3.5, colour


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_width_grows_with_the_text() -> None:
    assert 0 < text_width("one-bit", 8.2) < text_width("one-bit design", 8.2) < text_width("one-bit design", 12)
