"""A checkpoint as published: one file, shards with an index, or a directory of either; read tensor by tensor."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from .safetensors_file import MAX_HEADER_BYTES, SafetensorsFile, TensorInfo
from .torch_file import TorchFile

PICKLE_SUFFIXES = (".bin", ".pt", ".pth")
FLOATS = ("F64", "F32", "F16", "BF16")
_INDEX = ".index.json"
_IN_DIRECTORY = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
)
"""What is looked for in a directory, the first found is taken: safetensors before pickles."""


class TensorFile(Protocol):
    """One file of a checkpoint."""

    @property
    def path(self) -> Path: ...

    @property
    def tensors(self) -> Mapping[str, TensorInfo]: ...

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by their published names and the files that hold them; nothing is read before it is asked for.

    Raises ``ValueError``, naming the file, where a file is unknown or damaged or the index disagrees with its shards,
    and ``OSError`` where a file cannot be read.
    """

    path: Path
    files: Mapping[str, TensorFile]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a file, an ``*.index.json`` or a directory that holds one of them."""
        path = Path(path)
        found = _in_directory(path) if path.is_dir() else path
        if found.name.endswith(_INDEX):
            return cls(path, _open_shards(found))
        file = _open_file(found)
        return cls(path, dict.fromkeys(file.tensors, file))

    @property
    def tensors(self) -> dict[str, TensorInfo]:
        """Name → dtype and shape, as the files have them."""
        return {name: file.tensors[name] for name, file in self.files.items()}

    @property
    def paths(self) -> set[Path]:
        """The files that hold the tensors."""
        return {file.path for file in self.files.values()}

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows ``start:stop`` of ``name``, as slicing gives them: float32, but float64 where the file has that.

        Raises ``ValueError`` where the tensor is not of floats or a value is not finite.
        """
        file = self.files[name]
        dtype = file.tensors[name].dtype
        if dtype not in FLOATS:
            raise ValueError(f"{file.path}: {name} is {dtype}, weights are one of {', '.join(FLOATS)}")
        rows = file.read_rows(name, start, stop)
        if not np.isfinite(rows).all():
            raise ValueError(f"{file.path}: {name} holds a value that is not finite, in rows {start} to {stop - 1}")
        return rows if rows.dtype == np.float64 else rows.astype(np.float32, copy=False)

    def read(self, name: str) -> np.ndarray:
        """The whole of ``name``, as ``read_rows`` gives it, in the file's shape."""
        info = self.files[name].tensors[name]
        return self.read_rows(name, 0, info.rows).reshape(info.shape)


def _in_directory(directory: Path) -> Path:
    """The index or the only file of a checkpoint in ``directory``."""
    for name in _IN_DIRECTORY:
        if (directory / name).is_file():
            return directory / name
    found = sorted(entry for entry in directory.iterdir() if entry.suffix in (".safetensors", *PICKLE_SUFFIXES))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(entry.name for entry in found[:3])
        raise ValueError(f"{directory}: {len(found)} weight files ({names}, …) and no index.json; name one file")
    raise ValueError(f"{directory}: no checkpoint in it ({', '.join(_IN_DIRECTORY)})")


def _open_file(path: Path) -> TensorFile:
    """Open one file by its extension."""
    if path.suffix == ".safetensors":
        return SafetensorsFile.open(path)
    if path.suffix in PICKLE_SUFFIXES:
        path.stat()
        return TorchFile(path)
    known = ", ".join((".safetensors", *PICKLE_SUFFIXES, _INDEX))
    raise ValueError(f"{path}: the extension {path.suffix or '(none)'} is unknown, known are {known}")


def _open_shards(index: Path) -> dict[str, TensorFile]:
    """Open the shards that ``index`` names, each once, and hold its map against what they contain."""
    if index.stat().st_size > MAX_HEADER_BYTES:
        raise ValueError(f"{index}: longer than the {MAX_HEADER_BYTES} bytes that are read of an index")
    try:
        weight_map = json.loads(index.read_bytes())["weight_map"]
        placed = {name: shard for name, shard in weight_map.items() if Path(shard).name == shard}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{index}: not an index; a JSON object with a weight_map of strings is needed") from None
    if len(placed) != len(weight_map):
        outside = next(shard for shard in weight_map.values() if Path(shard).name != shard)
        raise ValueError(f"{index}: shard {outside!r} must be a file name beside the index")
    files: dict[str, TensorFile] = {}
    for shard in dict.fromkeys(placed.values()):
        if not (index.parent / shard).is_file():
            raise ValueError(f"{index}: shard {shard!r} is missing beside it")
        files[shard] = _open_file(index.parent / shard)
        for name in files[shard].tensors:
            if placed.get(name) != shard:
                raise ValueError(f"{index}: {shard} holds {name}, which the index places in {placed.get(name)!r}")
    for name, shard in placed.items():
        if name not in files[shard].tensors:
            raise ValueError(f"{index}: {shard} does not hold {name!r}, which the index places there")
    return {name: files[shard] for name, shard in placed.items()}
