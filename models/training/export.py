"""From a training checkpoint to a checkpoint with the published key names."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import save_file


def export(checkpoint: Path, destination: Path) -> Path:
    """Write the model of a training checkpoint as safetensors, latents under Bi-Mamba's keys; all or nothing."""
    state = torch.load(checkpoint, weights_only=True)["model"]
    temporary = destination.with_suffix(".tmp")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary)
    os.replace(temporary, destination)
    return destination
