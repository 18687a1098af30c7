"""The selective scans: exactly their formulas, and near the float64 recurrence for every state width."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from oracles import mamba1, mamba2
from oracles.integers import Scan, clip
from oracles.nonlinear import softplus
from oracles.stated import rounded_up, stated
from xnorscan.models.precision import STATE_BITS
from xnorscan.sim.formats import SCANNED, VECTOR, Fixed, fixed
from xnorscan.sim.kernels import scan
from xnorscan.sim.kernels.scan import mamba1_scan, mamba2_scan
from xnorscan.sim.prepare import LOG2E, Mantissas, mantissas

RANGE_BITS = 3
DT_OFFSET = 4
B_OFFSET = 2


def format_of(bits: int, range_bits: int = RANGE_BITS) -> Fixed:
    return fixed(bits, bits - 1 - range_bits)


def grid(values: np.ndarray) -> np.ndarray:
    """Integers of ``VECTOR`` nearest to ``values``."""
    return np.clip(np.rint(np.asarray(values) / VECTOR.ulp), -VECTOR.greatest - 1, VECTOR.greatest).astype(np.int32)


@dataclass
class Case:
    """Inputs of one sequence batch in integers. Mamba-2: x [s, t, h, p], dt [s, t, h], b and c [s, t, g, n], rate and
    skip [h]. Mamba-1: x and dt [s, t, e], b and c [s, t, n], rate [e, n], skip [e].
    """

    x: np.ndarray
    dt: np.ndarray
    dt_bias: np.ndarray
    b: np.ndarray
    c: np.ndarray
    rate: Mantissas
    skip: Mantissas
    state: np.ndarray

    def run(self, state_format: Fixed) -> tuple[np.ndarray, int]:
        """y int32 and the values clipped; ``state`` is updated."""
        return self._run2(state_format) if self.x.ndim == 4 else self._run1(state_format)

    def _run2(self, state_format: Fixed) -> tuple[np.ndarray, int]:
        s, t, heads, headdim = self.x.shape
        parts = [part.reshape(s, t, -1) for part in (self.x, self.b, self.c)]
        proj = np.full((s, t, DT_OFFSET + heads), 12345, np.int32)
        proj[:, :, DT_OFFSET:] = self.dt
        out = np.empty((s, t, heads * headdim), np.int32)
        clipped = mamba2_scan(
            np.concatenate(parts, axis=2), proj, DT_OFFSET, self.dt_bias, self.rate.values, self.rate.exponent,
            self.skip.values, self.skip.exponent, self.state, state_format.greatest, state_format.fraction, out,
        )  # fmt: skip
        return out.reshape(self.x.shape), clipped

    def _run1(self, state_format: Fixed) -> tuple[np.ndarray, int]:
        bc = np.concatenate([np.full((*self.x.shape[:2], B_OFFSET), 12345, np.int32), self.b, self.c], axis=2)
        out = np.empty_like(self.x)
        clipped = mamba1_scan(
            self.x, self.dt, bc, B_OFFSET, self.dt_bias, self.rate.values, self.rate.exponent,
            self.skip.values, self.skip.exponent, self.state, state_format.greatest, state_format.fraction, out,
        )  # fmt: skip
        return out, clipped

    def exact(self, state_format: Fixed) -> tuple[np.ndarray, np.ndarray, int]:
        """y, the last state and the values clipped, by unbounded integers."""
        lane = Scan(state_format.bits, state_format.fraction)
        state = self.state.astype(object)
        y = np.empty(self.x.shape, object)
        n = self.state.shape[-1]
        for s, t in np.ndindex(self.x.shape[:2]):
            for channel in np.ndindex(self.x.shape[2:]):
                owner = channel[0]
                group = (s, t) if self.x.ndim == 3 else (s, t, owner // (self.x.shape[2] // self.b.shape[2]))
                rates = np.broadcast_to(self.rate.values[owner], n)
                row = state[(s, *channel)].tolist()
                y[(s, t, *channel)] = lane.channel(
                    row,
                    int(self.x[(s, t, *channel)]),
                    int(self.dt[s, t, owner]) + int(self.dt_bias[owner]),
                    [(int(rate), self.rate.exponent) for rate in rates],
                    self.b[group].tolist(),
                    self.c[group].tolist(),
                    (int(self.skip.values[owner]), self.skip.exponent),
                )
                state[(s, *channel)] = row
        return y, state, lane.clipped


def mamba2_case(seed: int, length: int = 12, sequences: int = 2, groups: int = 2, scale: float = 1.0) -> Case:
    rng = np.random.default_rng(seed)
    heads, headdim, n = 4, 3, 5
    return Case(
        x=grid(rng.normal(0, scale, (sequences, length, heads, headdim))),
        dt=grid(rng.normal(0, scale, (sequences, length, heads))),
        dt_bias=grid(np.log(np.expm1(np.exp(rng.uniform(np.log(1e-3), np.log(1e-1), heads))))).astype(np.int64),
        b=grid(rng.normal(0, scale, (sequences, length, groups, n))),
        c=grid(rng.normal(0, scale, (sequences, length, groups, n))),
        rate=mantissas(rng.uniform(1, 16, heads) * LOG2E),
        skip=mantissas(rng.uniform(-1.5, 1.5, heads)),
        state=np.zeros((sequences, heads, headdim, n), np.int32),
    )


def mamba1_case(seed: int, length: int = 12, sequences: int = 2, scale: float = 1.0) -> Case:
    rng = np.random.default_rng(seed)
    channels, n = 6, 5
    return Case(
        x=grid(rng.normal(0, scale, (sequences, length, channels))),
        dt=grid(rng.normal(0, scale, (sequences, length, channels))),
        dt_bias=grid(np.log(np.expm1(np.exp(rng.uniform(np.log(1e-3), np.log(1e-1), channels))))).astype(np.int64),
        b=grid(rng.normal(0, scale, (sequences, length, n))),
        c=grid(rng.normal(0, scale, (sequences, length, n))),
        rate=mantissas(np.tile(np.arange(1.0, n + 1), (channels, 1)) * LOG2E),
        skip=mantissas(rng.uniform(-1.5, 1.5, channels)),
        state=np.zeros((sequences, channels, n), np.int32),
    )


CASES = {"mamba1": mamba1_case, "mamba2": mamba2_case}


@pytest.mark.parametrize("family", list(CASES))
@pytest.mark.parametrize("bits", STATE_BITS)
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_integers(family: str, bits: int, scale: float) -> None:
    """Scale 40 drives every input against its end and the state into saturation."""
    case = CASES[family](70 + bits, scale=scale)
    expected = case.exact(format_of(bits))
    y, clipped = case.run(format_of(bits))
    assert y.tolist() == expected[0].tolist()
    assert case.state.tolist() == expected[1].tolist()
    assert clipped == expected[2]
    assert (clipped > 100) == (scale > 1)


@pytest.mark.parametrize("family", list(CASES))
@pytest.mark.parametrize(("bits", "range_bits"), [(8, 0), (8, 6), (32, 0), (32, 30)])
def test_integers_at_the_ends(family: str, bits: int, range_bits: int) -> None:
    """Everything at the end of its format, with the widest and the narrowest fraction of the state."""
    case = CASES[family](71, length=3)
    for values in (case.x, case.dt, case.b, case.c):
        values[...] = np.where(values > 0, VECTOR.greatest, -VECTOR.greatest - 1)
    case.dt[:, 1:] = -VECTOR.greatest - 1
    state_format = format_of(bits, range_bits)
    case.state[...] = np.where(np.arange(case.state.shape[-1]) % 2, state_format.greatest, -state_format.greatest - 1)
    expected = case.exact(state_format)
    y, clipped = case.run(state_format)
    assert y.tolist() == expected[0].tolist()
    assert case.state.tolist() == expected[1].tolist()
    assert clipped == expected[2]


@pytest.mark.parametrize("family", list(CASES))
def test_rates_of_any_size(family: str) -> None:
    """exp(A_log) from nearly 0, which keeps the state, to a million, which drops it."""
    for greatest in (1e-30, 1e-9, 1.0, 3e4, 1e6):
        case = CASES[family](72, length=4)
        case.rate = mantissas(np.full(case.rate.values.shape, greatest))
        expected = case.exact(format_of(16))
        assert case.run(format_of(16))[0].tolist() == expected[0].tolist()
        assert case.state.tolist() == expected[1].tolist()


@pytest.mark.parametrize("family", list(CASES))
def test_any_split_and_each_sequence_alone(family: str) -> None:
    whole = CASES[family](73, length=7)
    y, clipped = whole.run(format_of(16))
    for cut in range(1, 7):
        begin, end = CASES[family](73, length=7), CASES[family](73, length=7)
        for name in ("x", "dt", "b", "c"):
            setattr(begin, name, np.ascontiguousarray(getattr(begin, name)[:, :cut]))
            setattr(end, name, np.ascontiguousarray(getattr(end, name)[:, cut:]))
        end.state = begin.state
        first, second = begin.run(format_of(16)), end.run(format_of(16))
        assert np.concatenate([first[0], second[0]], axis=1).tolist() == y.tolist()
        assert first[1] + second[1] == clipped
        assert end.state.tolist() == whole.state.tolist()
    for s in range(2):
        alone = CASES[family](73, length=7)
        for name in ("x", "dt", "b", "c", "state"):
            setattr(alone, name, np.ascontiguousarray(getattr(alone, name)[s : s + 1]))
        assert alone.run(format_of(16))[0].tolist() == y[s : s + 1].tolist()


def float_y(case: Case) -> np.ndarray:
    """y of the first sequence in float64, from the same integers and the same constants."""
    x, b, c = (part[0] * VECTOR.ulp for part in (case.x, case.b, case.c))
    dt = softplus((case.dt[0] + case.dt_bias) * VECTOR.ulp)
    a = -case.rate.values / 2.0**case.rate.exponent / LOG2E
    skip = case.skip.values / 2.0**case.skip.exponent
    if case.x.ndim == 4:
        return mamba2.recurrent_scan(x, dt, a, b, c, skip)[0]
    always_one = np.full(x.shape, 1e3)  # silu of the gate is then the gate itself
    raw = case.dt[0] * VECTOR.ulp
    return mamba1.selective_scan(x, raw, a, b, c, skip, always_one, case.dt_bias * VECTOR.ulp)[0] / 1e3


def measured_error(family: str, bits: int) -> float:
    """Root mean square error of y over 200 tokens, relative to that of y."""
    case = CASES[family](74, length=200, sequences=1)
    exact = float_y(case)
    y, clipped = case.run(format_of(bits))
    assert clipped == 0
    return float(np.sqrt(np.mean((y[0] * SCANNED.ulp - exact) ** 2) / np.mean(exact**2)))


@pytest.mark.parametrize("bits", STATE_BITS)
def test_error_is_the_stated_one(bits: int) -> None:
    assert rounded_up(max(measured_error(family, bits) for family in CASES)) == stated(scan, f"{bits} bits:")


@pytest.mark.parametrize("family", list(CASES))
def test_error_falls_with_the_width_until_the_other_formats_rule(family: str) -> None:
    errors = [measured_error(family, bits) for bits in STATE_BITS]
    assert all(after < 0.6 * before for before, after in pairwise(errors[:4]))
    assert all(after < 1.01 * before for before, after in pairwise(errors[3:]))


def test_the_state_saturates_at_its_range() -> None:
    """A decay near 1 and a steady input: the state climbs to the greatest value, and every stop there is counted."""
    case = mamba2_case(75, length=30, sequences=1)
    for values, value in ((case.x, 4.0), (case.dt, 3.0), (case.b, 2.0), (case.c, 1.0)):
        values[...] = grid(value)
    case.dt_bias[...] = 0
    case.rate = mantissas(np.full(4, 1e-3))
    _, clipped = case.run(format_of(16))
    assert (case.state == format_of(16).greatest).all()
    assert clipped == 30 * case.state.size
    assert clip(1 << 20, 16) == format_of(16).greatest
