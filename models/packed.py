"""``PackedModel``: a model with its one-bit planes packed, and the file that keeps it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .config import ModelConfig
from .layout import Shape, layout
from .packing import padding_is_zero, words_for
from .safetensors_file import SafetensorsFile, SafetensorsWriter

FORMAT = "xnorscan-packed"
SCHEMA_VERSION = 1
LINEAR_PARTS = ("planes", "coefficients", "pre", "shift")


@dataclass(frozen=True)
class PackedLinear:
    """A linear layer whose weights are scaled one-bit planes.

    ``y = Σ_p coefficients[p] · (B_p · (pre ⊙ x)) + shift · x``, with B_p ∈ {−1, +1} and shift · x one number that all
    outputs share. FBI-Linear is one plane with coefficient 1, pre = α and shift = β.

    ``planes``: uint64 [P, outputs, words]; bit i of word w belongs to input 64·w + i, 1 means +1, padding bits are 0.
    ``inputs``: columns. ``coefficients``: float32 [P]. ``pre``, ``shift``: float32 [inputs].

    Raises ``ValueError`` naming the part that does not fit.
    """

    planes: np.ndarray
    inputs: int
    coefficients: np.ndarray
    pre: np.ndarray
    shift: np.ndarray

    def __post_init__(self) -> None:
        count = self.planes.shape[0] if self.planes.ndim == 3 else 0
        if self.planes.dtype != np.uint64 or not count or self.planes.shape[2] != words_for(self.inputs):
            raise ValueError(
                f"planes are {self.planes.dtype} {list(self.planes.shape)}, "
                f"uint64 [P, outputs, {words_for(self.inputs)}] holds {self.inputs} inputs"
            )
        if not padding_is_zero(self.planes, self.inputs):
            raise ValueError(f"a padding bit past input {self.inputs} of the planes is 1, it must be 0")
        for part, length in (("coefficients", count), ("pre", self.inputs), ("shift", self.inputs)):
            values = getattr(self, part)
            if values.dtype != np.float32 or values.shape != (length,):
                raise ValueError(f"{part} is {values.dtype} {list(values.shape)}, float32 [{length}] is needed")
            if not np.isfinite(values).all():
                raise ValueError(f"{part} holds a value that is not finite")

    @property
    def outputs(self) -> int:
        """Rows."""
        return int(self.planes.shape[1])


@dataclass(frozen=True)
class PackedModel:
    """A model ready to run.

    ``linears``: the binarized layers by name (``layers.0.mixer.in_proj``). ``tensors``: everything else, float16 or
    float32, by name (``layers.0.mixer.conv1d.weight``, ``embedding.weight``, ``norm_f.weight``); a linear that is not
    binarized is a tensor here (``layers.0.mixer.x_proj.weight`` [outputs, inputs]). A tied head has no tensor of its
    own. ``provenance``: where the weights come from, as the maker states it.

    Raises ``ValueError``, naming model and tensor, where the parts are not exactly those of ``layout(config)``.
    """

    config: ModelConfig
    linears: Mapping[str, PackedLinear]
    tensors: Mapping[str, np.ndarray]
    provenance: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.config.layers > len(self.tensors):
            raise ValueError(f"{self.config.name}: {len(self.tensors)} tensors cannot be {self.config.layers} layers")
        expected = layout(self.config)
        _check_shapes(self.config, expected.linears, {k: (v.outputs, v.inputs) for k, v in self.linears.items()})
        _check_shapes(self.config, expected.tensors, {k: v.shape for k, v in self.tensors.items()})
        for name, tensor in self.tensors.items():
            if tensor.dtype not in (np.float16, np.float32):
                raise ValueError(f"{self.config.name}: {name} is {tensor.dtype}, it must be float16 or float32")


def write_packed(model: PackedModel, path: str | os.PathLike[str]) -> None:
    """Write ``model`` to ``path`` as safetensors with its configuration inside; all or nothing.

    ``pre``, ``shift``, ``coefficients`` are written as float32, tensors in their dtype: reading gives the model back.
    """
    parts = {
        f"{name}.{part}": getattr(linear, part) for name, linear in model.linears.items() for part in LINEAR_PARTS
    } | dict(model.tensors)
    spelling = {np.dtype(np.uint64): "U64", np.dtype(np.float32): "F32", np.dtype(np.float16): "F16"}
    ordered = dict(sorted(parts.items(), key=lambda item: -item[1].dtype.itemsize))
    entries = {name: (spelling[values.dtype], values.shape) for name, values in ordered.items()}
    with SafetensorsWriter(path, entries, packed_metadata(model.config, model.provenance)) as writer:
        for name, values in ordered.items():
            writer.append(name, values)


def read_packed(path: str | os.PathLike[str]) -> PackedModel:
    """Read what ``write_packed`` or ``convert`` wrote.

    ``pre`` and ``shift`` are float32 whatever the file keeps them in. Raises ``ValueError``, naming file and tensor,
    where the file is no packed model, is of another schema version, truncated, or lacks or adds a tensor.
    """
    path = Path(path)
    file = SafetensorsFile.open(path)
    config, provenance = _read_metadata(path, file.metadata)
    suffix = f".{LINEAR_PARTS[0]}"
    names = [name.removesuffix(suffix) for name in file.tensors if name.endswith(suffix)]
    linears = {name: _read_linear(file, name) for name in names}
    used = {f"{name}.{part}" for name in names for part in LINEAR_PARTS}
    tensors = {name: file.read(name) for name in file.tensors if name not in used}
    try:
        return PackedModel(config, linears, tensors, provenance)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def packed_metadata(config: ModelConfig, provenance: Mapping[str, str]) -> dict[str, str]:
    """What stands in the ``__metadata__`` of a packed file."""
    return {
        "format": FORMAT,
        "schema_version": str(SCHEMA_VERSION),
        "config": json.dumps(asdict(config)),
        "provenance": json.dumps(dict(provenance)),
    }


def _check_shapes(config: ModelConfig, expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> None:
    """Raise ``ValueError`` at the first name that only one of the two has, or that they hold in different shapes."""
    for name in [*expected, *found]:
        if name not in found:
            raise ValueError(f"{config.name}: {name} is missing")
        if name not in expected:
            raise ValueError(f"{config.name}: {name} is not part of the model")
        if found[name] != expected[name]:
            raise ValueError(f"{config.name}: {name} is {list(found[name])}, it must be {list(expected[name])}")


def _read_metadata(path: Path, metadata: Mapping[str, str]) -> tuple[ModelConfig, dict[str, str]]:
    """Configuration and provenance out of the metadata of a packed file."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: not a packed model; make one from a checkpoint with `xnorscan convert`")
    if metadata.get("schema_version") != str(SCHEMA_VERSION):
        raise ValueError(
            f"{path}: packed schema version {metadata.get('schema_version')}, this release reads {SCHEMA_VERSION}; "
            "convert the checkpoint again"
        )
    try:
        config = ModelConfig(**json.loads(metadata["config"]))
        provenance = {str(key): str(value) for key, value in json.loads(metadata["provenance"]).items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: the packed model's configuration cannot be read ({error})") from None
    return config, provenance


def _read_linear(file: SafetensorsFile, name: str) -> PackedLinear:
    """One packed layer out of ``file``."""
    missing = [part for part in LINEAR_PARTS if f"{name}.{part}" not in file.tensors]
    if missing:
        raise ValueError(f"{file.path}: {name}.{missing[0]} is missing")
    planes, coefficients, pre, shift = (file.read(f"{name}.{part}") for part in LINEAR_PARTS)
    try:
        return PackedLinear(
            planes, pre.size, coefficients.astype(np.float32), pre.astype(np.float32), shift.astype(np.float32)
        )
    except ValueError as error:
        raise ValueError(f"{file.path}: {name}: {error}") from None
