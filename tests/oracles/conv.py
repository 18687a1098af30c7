"""Causal depthwise convolution, float64: whole sequences and single steps, written apart from each other.

    y_t[c] = Σ_{k=0..taps−1} weight[c, k]·x_{t−taps+1+k}[c] + bias[c]      (weight[:, taps−1] meets the current sample)

The history is the last taps − 1 inputs, oldest first, [taps − 1, channels]. No activation is applied.
"""

from __future__ import annotations

import numpy as np


def causal_conv(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, history: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """``x`` [length, channels], ``weight`` [channels, taps], ``bias`` [channels] → y like ``x``, new history."""
    x, weight = np.asarray(x, np.float64), np.asarray(weight, np.float64)
    taps = weight.shape[1]
    before = np.zeros((taps - 1, x.shape[1])) if history is None else history
    padded = np.concatenate([before, x])
    full = np.stack([np.convolve(padded[:, c], weight[c, ::-1]) for c in range(x.shape[1])], axis=1)
    return full[taps - 1 : taps - 1 + len(x)] + np.asarray(bias, np.float64), padded[len(x) :]


def conv_step(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, history: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One sample: ``x`` [channels] → y [channels], new history: shift left, append, dot, bias."""
    seen = np.vstack([history, np.asarray(x, np.float64)])
    return np.einsum("kc,ck->c", seen, np.asarray(weight, np.float64)) + np.asarray(bias, np.float64), seen[1:]
