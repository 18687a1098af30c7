"""When operations run: the DMA streams what comes next while the array, vector and scan units compute.

Operations run one after the other. The DMA moves the DRAM bytes of each, weights, state and spilled activations, in the
same order, through a double buffer of ``STREAM_BUFFER_KIB``: one half holds the bytes in use, the other is filled. So
compute needs the first half buffer (or all, if it is less) before it starts, has its last half buffer still to compute
when the last byte has come, and the DMA is never more than one half buffer ahead of the operation that computes.

Of operation i, in cycles: c compute, m = bytes / bandwidth, h = half buffer / bandwidth, f = min(m, h) its first half
buffer, e = c · f / m the compute of its last. E: when it ends, V: when the DMA is free for the next one:

    E(i) = max(E(i−1) + c,  V(i−1) + max(f + c, m + e))        the second only where m > 0
    V(i) = max(V(i−1) + m,  E(i) − h)
    V = E(i−1) + DMA latency at the first operation of a step

For tiles that are all alike this is exactly the double-buffer recurrence over tiles: tile k is loaded when its
predecessor is and the buffer of tile k − 2 is free, and computed when it is loaded and its predecessor computed. Every
term grows with c and m, so no operation ends earlier for more work or more bytes. A step starts with a token that the
step before it has yet to find, so nothing is fetched across steps. What an operation writes back is part of its stream.

With the lead p(i) = E(i−1) − V(i−1), how far the DMA is ahead, the same reads

    wait   = max(0, a − p)      a = max(f, m + e − c)
    p(i+1) = min(max(p, a) + c − m, h)

a chain of shifts clipped to a range. Two such maps after each other are one again, so the leads of n operations take
log2(n) array operations (Hillis and Steele, Data parallel algorithms, CACM 29 (1986) 1170–1183).

m, h and e are rounded to multiples of 2⁻⁵² of a power of two that the step cannot outlast (``grid``). Every sum of
multiples below it is exact in float64, so the order in which maps are composed changes no bit: a layer may be composed
once and raised to the power of the layers, as ``evaluate.py`` does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..designs.design import Design
from .ops import Bools, Floats, Ints
from .traffic import STREAM_BUFFER_KIB
from .units import DMA

HALF_BUFFER = STREAM_BUFFER_KIB * 1024 // 2
"""Bytes of one half of the double buffer."""
ROUNDING = 2.0**-16
"""Cycles. More than float64 loses on the way to a wait, less than a wait that means anything."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Schedule:
    """[n] each, cycles from the start of the first operation.

    ``waits``: cycles in which an operation's units have not the bytes they need; ``cycles``: from the end of the
    operation before to its own, compute and waits; ``ends``: their running sum. ``stream_starts`` and ``stream_ends``:
    from when to when the DMA moves its bytes; where compute takes longer than the stream, that paces it.
    """

    waits: Ints
    cycles: Ints
    ends: Ints
    stream_starts: Floats
    stream_ends: Floats


def schedule(step: Ints, compute: Ints, dram_bytes: Ints, cycles_per_byte: float) -> Schedule:
    """The double-buffer schedule of n operations in order. All arguments [n]; ``cycles_per_byte`` of the DRAM.

    Waits are rounded up to whole cycles once over each step, so they sum to the step's own wait, rounded up.
    """
    opens = np.append(True, step[1:] != step[:-1])
    begins = np.flatnonzero(opens)
    limit = grid(np.add.reduceat(compute, begins), np.add.reduceat(dram_bytes, begins), cycles_per_byte)
    limit = limit[np.cumsum(opens) - 1]
    transfer = on_grid(np.multiply(dram_bytes, cycles_per_byte, dtype=np.float64), limit)
    half = on_grid(HALF_BUFFER * cycles_per_byte, limit)
    first = np.minimum(transfer, half)
    share: Floats = np.divide(first, transfer, out=np.zeros(len(step)), where=transfer > 0)
    last = on_grid(compute * share, limit)
    needed = np.where(transfer > 0, np.maximum(first, transfer + last - compute), -float(DMA.latency))
    lead = _leads(opens, compute - transfer, needed, half)
    exact_waits = np.maximum(needed - lead, 0.0)
    waits, rounded_up = _whole(opens, exact_waits, limit)
    cycles = compute + waits
    ends = np.cumsum(cycles)
    exact_ends = ends - rounded_up
    starts = exact_ends - compute - exact_waits - lead
    return Schedule(
        waits=waits,
        cycles=cycles,
        ends=ends,
        stream_starts=starts,
        stream_ends=np.where(transfer > half, np.maximum(starts + transfer, exact_ends - last), starts + transfer),
    )


def cycles_per_byte(design: Design) -> float:
    """Of the DRAM of ``design``, 0 where there is none: then nothing is streamed."""
    return design.clock_hz / (design.dram.bandwidth_gb_per_s * 1e9) if design.dram else 0.0


def grid(compute: Ints, dram_bytes: Ints, cycles_per_byte: float) -> Floats:
    """Cycles that a step of so many in all does not outlast, a power of two."""
    bound = compute + dram_bytes * cycles_per_byte + (HALF_BUFFER * cycles_per_byte + DMA.latency)
    return np.ldexp(1.0, np.frexp(bound)[1])


def on_grid(cycles: Floats | float, limit: Floats) -> Floats:
    """``cycles``, at least 0 and below ``limit``, to the nearest multiple of 2⁻⁵² · ``limit``: a sum with ``limit`` has
    no finer bits."""
    return (cycles + limit) - limit


def _leads(opens: Bools, gain: Floats, needed: Floats, half: Floats) -> Floats:
    """[n]: cycles by which the DMA is ahead as each operation begins; before a step it is its latency behind."""
    behind = -float(DMA.latency)
    shift = np.append(0.0, gain[:-1])
    low = np.where(opens, behind, np.append(0.0, np.minimum(needed + gain, half)[:-1]))
    high = np.where(opens, behind, half)
    reach = 1
    while reach < len(shift):  # position i holds the composition of the maps of the last `reach` operations
        by, least, most = shift[reach:].copy(), low[reach:].copy(), high[reach:].copy()
        low[reach:] = np.clip(low[:-reach] + by, least, most)
        high[reach:] = np.clip(high[:-reach] + by, least, most)
        shift[reach:] = shift[:-reach] + by
        reach *= 2
    return low


def _whole(opens: Bools, waits: Floats, limit: Floats) -> tuple[Ints, Floats]:
    """Waits in whole cycles, and by how much the whole ones are ahead of the exact ones so far in the step."""
    finest = limit * 2.0**-52
    total = np.cumsum((waits / finest).astype(np.int64))  # may wrap around over the steps; a difference does not
    begin = np.maximum.accumulate(np.where(opens, np.arange(len(waits)), 0))
    exact = (total - np.append(0, total)[begin]) * finest
    whole = np.ceil(exact - ROUNDING)
    since = whole - np.where(opens, 0.0, np.append(0.0, whole[:-1]))
    return since.astype(np.int64), whole - exact
