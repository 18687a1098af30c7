"""softplus, SiLU and 2^-t over every input that their formats have."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from oracles import integers
from oracles.nonlinear import silu as exact_silu
from oracles.stated import rounded_up, stated
from xnorscan.sim.formats import DECAY_FRACTION, DT, VECTOR
from xnorscan.sim.kernels import nonlinear
from xnorscan.sim.kernels.nonlinear import EXPONENT_FRACTION, exp2_negative, silu, softplus

X = np.arange(-VECTOR.greatest - 1, VECTOR.greatest + 1)
T = np.arange(23 << EXPONENT_FRACTION)


@numba.njit
def _over(x: np.ndarray, steps: np.ndarray, gates: np.ndarray) -> None:
    for i in range(x.size):
        steps[i] = softplus(x[i])
        gates[i] = silu(x[i])


@numba.njit
def _powers(t: np.ndarray, out: np.ndarray) -> None:
    for i in range(t.size):
        out[i] = exp2_negative(t[i])


@pytest.fixture(scope="module")
def results() -> dict[str, np.ndarray]:
    """Every result of every function."""
    steps, gates, powers = np.empty_like(X), np.empty_like(X), np.empty_like(T)
    _over(X, steps, gates)
    _powers(T, powers)
    return {"softplus": steps, "SiLU": gates, "exp2": powers}


EXACT = {
    "softplus": lambda: np.logaddexp(0.0, X * VECTOR.ulp),
    "SiLU": lambda: exact_silu(X * VECTOR.ulp),
    "exp2": lambda: np.exp2(-T / 2**EXPONENT_FRACTION),
}
ULP = {"softplus": DT.ulp, "SiLU": VECTOR.ulp, "exp2": 2.0**-DECAY_FRACTION}


@pytest.mark.parametrize("name", list(EXACT))
def test_greatest_error_is_the_stated_one(name: str, results: dict[str, np.ndarray]) -> None:
    error = float(np.abs(results[name] * ULP[name] - EXACT[name]()).max())
    assert rounded_up(error) == stated(nonlinear, name)


def test_integers_are_those_of_the_formulas(results: dict[str, np.ndarray]) -> None:
    some = [*range(0, X.size, 97), *range(X.size // 2 - 300, X.size // 2 + 300), 0, X.size - 1]
    assert [results["softplus"][i] for i in some] == [integers.softplus(int(X[i])) for i in some]
    assert [results["SiLU"][i] for i in some] == [integers.silu(int(X[i])) for i in some]
    some = [*range(0, T.size, 577), *range(2000)]
    assert [results["exp2"][i] for i in some] == [integers.exp2_negative(int(T[i])) for i in some]


def test_ranges(results: dict[str, np.ndarray]) -> None:
    assert results["softplus"].min() >= 0
    assert results["softplus"].max() <= DT.greatest
    assert np.abs(results["SiLU"]).max() <= VECTOR.greatest
    assert results["exp2"].min() >= 0
    assert results["exp2"].max() == (1 << DECAY_FRACTION) - 1, "one itself is not a decay"


def test_shapes_of_the_curves(results: dict[str, np.ndarray]) -> None:
    assert (np.diff(results["softplus"]) >= 0).all()
    assert (np.diff(results["exp2"]) <= 0).all()
    assert results["SiLU"][X == 0] == 0
    far = np.abs(X) >= 16 << VECTOR.fraction
    assert (results["SiLU"][far] == np.maximum(X, 0)[far]).all()


def test_a_decay_of_any_time_is_defined() -> None:
    for t in (21 << 16, (1 << 40) + 5, 1 << 62):
        assert exp2_negative(t) == 0
