"""Checkpoints on disk: one file, shards, directories, pickles, and what is wrong with them."""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from oracles.checkpoints import made_checkpoint, made_tensors
from xnorscan.models import checkpoint as checkpoint_module
from xnorscan.models import torch_file
from xnorscan.models.checkpoint import Checkpoint

TENSORS = made_tensors("bi-mamba")
TABLE = "backbone.embedding.weight"


def write_shards(directory: Path, suffix: str = ".safetensors", **weight_map: str) -> Path:
    """``TENSORS`` in two shards with an index, whose map may be changed; the index."""
    names = list(TENSORS)
    placed = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        shard = f"model-0000{number}-of-00002{suffix}"
        placed |= dict.fromkeys(part, shard)
        save(directory / shard, {name: TENSORS[name] for name in part})
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    index = directory / f"{stem}{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": placed | weight_map}))
    return index


def save(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write ``tensors`` as the extension of ``path`` says."""
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch = pytest.importorskip("torch")
        torch.save({name: torch.from_numpy(values) for name, values in tensors.items()}, path)


def assert_holds_tensors(found: Checkpoint) -> None:
    """Every tensor of ``TENSORS``, bit for bit, and none besides."""
    assert set(found.tensors) == set(TENSORS)
    for name, values in TENSORS.items():
        assert found.tensors[name].shape == values.shape
        assert found.tensors[name].dtype == "F32"
        assert found.read(name).tobytes() == values.tobytes()
        assert found.read_rows(name, 1, 2).tobytes() == values[1:2].tobytes()


@pytest.mark.parametrize("suffix", [".safetensors", ".bin", ".pt", ".pth"])
def test_one_file(suffix: str, tmp_path: Path) -> None:
    save(tmp_path / f"weights{suffix}", TENSORS)
    found = Checkpoint.open(tmp_path / f"weights{suffix}")
    assert_holds_tensors(found)
    assert found.paths == {tmp_path / f"weights{suffix}"}
    assert_holds_tensors(Checkpoint.open(tmp_path))


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_shards(suffix: str, tmp_path: Path) -> None:
    index = write_shards(tmp_path, suffix)
    assert_holds_tensors(Checkpoint.open(index))
    assert_holds_tensors(Checkpoint.open(tmp_path))
    assert Checkpoint.open(index).paths == {tmp_path / f"model-0000{i}-of-00002{suffix}" for i in (1, 2)}


def test_safetensors_are_taken_before_pickles(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    save(tmp_path / "model.safetensors", TENSORS)
    assert_holds_tensors(Checkpoint.open(tmp_path))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_the_dtype_is_the_files(dtype: type, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(3, 5)).astype(dtype)
    for suffix in (".safetensors", ".bin"):
        save(tmp_path / f"a{suffix}", {"x": values})
        found = Checkpoint.open(tmp_path / f"a{suffix}")
        assert found.tensors["x"].dtype == {8: "F64", 4: "F32", 2: "F16"}[values.itemsize]
        read = found.read("x")
        assert read.dtype == (np.float64 if dtype is np.float64 else np.float32)
        assert (read == values).all()


def test_bfloat16(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch_safetensors = pytest.importorskip("safetensors.torch")
    values = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    torch.save({"x": values}, tmp_path / "a.bin")
    torch_safetensors.save_file({"x": values}, tmp_path / "a.safetensors")
    for name in ("a.bin", "a.safetensors"):
        found = Checkpoint.open(tmp_path / name)
        assert found.tensors["x"].dtype == "BF16"
        assert found.read("x").dtype == np.float32
        assert (found.read("x") == values.float().numpy()).all()


def test_a_scalar_is_one_row(tmp_path: Path) -> None:
    for suffix in (".safetensors", ".bin"):
        save(tmp_path / f"a{suffix}", {"x": np.array(1.5, np.float32)})
        assert Checkpoint.open(tmp_path / f"a{suffix}").read("x") == np.float32(1.5)


def test_a_view_and_a_parameter_of_a_pickle(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    table = torch.nn.Parameter(torch.arange(12.0).reshape(4, 3))
    torch.save({"a": table, "tied": table, "transposed": table.detach().T}, tmp_path / "a.bin")
    found = Checkpoint.open(tmp_path / "a.bin")
    assert (found.read("transposed") == np.arange(12.0).reshape(4, 3).T).all()
    assert (found.read("tied") == found.read("a")).all()


def test_a_pickle_is_mapped_anew_when_much_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.bin", TENSORS)
    monkeypatch.setattr(torch_file, "REMAP_BYTES", 1000)
    found = Checkpoint.open(tmp_path / "a.bin")
    assert_holds_tensors(found)
    os.truncate(tmp_path / "a.bin", 10_000)
    with pytest.raises(ValueError, match="truncated, or not saved by PyTorch"):
        assert_holds_tensors(found)


def refused(path: Path, message: str) -> None:
    """Opening ``path`` is refused in one line that starts with a path under it."""
    with pytest.raises(ValueError, match=message) as caught:
        Checkpoint.open(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["weights.gguf", "weights", "config.json"])
def test_an_unknown_extension(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    refused(tmp_path / name, r"the extension .* is unknown, known are \.safetensors, \.bin, \.pt, \.pth, \.index\.json")


@pytest.mark.parametrize("name", ["a.safetensors", "a.bin", "a.safetensors.index.json"])
def test_a_file_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Checkpoint.open(tmp_path / name)


def test_a_directory_without_a_checkpoint(tmp_path: Path) -> None:
    refused(tmp_path, r"no checkpoint in it \(model\.safetensors\.index\.json, ")


def test_a_directory_of_several(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        made_checkpoint(tmp_path / name, "mamba")
    refused(tmp_path, r"2 weight files \(a\.safetensors, b\.safetensors, …\) and no index\.json; name one file")


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_truncated(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    save(path, TENSORS)
    size = path.stat().st_size
    for cut in (size - 1, size // 2, 20, 0):
        os.truncate(path, cut)
        refused(path, "truncated")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((2, 3), np.int8), "x is I8, weights are one of F64, F32, F16, BF16"),
        (np.array([[1.0], [np.nan]], np.float32), "x holds a value that is not finite, in rows 0 to 1"),
        (np.array([[1.0], [-np.inf]], np.float16), "x holds a value that is not finite, in rows 0 to 1"),
    ],
)
def test_values_that_are_no_weights(values: np.ndarray, message: str, tmp_path: Path) -> None:
    save_file({"x": values}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=message):
        Checkpoint.open(tmp_path / "a.safetensors").read("x")


@pytest.mark.parametrize("shard", ["c.safetensors", "..", "", "a\0b"])
def test_an_index_that_names_a_shard_that_is_not_there(shard: str, tmp_path: Path) -> None:
    refused_index(tmp_path, {"x": shard}, re.escape(f"shard {shard!r} is missing beside it"))


@pytest.mark.parametrize("shard", ["../a.safetensors", "/etc/passwd", "a/b.safetensors"])
def test_an_index_that_leads_out_of_its_directory(shard: str, tmp_path: Path) -> None:
    refused_index(tmp_path, {"x": shard}, f"shard '{shard}' must be a file name beside the index")


def test_an_index_that_places_a_tensor_wrongly(tmp_path: Path) -> None:
    second = "model-00002-of-00002.safetensors"
    refused_index(tmp_path, {TABLE: second}, f"00001-of-00002.safetensors holds {TABLE}, which the index places in .*2")


def test_an_index_that_adds_a_tensor(tmp_path: Path) -> None:
    first = "model-00001-of-00002.safetensors"
    refused_index(tmp_path, {"x": first}, f"{first} does not hold 'x', which the index places there")


def refused_index(directory: Path, changes: dict[str, str], message: str) -> None:
    """The index of ``write_shards``, its map changed, is refused."""
    index = write_shards(directory, **changes)
    with pytest.raises(ValueError, match=message) as caught:
        Checkpoint.open(index)
    assert str(caught.value).startswith(f"{index}: ")


def test_a_shard_with_a_tensor_that_the_index_lacks(tmp_path: Path) -> None:
    index = write_shards(tmp_path)
    content = json.loads(index.read_text())
    del content["weight_map"][TABLE]
    index.write_text(json.dumps(content))
    refused(index, f"holds {TABLE}, which the index places in None")


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"{}", b'{"weight_map": [1]}', b'{"weight_map": {"x": 1}}', b"\xff", b"[" * 100_000]
)
def test_an_index_that_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(content)
    refused(path, "not an index; a JSON object with a weight_map of strings is needed")


def test_the_index_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_module, "MAX_HEADER_BYTES", 10)
    refused(write_shards(tmp_path), "longer than the 10 bytes that are read of an index")


class Marker:
    """Pickles to a call that leaves a file behind if the pickle is ever run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_code_in_a_pickle_does_not_run(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.ones(3), "y": Marker(tmp_path / "ran")}, tmp_path / "a.bin")
    refused(tmp_path / "a.bin", "the pickle holds code, or is damaged; only tensors are read")
    assert not (tmp_path / "ran").exists()


def test_a_bare_pickle_does_not_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "a.bin").write_bytes(pickle.dumps(Marker(tmp_path / "ran")))
    refused(tmp_path / "a.bin", r"truncated, or not saved by PyTorch 1\.6 or later; save it again")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list, not a state_dict of tensors"),
        ({"model": {}, "step": 3}, "entry 'model' is no named dense tensor; save the state_dict alone"),
        ({"step": 3}, "entry 'step' is no named dense tensor"),
    ],
)
def test_a_pickle_that_is_no_state_dict(content: Any, message: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(content, tmp_path / "a.bin")
    refused(tmp_path / "a.bin", message)


def test_a_sparse_tensor(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.eye(3).to_sparse()}, tmp_path / "a.bin")
    refused(tmp_path / "a.bin", "entry 'x' is no named dense tensor")


def test_a_pickle_of_integers(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.ones(3, dtype=torch.int64)}, tmp_path / "a.bin")
    with pytest.raises(ValueError, match="x is int64, weights are one of"):
        Checkpoint.open(tmp_path / "a.bin").read("x")


def test_a_zip_that_is_no_pickle(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with zipfile.ZipFile(tmp_path / "a.bin", "w") as archive:
        archive.writestr("hello", "world")
    refused(tmp_path / "a.bin", r"damaged: PyTorch cannot read it \(RuntimeError\)")


@pytest.mark.filterwarnings("error:Detected pickle protocol:UserWarning")
@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_pickle_is_read_or_refused_in_one_line(seed: int, tmp_path: Path) -> None:
    """The archive is whole and its checksums are right; bytes of the pickle in it are not."""
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.ones(3, 4), "y": torch.zeros(5)}, tmp_path / "a.bin")
    with zipfile.ZipFile(tmp_path / "a.bin") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    rng = np.random.default_rng(seed)
    damaged = bytearray(entries["a/data.pkl"])
    damaged[rng.integers(len(damaged))] = rng.integers(256)
    damaged = damaged[: rng.integers(1, len(damaged) + 1)] if seed % 3 == 0 else damaged
    with zipfile.ZipFile(tmp_path / "a.bin", "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, bytes(damaged) if name == "a/data.pkl" else content)
    try:
        message = f"{tmp_path / 'a.bin'}: {len(Checkpoint.open(tmp_path / 'a.bin').tensors)} tensors"
    except ValueError as error:
        message = str(error)
    assert message.startswith(f"{tmp_path / 'a.bin'}: ")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("name", [3, "two\nlines"])
def test_names_that_are_no_names(name: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({name: torch.ones(3)}, tmp_path / "a.bin")
    refused(tmp_path / "a.bin", r"entry (3|'two\\nlines') is no named dense tensor")


def test_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.bin").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    refused(tmp_path / "a.bin", r"a pickle is read through PyTorch: pip install 'xnorscan\[train\]', or save it as")
