"""The element-wise oracles against identities and plain loops."""

import math

import numpy as np
import pytest

from oracles.nonlinear import exp2, gated_rmsnorm, rmsnorm, silu, softplus

X = np.linspace(-60, 60, 4801)


def test_softplus() -> None:
    assert softplus(X) == pytest.approx([math.log1p(math.exp(x)) if x <= 20 else x for x in X], rel=1e-14)
    inside = X[np.abs(X) <= 20]
    assert softplus(inside) - softplus(-inside) == pytest.approx(inside, abs=1e-14)
    assert softplus(np.array([0.0]))[0] == pytest.approx(math.log(2))


def test_softplus_jumps_where_the_published_kernels_do() -> None:
    below, above = softplus(np.array([20.0, np.nextafter(20.0, 21.0)]))
    assert below - 20.0 == pytest.approx(2.06e-9, rel=1e-3)
    assert above == np.nextafter(20.0, 21.0)


def test_silu() -> None:
    assert silu(X) == pytest.approx([x / (1.0 + math.exp(-x)) for x in X], rel=1e-14)
    assert silu(X) + silu(-X) == pytest.approx(X * np.tanh(X / 2), abs=1e-13)


def test_no_overflow_far_out() -> None:
    far = np.array([-1e6, 1e6])
    with np.errstate(all="raise", under="ignore"):
        assert silu(far).tolist() == [0.0, 1e6]
        assert softplus(far).tolist() == [0.0, 1e6]


def test_exp2() -> None:
    assert exp2(np.arange(-20, 21)).tolist() == [math.ldexp(1.0, e) for e in range(-20, 21)]
    assert exp2(X / 10) == pytest.approx([2.0 ** (x / 10) for x in X], rel=1e-14)


def test_rmsnorm() -> None:
    rng = np.random.default_rng(1)
    x, weight = rng.normal(size=(3, 7)), rng.normal(size=7)
    for row, got in zip(x, rmsnorm(x, weight, 0.1), strict=True):
        root = math.sqrt(sum(v * v for v in row) / 7 + 0.1)
        assert got == pytest.approx([v / root * w for v, w in zip(row, weight, strict=True)], rel=1e-14)


def test_gated_rmsnorm_gates_first_and_norms_each_group() -> None:
    rng = np.random.default_rng(2)
    y, z, weight = rng.normal(size=(3, 8)), rng.normal(size=(3, 8)), rng.normal(size=8)
    whole = gated_rmsnorm(y, z, weight, 1e-5)
    assert whole == pytest.approx(rmsnorm(y * z / (1 + np.exp(-z)), weight, 1e-5), rel=1e-13)
    assert not np.allclose(whole, rmsnorm(y, weight, 1e-5) * silu(z), rtol=1e-2)
    halves = [gated_rmsnorm(y[:, h], z[:, h], weight[h], 1e-5) for h in (slice(0, 4), slice(4, 8))]
    assert gated_rmsnorm(y, z, weight, 1e-5, groups=2) == pytest.approx(np.hstack(halves), rel=1e-14)
