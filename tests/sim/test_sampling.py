"""Greedy and top-k choice from integer logits."""

from __future__ import annotations

import numpy as np
import pytest

from xnorscan.sim.formats import LOGIT
from xnorscan.sim.sampling import greedy, top_k


def logits_of(values: list[float]) -> np.ndarray:
    return np.rint(np.array(values) / LOGIT.ulp).clip(-LOGIT.greatest - 1, LOGIT.greatest).astype(np.int32)


def draws(logits: np.ndarray, k: int, temperature: float, count: int = 4000, seed: int = 120) -> np.ndarray:
    """Relative frequencies of ``count`` draws."""
    rng = np.random.default_rng(seed)
    drawn = [top_k(logits, k, temperature, rng) for _ in range(count)]
    return np.bincount(drawn, minlength=logits.size) / count


def test_greedy_takes_the_lowest_index_among_equals() -> None:
    assert greedy(logits_of([1, 5, 2, 5, -3])) == 1
    assert greedy(np.full(9, LOGIT.greatest, np.int32)) == 0
    assert greedy(np.array([-LOGIT.greatest - 1, -LOGIT.greatest], np.int32)) == 1


def test_equal_logits_rank_by_index() -> None:
    frequencies = draws(logits_of([2, 2, 2, 2]), 2, 1.0, count=200)
    assert frequencies[2:].tolist() == [0, 0]
    assert (frequencies[:2] > 0.3).all()


def test_a_seed_gives_the_same_draws() -> None:
    logits = np.random.default_rng(121).integers(-(1 << 17), 1 << 17, 256).astype(np.int32)
    first, second, other = (
        [top_k(logits, 40, 1.0, rng) for _ in range(50)] for rng in map(np.random.default_rng, (3, 3, 4))
    )
    assert first == second != other


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_frequencies_are_those_of_the_softmax(temperature: float) -> None:
    """The weights use the starts of the table's segments, at most 1.1 % too great; the draws scatter more."""
    values = [0.0, 1.0, 2.0, -1.0, 0.5]
    weights = np.exp(np.array(values) / temperature)
    weights[3] = 0
    expected = weights / weights.sum()
    assert draws(logits_of(values), 4, temperature) == pytest.approx(expected, abs=0.025)


@pytest.mark.parametrize("temperature", [1e-300, 1e-12, 1e-9, 1e-6, 1e-4, 1e-3])
def test_a_temperature_near_zero_is_greedy(temperature: float) -> None:
    """With differences from the least that logits can have to the greatest."""
    for values in ([0.1, 3.0, 2.0], [-32768.0, 32767.0, 0.0], [0.0, 8.0, 7.9], [0.0, 512.0, 256.0]):
        logits = logits_of(values)
        assert draws(logits, 3, temperature, count=30)[greedy(logits)] == 1.0
    if temperature <= 1e-9:
        assert draws(np.array([0, 1], np.int32), 2, temperature, count=30).tolist() == [0, 1]


@pytest.mark.parametrize("temperature", [1e6, 1e300, float("inf")])
def test_a_great_temperature_is_uniform(temperature: float) -> None:
    assert draws(logits_of([0, 9, -9, 3]), 4, temperature) == pytest.approx(np.full(4, 0.25), abs=0.03)


def test_k_beyond_the_vocabulary_is_the_vocabulary() -> None:
    assert (draws(logits_of([0.0, 0.1, 0.2]), 1000, 1.0) > 0.2).all()


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=rf"^top-k is {k}, it must be at least 1$"):
        top_k(logits_of([1, 2]), k, 1.0, np.random.default_rng(0))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=r"^temperature is .*, it must be above 0$"):
        top_k(logits_of([1, 2]), 1, temperature, np.random.default_rng(0))
