"""PyTorch's pickled checkpoints (``.bin``, ``.pt``, ``.pth``), read without running what they hold."""

from __future__ import annotations

import os
import pickle
import struct
import warnings
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

_DAMAGED = (RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError, OverflowError, struct.error)
"""What PyTorch's restricted unpickler was seen to raise, beside ``UnpicklingError``, on damaged archives."""

_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


class TorchFile:
    """A pickled ``state_dict``, memory-mapped, its tensors read by rows. Same interface as ``SafetensorsFile``.

    Only ``torch.load(weights_only=True)`` touches the pickle, so no code in it runs. PyTorch (extra ``train``) is
    imported here and nowhere else in this room.

    Raises ``ValueError``, naming the file, where PyTorch is not installed, where the file is truncated, is no zip
    archive (PyTorch before 1.6), is damaged, holds code or anything else than a flat dictionary of dense tensors.
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
        """Rows ``start:stop`` of ``name``, as slicing gives them, bfloat16 widened to float32 (exact)."""
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
            with warnings.catch_warnings():  # about pickles that it is about to refuse
                warnings.simplefilter("ignore", UserWarning)
                state: Any = self._torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except pickle.UnpicklingError:
            raise ValueError(f"{self.path}: the pickle holds code, or is damaged; only tensors are read") from None
        except _DAMAGED as error:
            raise ValueError(f"{self.path}: damaged: PyTorch cannot read it ({type(error).__name__})") from None
        if not isinstance(state, dict):
            raise ValueError(f"{self.path}: holds a {type(state).__name__}, not a state_dict of tensors")
        for name, value in state.items():
            if not isinstance(name, str) or not name.isprintable() or not self._is_dense(value):
                raise ValueError(f"{self.path}: entry {name!r} is no named dense tensor; save the state_dict alone")
        return state

    def _is_dense(self, value: object) -> bool:
        """Whether ``value`` is a tensor whose rows NumPy can hold."""
        torch = self._torch
        return isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized


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
