"""reports/widths.py: what a table takes away first where the terminal is narrow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorscan.reports.widths import WIDEST_WORD, Cells, fits, widths

TIME = Cells("time per token", ["11.4 ms", "87.9 tokens/s"], whole=True)
NAME = Cells("model", ["Bi-Mamba 2.7B"], whole=False)


def test_a_heading_breaks_between_words_a_number_never() -> None:
    assert (TIME.natural, TIME.least) == (len("time per token"), len("87.9 tokens/s"))
    assert (NAME.natural, NAME.least) == (len("Bi-Mamba 2.7B"), len("Bi-Mamba"))


def test_fits_where_nothing_has_to_be_broken() -> None:
    least = TIME.least + NAME.least
    assert fits([TIME, NAME], least)
    assert not fits([TIME, NAME], least - 1)


def test_room_for_all_takes_nothing() -> None:
    assert widths([TIME, NAME], 100) == [14, 13]


def test_too_much_is_taken_where_most_can_be() -> None:
    assert widths([TIME, NAME], 14 + 13 - 4) == [14, 9]
    assert widths([TIME, NAME], TIME.least + NAME.least) == [TIME.least, NAME.least]


def test_the_widest_is_broken_where_it_cannot_be_helped() -> None:
    assert widths([TIME, Cells("n", ["1"], whole=True)], 8) == [7, 1]


def test_a_word_without_end_may_be_broken() -> None:
    path = Cells("file", ["/" * 80], whole=False)
    assert path.least == WIDEST_WORD
    assert widths([path], 40) == [40]


def test_no_column_is_wider_than_it_may_be() -> None:
    assert widths([Cells("what", ["a long text in one line"], whole=False)], 100, widest=10) == [10]


def test_a_column_without_cells_is_as_wide_as_its_heading() -> None:
    assert widths([Cells("heading", [], whole=True)], 100) == [7]


@given(
    lengths=st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=4), min_size=1, max_size=6),
    room=st.integers(1, 80),
    whole=st.booleans(),
)
def test_never_wider_than_the_room_and_whole_where_it_fits(lengths: list[list[int]], room: int, whole: bool) -> None:
    columns = [Cells("a b", [" ".join("x" * n for n in each)], whole) for each in lengths]
    found = widths(columns, room)
    assert sum(found) <= max(room, len(columns))
    assert all(1 <= width <= column.natural for width, column in zip(found, columns, strict=True))
    if fits(columns, room):
        assert all(width >= column.least for width, column in zip(found, columns, strict=True))
    if sum(column.natural for column in columns) <= room:
        assert found == [column.natural for column in columns]


@pytest.mark.parametrize("room", [0, -5])
def test_no_room_at_all_leaves_a_character_each(room: int) -> None:
    assert widths([TIME, NAME], room) == [1, 1]
