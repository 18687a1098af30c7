"""The safetensors file format: a checked header, tensors read by rows, and a writer that streams.

Layout: an unsigned 64-bit little-endian header length, a JSON header ``{name: {dtype, shape, data_offsets}}`` with an
optional ``__metadata__`` of strings, then the tensors, contiguous and without holes. Source of the format:
github.com/huggingface/safetensors, README.

It is read and written here rather than through the ``safetensors`` package because a conversion must never hold
more than a few rows (the package returns whole tensors), and because NumPy has no bfloat16.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

MAX_HEADER_BYTES = 100_000_000
"""Greatest header that is read: the cap of the reference implementation."""

NUMPY_DTYPES: dict[str, str] = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
ITEM_BYTES: dict[str, int] = {name: np.dtype(dtype).itemsize for name, dtype in NUMPY_DTYPES.items()} | {"BF16": 2}


@dataclass(frozen=True)
class TensorInfo:
    """Type and size of one tensor of a file; ``dtype`` in the spelling of safetensors (``F32``)."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def row_items(self) -> int:
        """Items of one row, the first dimension being the rows; a scalar is one row of one item."""
        return prod(self.shape[1:])

    @property
    def rows(self) -> int:
        """Length of the first dimension, 1 for a scalar."""
        return self.shape[0] if self.shape else 1

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tensor."""
        return self.rows * self.row_items * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class SafetensorsFile:
    """A file whose header was read and checked; tensors are read on demand, nothing stays open.

    Raises ``ValueError``, naming the file, where the header or the file's length contradicts the format, and
    ``OSError`` where the file cannot be read.
    """

    path: Path
    tensors: Mapping[str, TensorInfo]
    offsets: Mapping[str, int]
    metadata: Mapping[str, str]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Read and check the header of ``path``."""
        path = Path(path)
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > size - 8:
                raise ValueError(f"{path}: truncated or not safetensors: {size} bytes cannot hold its header")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"{path}: the header is {length} bytes long, at most {MAX_HEADER_BYTES} are read")
            raw = stream.read(length)
        try:
            header = json.loads(raw, object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: the safetensors header is not valid JSON ({error})") from None
        if not isinstance(header, dict):
            raise ValueError(f"{path}: the safetensors header is not a JSON object")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError(f"{path}: __metadata__ of the header must map names to strings")
        start = 8 + length
        checked = {name: _tensor_info(path, name, entry) for name, entry in header.items()}
        tensors = {name: info for name, (info, _) in checked.items()}
        offsets = {name: start + begin for name, (_, begin) in checked.items()}
        end = start
        for name in sorted(tensors, key=lambda name: (offsets[name], tensors[name].nbytes)):
            if offsets[name] != end:
                raise ValueError(f"{path}: {name} starts at byte {offsets[name]}, the tensor before it ends at {end}")
            end += tensors[name].nbytes
        if end != size:
            what = "truncated" if size < end else "too long"
            raise ValueError(f"{path}: {what}: the header describes {end} bytes, the file has {size}")
        return cls(path, tensors, offsets, metadata)

    def read(self, name: str) -> np.ndarray:
        """The whole tensor ``name`` in the file's dtype, bfloat16 widened to float32 (exact)."""
        info = self.tensors[name]
        return self.read_rows(name, 0, info.rows).reshape(info.shape)

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows ``start:stop`` of ``name``, as slicing gives them; takes the memory of these rows (bfloat16: thrice)."""
        info = self.tensors[name]
        stop = min(stop, info.rows)
        start = min(start, stop)
        row_bytes = info.row_items * ITEM_BYTES[info.dtype]
        data = bytearray((stop - start) * row_bytes)
        with self.path.open("rb") as stream:
            stream.seek(self.offsets[name] + start * row_bytes)
            if stream.readinto(data) != len(data):
                raise ValueError(f"{self.path}: truncated inside {name}")
        shape = (stop - start, *info.shape[1:])
        if info.dtype == "BF16":
            return bfloat16_to_float32(np.frombuffer(data, "<u2")).reshape(shape)
        return np.frombuffer(data, NUMPY_DTYPES[info.dtype]).reshape(shape)


class SafetensorsWriter:
    """Writes a file tensor by tensor, rows by rows, in the order of ``entries``, whose sizes are known in advance.

    A context manager: the file appears under ``path`` (by rename) when the block ends well, and nothing of it is left
    when it does not. ``entries``: name → (dtype in the format's spelling, shape). Tensors of wide items should come
    first, so that each is aligned to its item size.

    Raises ``ValueError`` where ``append`` is called out of order, with another dtype or with too many rows, and at
    the end where rows are missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        entries: Mapping[str, tuple[str, tuple[int, ...]]],
        metadata: Mapping[str, str],
    ) -> None:
        self._path = Path(path)
        if self._path.is_dir():
            raise ValueError(f"{self._path} is a directory; name the file to write")
        self._temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        self._dtypes = {name: dtype for name, (dtype, _) in entries.items()}
        self._due = [(name, TensorInfo(dtype, shape).nbytes) for name, (dtype, shape) in entries.items()][::-1]
        self._header = _encode_header(entries, metadata)

    def __enter__(self) -> Self:
        self._stream = self._temporary.open("wb")
        self._stream.write(self._header)
        return self

    def append(self, name: str, rows: np.ndarray) -> None:
        """Append ``rows`` (any shape; the items in C order) to tensor ``name``, the first one not yet complete."""
        due, missing = self._due[-1] if self._due else ("nothing", 0)
        dtype = np.dtype(NUMPY_DTYPES[self._dtypes.get(name, "F32")])
        if name != due or rows.dtype != dtype or rows.nbytes > missing:
            raise ValueError(
                f"{self._path}: {rows.nbytes} bytes of {rows.dtype} for {name}, where {missing} of {due} are due"
            )
        self._stream.write(np.ascontiguousarray(rows).data.cast("B"))
        self._due[-1] = (name, missing - rows.nbytes)
        if rows.nbytes == missing:
            self._due.pop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._stream.close()
            if kind is None and self._due:
                raise ValueError(f"{self._path}: {self._due[-1][0]} was not written whole")
            if kind is None:
                os.replace(self._temporary, self._path)
        finally:
            self._temporary.unlink(missing_ok=True)


def bfloat16_to_float32(halves: np.ndarray) -> np.ndarray:
    """Widen bfloat16 bit patterns (uint16) to float32, exactly: they are the upper half of the float32 pattern."""
    return (halves.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dictionary; ``ValueError`` where a name occurs twice, for the later would hide the earlier."""
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return result


def _tensor_info(path: Path, name: str, entry: Any) -> tuple[TensorInfo, int]:
    """Check one header entry; the tensor and where it begins, in bytes after the header."""
    if not name.isprintable():
        raise ValueError(f"{path}: a tensor is named {name[:40]!r}, a name must be printable")
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path}: the header entry of {name} lacks dtype, shape or data_offsets") from None
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise ValueError(f"{path}: {name} has dtype {dtype!r}, known are {', '.join(ITEM_BYTES)}")
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError(f"{path}: {name} has a shape or an offset that is not a natural number")
    info = TensorInfo(dtype, shape)
    if info.nbytes != end - begin:
        raise ValueError(f"{path}: {name} of {dtype} {list(shape)} takes {info.nbytes} bytes, not {end - begin}")
    return info, begin


def _encode_header(entries: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """Length and JSON header, padded with spaces to a multiple of 8 bytes so that the tensors start aligned."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    begin = 0
    for name, (dtype, shape) in entries.items():
        end = begin + TensorInfo(dtype, shape).nbytes
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw
