"""From a published checkpoint to a packed model, a few rows at a time.

The released models keep dense latents, float32 or less, and scales per input channel; nothing in them is packed. A
bit is 1 iff the latent is > 0, taken from the latent as the file has it, before any rounding. The authors' evaluation
casts latents to float16 first, where those up to 2^-25 become 0 (``torch.sign``: neither −1 nor +1); the report counts
them. Source: LiqunMa/FBI-LLM@ec98ddd2 ``qat/learnable_binarizer.py``, ``eval.py``; Bi-Mamba shares the classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from .. import __version__
from .checkpoint import Checkpoint
from .config import ModelConfig
from .layout import HEAD, embedding_name, layout, match
from .packed import packed_metadata
from .packing import pack_signs, words_for
from .published import MODELS
from .safetensors_file import ITEM_BYTES, SafetensorsWriter

Keep = Literal["float16", "float32"]
Role = Literal["latent", "alpha", "beta", "kept"]
Progress = Callable[[int, int], None]

CHUNK_ITEMS = 2**21
"""Weights in memory at a time (or one row, where that is longer): 8 MiB as float32."""

FP16_LOST = 2.0**-25
"""Magnitudes up to this round to zero in float16: half its least subnormal, a tie, goes to even."""


@dataclass(frozen=True, kw_only=True)
class TensorReport:
    """What the converter found in one tensor; ``name`` as the checkpoint has it, ``dtype`` as safetensors spells it.

    ``zeros``: exact zeros. ``lost_to_fp16``: other values of a magnitude up to 2^-25. ``not_positive``: values ≤ 0.
    ``minimum``, ``maximum``: of the values. ``bytes_before``, ``bytes_after``: in the checkpoint, in the packed file.
    """

    name: str
    role: Role
    dtype: str
    shape: tuple[int, ...]
    zeros: int
    lost_to_fp16: int
    not_positive: int
    minimum: float
    maximum: float
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """What the converter found, tensor by tensor; ``bytes_after`` is the size of the packed file."""

    model: str
    keep: Keep
    tensors: tuple[TensorReport, ...]
    bytes_before: int
    bytes_after: int

    def total(self, role: Role, count: Literal["zeros", "lost_to_fp16", "not_positive"]) -> int:
        """The sum of a ``count`` over the tensors of ``role``: latents that are zero, α that are ≤ 0, …"""
        return sum(getattr(tensor, count) for tensor in self.tensors if tensor.role == role)

    def values(self, role: Role) -> int:
        """How many values the tensors of ``role`` have."""
        return sum(prod(tensor.shape) for tensor in self.tensors if tensor.role == role)

    def range(self, role: Role) -> tuple[float, float] | None:
        """Least and greatest value over the tensors of ``role``; ``None`` where there is none."""
        found = [tensor for tensor in self.tensors if tensor.role == role]
        return (min(t.minimum for t in found), max(t.maximum for t in found)) if found else None


def convert(
    source: str | os.PathLike[str],
    config: ModelConfig,
    destination: str | os.PathLike[str],
    *,
    keep: Keep = "float16",
    progress: Progress | None = None,
) -> ConversionReport:
    """Pack the checkpoint ``source`` of a model ``config`` into the file ``destination``.

    Planes are exact. α, β and every tensor that is not binarized are kept as ``keep``, rounded to nearest even.
    Memory does not grow with the checkpoint. ``progress`` is called with bytes read and bytes to read.

    Raises ``ValueError`` or ``OSError`` where the checkpoint cannot be read, does not fit ``config``, holds a value
    that is not finite or does not fit ``keep``, and where a tied head differs from the embedding. ``destination``
    then does not exist, or is what it was.
    """
    if keep not in get_args(Keep):
        raise ValueError(f"keep is {keep!r}, it must be one of {', '.join(get_args(Keep))}")
    checkpoint = Checkpoint.open(source)
    if Path(destination).resolve() in {path.resolve() for path in checkpoint.paths}:
        raise ValueError(f"{destination}: the checkpoint itself cannot be the destination")
    return _Conversion(checkpoint, config, keep, progress).write(Path(destination))


def guess_config(source: str | os.PathLike[str]) -> ModelConfig:
    """The model known by name whose tensors ``source`` has, name by name and shape by shape.

    Raises ``ValueError`` where there is none.
    """
    shapes = {name: info.shape for name, info in Checkpoint.open(source).tensors.items()}
    for config in MODELS.values():
        try:
            match(config, shapes, str(source))
        except ValueError:
            continue
        return config
    raise ValueError(f"{source}: its {len(shapes)} tensors are those of no model known by name")


class _Conversion:
    """One conversion under way: the checkpoint, the names that were matched, the bytes read so far."""

    def __init__(self, checkpoint: Checkpoint, config: ModelConfig, keep: Keep, progress: Progress | None) -> None:
        self.checkpoint, self.config, self.keep, self.progress = checkpoint, config, keep, progress
        self.infos = checkpoint.tensors
        self.names = match(config, {name: info.shape for name, info in self.infos.items()}, str(checkpoint.path))
        self.total_bytes = sum(self.infos[name].nbytes for name in self.names.values())
        self.bytes_read = 0

    def write(self, destination: Path) -> ConversionReport:
        """Stream every tensor into ``destination``: planes first, so that each part is aligned."""
        parts = layout(self.config)
        kept = "F16" if self.keep == "float16" else "F32"
        entries: dict[str, tuple[str, tuple[int, ...]]] = {}
        for name, (outputs, inputs) in parts.linears.items():
            entries[f"{name}.planes"] = ("U64", (1, outputs, words_for(inputs)))
        entries |= {f"{name}.coefficients": ("F32", (1,)) for name in parts.linears}
        for name, (_, inputs) in parts.linears.items():
            entries |= {f"{name}.pre": (kept, (inputs,)), f"{name}.shift": (kept, (inputs,))}
        entries |= {name: (kept, shape) for name, shape in parts.tensors.items()}
        provenance = {
            "source": self.checkpoint.path.name,
            "kept_as": self.keep,
            "converted_by": f"xnorscan {__version__}",
        }
        reports = []
        with SafetensorsWriter(destination, entries, packed_metadata(self.config, provenance)) as writer:
            for name in parts.linears:
                reports.append(self._pack(writer, name))
            for name in parts.linears:
                writer.append(f"{name}.coefficients", np.ones(1, np.float32))
            for name in parts.linears:
                reports.append(self._keep(writer, f"{name}.wscale", f"{name}.pre", "alpha"))
                reports.append(self._keep(writer, f"{name}.wbias", f"{name}.shift", "beta"))
            for name in parts.tensors:
                reports.append(self._keep(writer, name, name, "kept"))
            if self.config.tie_embeddings and HEAD in self.names:
                self._check_tied_head()
        return ConversionReport(
            model=self.config.name,
            keep=self.keep,
            tensors=tuple(reports),
            bytes_before=self.total_bytes,
            bytes_after=destination.stat().st_size,
        )

    def _pack(self, writer: SafetensorsWriter, linear: str) -> TensorReport:
        """Pack the latents of ``linear``."""
        name = f"{linear}.weight"
        found = _Findings()
        for rows in self._chunks(name):
            found.add(rows)
            writer.append(f"{linear}.planes", pack_signs(rows))
        outputs, inputs = self.infos[self.names[name]].shape
        return self._report(name, "latent", found, outputs * words_for(inputs) * 8)

    def _keep(self, writer: SafetensorsWriter, name: str, target: str, role: Role) -> TensorReport:
        """Write the checkpoint's tensor ``name`` (our spelling) as ``target``, rounded to ``self.keep``."""
        dtype = np.dtype(self.keep)
        limit = float(np.finfo(dtype).max)
        found = _Findings()
        for rows in self._chunks(name):
            with np.errstate(over="ignore"):
                rounded = rows.astype(dtype)
            if np.isinf(rounded).any():
                raise ValueError(
                    f"{self.checkpoint.path}: {self.names[name]} holds {np.abs(rows).max():.6g}, "
                    f"beyond the {limit:.6g} of {self.keep}"
                    + ("; keep it as float32" if self.keep == "float16" else "")
                )
            found.add(rows)
            writer.append(target, rounded)
        return self._report(name, role, found, prod(self.infos[self.names[name]].shape) * dtype.itemsize)

    def _check_tied_head(self) -> None:
        """Hold the checkpoint's head against its embedding."""
        for head, table in zip(self._chunks(HEAD), self._chunks(embedding_name(self.config), False), strict=True):
            if not np.array_equal(head, table):
                raise ValueError(
                    f"{self.checkpoint.path}: {HEAD} differs from the embedding, which {self.config.name} ties it to"
                )

    def _chunks(self, name: str, count: bool = True) -> Iterator[np.ndarray]:
        """The rows of ``name`` (our spelling), ``CHUNK_ITEMS`` at a time; ``count`` them as read."""
        theirs = self.names[name]
        info = self.infos[theirs]
        step = max(1, CHUNK_ITEMS // info.row_items)
        for start in range(0, info.rows, step):
            stop = min(start + step, info.rows)
            yield self.checkpoint.read_rows(theirs, start, stop)
            if count:
                self.bytes_read += (stop - start) * info.row_items * ITEM_BYTES[info.dtype]
            if self.progress:
                self.progress(self.bytes_read, self.total_bytes)

    def _report(self, name: str, role: Role, found: _Findings, bytes_after: int) -> TensorReport:
        """The report on ``name``."""
        info = self.infos[self.names[name]]
        return TensorReport(
            name=self.names[name],
            role=role,
            dtype=info.dtype,
            shape=info.shape,
            zeros=found.zeros,
            lost_to_fp16=found.lost_to_fp16,
            not_positive=found.not_positive,
            minimum=found.minimum,
            maximum=found.maximum,
            bytes_before=info.nbytes,
            bytes_after=bytes_after,
        )


class _Findings:
    """Counts and range of the values seen so far."""

    def __init__(self) -> None:
        self.zeros = self.lost_to_fp16 = self.not_positive = 0
        self.minimum, self.maximum = np.inf, -np.inf

    def add(self, rows: np.ndarray) -> None:
        """Take in ``rows``."""
        zeros = rows.size - int(np.count_nonzero(rows))
        self.zeros += zeros
        self.lost_to_fp16 += int(np.count_nonzero(np.abs(rows) <= FP16_LOST)) - zeros
        self.not_positive += int(np.count_nonzero(rows <= 0))
        self.minimum = min(self.minimum, float(rows.min()))
        self.maximum = max(self.maximum, float(rows.max()))
