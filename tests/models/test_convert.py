"""Conversion of every dialect against what the latents say, what it reports, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from oracles.checkpoints import BI_MAMBA, DIALECTS, FBI_LLM, MAMBA2, made_checkpoint, made_tensors
from oracles.fbi_linear import signs_of, signs_of_plane
from xnorscan.models import convert as convert_module
from xnorscan.models.checkpoint import Checkpoint
from xnorscan.models.config import ModelConfig
from xnorscan.models.convert import ConversionReport, TensorReport, convert, guess_config
from xnorscan.models.layout import layout, published_name
from xnorscan.models.packed import read_packed
from xnorscan.models.published import MODELS, get_config

IN_PROJ = "backbone.layers.0.mixer.in_proj"
A_LOG = "backbone.layers.1.mixer.A_log"


def tensor_report(report: ConversionReport, name: str) -> TensorReport:
    """The report on the published name ``name``."""
    return next(tensor for tensor in report.tensors if tensor.name == name)


@pytest.mark.parametrize("keep", ["float16", "float32"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect(dialect: str, keep: Any, tmp_path: Path) -> None:
    config, _ = DIALECTS[dialect]
    source = made_tensors(dialect)
    convert(made_checkpoint(tmp_path / "a.safetensors", dialect), config, tmp_path / "m", keep=keep)
    model = read_packed(tmp_path / "m")
    assert model.config == config
    assert set(model.linears) == set(layout(config).linears)
    for name, linear in model.linears.items():
        latent, alpha, beta = (source[published_name(config, f"{name}.{part}")] for part in _PARTS)
        assert linear.planes.shape[0] == 1
        assert (signs_of_plane(linear.planes[0], linear.inputs) == signs_of(latent)).all()
        assert linear.coefficients.tolist() == [1.0]
        assert (linear.pre == alpha[0].astype(keep)).all()
        assert (linear.shift == beta[0].astype(keep)).all()
    for name, values in model.tensors.items():
        expected = source[published_name(config, name, source)].astype(keep)
        assert (values.dtype, values.shape, values.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
    assert dict(model.provenance) == {
        "source": "a.safetensors",
        "kept_as": keep,
        "converted_by": model.provenance["converted_by"],
    }
    assert sorted(os.listdir(tmp_path)) == ["a.safetensors", "m"]


_PARTS = ("weight", "wscale", "wbias")


@pytest.mark.parametrize("chunk", [1, 100, 1000])
def test_chunks_change_nothing(chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made_checkpoint(tmp_path / "a.safetensors", "bi-mamba")
    whole = convert(source, BI_MAMBA, tmp_path / "whole")
    monkeypatch.setattr(convert_module, "CHUNK_ITEMS", chunk)
    assert convert(source, BI_MAMBA, tmp_path / "parts") == whole
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_pickle_gives_the_same_file(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = made_tensors("fbi-llm")
    for kind in ("safetensors", "pickle"):
        (tmp_path / kind / "FBI-LLM").mkdir(parents=True)
    save_file(tensors, tmp_path / "safetensors" / "FBI-LLM" / "model.safetensors")
    state = {name: torch.from_numpy(values) for name, values in tensors.items()}
    torch.save(state, tmp_path / "pickle" / "FBI-LLM" / "pytorch_model.bin")
    for kind in ("safetensors", "pickle"):
        convert(tmp_path / kind / "FBI-LLM", FBI_LLM, tmp_path / kind / "m")
    assert (tmp_path / "safetensors" / "m").read_bytes() == (tmp_path / "pickle" / "m").read_bytes()


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_signs_come_from_the_latents_as_the_file_has_them(dtype: type, tmp_path: Path) -> None:
    latent = np.random.default_rng(0).normal(size=(174, 40)).astype(dtype)
    least = np.finfo(dtype).smallest_subnormal
    latent[0, :4] = [least, -least, 0.0, -0.0]
    source = made_checkpoint(tmp_path / "a.safetensors", "bi-mamba", **{f"{IN_PROJ}.weight": latent})
    convert(source, BI_MAMBA, tmp_path / "m")
    plane = read_packed(tmp_path / "m").linears["layers.0.mixer.in_proj"].planes[0]
    assert (signs_of_plane(plane, 40) == signs_of(latent)).all()
    assert plane[0, 0] & np.uint64(15) == 1


def test_bfloat16_latents(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch_safetensors = pytest.importorskip("safetensors.torch")
    tensors = {name: torch.from_numpy(v).to(torch.bfloat16) for name, v in made_tensors("bi-mamba").items()}
    torch_safetensors.save_file(tensors, tmp_path / "a.safetensors")
    report = convert(tmp_path / "a.safetensors", BI_MAMBA, tmp_path / "m", keep="float32")
    model = read_packed(tmp_path / "m")
    assert (model.tensors["norm_f.weight"] == tensors["backbone.norm_f.weight"].float().numpy()).all()
    signs = signs_of(tensors[f"{IN_PROJ}.weight"].float().numpy())
    assert (signs_of_plane(model.linears["layers.0.mixer.in_proj"].planes[0], 40) == signs).all()
    assert {tensor.dtype for tensor in report.tensors} == {"BF16"}


def test_what_is_reported(tmp_path: Path) -> None:
    latent = np.full((174, 40), 0.25, np.float32)
    latent[0, :7] = [0.0, -0.0, 2.0**-25, -(2.0**-25), np.nextafter(np.float32(2.0**-25), 1), 2.0**-149, -3.0]
    alpha = np.ones((1, 40), np.float32)
    alpha[0, :3] = [0.0, -0.5, 2.0**-26]
    changes = {
        f"{IN_PROJ}.weight": latent,
        f"{IN_PROJ}.wscale": alpha,
        "backbone.layers.1.mixer.in_proj.wscale": 2 * np.ones((1, 40), np.float32),
    }
    for name, shape in DIALECTS["bi-mamba"][1].items():
        if name.endswith(("wscale", "wbias", "proj.weight")) and name not in changes:
            changes[name] = np.full(shape, 0.5, np.float32)
    source = made_checkpoint(tmp_path / "a.safetensors", "bi-mamba", **changes)
    report = convert(source, BI_MAMBA, tmp_path / "m")

    found = tensor_report(report, f"{IN_PROJ}.weight")
    assert (found.role, found.dtype, found.shape) == ("latent", "F32", (174, 40))
    assert (found.zeros, found.lost_to_fp16, found.not_positive) == (2, 3, 4)
    assert (found.minimum, found.maximum) == (-3.0, 0.25)
    assert (found.bytes_before, found.bytes_after) == (174 * 40 * 4, 174 * 8)
    found = tensor_report(report, f"{IN_PROJ}.wscale")
    assert (found.role, found.zeros, found.lost_to_fp16, found.not_positive) == ("alpha", 1, 1, 2)
    assert (found.bytes_before, found.bytes_after) == (160, 80)

    assert report.total("latent", "zeros") == 2
    assert report.total("latent", "lost_to_fp16") == 3
    assert report.total("alpha", "not_positive") == 2
    assert report.range("alpha") == (-0.5, 2.0)
    assert report.range("beta") == (0.5, 0.5)
    assert report.values("latent") == 2 * (174 * 40 + 40 * 80)
    assert report.values("alpha") == report.values("beta") == 2 * (40 + 80)
    assert report.bytes_before == sum(4 * prod(shape) for shape in DIALECTS["bi-mamba"][1].values())
    assert report.bytes_after == (tmp_path / "m").stat().st_size
    assert sum(tensor.bytes_after for tensor in report.tensors) < report.bytes_after


def test_a_model_without_binarized_layers_has_no_alpha(tmp_path: Path) -> None:
    report = convert(made_checkpoint(tmp_path / "a.safetensors", "mamba2"), MAMBA2, tmp_path / "m")
    assert report.range("alpha") is None
    assert report.values("latent") == 0
    assert {tensor.role for tensor in report.tensors} == {"kept"}


def test_progress_counts_every_byte_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert_module, "CHUNK_ITEMS", 500)
    calls: list[tuple[int, int]] = []
    source = made_checkpoint(tmp_path / "a.safetensors", "bi-mamba")
    report = convert(source, BI_MAMBA, tmp_path / "m", progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (report.bytes_before, report.bytes_before)


REFUSED: dict[str, tuple[dict[str, np.ndarray | None], str]] = {
    "missing": ({A_LOG: None}, f"{A_LOG} is missing, made-bi-mamba needs it"),
    "extra": ({"rotten": np.ones(3, np.float32)}, r"rotten is not part of made-bi-mamba \(2 layers\)"),
    "misshapen": ({A_LOG: np.ones(5, np.float32)}, rf"{A_LOG} is \[5\], made-bi-mamba needs \[4\]"),
    "latent not finite": (
        {f"{IN_PROJ}.weight": np.full((174, 40), np.nan, np.float32)},
        f"{IN_PROJ}.weight holds a value that is not finite",
    ),
    "kept not finite": ({A_LOG: np.full(4, np.inf, np.float32)}, f"{A_LOG} holds a value that is not finite"),
    "integers": ({A_LOG: np.ones(4, np.int32)}, f"{A_LOG} is I32, weights are one of"),
    "beyond float16": (
        {A_LOG: np.array([1, -7e4, 2, 3], np.float32)},
        f"{A_LOG} holds 70000, beyond the 65504 of float16; keep it as float32",
    ),
    "another head": ({"lm_head.weight": np.ones((19, 40), np.float32)}, r"lm_head\.weight differs from the embedding"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_nothing(case: str, tmp_path: Path) -> None:
    changes, message = REFUSED[case]
    source = made_checkpoint(tmp_path / "a.safetensors", "bi-mamba", **changes)
    with pytest.raises(ValueError, match=message) as caught:
        convert(source, BI_MAMBA, tmp_path / "m")
    assert str(caught.value).startswith(f"{source}: ")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_what_is_refused_leaves_the_old_file(tmp_path: Path) -> None:
    source = made_checkpoint(tmp_path / "a.safetensors", "bi-mamba", **{A_LOG: np.full(4, np.inf, np.float32)})
    (tmp_path / "m").write_text("old")
    with pytest.raises(ValueError, match="not finite"):
        convert(source, BI_MAMBA, tmp_path / "m")
    assert (tmp_path / "m").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a.safetensors", "m"]


def test_beyond_float32(tmp_path: Path) -> None:
    source = made_checkpoint(tmp_path / "a.safetensors", "bi-mamba", **{A_LOG: np.full(4, 1e39)})
    with pytest.raises(ValueError, match=f"{A_LOG} holds 1e\\+39, beyond the 3.40282e\\+38 of float32$"):
        convert(source, BI_MAMBA, tmp_path / "m", keep="float32")


def test_a_source_cut_while_it_is_read_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made_checkpoint(tmp_path / "a.safetensors", "bi-mamba")
    monkeypatch.setattr(convert_module, "CHUNK_ITEMS", 500)

    def cut(done: int, total: int) -> None:
        if done > total // 2:
            os.truncate(source, 2000)

    with pytest.raises(ValueError, match="truncated inside"):
        convert(source, BI_MAMBA, tmp_path / "m", progress=cut)
    assert os.listdir(tmp_path) == ["a.safetensors"]


@pytest.mark.parametrize("name", ["a.safetensors", "link"])
def test_the_checkpoint_is_not_overwritten(name: str, tmp_path: Path) -> None:
    source = made_checkpoint(tmp_path / "a.safetensors", "bi-mamba")
    before = source.read_bytes()
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(ValueError, match="the checkpoint itself cannot be the destination"):
        convert(source, BI_MAMBA, tmp_path / name)
    assert source.read_bytes() == before


def test_an_unknown_precision(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep is 'int8', it must be one of float16, float32"):
        convert(tmp_path, BI_MAMBA, tmp_path / "m", keep="int8")  # type: ignore[arg-type]  # the point of the test


def hollow_checkpoint(path: Path, config: ModelConfig, skip: tuple[str, ...] = ()) -> Path:
    """A file with the names and shapes of ``config`` whose float32 data, all zeros, is a hole on the disk."""
    header, end = {}, 0
    for ours, shape in layout(config).latents.items():
        theirs = published_name(config, ours)
        if theirs not in skip:
            size = 4 * prod(shape)
            header[theirs] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
            end += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + end)
    return path


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_known_by_its_tensors(name: str, tmp_path: Path) -> None:
    assert guess_config(hollow_checkpoint(tmp_path / "a.safetensors", get_config(name))) == get_config(name)


def test_a_model_that_is_not_known(tmp_path: Path) -> None:
    skip = ("backbone.norm_f.weight",)
    source = hollow_checkpoint(tmp_path / "a.safetensors", get_config("mamba-130m"), skip)
    with pytest.raises(ValueError, match="its 241 tensors are those of no model known by name"):
        guess_config(source)


def test_memory_does_not_grow_with_a_tensor(tmp_path: Path) -> None:
    """A latent of 259 MB is packed by a process that never holds a quarter of it beside its imports."""
    config = replace(BI_MAMBA, name="wide", d_model=4000, layers=1, vocab_size=16, headdim=50)
    source = hollow_checkpoint(tmp_path / "a.safetensors", config)
    script = (
        "import sys; from xnorscan.models.convert import convert; from xnorscan.models.config import ModelConfig\n"
        "def peak(): return next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))\n"
        "before = peak(); convert(sys.argv[1], eval(sys.argv[2]), sys.argv[3]); print((peak() - before) * 1024)"
    )
    command = [sys.executable, "-c", script, str(source), repr(config), str(tmp_path / "m")]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(result.stdout) < 4 * config.d_in_proj * config.d_model / 4


def test_nothing_is_imported_that_costs(tmp_path: Path) -> None:
    """Converting safetensors needs neither PyTorch nor Numba."""
    source = made_checkpoint(tmp_path / "a.safetensors", "bi-mamba")
    script = (
        "import sys; from xnorscan.models.convert import convert; from xnorscan.models.config import ModelConfig\n"
        "convert(sys.argv[1], eval(sys.argv[2]), sys.argv[3])\n"
        "assert not {'torch', 'numba', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(source), repr(BI_MAMBA), str(tmp_path / "m")], check=True)


def test_a_directory_is_named_in_the_provenance(tmp_path: Path) -> None:
    directory = tmp_path / "Bi-Mamba"
    directory.mkdir()
    made_checkpoint(directory / "model.safetensors", "bi-mamba")
    convert(directory, BI_MAMBA, tmp_path / "m")
    assert read_packed(tmp_path / "m").provenance["source"] == "Bi-Mamba"
    assert Checkpoint.open(directory).path == directory
