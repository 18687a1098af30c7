"""Four ways to one FBI-Linear: dense, factored, {0, 1} and packed; and the authors' float16 evaluation."""

import numpy as np
import pytest

from oracles.fbi_linear import (
    dense_weight,
    fbi_linear_dense,
    fbi_linear_factored,
    fbi_linear_fp16_dense,
    fbi_linear_zero_one,
    signs_of,
    signs_of_plane,
)
from oracles.popcount import dot_xnor, words_to_int
from oracles.quantizers import quantize_pow2
from oracles.random_models import pack_fbi_linear, pack_plane
from xnorscan.models.packed import PackedLinear

OUTPUTS, INPUTS = 11, 130
RNG = np.random.default_rng(4)
SIGNS = np.where(RNG.random((OUTPUTS, INPUTS)) < 0.5, 1.0, -1.0)
SIGNS[0], SIGNS[1] = 1.0, -1.0
ALPHA = RNG.normal(0.05, 0.05, INPUTS).astype(np.float32)
BETA = RNG.normal(0, 0.01, INPUTS).astype(np.float32)
X = RNG.normal(size=(2, 3, INPUTS))


def test_dense_is_factored_is_zero_one_is_the_sum() -> None:
    assert (ALPHA <= 0).any(), "α of either sign must be met"
    dense = fbi_linear_dense(X, SIGNS, ALPHA, BETA)
    for o in range(OUTPUTS):
        terms = [(float(ALPHA[i]) * SIGNS[o, i] + float(BETA[i])) * X[1, 2, i] for i in range(INPUTS)]
        assert dense[1, 2, o] == pytest.approx(sum(terms), abs=1e-13)
    assert fbi_linear_factored(X, SIGNS, ALPHA, BETA) == pytest.approx(dense, abs=1e-13)
    assert fbi_linear_zero_one(X, SIGNS, ALPHA, BETA) == pytest.approx(dense, abs=1e-13)


def test_packed_weights_are_the_dense_ones() -> None:
    linear = pack_fbi_linear(SIGNS, ALPHA, BETA)
    assert signs_of_plane(linear.planes[0], INPUTS).tolist() == SIGNS.tolist()
    products = X @ dense_weight(linear).T
    assert products == pytest.approx(fbi_linear_dense(X, SIGNS, ALPHA, BETA), abs=1e-13)


def test_planes_add_up_with_their_coefficients() -> None:
    """A ternary weight is half the sum of two planes."""
    ternary = RNG.integers(-1, 2, (OUTPUTS, INPUTS))
    linear = PackedLinear(
        planes=np.stack([pack_plane(np.where(ternary >= 0, 1, -1)), pack_plane(np.where(ternary > 0, 1, -1))]),
        inputs=INPUTS,
        coefficients=np.array([0.5, 0.5], np.float32),
        pre=np.ones(INPUTS, np.float32),
        shift=np.zeros(INPUTS, np.float32),
    )
    assert dense_weight(linear).tolist() == ternary.tolist()


def test_the_popcount_array_computes_the_factored_form() -> None:
    """With α⊙x already an integer times a power of two, XNOR and popcount give the float form without error."""
    q, exponent = quantize_pow2(ALPHA * X[0])
    packed = pack_plane(SIGNS)
    for token in range(len(q)):
        sums = [dot_xnor(words_to_int(row), q[token].tolist()) for row in packed]
        exact = fbi_linear_factored(np.ldexp(q[token], exponent[token]), SIGNS, np.ones(INPUTS), np.zeros(INPUTS))
        assert np.ldexp(sums, exponent[token]).tolist() == exact.tolist()


def test_a_latent_zero_is_minus_one() -> None:
    assert signs_of(np.array([-1.0, -0.0, 0.0, 1e-30])).tolist() == [-1, -1, -1, 1]


def test_fp16_columns_hold_two_values_within_the_published_bound() -> None:
    one_hot = np.eye(INPUTS)
    got = fbi_linear_fp16_dense(one_hot, SIGNS, ALPHA, BETA).astype(np.float64).T
    alpha, beta = ALPHA.astype(np.float16).astype(np.float64), BETA.astype(np.float16).astype(np.float64)
    exact = alpha * SIGNS + beta
    assert all(len(set(column)) == 2 for column in got.T)
    assert (np.abs(got - exact) <= 2.0**-11 * np.abs(exact) + 2.0**-25).all()
    assert (got != exact).any(), "some α + β must not be a float16, or the bound is not tested"


def test_fp16_dense_is_near_the_factored_form() -> None:
    exact = fbi_linear_factored(X, SIGNS, ALPHA, BETA)
    got = fbi_linear_fp16_dense(X, SIGNS, ALPHA, BETA)
    assert got.dtype == np.float16
    magnitude = np.abs(X) @ np.abs(ALPHA * SIGNS + BETA).T
    assert (np.abs(got - exact) <= 2.0**-9 * magnitude + 2.0**-10).all()
    assert np.abs(got - exact).max() > 0
