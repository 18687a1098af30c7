from __future__ import annotations

from html.parser import HTMLParser

import pytest

from xnorscan.reports import tables
from xnorscan.reports.page import Card, Page, Section, comparison_table, render
from xnorscan.reports.plotting import Picture
from xnorscan.reports.results import Results
from xnorscan.reports.story import cards, page

HOSTILE = "<script>alert('x')</script>\"><img src=//evil.example/x onerror=alert(1)>"


class Reader(HTMLParser):
    """Collects tags, what they would load, and the text that a reader sees."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self._note(attributes)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._note(attributes)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def _note(self, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("src", "href", "srcset", "xlink:href", "data", "poster", "action"):
                self.loads.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)


@pytest.fixture(scope="module")
def html(found: Results, drawn_sections: dict[str, list[Picture]]) -> str:
    return render(page(found, drawn_sections, "xnorscan compare -o report", [("xnorscan", "0.1.0")]))


def test_the_page_needs_nothing_but_itself(html: str) -> None:
    reader = Reader(html)
    assert all(load.startswith("#") for load in reader.loads), "something would be fetched"
    assert not {"script", "link", "iframe", "img", "object", "embed", "base", "form"} & set(reader.tags)
    assert not reader.handlers
    assert "@import" not in html
    assert html.count("url(") == html.count("url(#")
    assert "default-src 'none'" in html, "the page forbids itself every request"


def test_the_page_is_well_formed(html: str) -> None:
    reader = Reader(html)
    assert reader.open == []
    assert [reader.tags.count(t) for t in ("html", "main", "h1", "title")][:3] == [1, 1, 1]


def test_both_themes_are_there(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    assert 'name="color-scheme" content="light dark"' in html


def test_the_first_three_things_a_reader_sees(found: Results, html: str) -> None:
    text = "".join(Reader(html).text)
    gain, limit, certainty = cards(found)
    rows = found.comparison[(found.comparison["phase"] == "decode") & found.comparison["ratio"].notna()]
    assert gain.number == f"{rows['ratio'].min():.1f}–{rows['ratio'].max():.1f}×"
    assert gain.what == "less energy per token"
    assert f"{rows['ratio_low'].min():.1f}–{rows['ratio_high'].max():.1f}×" in gain.why
    heads = f"{rows['ratio_fp16_head'].min():.1f}–{rows['ratio_fp16_head'].max():.1f}×"
    assert (
        f"Embedding and head: int8 in the one-bit design, FP16 in its twin; FP16 in both would make it {heads}."
        in gain.why
    )
    for r in rows.to_dict("records"):
        assert f"on edge-28nm {r['ratio_fp16_head']:.1f}× instead of {r['ratio']:.1f}×" in text
    assert limit.what == "of the DRAM traffic is not the binary weights"
    assert "embedding and head" in limit.why
    assert "of state" in limit.why
    assert "measured in silicon" in certainty.why
    assert "LPDDR5 transfer, 5 pJ/bit (4–6), estimated" in certainty.why
    positions = [text.index(x) for x in (gain.number, limit.number, certainty.number, "The comparison")]
    assert positions == sorted(positions)


def test_every_source_is_on_the_page(found: Results, html: str) -> None:
    text = "".join(Reader(html).text)
    for source in found.sources:
        assert source.name in text
        assert source.figure.source in text


def test_gpus_stand_in_a_table_of_their_own_and_say_what_they_are(html: str) -> None:
    text = "".join(Reader(html).text)
    assert html.count("<table") == 5
    assert "board power × roofline time; HBM3 3,350 GB/s + 50 MiB on chip" in text
    assert "their memories are not those above, so no ratio is formed with them" in text
    assert "Other baselines on the same memory system" not in text


def test_the_page_says_how_to_make_it_again(html: str) -> None:
    assert "<pre>xnorscan compare -o report</pre>" in html


def test_hostile_names_are_text() -> None:
    row = {
        "model": HOSTILE, "phase": "decode", "design": HOSTILE, "role": "one-bit", "memory_system": HOSTILE,
        "energy_uj": 1.0, "energy_low_uj": 0.5, "energy_high_uj": 2.0, "latency_s": 1.0, "tokens_per_s": 1.0,
        "dram_bytes": 1.0, "bound": HOSTILE, "bound_share": 1.0, "memory_bytes": 1.0,
    }  # fmt: skip
    html = render(
        Page(
            title=HOSTILE,
            lead=HOSTILE,
            cards=[Card(ask=HOSTILE, number=HOSTILE, what=HOSTILE, why=HOSTILE)],
            sections=[
                Section(
                    title=HOSTILE,
                    texts=[HOSTILE],
                    notes=[HOSTILE],
                    tables=[comparison_table(tables.frame([row]), HOSTILE)],
                )
            ],
            command=HOSTILE,
            versions=[(HOSTILE, HOSTILE)],
        )
    )
    reader = Reader(html)
    assert not {"script", "img"} & set(reader.tags)
    assert not reader.handlers
    assert "".join(reader.text).count(HOSTILE) == 17, "each is shown as it was given, the title twice"


def test_a_model_is_named_in_its_first_row_only(found: Results) -> None:
    rows = found.comparison[found.comparison["phase"] == "decode"]
    table = comparison_table(rows, "x")
    assert [r.cells[0][0] for r in table.rows] == ["Bi-Mamba 780M", "", "", "Bi-Mamba 2.7B", "", ""]
    assert [r.style for r in table.rows] == ["new", "one-bit", ""] * 2


def test_what_is_not_the_binary_gemm_and_what_binds_is_on_the_page_for_every_row(found: Results, html: str) -> None:
    made = page(found, {}, "", [])
    (section,) = [s for s in made.sections if s.title == "What is not the binary GEMM, and what binds"]
    limits, positions = section.tables
    assert len(limits.rows) == len(found.batches) == 2 * 2 * 2 * 3, "models, phases, batches, designs"
    for row, values in zip(limits.rows, found.batches.to_dict("records"), strict=True):
        texts = [text for text, _ in row.cells]
        assert texts[1:4] == [values["phase"], str(values["batch"]), values["design"]]
        assert texts[4] == f"{values['outside_dram_share'] * 100:.0f} %"
    assert [row.cells[2][0] for row in positions.rows][:3] == ["embedding", "rmsnorm", "linear"]
    assert {row.cells[1][0] for row in positions.rows} == {"edge-28nm", "edge-28nm/fp16"}
    assert section.title in html
