"""The safetensors reader and writer against the safetensors package, and every way a header can lie."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import numpy as library

from xnorscan.models import safetensors_file
from xnorscan.models.safetensors_file import NUMPY_DTYPES, SafetensorsFile, SafetensorsWriter

SPELLING = {np.dtype(dtype): name for name, dtype in NUMPY_DTYPES.items()}
TENSORS = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(str.isprintable),
    st.sampled_from(list(SPELLING)).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=5))
    ),
    max_size=4,
)


def raw_file(path: Path, header: Any, data: bytes = b"") -> Path:
    """A file with this header, given as bytes or as what JSON makes of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    """One header entry."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@given(tensors=TENSORS)
@settings(max_examples=40)
def test_reads_what_the_package_writes(
    tensors: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("read") / "a.safetensors"
    library.save_file(tensors, path, metadata={"k": "v"})
    file = SafetensorsFile.open(path)
    assert file.metadata == {"k": "v"}
    assert set(file.tensors) == set(tensors)
    for name, values in tensors.items():
        found = file.read(name)
        assert (found.dtype, found.shape, found.tobytes()) == (values.dtype, values.shape, values.tobytes())


@given(tensors=TENSORS)
@settings(max_examples=40)
def test_the_package_reads_what_is_written(
    tensors: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("write") / "a.safetensors"
    entries = {name: (SPELLING[values.dtype], values.shape) for name, values in tensors.items()}
    with SafetensorsWriter(path, entries, {"k": "v"}) as writer:
        for name, values in tensors.items():
            for row in np.atleast_1d(values):
                writer.append(name, np.atleast_1d(row))
    found = library.load_file(path)
    assert {name: v.tobytes() for name, v in found.items()} == {name: v.tobytes() for name, v in tensors.items()}
    assert {name: v.shape for name, v in found.items()} == {name: v.shape for name, v in tensors.items()}
    assert os.listdir(path.parent) == ["a.safetensors"]


def test_rows_are_read_without_the_rest(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.float16).reshape(5, 3, 4)
    library.save_file({"a": np.ones(3), "b": values}, tmp_path / "a")
    assert (SafetensorsFile.open(tmp_path / "a").read_rows("b", 1, 3) == values[1:3]).all()


def test_bfloat16_is_widened_exactly(tmp_path: Path) -> None:
    halves = np.array([0x3F80, 0xBF80, 0x0001, 0x7F7F, 0x8000, 0x7F80], "<u2")
    path = raw_file(tmp_path / "a", {"x": entry("BF16", [2, 3], [0, 12])}, halves.tobytes())
    found = SafetensorsFile.open(path).read("x")
    assert found.dtype == np.float32
    assert found.tolist() == [[1.0, -1.0, 2.0**-133], [(2 - 2.0**-7) * 2.0**127, -0.0, np.inf]]


HEADERS = {
    "not JSON": (b"{", b"", "header is not valid JSON"),
    "not UTF-8": (b'{"\xff": 1}', b"", "header is not valid JSON"),
    "too deep": (b"[" * 100_000, b"", "header is not valid JSON"),
    "a list": ([], b"", "header is not a JSON object"),
    "twice": (b'{"x": 1, "y": 2, "x": 3}', b"", "'x' occurs twice"),
    "metadata a list": ({"__metadata__": [1]}, b"", "__metadata__ of the header must map names to strings"),
    "metadata a number": ({"__metadata__": {"a": 1}}, b"", "__metadata__ of the header must map names to strings"),
    "no shape": ({"x": {"dtype": "F32"}}, b"", "entry of x lacks dtype, shape or data_offsets"),
    "three offsets": ({"x": entry(offsets=[0, 1, 2])}, b"", "entry of x lacks dtype, shape or data_offsets"),
    "dtype": ({"x": entry("F3")}, b"", "x has dtype 'F3', known are F64, F32"),
    "dtype a list": ({"x": entry([])}, b"", r"x has dtype \[\], known are"),
    "name": ({"x\n": entry()}, b"12345678", r"a tensor is named 'x\\n', a name must be printable"),
    "negative": ({"x": entry(shape=[-2], offsets=[0, -8])}, b"", "x has a shape or an offset that is not a natural"),
    "float": ({"x": entry(shape=[2.0])}, b"", "x has a shape or an offset that is not a natural"),
    "bool": ({"x": entry(shape=[True], offsets=[0, 4])}, b"", "x has a shape or an offset that is not a natural"),
    "size": ({"x": entry(shape=[3])}, b"12345678", r"x of F32 \[3\] takes 12 bytes, not 8"),
    "huge": ({"x": entry(shape=[2**62, 2**62])}, b"", "takes 850705917302346158658436518579420528"),
    "hole": ({"x": entry(offsets=[8, 16])}, b"1" * 16, "x starts at byte .*, the tensor before it ends at"),
    "overlap": ({"x": entry(), "y": entry(offsets=[4, 12])}, b"1" * 12, "y starts at byte .*, the tensor before it"),
    "short": ({"x": entry()}, b"1234", "truncated: the header describes"),
    "long": ({"x": entry()}, b"123456789", "too long: the header describes"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_lies_is_refused(case: str, tmp_path: Path) -> None:
    header, data, message = HEADERS[case]
    path = raw_file(tmp_path / "a", header, data)
    with pytest.raises(ValueError, match=message) as caught:
        SafetensorsFile.open(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"1234567", (9).to_bytes(8, "little") + b"{}", b"\xff" * 64])
def test_a_file_that_cannot_hold_its_header_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="truncated or not safetensors"):
        SafetensorsFile.open(tmp_path / "a")


def test_the_header_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors_file, "MAX_HEADER_BYTES", 10)
    path = raw_file(tmp_path / "a", {"x": entry()}, b"12345678")
    with pytest.raises(ValueError, match="bytes long, at most 10 are read"):
        SafetensorsFile.open(path)


def test_a_file_cut_after_it_was_opened(tmp_path: Path) -> None:
    library.save_file({"x": np.ones(100)}, tmp_path / "a")
    file = SafetensorsFile.open(tmp_path / "a")
    os.truncate(tmp_path / "a", 200)
    with pytest.raises(ValueError, match="truncated inside x"):
        file.read("x")


ENTRIES = {"x": ("F32", (2, 3)), "y": ("F16", (4,))}


def test_tensors_start_aligned(tmp_path: Path) -> None:
    with SafetensorsWriter(tmp_path / "a", {"x": ("U64", (1,))}, {"odd": "length"}) as writer:
        writer.append("x", np.ones(1, np.uint64))
    assert SafetensorsFile.open(tmp_path / "a").offsets["x"] % 8 == 0


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("y", np.ones(4, np.float16), "8 bytes of float16 for y, where 24 of x are due"),
        ("z", np.ones(4, np.float32), "for z, where 24 of x are due"),
        ("x", np.ones(6, np.float64), "48 bytes of float64 for x, where 24 of x are due"),
        ("x", np.ones(7, np.float32), "28 bytes of float32 for x, where 24 of x are due"),
    ],
)
def test_what_is_not_due_is_refused_and_leaves_nothing(
    name: str, rows: np.ndarray, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message), SafetensorsWriter(tmp_path / "a", ENTRIES, {}) as writer:
        writer.append(name, rows)
    assert os.listdir(tmp_path) == []


def test_an_incomplete_file_does_not_appear(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="x was not written whole"),
        SafetensorsWriter(tmp_path / "a", ENTRIES, {}) as w,
    ):
        w.append("x", np.ones((1, 3), np.float32))
    assert os.listdir(tmp_path) == []


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), SafetensorsWriter(tmp_path / "a", ENTRIES, {}):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_directory_is_no_destination(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a directory; name the file to write"):
        SafetensorsWriter(tmp_path, ENTRIES, {})
