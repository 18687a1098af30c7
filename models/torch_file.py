"""PyTorch's pickled checkpoints (``.bin``, ``.pt``, ``.pth``), read without running what they hold."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from .safetensors_file import TensorInfo

if TYPE_CHECKING:
    import torch

REMAP_BYTES = 64 * 2**20
"""After so many bytes read a file is mapped anew: pages of a mapping count as memory until it is dropped."""

_BROKEN = (RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError)
"""What PyTorch's restricted unpickler raises on a damaged archive or pickle."""

_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


class TorchFile:
    """A pickled ``state_dict``, memory-mapped, its tensors read by rows. Same interface as ``SafetensorsFile``.

    Only ``torch.load(weights_only=True)`` touches the pickle, so no code in it runs. PyTorch (extra ``train``) is
    imported here and nowhere else in this room.

    Raises ``ValueError``, naming the file, where PyTorch is not installed, where the file is truncated, is no zip
    archive (PyTorch before 1.6), holds code or anything else than a flat dictionary of dense tensors.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._torch = _import_torch(self.path)
        self._state = self._map()
        self._mapped_bytes_read = 0
        self.tensors: Mapping[str, TensorInfo] = {
            name: TensorInfo(_spelling(tensor), tuple(tensor.shape)) for name, tensor in self._state.items()
        }

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows ``start:stop`` of ``name`` as [stop − start, …], bfloat16 widened to float32 (exact)."""
        if self._mapped_bytes_read > REMAP_BYTES:
            self._state = {}
            self._state = self._map()
            self._mapped_bytes_read = 0
        tensor = self._state[name].detach()
        rows = (tensor if tensor.ndim else tensor[None])[start:stop]
        if rows.dtype == self._torch.bfloat16:
            rows = rows.float()
        values = np.array(rows.numpy())
        self._mapped_bytes_read += values.nbytes
        return values

    def _map(self) -> dict[str, torch.Tensor]:
        """The state dictionary, its storages mapped from the file."""
        if not zipfile.is_zipfile(self.path):
            raise ValueError(f"{self.path}: truncated, or not saved by PyTorch 1.6 or later; save it again")
        try:
            state: Any = self._torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except pickle.UnpicklingError:
            raise ValueError(f"{self.path}: the pickle holds code or objects; only tensors are read") from None
        except _BROKEN as error:
            raise ValueError(f"{self.path}: PyTorch cannot read it ({str(error).splitlines()[0]})") from None
        if not isinstance(state, dict):
            raise ValueError(f"{self.path}: holds a {type(state).__name__}, not a state_dict of tensors")
        for name, value in state.items():
            if not isinstance(value, self._torch.Tensor) or value.layout != self._torch.strided or value.is_quantized:
                raise ValueError(f"{self.path}: entry {name} is no dense tensor; save the model's state_dict alone")
        return state


def _import_torch(path: Path) -> ModuleType:
    """The torch module, or a ``ValueError`` that says how to get it."""
    try:
        import torch
    except ImportError:
        raise ValueError(
            f"{path}: a pickle is read through PyTorch: pip install 'xnorscan[train]', or save it as safetensors"
        ) from None
    return torch


def _spelling(tensor: torch.Tensor) -> str:
    """The tensor's dtype as safetensors spells it where it is a float, as PyTorch does where not."""
    name = str(tensor.dtype).removeprefix("torch.")
    return _DTYPES.get(name, name)
