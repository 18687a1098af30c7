"""The coverage model: classes, counting, merging."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from xnorscan.rtl.bench.coverage import BINS, PLANES, PRECISIONS, REMAINDERS, STALLS, Coverage, remainder, stalls, table


def test_bins_are_the_whole_cross() -> None:
    assert len(BINS) == len(set(BINS)) == len(PRECISIONS) * len(PLANES) * len(REMAINDERS) * len(STALLS) == 400


@pytest.mark.parametrize(
    ("inputs", "lanes", "expected"),
    [(8, 8, "0"), (1, 8, "1"), (9, 8, "1"), (7, 8, "lanes − 1"), (15, 8, "lanes − 1"), (10, 8, "other"), (3, 2, "1")],
)
def test_remainder(inputs: int, lanes: int, expected: str) -> None:
    assert remainder(inputs, lanes) == expected


def test_every_combination_of_waits_has_a_class() -> None:
    waits = [(a, w, r) for a in (False, True) for w in (False, True) for r in (False, True)]
    classes = {wait: stalls(*wait) for wait in waits}
    assert set(classes.values()) == set(STALLS)
    assert classes[False, False, False] == "none"
    assert classes[True, False, False] == "activations"
    assert classes[False, True, False] == "weights"
    assert classes[False, False, True] == "rows"
    assert sum(value == "several" for value in classes.values()) == 4


def test_counts_merge(tmp_path: Path) -> None:
    first, second = Coverage(), Coverage()
    first.add(*BINS[0])
    second.add(*BINS[0], times=2)
    second.add(*BINS[7])
    for number, part in enumerate((first, second)):
        part.write(tmp_path / f"{number}.json")
    merged = Coverage.read(sorted(tmp_path.glob("*.json")))
    assert merged.hits == {BINS[0]: 3, BINS[7]: 1}
    assert merged.missing == [place for place in BINS if place not in (BINS[0], BINS[7])]
    assert merged.ratio == pytest.approx(2 / 400)


def test_unknown_bin() -> None:
    with pytest.raises(ValueError, match=r"^coverage has no bin \('serial 3', 1, '0', 'none'\)$"):
        Coverage().add("serial 3", 1, "0", "none")


def test_table_counts_bins_not_hits() -> None:
    coverage = Coverage()
    for _ in range(5):
        coverage.add("serial 2", 3, "other", "rows")
    console = Console(width=120, file=StringIO())
    console.print(table(coverage))
    text = console.file.getvalue()
    assert "0.2% of 400 bins" in text
    (line,) = (line for line in text.splitlines() if "serial 2" in line)
    assert line.count("0 of 20") == 3
    assert line.count("1 of 20") == 1
