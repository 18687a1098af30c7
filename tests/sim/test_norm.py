"""RMSNorm, gated RMSNorm and the gate against the float64 equations."""

from __future__ import annotations

import numpy as np
import pytest

from oracles import integers
from oracles.nonlinear import gated_rmsnorm as exact_gated
from oracles.nonlinear import rmsnorm as exact_rmsnorm
from oracles.nonlinear import silu as exact_silu
from oracles.stated import rounded_up, stated
from xnorscan.sim.formats import NORMED, RESIDUAL, SCANNED, VECTOR
from xnorscan.sim.kernels import norm
from xnorscan.sim.kernels.norm import GATED_FRACTION, gate, gated_rmsnorm, rmsnorm
from xnorscan.sim.prepare import Mantissas, mantissas

TOLERANCE = stated(norm, "float64:")
"""Of the row's greatest output; one unit in the last place comes on top."""


def weight_of(channels: int, seed: int) -> tuple[np.ndarray, Mantissas]:
    """A norm's weight as floats, and with sqrt(channels) folded in as mantissas."""
    weight = np.random.default_rng(seed).uniform(0.5, 1.5, channels)
    return weight, mantissas(weight * np.sqrt(channels))


def normed(x: np.ndarray, eps: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's and the oracle's outputs in units of ``NORMED``; ``x`` integers of ``RESIDUAL``."""
    weight, held = weight_of(x.shape[1], seed)
    out = np.empty(x.shape, np.int32)
    x = np.ascontiguousarray(x, np.int32)
    clipped = rmsnorm(x, round(x.shape[1] * eps * 4.0**RESIDUAL.fraction), held.values, held.exponent, out)
    exact = exact_rmsnorm(x * RESIDUAL.ulp, weight, eps) / NORMED.ulp
    assert clipped == (np.abs(exact) > NORMED.greatest + 1).sum()
    return out, np.clip(exact, -NORMED.greatest - 1, NORMED.greatest)


def assert_near(got: np.ndarray, exact: np.ndarray) -> None:
    """Within one unit and the tolerance of the row's greatest output."""
    assert (np.abs(got - exact) <= 1 + TOLERANCE * np.abs(exact).max(axis=1, keepdims=True)).all()


CHANNELS = [1, 2, 36, 128, 2560]
SCALES = [2.0**-16, 1e-3, 1.0, 100.0, 30000.0]


def rows_of(channels: int, scale: float) -> np.ndarray:
    """Normal rows, rows of one magnitude, and rows with one huge value, as integers of ``RESIDUAL``."""
    rng = np.random.default_rng(channels)
    rows = rng.normal(0, scale, (12, channels))
    rows[4:8] = rng.choice((-scale, scale), (4, channels))
    rows[8:, 0] *= 500
    return np.clip(np.rint(rows / RESIDUAL.ulp), -RESIDUAL.greatest - 1, RESIDUAL.greatest)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("scale", SCALES)
def test_rmsnorm(channels: int, scale: float) -> None:
    assert_near(*normed(rows_of(channels, scale), 1e-5, channels))


def test_greatest_error_is_the_stated_one() -> None:
    errors = []
    for channels in CHANNELS:
        for scale in SCALES:
            got, exact = normed(rows_of(channels, scale), 1e-5, channels)
            errors.append(((np.abs(got - exact) - 1) / np.abs(exact).max(axis=1, keepdims=True).clip(1)).max())
    assert rounded_up(max(errors)) == TOLERANCE


def test_rmsnorm_at_the_ends() -> None:
    """All zero, one unit, the least and the greatest residual, alone and everywhere."""
    x = np.zeros((6, 64))
    x[1, 3] = 1
    x[2] = RESIDUAL.greatest
    x[3] = -RESIDUAL.greatest - 1
    x[4, 5] = -RESIDUAL.greatest - 1
    x[5, :2] = RESIDUAL.greatest, 1
    got, exact = normed(x, 1e-5, 50)
    assert not got[0].any()
    assert_near(got, exact)


@pytest.mark.parametrize("eps", [0.0, 1e-12, 1e-2, 1.0])
@pytest.mark.parametrize("channels", [1, 128, 4096])
def test_rmsnorm_of_any_eps(eps: float, channels: int) -> None:
    """Tokens of a few units to nearly full scale; the eps of the greatest dwarfs them all."""
    x = np.random.default_rng(51).integers(1, 100, (4, channels)) * np.array([[1], [-7], [1000], [200000]])
    assert_near(*normed(x, eps, 51))


def test_zeros_without_eps_are_zeros() -> None:
    out = np.full((1, 5), 7, np.int32)
    assert rmsnorm(np.zeros((1, 5), np.int32), 0, np.ones(5, np.int16), 0, out) == 0
    assert not out.any()


def test_rmsnorm_saturates_and_counts() -> None:
    """One channel of 65536 holds all: its output is 256 times its weight."""
    x = np.zeros((1, 1 << 16))
    x[0, 7] = 1 << 20
    got, exact = normed(x, 1e-5, 52)
    assert got[0, 7] == NORMED.greatest
    assert_near(got, exact)


def gated(y: np.ndarray, z: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's and the oracle's outputs in units of ``NORMED``; the oracle gates with the exact SiLU."""
    channels = y.shape[1]
    weight = np.random.default_rng(53).uniform(0.5, 1.5, channels)
    held = mantissas(weight * np.sqrt(channels // groups))
    eps = round(channels // groups * 1e-5 * 4.0**GATED_FRACTION)
    out = np.empty(y.shape, np.int32)
    y, z = np.ascontiguousarray(y, np.int32), np.ascontiguousarray(z, np.int32)
    gated_rmsnorm(y, z, groups, eps, held.values, held.exponent, out)
    exact = exact_gated(y * SCANNED.ulp, z[:, :channels] * VECTOR.ulp, weight, 1e-5, groups) / NORMED.ulp
    return out, np.clip(exact, -NORMED.greatest - 1, NORMED.greatest)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("scale", [0.1, 1.0, 1000.0])
def test_gated_rmsnorm(groups: int, scale: float) -> None:
    """SiLU's own error, half a unit of ``VECTOR`` and its table's, comes on top of the norm's: 1e-3 of the row."""
    rng = np.random.default_rng(54)
    y = np.clip(np.rint(rng.normal(0, scale, (8, 72)) / SCANNED.ulp), -SCANNED.greatest - 1, SCANNED.greatest)
    z = np.rint(rng.normal(0, 2, (8, 90)) / VECTOR.ulp)
    y[0] = 0
    got, exact = gated(y, z, groups)
    assert (np.abs(got - exact) <= 2 + 1e-3 * np.abs(exact).max(axis=1, keepdims=True)).all()


def test_gated_rmsnorm_at_the_ends() -> None:
    y = np.full((2, 72), -SCANNED.greatest - 1)
    y[1, ::2] = SCANNED.greatest
    z = np.full((2, 72), VECTOR.greatest)
    assert_near(*gated(y, z, 1))


def test_each_group_is_normed_alone() -> None:
    rng = np.random.default_rng(55)
    y = rng.integers(-5000, 5000, (3, 72))
    z = rng.integers(-9000, 9000, (3, 72))
    whole, _ = gated(y, z, 2)
    y[:, 36:] *= 100
    changed, _ = gated(y, z, 2)
    assert (whole[:, :36] == changed[:, :36]).all()
    assert np.abs(whole[:, 36:] - changed[:, 36:]).max() < 1e-3 * np.abs(whole).max()


def test_gate() -> None:
    rng = np.random.default_rng(56)
    y = rng.integers(-SCANNED.greatest - 1, SCANNED.greatest + 1, (4, 9)).astype(np.int32)
    z = rng.integers(-VECTOR.greatest - 1, VECTOR.greatest + 1, (4, 12)).astype(np.int32)
    z[0] = VECTOR.greatest
    out = np.empty_like(y)
    clipped = gate(y, z, 3, out)
    exact = [
        [integers.half_even(int(a) * integers.silu(int(b)), 11) for a, b in zip(left, right[3:], strict=True)]
        for left, right in zip(y, z, strict=True)
    ]
    assert out.tolist() == [[integers.clip(value, 24) for value in row] for row in exact]
    assert clipped == sum(integers.clip(value, 24) != value for row in exact for value in row) > 0
    floats = y * SCANNED.ulp * exact_silu(z[:, 3:] * VECTOR.ulp)
    inside = np.abs(floats) < 4000
    assert np.abs(out * SCANNED.ulp - floats)[inside].max() <= 4096 * 5e-4 + SCANNED.ulp
