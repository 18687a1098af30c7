"""How long the shape-only trace of each published model takes.

    python benchmarks/shape_traces.py

It prints all of them; the table of ``run.py`` shows the slowest.
"""

from __future__ import annotations

from functools import partial

from figure import Figure, interleaved

from xnorscan.models.operations import shape_trace
from xnorscan.models.published import PUBLISHED

SECONDS = 0.2
ROUNDS = 3


def seconds() -> dict[str, float]:
    """The best of three, by model and phase."""
    tasks = {
        f"{name}, {phase}": partial(shape_trace, config, phase=phase, length=512)
        for name, config in PUBLISHED.items()
        for phase in ("prefill", "decode")
    }
    return {name: min(times) for name, times in interleaved(tasks, ROUNDS).items()}


def figures() -> list[Figure]:
    """The slowest of all."""
    taken = seconds()
    slowest = max(taken, key=taken.__getitem__)
    return [Figure(f"shape-only trace, slowest of {len(taken)} ({slowest})", taken[slowest], "s", SECONDS, most=True)]


if __name__ == "__main__":
    for name, time_s in seconds().items():
        print(f"{name}: {1e3 * time_s:.1f} ms")
