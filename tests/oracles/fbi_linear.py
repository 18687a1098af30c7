"""FBI-Linear (FBI-LLM@ec98ddd, Bi-Mamba@5061857: ``BinaryLinearWscales`` with ``scaling_pattern="column"``).

    W~[o, i] = α[i]·S[o, i] + β[i]        y[o] = Σ_i W~[o, i]·x[i] = Σ_i S[o, i]·(α[i]·x[i]) + Σ_i β[i]·x[i]

S is ±1: +1 iff the latent weight is > 0 (the published code's ``torch.sign`` leaves 0 at an exact zero, the paper does
not). Shapes: ``x`` [..., inputs], ``signs`` [outputs, inputs], ``alpha`` and ``beta`` [inputs] → [..., outputs].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xnorscan.models.packed import PackedLinear


def signs_of(latent: np.ndarray) -> np.ndarray:
    """±1 float64 of latent weights: +1 iff > 0."""
    return np.where(np.asarray(latent) > 0, 1.0, -1.0)


def signs_of_plane(plane: np.ndarray, inputs: int) -> np.ndarray:
    """±1 float64 [outputs, inputs] of one packed plane, uint64 [outputs, words], bit i of word w = input 64·w + i."""
    columns = np.arange(inputs)
    bits = (plane[:, columns // 64] >> (columns % 64).astype(np.uint64)) & np.uint64(1)
    return 2.0 * bits.astype(np.float64) - 1.0


def dense_weight(linear: PackedLinear) -> np.ndarray:
    """W~ float64 [outputs, inputs] of a packed linear: Σ_p a_p·B_p·diag(pre) + 1·shift^T."""
    planes = sum(
        float(a) * signs_of_plane(plane, linear.inputs)
        for a, plane in zip(linear.coefficients, linear.planes, strict=True)
    )
    return np.asarray(planes * linear.pre.astype(np.float64) + linear.shift.astype(np.float64))


def fbi_linear_dense(x: np.ndarray, signs: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The two-value form: every column of W~ holds only β + α and β − α. float64."""
    alpha, beta = np.asarray(alpha, np.float64), np.asarray(beta, np.float64)
    weight = np.where(np.asarray(signs) > 0, beta + alpha, beta - alpha)
    return np.asarray(x, np.float64) @ weight.T


def fbi_linear_factored(x: np.ndarray, signs: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The hardware's form: α before the ±1 sum, β as one dot product that all outputs share. float64."""
    x = np.asarray(x, np.float64)
    shared = x @ np.asarray(beta, np.float64)
    return (x * np.asarray(alpha, np.float64)) @ np.asarray(signs, np.float64).T + shared[..., None]


def fbi_linear_zero_one(x: np.ndarray, signs: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The {0, 1} form, y = 2·Σ_{S=+1} α·x + Σ (β − α)·x: the correction of the bits folds into the shared product."""
    x, alpha, beta = np.asarray(x, np.float64), np.asarray(alpha, np.float64), np.asarray(beta, np.float64)
    chosen = (x * alpha) @ (np.asarray(signs) > 0).astype(np.float64).T
    return 2.0 * chosen + (x @ (beta - alpha))[..., None]


def fbi_linear_fp16_dense(x: np.ndarray, signs: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """What the authors' evaluation computes: float16 weights w± = rn16(rn16(±α) + rn16(β)), float16 x, float32 sums.

    Returns float16 [..., outputs]. The order of the float32 additions is not specified by the original either, so the
    last bit of a result may differ from a GPU's; a weight differs from ±α + β of the same float16 α and β by at
    most 2^-11 of its magnitude (plus 2^-25 below the normal range).
    """
    plus = np.asarray(alpha, np.float16) + np.asarray(beta, np.float16)
    minus = np.asarray(beta, np.float16) - np.asarray(alpha, np.float16)
    weight = np.where(np.asarray(signs) > 0, plus, minus)
    return np.asarray(np.asarray(x, np.float16).astype(np.float32) @ weight.astype(np.float32).T).astype(np.float16)
