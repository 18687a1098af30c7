"""``Figure``: a measured number beside its bar, and how times are taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """``value`` in ``unit``, to be at least ``bar``, or at most where ``most``; without a bar it is only shown."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    most: bool = False

    @property
    def reached(self) -> bool:
        """Whether the bar, if there is one, is held."""
        return self.bar is None or (self.value <= self.bar if self.most else self.value >= self.bar)


def interleaved(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each task in each of ``rounds``; the tasks take turns, so that a busy machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.process_time()
            task()
            seconds[name].append(time.process_time() - start)
    return seconds
