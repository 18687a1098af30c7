"""``--explain`` of ``cost`` and ``compare`` as a user meets it, and the page that shows it."""

from __future__ import annotations

import doctest
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from xnorscan import cli
from xnorscan.reports import compare as reports

PAGE = Path(__file__).parents[1] / "docs" / "explain.md"
COMPARE = ("compare", "bi-mamba-780m", "--design", "edge-28nm", "--baseline", "fp16", "--explain")
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def xnorscan(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command at 100 columns: exit code and both streams."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(reports, "pictures", lambda found: {})

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    return call


def words(text: str) -> str:
    return " ".join(text.split())


def test_cost_explains_every_design(xnorscan: Call) -> None:
    code, out, _ = xnorscan("cost", "tiny", "--design", "up5k", "--baseline", "gpu-h100", "--explain")
    assert code == 0
    for name in ("up5k", "gpu-h100"):
        assert f"tiny, decode, batch 1, on {name}: energy of the trace" in out
    assert "ice40up: full_adder" in out
    assert "gpu: board_energy_factor" in out
    assert "bound by" not in out, "in place of the tables"


def test_cost_adds_up_to_its_own_rows(xnorscan: Call) -> None:
    arguments = ("cost", "fbi-llm-130m", "--phase", "prefill", "--batch", "2", "--length", "64", "--json")
    wholes = {row["design"]: row for row in json.loads(xnorscan(*arguments)[1]) if row["kind"] == "all"}
    explained = {each["design"]: each for each in json.loads(xnorscan(*arguments, "--explain")[1])}
    assert explained.keys() == wholes.keys() == {"edge-28nm", "edge-28nm/fp16"}
    for name, each in explained.items():
        for end, column in (("low", "energy_pj_low"), ("typical", "energy_pj"), ("high", "energy_pj_high")):
            assert sum(term["energy_pj"][end] for term in each["terms"]) == pytest.approx(wholes[name][column])
        assert sum(operation["cycles"] for operation in each["operations"]) == wholes[name]["cycles"]


def test_cost_writes_its_rows_all_the_same(xnorscan: Call, tmp_path: Path) -> None:
    assert xnorscan("cost", "tiny", "--explain", "-o", tmp_path / "costs.csv")[0] == 0
    assert os.listdir(tmp_path) == ["costs.csv"]


def test_terms_are_not_told_per_operation(xnorscan: Call) -> None:
    message = "xnorscan: --explain has the terms of all operations together; leave out --per-op\n"
    assert xnorscan("cost", "tiny", "--explain", "--per-op") == (2, "", message)


def test_compare_explains_its_headline_below_the_report(xnorscan: Call, tmp_path: Path) -> None:
    code, out, _ = xnorscan(*COMPARE, "-o", tmp_path / "report")
    assert code == 0
    assert out.index("report.html") < out.index("on edge-28nm/fp16: energy per token")
    assert "Bi-Mamba 780M, decode: edge-28nm/fp16 ÷ edge-28nm = " in out
    assert os.listdir(tmp_path) == ["report"]


def test_compare_as_json_is_the_terms_of_the_rows(xnorscan: Call, tmp_path: Path) -> None:
    arguments = (*COMPARE, "--phase", "prefill", "-o", tmp_path / "report", "--json")
    every = json.loads(xnorscan(*arguments)[1])
    rows = json.loads(xnorscan(*(word for word in arguments if word != "--explain"))[1])
    energies = {(row["phase"], row["design"]): row["energy_uj"] for row in rows}
    assert len(every) == len(rows) == 4, "one per row, the prefill and the decode step alike"
    for each in every:
        assert sum(term["energy_pj"]["typical"] for term in each["terms"]) / 1e6 == pytest.approx(
            energies[each["phase"], each["design"]], rel=1e-9
        )


def test_the_example_of_the_page_is_what_is_printed(xnorscan: Call) -> None:
    text = PAGE.read_text(encoding="utf-8")
    command = next(line for line in text.splitlines() if line.startswith("xnorscan cost bi-mamba-2.7b"))
    printed = [words(line) for line in xnorscan(*command.partition("#")[0].split()[1:])[1].splitlines()]
    quoted = [words(line) for block in re.findall(r"```text\n(.*?)```", text, re.S) for line in block.splitlines()]
    assert len(quoted) > 15
    for line in quoted:
        matching = [each for each in printed if each.startswith(line)]
        assert matching, line


def test_the_python_of_the_page_gives_what_is_written() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted > 10
    assert result.failed == 0
