"""The training text: split by path alone, and every byte seen exactly once per pass, in order."""

import hashlib
import sysconfig
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorscan.models.training import corpus
from xnorscan.models.training.corpus import BEGIN, SourceFile, Window, held_out, library, windows

NAMES = [f"package{n % 7}/module{n}.py" for n in range(200)]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter's library: 200 modules, and what must not be read as one."""
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    for name in [*NAMES, "site-packages/other/theirs.py", "package0/__pycache__/cached.py", "package0/data.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(f"# {name}\r\n".encode())
    (tmp_path / "package0/empty.py").write_bytes(b"")
    return tmp_path


@pytest.mark.usefixtures("root")
def test_the_splits_share_no_file_and_leave_none_out() -> None:
    train, held = library("train"), library("held-out")
    assert sorted(f.path for f in train + held) == sorted(NAMES)
    assert {f.path for f in held} == {n for n in NAMES if hashlib.sha256(n.encode()).hexdigest()[:2] < "0c"}
    assert 0 < len(held) < 30
    for files in (train, held):
        assert [f.path for f in files] == sorted(f.path for f in files)
        assert all(f.text == f"# {f.path}\r\n".encode() for f in files), "bytes as they stand in the file"


def test_a_file_never_changes_sides(root: Path) -> None:
    """Neither its text, nor its neighbours, nor the place of the library matter."""
    before = [f.path for f in library("held-out")]
    for name in NAMES:
        (root / name).write_bytes(b"changed\n")
    for name in set(NAMES) - set(before):
        (root / name).unlink()
    (root / NAMES[0]).write_bytes(b"one left to train on\n")
    assert [f.path for f in library("held-out")] == before


def test_about_five_percent_are_held_out() -> None:
    share = sum(held_out(f"module{n}.py") for n in range(20_000)) / 20_000
    assert share == pytest.approx(12 / 256, abs=0.006)


def test_a_library_without_source_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(FileNotFoundError, match=f"no Python source in {tmp_path}: .* without its library's source"):
        library("train")


def test_begin_is_the_zero_byte() -> None:
    assert BEGIN == 0


def texts(files: list[SourceFile], batch: int, length: int, seed: int, passes: int) -> list[bytes]:
    """The files of the first ``passes`` passes over ``files``, put together again from the windows, in drawn order.

    Checks on the way what a window promises.
    """
    rows: list[list[list[tuple[np.ndarray, np.ndarray]]]] = [[] for _ in range(batch)]
    drawn: list[tuple[int, int]] = []
    wanted = passes * len(files)
    for window in windows(files, batch, length, seed):
        assert window.ids.shape == window.targets.shape == (batch, length)
        assert window.ids.dtype == window.targets.dtype == np.int64
        assert window.begins.shape == (batch,)
        assert window.begins.dtype == np.bool_
        for row in range(batch):
            if window.begins[row]:
                drawn.append((row, len(rows[row])))
                rows[row].append([])
            rows[row][-1].append((window.ids[row], window.targets[row]))
        whole = all(len(rows[row]) > place + 1 for row, place in drawn[:wanted])
        if len(drawn) >= wanted and whole:
            break
    return [together(rows[row][place], length) for row, place in drawn[:wanted]]


def together(parts: list[tuple[np.ndarray, np.ndarray]], length: int) -> bytes:
    """One file out of its windows."""
    ids, targets = (np.concatenate(column) for column in zip(*parts, strict=True))
    count = int((targets >= 0).sum())
    assert len(ids) - length < count <= len(ids), "no window is all padding"
    assert (targets[:count] >= 0).all(), "padding stands behind the file's end alone"
    assert (targets[count:] == -100).all()
    assert ids[0] == BEGIN
    assert ids[1:count].tolist() == targets[: count - 1].tolist(), "an input is the byte before its target"
    assert (ids[count:] == 0).all()
    return bytes(targets[:count].tolist())


@given(
    st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6),
    st.integers(1, 4),
    st.integers(1, 16),
    st.integers(0, 2**32),
)
def test_every_pass_has_every_byte_of_every_file_once_in_order(
    contents: list[bytes], batch: int, length: int, seed: int
) -> None:
    files = [SourceFile(f"{n}.py", text) for n, text in enumerate(contents)]
    got = texts(files, batch, length, seed, passes=2)
    assert sorted(got[: len(files)]) == sorted(contents)
    assert sorted(got[len(files) :]) == sorted(contents)


FILES = [SourceFile(f"{n}.py", bytes([n]) * (n + 1)) for n in range(30)]


def taken(seed: int, count: int) -> list[Window]:
    """The first ``count`` windows of three rows of eight bytes."""
    return list(islice(windows(FILES, 3, 8, seed), count))


def test_the_seed_is_the_order() -> None:
    def spelled(seed: int) -> list[list[list[int]]]:
        return [[w.ids.tolist(), w.targets.tolist(), [w.begins.tolist()]] for w in taken(seed, 40)]

    assert spelled(1) == spelled(1)
    assert spelled(1) != spelled(2)


def test_passes_are_shuffled_anew() -> None:
    order = [text[0] for text in texts(FILES, 1, 8, 5, passes=2)]
    assert order[:30] != order[30:]
    assert order[:30] != sorted(order[:30])


def test_rows_move_on_by_themselves() -> None:
    """A row begins a new file when its own ends, whatever the others do."""
    begins = np.array([w.begins for w in taken(3, 40)])
    assert begins[0].all()
    assert (begins.any(axis=1) & ~begins.all(axis=1)).any()


def test_the_library_is_named() -> None:
    assert corpus.library_name().split()[0] in ("CPython", "PyPy")
    assert corpus.library_name().split()[1].count(".") == 2
