"""reports/validation.py, its picture, the checked-in pages and the verb: what they say is what the model says."""

from __future__ import annotations

import importlib
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from xnorscan import cli
from xnorscan.energy_models.validation.chip import chip_names, load_chip
from xnorscan.energy_models.validation.predict import predict
from xnorscan.reports.plotting import style
from xnorscan.reports.validation import chip_page, records, rows, summary, table
from xnorscan.reports.validation_picture import picture

DOCS = Path(__file__).parents[2] / "docs"
EVERY = [each for name in chip_names() for each in predict(name)]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("validation_pages")


@pytest.fixture
def xnorscan(capsys: pytest.CaptureFixture[str]):
    """Exit code, stdout and stderr of a call."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            cli.main(list(arguments))
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    return call


class TestPages:
    def test_the_checked_in_pages_are_what_the_script_writes(self, script: Any) -> None:
        written = script.pages()
        assert {path.name for path in (DOCS / "validation").glob("*.md")} == set(written)
        for name, text in written.items():
            assert (DOCS / "validation" / name).read_text(encoding="utf-8") == text, (
                f"run docs/validation_pages.py: {name}"
            )

    def test_one_page_per_chip_and_every_link_leads_somewhere(self) -> None:
        for path in (DOCS / "validation").glob("*.md"):
            for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
                assert (path.parent / target).exists(), (path.name, target)
        assert "validation/index.md" in (DOCS / "index.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize("name", chip_names())
    def test_a_page_has_the_numbers_of_the_table_and_every_source(self, name: str) -> None:
        found, chip = predict(name), load_chip(name)
        page = chip_page(name, found)
        for row in rows(found):
            assert f"| {row['ours']} | {row['published']} | {row['ratio']} |" in page
        for point in chip.points:
            assert point.published.source in page
            assert point.published.includes in page
        assert chip.about in page
        assert "Fitted to this chip: nothing." in page
        assert chip.miss in page

    def test_a_miss_is_called_a_miss(self) -> None:
        for name in ("yodann", "xnorbin"):  # not inside our range; inside, but far
            assert "## Why it is missed" in chip_page(name, predict(name))
        assert "## Why it is missed" not in chip_page("tellme", predict("tellme"))
        assert "## How to read it" in chip_page("tellme", predict("tellme"))

    def test_wires_are_described_with_their_length(self) -> None:
        page = chip_page("chewbaccann", predict("chewbaccann"))
        assert "| memory wires | 145 bits over 0.42 (0.21–0.84) mm a cycle | assumed | half the side of" in page

    def test_the_index_table_links_each_chip(self) -> None:
        found = predict("yodann")
        lines = table(found, {"YodaNN": "yodann.md"}).splitlines()
        assert len(lines) == 2 + len(found)
        assert all(line.startswith("| [YodaNN](yodann.md) | ") for line in lines[2:])


class TestRows:
    def test_records_are_json_and_agree_with_the_text(self) -> None:
        parsed = json.loads(json.dumps(records(EVERY)))
        assert len(parsed) == len(EVERY)
        for record, row in zip(parsed, rows(EVERY), strict=True):
            assert record["ours_low"] <= record["ours"] <= record["ours_high"]
            assert record["ratio"] == pytest.approx(record["ours"] / record["published"])
            assert (row["inside"] in ("yes", "bound holds")) == record["inside"]
            assert row["claim"] == record["claim"]

    def test_summary_counts(self) -> None:
        assert summary(predict("braintta")) == (
            "3 of 3 predictions within 1.5× of the published figure; 3 of 3 inside our range; nothing was fitted"
        )
        assert summary(predict("tellme")) == "2 of 2 bounds hold; nothing was fitted"
        fitted = [replace(each, fitted=True) for each in predict("lightmamba")]
        assert summary(fitted).endswith("1 of 1 inside our range; 1 of 1 bounds hold; 2 rest on a fit")
        assert {row["claim"] for row in rows(fitted)} == {"fit"}

    def test_a_broken_bound_is_called_so(self) -> None:
        broken = [replace(each, published=1e6) for each in predict("tellme")]
        assert {row["inside"] for row in rows(broken)} == {"bound broken"}


class TestPicture:
    def test_it_holds_every_figure_and_fills_its_frame(self) -> None:
        with style():
            drawn, again = picture(EVERY), picture(EVERY)
        assert drawn.png == again.png
        assert all(f"{each.chip} {each.point}" in drawn.alt for each in EVERY)
        pixels = imread(io.BytesIO(drawn.png), format="png")[..., :3]
        assert (pixels.min(2) < 0.9).mean() > 0.02
        for edge in (pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:]):
            assert edge.min() > 0.9, "something is cut at the edge"

    def test_every_range_lies_within_the_axis(self) -> None:
        from xnorscan.reports.validation_picture import _LIMITS

        for each in EVERY:
            assert _LIMITS[0] < each.ours[0] / each.published
            assert each.ours[2] / each.published < _LIMITS[1]


class TestVerb:
    def test_all_chips_and_a_miss_is_no_error(self, xnorscan) -> None:
        code, out, err = xnorscan("validate")
        assert (code, err) == (0, "")
        assert all(load_chip(name).name in out for name in chip_names())
        assert out.rstrip().endswith(summary(EVERY))

    def test_chips_by_name_as_json(self, xnorscan) -> None:
        code, out, _ = xnorscan("validate", "YodaNN", "xnorbin", "--json")
        assert code == 0
        assert json.loads(out) == records([*predict("yodann"), *predict("xnorbin")])

    def test_a_file(self, xnorscan, tmp_path: Path) -> None:
        from xnorscan.energy_models.validation.chip import CHIPS

        copy = tmp_path / "mine.yaml"
        copy.write_text((CHIPS / "xnorbin.yaml").read_text(encoding="utf-8"), encoding="utf-8")
        code, out, _ = xnorscan("validate", str(copy), "--json")
        assert code == 0
        assert json.loads(out) == records(predict("xnorbin"))

    def test_an_unknown_chip_is_one_line(self, xnorscan) -> None:
        code, out, err = xnorscan("validate", "eyeriss")
        assert (code, out) == (2, "")
        assert err.startswith("xnorscan: no chip 'eyeriss': give a .yaml file or one of ")
        assert err.count("\n") == 1

    def test_the_table_needs_no_plotting_library(self) -> None:
        import subprocess

        code = "import sys; from xnorscan.reports import validation; sys.exit('matplotlib' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0
