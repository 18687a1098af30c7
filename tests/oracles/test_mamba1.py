"""Mamba-1: the sequential scan is the associative one, steps are the prefill, and both are the equations."""

import math

import numpy as np
import pytest

from oracles.mamba1 import language_model, selective_scan, selective_scan_associative, weights_from_packed
from oracles.random_models import random_packed_model, tiny_config

CHANNELS, STATE = 6, 5


Array = np.ndarray


def scan_arguments(
    length: int, seed: int
) -> tuple[tuple[Array, Array, Array, Array, Array, Array, Array, Array], Array]:
    """u, delta, A, B, C, D, z and delta's bias; and a state to start from."""
    rng = np.random.default_rng(seed)
    arguments = (
        rng.normal(size=(length, CHANNELS)),
        rng.normal(size=(length, CHANNELS)),
        -rng.uniform(1, 16, (CHANNELS, STATE)),
        rng.normal(size=(length, STATE)),
        rng.normal(size=(length, STATE)),
        rng.normal(size=CHANNELS),
        rng.normal(size=(length, CHANNELS)),
        rng.normal(-3, 1, CHANNELS),
    )
    return arguments, rng.normal(size=(CHANNELS, STATE))


def test_two_steps_by_hand() -> None:
    column = [np.array(v).reshape(2, 1) for v in ([2.0, 3.0], [0.5, 0.25], [5.0, 7.0], [11.0, 13.0], [1.0, -1.0])]
    u, delta, b, c, z = column
    steps = [math.log1p(math.exp(v + 0.125)) for v in (0.5, 0.25)]
    first = math.exp(-steps[0]) * 1.0 + steps[0] * 5 * 2
    second = math.exp(-steps[1]) * first + steps[1] * 7 * 3
    one = np.ones((1, 1))
    out, state = selective_scan(u, delta, -one, b, c, np.array([17.0]), z, np.array([0.125]), one)
    gates = [1 / (1 + math.exp(-1)), -1 / (1 + math.exp(1))]
    assert out.ravel() == pytest.approx([(first * 11 + 34) * gates[0], (second * 13 + 51) * gates[1]], rel=1e-14)
    assert state.item() == pytest.approx(second, rel=1e-14)


@pytest.mark.parametrize("length", [1, 2, 7, 16, 33])
@pytest.mark.parametrize("carried", [False, True])
def test_sequential_is_associative(length: int, carried: bool) -> None:
    arguments, state = scan_arguments(length, 20)
    initial = state if carried else None
    out, last = selective_scan(*arguments, state=initial)
    associative, associative_last = selective_scan_associative(*arguments, state=initial)
    assert np.abs(associative - out).max() < 1e-12
    assert np.abs(associative_last - last).max() < 1e-12
    assert np.abs(state - scan_arguments(length, 20)[1]).max() == 0, "the state given is left alone"


@pytest.mark.parametrize("binarized", [True, False])
def test_model_prefill_is_decode_at_any_split(binarized: bool) -> None:
    config = tiny_config("mamba1", binarized=binarized)
    weights = weights_from_packed(random_packed_model(config, 21))
    ids = np.random.default_rng(22).integers(0, config.vocab_size, 12)
    whole, last = language_model(weights, ids)
    assert whole.shape == (12, config.vocab_size)
    assert np.abs(language_model(weights, ids, scan=selective_scan_associative)[0] - whole).max() < 1e-12
    for split in (0, 1, 2, 5, 12):
        logits, states = language_model(weights, ids[:split])
        rows = [logits]
        for i in range(split, 12):
            logits, states = language_model(weights, ids[i : i + 1], states)
            rows.append(logits)
        assert np.abs(np.vstack(rows) - whole).max() < 1e-12
        for one, other in zip(states, last, strict=True):
            assert np.abs(one.history - other.history).max() < 1e-12
            assert np.abs(one.scan - other.scan).max() < 1e-12


def test_a_model_is_causal_and_remembers() -> None:
    weights = weights_from_packed(random_packed_model(tiny_config("mamba1"), 23))
    ids = np.random.default_rng(24).integers(0, 19, 10)
    other = ids.copy()
    other[3] = (other[3] + 1) % 19
    difference = np.abs(language_model(weights, ids)[0] - language_model(weights, other)[0]).max(axis=1)
    assert (difference[:3] == 0).all()
    assert (difference[3:] > 1e-6).all(), "the convolution reaches 4 tokens, the state must reach the rest"
