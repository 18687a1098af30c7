"""``PackedLinear`` and ``PackedModel`` refuse what does not fit; the file gives back what was written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from oracles.fbi_linear import dense_weight
from oracles.random_models import random_packed_model, tiny_config
from xnorscan.models.packed import PackedLinear, PackedModel, packed_metadata, read_packed, write_packed
from xnorscan.models.packing import pack_signs

MODEL = random_packed_model(tiny_config("mamba2"), seed=3)
OUT_PROJ = "layers.1.mixer.out_proj"


def made_linear(**changes: Any) -> PackedLinear:
    """A layer of 3 outputs and 70 inputs."""
    planes = pack_signs(np.random.default_rng(0).normal(size=(3, 70)))[None]
    parts = {
        "planes": planes,
        "inputs": 70,
        "coefficients": np.ones(1, np.float32),
        "pre": np.ones(70, np.float32),
        "shift": np.zeros(70, np.float32),
    }
    return PackedLinear(**(parts | changes))


def set_bit(planes: np.ndarray, word: int, bit: int) -> np.ndarray:
    """A copy of ``planes`` with one bit of its last row set."""
    changed = planes.copy()
    changed[-1, -1, word] |= np.uint64(1) << np.uint64(bit)
    return changed


def same(a: PackedModel, b: PackedModel) -> bool:
    """Equal in every part, dtypes and bits included."""

    def content(model: PackedModel) -> dict[str, tuple[Any, ...]]:
        arrays = dict(model.tensors)
        for name, linear in model.linears.items():
            arrays |= {f"{name} {part}": getattr(linear, part) for part in ("planes", "coefficients", "pre", "shift")}
            arrays[f"{name} inputs"] = np.array(linear.inputs)
        return {name: (values.dtype, values.shape, values.tobytes()) for name, values in arrays.items()}

    return a.config == b.config and dict(a.provenance) == dict(b.provenance) and content(a) == content(b)


def edited(path: Path, edit: Callable[[dict[str, np.ndarray], dict[str, str]], None]) -> Path:
    """``MODEL``'s file with its tensors and metadata edited, by the safetensors package."""
    write_packed(MODEL, path)
    tensors = load_file(path)
    metadata = packed_metadata(MODEL.config, MODEL.provenance)
    edit(tensors, metadata)
    save_file(tensors, path, metadata=metadata)
    return path


def test_outputs() -> None:
    assert made_linear().outputs == 3


def test_a_packed_layer_is_the_sum_of_its_planes() -> None:
    rng = np.random.default_rng(5)
    latents = rng.normal(size=(2, 3, 70))
    linear = made_linear(
        planes=np.stack([pack_signs(latent) for latent in latents]),
        coefficients=np.array([2.0, 0.5], np.float32),
        pre=rng.normal(size=70).astype(np.float32),
        shift=rng.normal(size=70).astype(np.float32),
    )
    signs = np.where(latents > 0, 1.0, -1.0)
    expected = (2.0 * signs[0] + 0.5 * signs[1]) * linear.pre.astype(float) + linear.shift.astype(float)
    np.testing.assert_allclose(dense_weight(linear), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"planes": np.zeros((3, 2), np.uint64)}, r"planes are uint64 \[3, 2\], uint64 \[P, outputs, 2\] holds 70"),
        ({"planes": np.zeros((0, 3, 2), np.uint64)}, r"planes are uint64 \[0, 3, 2\]"),
        ({"planes": np.zeros((1, 3, 1), np.uint64)}, r"planes are uint64 \[1, 3, 1\]"),
        ({"planes": np.zeros((1, 3, 2), np.int64)}, r"planes are int64"),
        ({"planes": set_bit(made_linear().planes, 1, 6)}, "a padding bit past input 70 of the planes is 1"),
        ({"coefficients": np.ones(2, np.float32)}, r"coefficients is float32 \[2\], float32 \[1\] is needed"),
        ({"pre": np.ones(70)}, r"pre is float64 \[70\], float32 \[70\] is needed"),
        ({"shift": np.ones((1, 70), np.float32)}, r"shift is float32 \[1, 70\], float32 \[70\] is needed"),
        ({"pre": np.full(70, np.inf, np.float32)}, "pre holds a value that is not finite"),
    ],
)
def test_a_layer_refuses_what_does_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made_linear(**changes)


def test_the_last_input_is_no_padding() -> None:
    assert made_linear(planes=set_bit(made_linear().planes, 1, 5)).planes[0, -1, 1] >> np.uint64(5) == 1


@pytest.mark.parametrize("family", ["mamba1", "mamba2"])
@pytest.mark.parametrize("binarized", [True, False])
def test_what_was_written_is_read(family: Any, binarized: bool, tmp_path: Path) -> None:
    model = random_packed_model(tiny_config(family, binarized=binarized), seed=1)
    halves = {n: t.astype(np.float16) if n.endswith("conv1d.weight") else t for n, t in model.tensors.items()}
    model = replace(model, tensors=halves, provenance={"source": "β of a test", "seed": "1"})
    write_packed(model, tmp_path / "m")
    assert same(read_packed(tmp_path / "m"), model)
    assert os.listdir(tmp_path) == ["m"]


def test_writing_is_deterministic(tmp_path: Path) -> None:
    for name in "ab":
        write_packed(MODEL, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_scales_kept_as_float16_are_widened(tmp_path: Path) -> None:
    def halve(tensors: dict[str, np.ndarray], _: dict[str, str]) -> None:
        tensors[f"{OUT_PROJ}.pre"] = tensors[f"{OUT_PROJ}.pre"].astype(np.float16)

    found = read_packed(edited(tmp_path / "m", halve)).linears[OUT_PROJ].pre
    assert found.dtype == np.float32
    assert (found == MODEL.linears[OUT_PROJ].pre.astype(np.float16)).all()


MODELS = {
    "linear missing": (lambda m: {"linears": {k: v for k, v in m.linears.items() if k != OUT_PROJ}}, "is missing"),
    "linear extra": (lambda m: {"linears": {**m.linears, "x": made_linear()}}, "x is not part of the model"),
    "linear shape": (
        lambda m: {"linears": {**m.linears, OUT_PROJ: made_linear()}},
        r"\[3, 70\], it must be \[36, 72\]",
    ),
    "tensor missing": (
        lambda m: {"tensors": {k: v for k, v in m.tensors.items() if k != "norm_f.weight"}},
        "norm_f.weight is missing",
    ),
    "tied head": (
        lambda m: {"tensors": {**m.tensors, "lm_head.weight": m.tensors["embedding.weight"]}},
        "lm_head.weight is not part of the model",
    ),
    "tensor shape": (
        lambda m: {"tensors": {**m.tensors, "norm_f.weight": np.ones(35, np.float32)}},
        r"norm_f.weight is \[35\], it must be \[36\]",
    ),
    "tensor dtype": (
        lambda m: {"tensors": {**m.tensors, "norm_f.weight": np.ones(36)}},
        "norm_f.weight is float64, it must be float16 or float32",
    ),
    "absurd layers": (
        lambda m: {"config": replace(m.config, layers=10**12)},
        "tensors cannot be 1000000000000 layers",
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_model_refuses_what_is_not_in_its_layout(case: str) -> None:
    change, message = MODELS[case]
    with pytest.raises(ValueError, match=f"^generated: .*{message}"):
        replace(MODEL, **change(MODEL))


def drop(name: str) -> Callable[[dict[str, np.ndarray], dict[str, str]], None]:
    return lambda tensors, metadata: tensors.pop(name, None) is None and metadata.pop(name)


def put(**changes: str) -> Callable[[dict[str, np.ndarray], dict[str, str]], None]:
    return lambda tensors, metadata: metadata.update(changes)


def put_config(**changes: Any) -> Callable[[dict[str, np.ndarray], dict[str, str]], None]:
    """Change fields of the configuration; ``None`` removes one."""

    def edit(_: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
        fields = json.loads(metadata["config"]) | changes
        metadata["config"] = json.dumps({name: value for name, value in fields.items() if value is not None})

    return edit


FILES = {
    "another safetensors": (drop("format"), "not a packed model; make one from a checkpoint with `xnorscan convert`"),
    "another version": (put(schema_version="2"), "packed schema version 2, this release reads 1"),
    "no config": (drop("config"), r"configuration cannot be read \('config'\)"),
    "config no JSON": (put(config="{"), "configuration cannot be read"),
    "config a list": (put(config="[]"), "configuration cannot be read"),
    "config lacks": (put_config(layers=None), "configuration cannot be read .*layers"),
    "config adds": (put_config(colour=1), "configuration cannot be read .*colour"),
    "config of text": (put_config(layers="2"), "configuration cannot be read"),
    "config of fractions": (put_config(layers=1.5), "layers is 1.5, it must be a whole number"),
    "config without a number": (put_config(norm_eps="x"), "norm_eps is 'x', it must be a number from 0 to below 1"),
    "family unknown": (put_config(family="rnn"), "configuration cannot be read"),
    "provenance a list": (put(provenance="[]"), "configuration cannot be read"),
    "part missing": (drop(f"{OUT_PROJ}.shift"), f"{OUT_PROJ}.shift is missing"),
    "planes missing": (drop(f"{OUT_PROJ}.planes"), f"{OUT_PROJ} is missing"),
    "tensor missing": (drop("norm_f.weight"), "norm_f.weight is missing"),
    "another size": (put_config(d_state=6), "generated: .* it must be"),
    "scalar scales": (
        lambda tensors, _: tensors.update({f"{OUT_PROJ}.pre": np.array(1, np.float32)}),
        rf"{OUT_PROJ}: planes are uint64 \[1, 36, 2\], uint64 \[P, outputs, 1\] holds 1 inputs",
    ),
    "padding": (
        lambda tensors, _: tensors.update({f"{OUT_PROJ}.planes": set_bit(tensors[f"{OUT_PROJ}.planes"], 1, 9)}),
        f"{OUT_PROJ}: a padding bit past input 72 of the planes is 1",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_packed_model_is_refused(case: str, tmp_path: Path) -> None:
    edit, message = FILES[case]
    path = edited(tmp_path / "m", edit)
    with pytest.raises(ValueError, match=message) as caught:
        read_packed(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    write_packed(MODEL, tmp_path / "m")
    os.truncate(tmp_path / "m", (tmp_path / "m").stat().st_size - 1)
    with pytest.raises(ValueError, match="truncated: the header describes"):
        read_packed(tmp_path / "m")
