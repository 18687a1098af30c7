"""What a sequence carries from token to token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..models.config import ModelConfig


@dataclass(frozen=True)
class LayerState:
    """One layer's memories, updated in place.

    ``conv`` int32 [sequences, channels, taps − 1] (``VECTOR``): the last inputs of the convolution, oldest first;
    ``scan`` int32 [sequences, heads, headdim, d_state] (Mamba-2) or [sequences, channels, d_state] (Mamba-1).
    """

    conv: np.ndarray
    scan: np.ndarray


State = tuple[LayerState, ...]


def zero_state(config: ModelConfig, sequences: int) -> State:
    """The state before the first token of every sequence."""
    heads = (config.nheads, config.headdim) if config.family == "mamba2" else (config.d_inner,)
    return tuple(
        LayerState(
            np.zeros((sequences, config.conv_dim, config.d_conv - 1), np.int32),
            np.zeros((sequences, *heads, config.d_state), np.int32),
        )
        for _ in range(config.layers)
    )
