"""The compiled kernel of ``evaluate``: factors put together, schedules composed, energies summed, point by point.

All tables are float64; what is an integer in them (cycles, bytes) stays below 2^53 and so exact. Operations are the
outer loop and ``LANES`` points the inner one, which the compiler turns into vector instructions.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from .ops import Bools, Ints

Table = npt.NDArray[np.float64]
Places = npt.NDArray[np.uint64]

LANES = 128
"""Points taken at a time; what is kept of them stays in the first-level cache."""
ARRAY, VECTOR, SCAN, TRAFFIC, RATE, SWITCHING, STORAGE = range(7)
"""The factors, in the order in which the places of a point are given."""
NONE = -np.inf
"""The zero of max-plus: no way from one to the other."""
EXPONENT = np.uint64(0xFFF0000000000000)
"""Bits of a positive float64 that make it the power of two not above it."""
FIELDS = 13
PER_BYTE, CLOCK, LIMIT, HALF, WORK, CYCLES, COMPUTED, END, FREE, A, B, C, D = (LANES * row for row in range(FIELDS))
"""Where in the one array ``x`` what is kept of the lanes begins. One array at distances known to the compiler: of many
it could not tell that they do not overlap, and would not vectorise. A to D: a matrix by rows."""


@numba.njit(nogil=True, error_model="numpy")
def _stream(compute: float, moved: float, per_byte: float, half: float, limit: float) -> tuple[float, float]:
    """Of one operation: cycles of its transfer; when it ends if it waits for that, from when the DMA is free."""
    transfer = (moved * per_byte + limit) - limit
    first = min(transfer, half)
    last = (compute * (first / transfer) + limit) - limit
    return transfer, max(first + compute, transfer + last) if transfer > 0 else NONE


@numba.njit(nogil=True, error_model="numpy")
def _advance(x: Table, compute: Table, moved: Table, p: int, lanes: int) -> None:
    """Operation ``p`` after END of the compute and FREE of the DMA."""
    for j in range(lanes):
        work, half = compute[p * LANES + j], x[HALF + j]
        transfer, waiting = _stream(work, moved[p * LANES + j], x[PER_BYTE + j], half, x[LIMIT + j])
        end = max(x[END + j] + work, x[FREE + j] + waiting)
        x[FREE + j] = max(x[FREE + j] + transfer, end - half)
        x[END + j] = end


@numba.njit(nogil=True, error_model="numpy")
def _multiply(x: Table, compute: Table, moved: Table, p: int, lanes: int) -> None:
    """Operation ``p`` times the matrix of the operations before it."""
    for j in range(lanes):
        work, half = compute[p * LANES + j], x[HALF + j]
        transfer, waiting = _stream(work, moved[p * LANES + j], x[PER_BYTE + j], half, x[LIMIT + j])
        a = max(x[A + j] + work, x[C + j] + waiting)
        b = max(x[B + j] + work, x[D + j] + waiting)
        x[C + j] = max(x[C + j] + transfer, a - half)
        x[D + j] = max(x[D + j] + transfer, b - half)
        x[A + j] = a
        x[B + j] = b


@numba.njit(nogil=True, error_model="numpy")
def _repeat(x: Table, times: int, lanes: int) -> None:
    """The matrix ``times`` times after END and FREE; it is squared on the way."""
    while times:
        if times & 1:
            for j in range(lanes):
                end = max(x[A + j] + x[END + j], x[B + j] + x[FREE + j])
                x[FREE + j] = max(x[C + j] + x[END + j], x[D + j] + x[FREE + j])
                x[END + j] = end
        times >>= 1
        if times:
            for j in range(lanes):
                a, b, c, d = x[A + j], x[B + j], x[C + j], x[D + j]
                x[A + j] = max(a + a, b + c)
                x[B + j] = max(a + b, b + d)
                x[C + j] = max(c + a, d + c)
                x[D + j] = max(c + b, d + d)


@numba.njit(nogil=True, error_model="numpy", inline="always")
def _take(
    added: bool, out: Table, begin: int, table: Table, row: int, outer: Places, o: int, inner: Places, varies: Bools,
    factor: int, block: int, lanes: int,
) -> None:  # fmt: skip
    """What the points have in a row of the table of ``factor``, in ``out`` from ``begin`` on, or ``added`` to it."""
    base, start = outer[factor, o], block * LANES
    if varies[factor, block]:
        for j in range(lanes):
            value = table[row, base + inner[factor, start + j]]
            out[begin + j] = out[begin + j] + value if added else value
    else:
        value = table[row, base + inner[factor, start]]
        for j in range(lanes):
            out[begin + j] = out[begin + j] + value if added else value


@numba.njit(cache=True, nogil=True, error_model="numpy")
def evaluate_points(
    outer: Places, inner: Places, varies: Bools, tables: tuple[Table, ...], uses_array: Bools, uses_scan: Bools,
    order: Ints, runs: Ints, members: Ints, steps: Ints, latency: float, half_buffer: float, rounding: float,
    whole: Ints, parts: Table, bound: npt.NDArray[np.int8], feasible: Bools,
) -> None:  # fmt: skip
    """Fill the results of all points.

    ``outer`` [7, o], ``inner`` [7, i], uint64: point k · i + l stands in factor f at ``outer[f, k] + inner[f, l]``;
    ``varies`` [7, blocks]: whether the places of ``LANES`` points differ. ``tables``: of each factor, [rows, places]
    (``evaluate.py`` says what the rows are); ``uses_array``, ``uses_scan`` [operations]: where these take part.
    ``order`` to ``steps``: of :class:`~.workload.Program`. Results: ``whole`` [3, n] cycles, compute cycles, DRAM
    bytes; ``parts`` [4, n] latency in s, energy in pJ low, typical, high; ``bound`` [n]; ``feasible`` [n].
    """
    array, vector, scan, traffic, rates, switching, storage = tables
    operations = array.shape[0]
    compute, moved, x = np.empty(operations * LANES), np.empty(operations * LANES), np.empty(FIELDS * LANES)
    bits = x.view(np.uint64)
    for o in range(outer.shape[1]):
        for block in range(varies.shape[1]):
            start = block * LANES
            lanes = min(LANES, inner.shape[1] - start)
            for row, begin in ((0, PER_BYTE), (1, CLOCK)):
                _take(False, x, begin, rates, row, outer, o, inner, varies, RATE, block, lanes)
            for p in range(operations):
                begin = p * LANES
                _take(False, moved, begin, traffic, p, outer, o, inner, varies, TRAFFIC, block, lanes)
                _take(False, compute, begin, vector, p, outer, o, inner, varies, VECTOR, block, lanes)
                if uses_array[p]:
                    _take(True, compute, begin, array, p, outer, o, inner, varies, ARRAY, block, lanes)
                if uses_scan[p]:
                    _take(True, compute, begin, scan, p, outer, o, inner, varies, SCAN, block, lanes)
            for j in range(lanes):
                x[CYCLES + j] = 0.0
                x[COMPUTED + j] = 0.0
            for s in range(steps.shape[0]):
                for j in range(lanes):
                    x[WORK + j] = 0.0
                    x[LIMIT + j] = 0.0
                for m in range(steps[s, 2], steps[s, 3]):
                    begin, count = members[m, 0] * LANES, float(members[m, 1])
                    for j in range(lanes):
                        x[WORK + j] += count * compute[begin + j]
                        x[LIMIT + j] += count * moved[begin + j]
                for j in range(lanes):
                    x[HALF + j] = half_buffer * x[PER_BYTE + j]
                    x[LIMIT + j] = x[WORK + j] + x[LIMIT + j] * x[PER_BYTE + j] + (x[HALF + j] + latency)
                for j in range(lanes):
                    bits[LIMIT + j] &= EXPONENT
                for j in range(lanes):
                    x[LIMIT + j] *= 2.0
                    x[HALF + j] = (x[HALF + j] + x[LIMIT + j]) - x[LIMIT + j]
                    x[END + j] = 0.0
                    x[FREE + j] = latency
                for r in range(steps[s, 0], steps[s, 1]):
                    if runs[r, 2] == 1:
                        for position in range(runs[r, 0], runs[r, 1]):
                            _advance(x, compute, moved, order[position], lanes)
                    else:
                        for j in range(lanes):
                            x[A + j], x[B + j], x[C + j], x[D + j] = 0.0, NONE, NONE, 0.0
                        for position in range(runs[r, 0], runs[r, 1]):
                            _multiply(x, compute, moved, order[position], lanes)
                        _repeat(x, runs[r, 2], lanes)
                times = float(steps[s, 4])
                for j in range(lanes):
                    waits = np.ceil(x[END + j] - x[WORK + j] - rounding)
                    x[COMPUTED + j] += times * x[WORK + j]
                    x[CYCLES + j] += times * (x[WORK + j] + waits)
            first = o * inner.shape[1] + start
            for j in range(lanes):
                k = first + j
                t = outer[TRAFFIC, o] + inner[TRAFFIC, start + j]
                r = outer[RATE, o] + inner[RATE, start + j]
                u = outer[SWITCHING, o] + inner[SWITCHING, start + j]
                v = outer[STORAGE, o] + inner[STORAGE, start + j]
                total, seconds = traffic[operations, t], x[CYCLES + j] / x[CLOCK + j]
                fits = (traffic[operations + 3, t] if rates[2, r] > 0 else traffic[operations + 2, t]) > 0
                waiting = x[COMPUTED + j] < total * x[PER_BYTE + j]
                part = np.int8(traffic[operations + 1, t]) if waiting else np.int8(0)
                whole[0, k] = np.int64(x[CYCLES + j]) if fits else -1
                whole[1, k] = np.int64(x[COMPUTED + j]) if fits else -1
                whole[2, k] = np.int64(total) if fits else -1
                bound[k] = part if fits else -1
                feasible[k] = fits
                parts[0, k] = seconds if fits else np.nan
                for side in range(3):
                    energy = switching[side, u] + storage[side, v] + total * rates[3 + side, r]
                    energy += seconds * 1e9 * storage[3 + side, v]
                    parts[1 + side, k] = energy if fits else np.nan
