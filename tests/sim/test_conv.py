"""The causal convolution: integers exactly, values nearly, and the same at every split."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.conv import causal_conv
from oracles.integers import conv_silu
from oracles.nonlinear import silu
from xnorscan.sim.formats import VECTOR
from xnorscan.sim.kernels.conv import conv1d_silu
from xnorscan.sim.prepare import mantissas

OFFSET = 3


def convolve(x: np.ndarray, tail: np.ndarray, weight: np.ndarray, exponent: int, bias: np.ndarray) -> tuple:
    """(out, clipped): ``x`` [sequences, length, OFFSET + channels]; ``tail`` is updated in place."""
    out = np.empty((*x.shape[:2], weight.shape[0]), np.int32)
    clipped = conv1d_silu(np.ascontiguousarray(x), OFFSET, tail, weight, exponent, bias, out)
    return out, clipped


def random_case(seed: int, taps: int = 4, length: int = 9) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.integers(-VECTOR.greatest - 1, VECTOR.greatest + 1, (2, length, OFFSET + 5)).astype(np.int32),
        "tail": rng.integers(-VECTOR.greatest - 1, VECTOR.greatest + 1, (2, 5, taps - 1)).astype(np.int32),
        "weight": rng.integers(-(1 << 15), 1 << 15, (5, taps)).astype(np.int16),
        "exponent": int(rng.integers(0, 20)),
        "bias": rng.integers(-(1 << 34), 1 << 34, 5),
    }


@pytest.mark.parametrize("taps", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("seed", [60, 61, 62])
def test_integers(taps: int, seed: int) -> None:
    case = random_case(seed, taps)
    padded = np.concatenate([case["tail"].transpose(0, 2, 1), case["x"][:, :, OFFSET:]], axis=1)
    out, clipped = convolve(**case)
    expected_clipped = 0
    for s, t, c in np.ndindex(out.shape):
        window = padded[s, t : t + taps, c].tolist()
        value, was = conv_silu(window, case["weight"][c].tolist(), case["exponent"], int(case["bias"][c]))
        assert out[s, t, c] == value
        expected_clipped += was
    assert clipped == expected_clipped
    assert case["tail"].tolist() == padded[:, padded.shape[1] - taps + 1 :].transpose(0, 2, 1).tolist()


def test_values() -> None:
    """Against the float convolution: SiLU's stated error, and the rounding and mantissas before it."""
    rng = np.random.default_rng(63)
    weight, bias = rng.normal(0, 0.5, (5, 4)), rng.normal(0, 0.1, 5)
    held = mantissas(weight)
    x = np.rint(rng.normal(0, 2, (1, 40, OFFSET + 5)) / VECTOR.ulp).astype(np.int32)
    out, clipped = convolve(
        x,
        np.zeros((1, 5, 3), np.int32),
        held.values,
        held.exponent,
        np.rint(bias * 2.0 ** (VECTOR.fraction + held.exponent)).astype(np.int64),
    )
    exact = silu(causal_conv(x[0, :, OFFSET:] * VECTOR.ulp, weight, bias)[0])
    assert clipped == 0
    assert np.abs(out[0] * VECTOR.ulp - exact).max() < 9e-4


@given(st.integers(0, 1 << 32), st.lists(st.integers(1, 12), max_size=4))
def test_any_split_is_the_whole(seed: int, cuts: list[int]) -> None:
    case = random_case(seed, length=12)
    parts_tail = case["tail"].copy()
    whole, clipped = convolve(**case)
    edges = sorted({0, 12, *cuts})
    parts = [
        convolve(case["x"][:, begin:end], parts_tail, case["weight"], case["exponent"], case["bias"])
        for begin, end in pairwise(edges)
    ]
    assert np.concatenate([part for part, _ in parts], axis=1).tolist() == whole.tolist()
    assert sum(count for _, count in parts) == clipped
    assert parts_tail.tolist() == case["tail"].tolist()


def test_full_scale_sums_saturate() -> None:
    """All inputs, weights and the bias at their ends: the sum is exact and clipped once."""
    x = np.full((1, 1, OFFSET + 2), -VECTOR.greatest - 1, np.int32)
    tail = np.full((1, 2, 3), -VECTOR.greatest - 1, np.int32)
    weight = np.full((2, 4), -(1 << 15), np.int16)
    weight[1] = 32767
    out, clipped = convolve(x, tail, weight, 0, np.array([1 << 60, -(1 << 60)]))
    assert clipped == 2
    assert out.ravel().tolist() == [VECTOR.greatest, 0]
