"""How the command line shows and writes tables."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from xnorscan import cli_output
from xnorscan.cli_output import Column

FRAME = pd.DataFrame({"name": ["a", "b"], "value": [1.5, float("nan")], "count": pd.array([1, None], dtype="Int64")})


def test_records_hold_none_where_nothing_is_known() -> None:
    frame = pd.concat([FRAME, pd.DataFrame({"name": ["c"], "value": [float("inf")], "count": [3]})])
    assert cli_output.records(frame) == [
        {"name": "a", "value": 1.5, "count": 1},
        {"name": "b", "value": None, "count": None},
        {"name": "c", "value": None, "count": 3},
    ]


def test_a_table_writes_each_value_as_its_column_says(capsys: pytest.CaptureFixture[str]) -> None:
    columns = {"name": Column("who", left=True), "value": Column("how much", "{:.3f}".format)}
    cli_output.show(cli_output.records(FRAME), columns, title="two rows")
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == "two rows"
    assert lines[1].split() == ["who", "how", "much"]
    assert lines[3].split() == ["a", "1.500"]
    assert lines[4].split() == ["b", "–"]


def test_names_are_never_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    cli_output.show([{"name": "[red]a[/red]"}], {"name": Column("[b]", str)}, title="[bold]x")
    out = capsys.readouterr().out
    assert "[red]a[/red]" in out
    assert "[bold]x" in out


def test_json_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    cli_output.show([{"name": "α", "hidden": 1}], {"name": Column("who")}, title="unseen", as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"name": "α", "hidden": 1}]


def test_groups_are_parted(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"design": d} for d in ("one", "one", "two")]
    cli_output.show(rows, {"design": Column("design")}, groups="design")
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    between = lines[lines.index("one") + 2 : lines.index("two")]
    assert between == [""]


def test_a_narrow_terminal_gets_the_columns_that_matter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {
        "a": Column("first", left=True),
        "b": Column("second", spare=True),
        "c": Column("third", spare=True),
        "d": Column("fourth"),
    }
    for width, shown in [(31, "abcd"), (30, "abd"), (22, "ad"), (14, "ad")]:
        monkeypatch.setenv("COLUMNS", str(width))
        cli_output.show([dict.fromkeys("abcd", "x")], columns)
        out = capsys.readouterr().out
        assert ("left out" in out) == (width < 31)
        assert out.splitlines()[0].split() == [columns[name].heading for name in shown]


def test_a_heading_breaks_before_a_column_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"n": Column("name", left=True), "b": Column("bound by", left=True), "s": Column("share", spare=True)}
    monkeypatch.setenv("COLUMNS", str(len("edge-28nm") + 3 + len("compute") + 3 + len("share")))
    cli_output.show([{"n": "edge-28nm", "b": "compute", "s": "5 %"}], columns)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["bound"]
    assert lines[1] == ["name", "by", "share"]
    assert lines[3] == ["edge-28nm", "compute", "5", "%"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_in_a_file_reads_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    cli_output.write_table(FRAME, path)
    read = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    pd.testing.assert_frame_equal(read, FRAME, check_dtype=suffix == ".parquet")
    assert os.listdir(tmp_path) == [path.name]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="Duplicate column names"):
        cli_output.write_table(pd.concat([FRAME, FRAME], axis=1), path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


def test_output_is_checked_before_the_work(tmp_path: Path) -> None:
    cli_output.check_output(tmp_path / "fine.csv", ".csv", ".parquet")
    (tmp_path / "folder.csv").mkdir()
    for path, message in [
        (tmp_path / "table.txt", "table.txt: the name must end in .csv or .parquet"),
        (tmp_path / "folder.csv", "folder.csv: is a folder, name a file in it"),
        (tmp_path / "no" / "table.csv", "there is no folder .*no, make it first"),
    ]:
        with pytest.raises(ValueError, match=message):
            cli_output.check_output(path, ".csv", ".parquet")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match=f"the folder {tmp_path} cannot be written"):
        cli_output.check_output(tmp_path / "table.csv")


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with cli_output.progress("counting") as report:
        report(1, 2)
    with cli_output.waiting("for nothing"):
        pass
    assert capsys.readouterr() == ("", "")
