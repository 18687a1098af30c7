"""Mamba-2: the recurrence is the chunked form, steps are the prefill, and both are the equations."""

import math

import numpy as np
import pytest

from oracles.mamba1 import selective_scan
from oracles.mamba2 import (
    LayerState,
    Scan,
    bits_per_symbol,
    chunked_scan,
    language_model,
    recurrent_scan,
    segment_sums,
    weights_from_packed,
)
from oracles.nonlinear import silu
from oracles.random_models import random_packed_model, tiny_config

LENGTH, HEADS, HEADDIM, GROUPS, STATE = 21, 6, 3, 2, 5


Array = np.ndarray


def scan_arguments(seed: int) -> tuple[tuple[Array, Array, Array, Array, Array, Array], Array]:
    """x, dt, A, B, C, D; and a state to start from."""
    rng = np.random.default_rng(seed)
    arguments = (
        rng.normal(size=(LENGTH, HEADS, HEADDIM)),
        rng.uniform(0.001, 0.5, (LENGTH, HEADS)),
        -rng.uniform(1, 16, HEADS),
        rng.normal(size=(LENGTH, GROUPS, STATE)),
        rng.normal(size=(LENGTH, GROUPS, STATE)),
        rng.normal(size=HEADS),
    )
    return arguments, rng.normal(size=(HEADS, HEADDIM, STATE))


def test_two_steps_by_hand() -> None:
    x, b, c = (np.array(v).reshape(2, 1, 1) for v in ([2.0, 3.0], [5.0, 7.0], [11.0, 13.0]))
    dt, a, d = np.array([[0.5], [0.25]]), np.array([-1.0]), np.array([17.0])
    first = math.exp(-0.5) * 1.0 + 0.5 * 2 * 5
    second = math.exp(-0.25) * first + 0.25 * 3 * 7
    y, state = recurrent_scan(x, dt, a, b, c, d, np.ones((1, 1, 1)))
    assert y.ravel() == pytest.approx([first * 11 + 17 * 2, second * 13 + 17 * 3], rel=1e-14)
    assert state.item() == pytest.approx(second, rel=1e-14)


@pytest.mark.parametrize("chunk", [1, 4, 7, 16, LENGTH, 64])
@pytest.mark.parametrize("carried", [False, True])
def test_recurrent_is_chunked(chunk: int, carried: bool) -> None:
    arguments, state = scan_arguments(5)
    initial = state if carried else None
    y, last = recurrent_scan(*arguments, state=initial)
    chunked, chunked_last = chunked_scan(*arguments, state=initial, chunk=chunk)
    assert np.abs(chunked - y).max() < 1e-12
    assert np.abs(chunked_last - last).max() < 1e-12
    assert np.abs(state - scan_arguments(5)[1]).max() == 0, "the state given is left alone"


def test_segment_sums_are_sums() -> None:
    a = np.random.default_rng(6).normal(size=(2, 5))
    got = segment_sums(a)
    for i in range(5):
        for j in range(5):
            expected = a[:, j + 1 : i + 1].sum(axis=1) if i >= j else [-np.inf] * 2
            assert got[:, i, j] == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("scan", [recurrent_scan, chunked_scan])
def test_a_head_reads_its_own_group(scan: Scan) -> None:
    """Heads 0–2 read group 0 and heads 3–5 group 1: silence group 1 and only the D path of heads 3–5 is left."""
    x, dt, a, b, c, d = scan_arguments(7)[0]
    b[:, 1] = 0
    y, _ = scan(x, dt, a, b, c, d)
    assert y[:, 3:] == pytest.approx((x * d[:, None])[:, 3:], abs=1e-14)
    assert np.abs(y[:, :3] - (x * d[:, None])[:, :3]).max(axis=(0, 2)).min() > 1e-3


def test_a_mamba1_scan_with_tied_rates_is_a_mamba2_scan() -> None:
    """Equal A and dt over a head's channels and states: the two published equations are one."""
    (x, dt, a, b, c, d), state = scan_arguments(8)
    y, last = recurrent_scan(x, dt, a, b[:, :1], c[:, :1], d, state)
    z = np.random.default_rng(9).normal(size=(LENGTH, HEADS * HEADDIM))
    raw = np.repeat(np.log(np.expm1(dt)), HEADDIM, axis=1)
    out, last1 = selective_scan(
        x.reshape(LENGTH, -1), raw, np.repeat(a, HEADDIM)[:, None] * np.ones(STATE), b[:, 0], c[:, 0],
        np.repeat(d, HEADDIM), z, np.zeros(HEADS * HEADDIM), state.reshape(-1, STATE),
    )  # fmt: skip
    assert out == pytest.approx(y.reshape(LENGTH, -1) * silu(z), rel=1e-10, abs=1e-12)
    assert last1 == pytest.approx(last.reshape(-1, STATE), abs=1e-12)


@pytest.mark.parametrize("ngroups", [1, 2])
@pytest.mark.parametrize("binarized", [True, False])
def test_model_prefill_is_decode_at_any_split(ngroups: int, binarized: bool) -> None:
    config = tiny_config("mamba2", ngroups=ngroups, binarized=binarized)
    weights = weights_from_packed(random_packed_model(config, 10))
    ids = np.random.default_rng(11).integers(0, config.vocab_size, 12)
    whole, last = language_model(weights, ids)
    chunked, chunked_last = language_model(weights, ids, scan=chunked_scan)
    assert whole.shape == (12, config.vocab_size)
    assert np.abs(chunked - whole).max() < 1e-12
    assert_same_states(chunked_last, last)
    for split in (0, 1, 2, 5, 12):
        logits, states = language_model(weights, ids[:split])
        rows = [logits]
        for i in range(split, 12):
            logits, states = language_model(weights, ids[i : i + 1], states)
            rows.append(logits)
        assert np.abs(np.vstack(rows) - whole).max() < 1e-12
        assert_same_states(states, last)


def assert_same_states(got: list[LayerState], expected: list[LayerState]) -> None:
    for one, other in zip(got, expected, strict=True):
        assert np.abs(one.history - other.history).max() < 1e-12
        assert np.abs(one.scan - other.scan).max() < 1e-12


def test_a_model_is_causal_and_remembers() -> None:
    weights = weights_from_packed(random_packed_model(tiny_config("mamba2"), 12))
    ids = np.random.default_rng(13).integers(0, 19, 10)
    other = ids.copy()
    other[3] = (other[3] + 1) % 19
    difference = np.abs(language_model(weights, ids)[0] - language_model(weights, other)[0]).max(axis=1)
    assert (difference[:3] == 0).all()
    assert (difference[3:] > 1e-6).all(), "the convolution reaches 4 tokens, the state must reach the rest"


def test_bits_per_symbol() -> None:
    assert bits_per_symbol(np.zeros((3, 256)), np.array([0, 7, 255])) == pytest.approx(8.0)
    sure = np.log(np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])) + 1000.0
    assert bits_per_symbol(sure, np.array([0, 0])) == pytest.approx(1.5)
