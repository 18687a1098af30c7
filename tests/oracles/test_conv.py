"""The convolution against its sum, and steps against whole sequences at every split."""

import numpy as np
import pytest

from oracles.conv import causal_conv, conv_step

LENGTH, CHANNELS, TAPS = 9, 5, 4
RNG = np.random.default_rng(3)
X = RNG.normal(size=(LENGTH, CHANNELS))
WEIGHT = RNG.normal(size=(CHANNELS, TAPS))
BIAS = RNG.normal(size=CHANNELS)


def test_the_equation() -> None:
    y, history = causal_conv(X, WEIGHT, BIAS)
    for t in range(LENGTH):
        for c in range(CHANNELS):
            taps = [WEIGHT[c, k] * X[t - TAPS + 1 + k, c] for k in range(TAPS) if t - TAPS + 1 + k >= 0]
            assert y[t, c] == pytest.approx(sum(taps) + BIAS[c], rel=1e-12)
    assert history.tolist() == X[-3:].tolist()


def test_the_last_tap_meets_the_current_sample() -> None:
    impulse = np.eye(6, 1)
    assert causal_conv(impulse, np.array([[1.0, 2.0, 3.0, 4.0]]), np.zeros(1))[0][:, 0].tolist() == [4, 3, 2, 1, 0, 0]


@pytest.mark.parametrize("split", range(LENGTH + 1))
def test_prefill_then_steps_is_prefill(split: int) -> None:
    whole, last = causal_conv(X, WEIGHT, BIAS)
    first, history = causal_conv(X[:split], WEIGHT, BIAS)
    steps = []
    for x in X[split:]:
        y, history = conv_step(x, WEIGHT, BIAS, history)
        steps.append(y)
    assert np.vstack([first, *steps]) == pytest.approx(whole, rel=1e-12)
    assert history.tolist() == last.tolist()
    rest, again = causal_conv(X[split:], WEIGHT, BIAS, causal_conv(X[:split], WEIGHT, BIAS)[1])
    assert np.vstack([first, rest]) == pytest.approx(whole, rel=1e-12)
    assert again.tolist() == last.tolist()
