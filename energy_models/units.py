"""``Unit``: what the schedule knows of a unit that has no generated hardware yet. The array has its own, in
``designs/pipeline.py``; a unit that gets hardware takes its two figures from there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """``latency``: cycles from an entry to its result; ``interval``: cycles between two entries into a lane."""

    name: str
    latency: int
    interval: int


VECTOR = Unit("vector", latency=8, interval=1)
"""Assumed: read, multiply in two stages, look up, multiply, add, round, write."""

SCAN = Unit("scan", latency=12, interval=1)
"""Assumed: the cycles around the recurrence, decay · h + dt · x · B, state memory to state memory."""

DMA = Unit("DMA", latency=64, interval=1)
"""Assumed: from a request to its first byte, 64–128 ns at the clocks of the ASIC presets, the order of one DRAM access
with its controller. Requests run ahead, so only the first of a step shows it; bandwidth is the design's."""
