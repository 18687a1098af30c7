"""The element-wise functions and norms of the Mamba family (state-spaces/mamba@e9594ce), float64."""

from __future__ import annotations

import numpy as np

SOFTPLUS_THRESHOLD = 20.0


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + e^x), and x itself above 20, as every published kernel has it (a jump of 2.06e-9 at 20)."""
    x = np.asarray(x, np.float64)
    return np.where(x > SOFTPLUS_THRESHOLD, x, np.log1p(np.exp(np.minimum(x, SOFTPLUS_THRESHOLD))))


def silu(x: np.ndarray) -> np.ndarray:
    """x·sigmoid(x), without overflow for any finite x."""
    x = np.asarray(x, np.float64)
    small = np.exp(-np.abs(x))
    return x * np.where(x >= 0, 1.0, small) / (1.0 + small)


def exp2(x: np.ndarray) -> np.ndarray:
    """2^x."""
    return np.exp2(np.asarray(x, np.float64))


def rmsnorm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    """x·weight/√(mean(x²) + eps) over the last axis: ``x`` [..., channels], ``weight`` [channels]."""
    x = np.asarray(x, np.float64)
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * np.asarray(weight, np.float64)


def gated_rmsnorm(y: np.ndarray, z: np.ndarray, weight: np.ndarray, eps: float, groups: int = 1) -> np.ndarray:
    """The gate first, v = y·silu(z), then RMSNorm of v over each of ``groups`` equal runs of channels, then weight."""
    v = np.asarray(y, np.float64) * silu(z)
    grouped = v.reshape(*v.shape[:-1], groups, v.shape[-1] // groups)
    return rmsnorm(grouped, np.ones(grouped.shape[-1]), eps).reshape(v.shape) * np.asarray(weight, np.float64)
