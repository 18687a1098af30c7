"""The machine at hand as a baseline: time of what is run on it, and the energy of its packages where RAPL can be read.

RAPL counts microjoules of a whole package, cores and caches, with all that runs on it besides; DRAM is not part of a
package. Its counters stand in ``/sys/class/powercap`` on Linux and are often readable by root alone, or absent in a
virtual machine: then there is a time and no energy, and a reason.

:func:`stream` stands for a model whose weights are not here: it multiplies a matrix that no cache holds by a vector.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

POWERCAP = Path("/sys/class/powercap")
STREAM_MIB = 256
"""Of the float32 matrix of :func:`stream`."""
STREAM_SECONDS = 1.0
_STREAM_COLUMNS = 4096


@dataclass(frozen=True)
class Measured:
    """``seconds`` of one repetition, ``joules`` of it or ``None``; ``meter`` says what was read, or why nothing was."""

    seconds: float
    joules: float | None
    meter: str


class EnergyMeter:
    """The energy counters of the packages below ``root``; ``missing`` says why there are none."""

    def __init__(self, root: Path = POWERCAP) -> None:
        self._zones: list[Path] = []
        self.missing = "" if root.is_dir() else f"no energy, {root} is not there"
        for zone in sorted(root.glob("intel-rapl:*")) if root.is_dir() else []:
            try:
                if zone.name.count(":") == 1 and (zone / "name").read_text().startswith("package"):
                    int((zone / "energy_uj").read_text())
                    self._zones.append(zone)
            except (OSError, ValueError) as error:
                self.missing = f"no energy, {zone / 'energy_uj'} cannot be read ({type(error).__name__})"
        if not self._zones and not self.missing:
            self.missing = f"no energy, {root} has no RAPL package"
        if self.missing:
            self._zones = []  # a part of the packages would be too little

    @property
    def name(self) -> str:
        """What is read, or why nothing is."""
        return self.missing or f"energy by RAPL of {len(self._zones)} package{'s' if len(self._zones) > 1 else ''}"

    def read(self) -> list[int]:
        """The counters, µJ."""
        return [int((zone / "energy_uj").read_text()) for zone in self._zones]

    def joules(self, before: list[int], after: list[int]) -> float | None:
        """Between two readings, less than one wrap of a counter apart; ``None`` where there are no counters."""
        if not self._zones:
            return None
        ends = [int((zone / "max_energy_range_uj").read_text()) for zone in self._zones]
        return sum((b - a) % (end + 1) for a, b, end in zip(before, after, ends, strict=True)) * 1e-6


def measure(run: Callable[[], object], repetitions: int, root: Path = POWERCAP) -> Measured:
    """Wall time and energy of one of ``repetitions`` of ``run``."""
    meter = EnergyMeter(root)
    try:
        before, start = meter.read(), time.perf_counter()
        for _ in range(repetitions):
            run()
        seconds = time.perf_counter() - start
        joules = meter.joules(before, meter.read())
    except OSError as error:  # a counter that went away: never at the cost of the time
        failed = f"no energy, a RAPL counter failed ({type(error).__name__})"
        return Measured(measure_time(run, repetitions), None, failed)
    return Measured(seconds / repetitions, None if joules is None else joules / repetitions, meter.name)


def measure_time(run: Callable[[], object], repetitions: int) -> float:
    """Wall time of one of ``repetitions`` of ``run``, in seconds."""
    start = time.perf_counter()
    for _ in range(repetitions):
        run()
    return (time.perf_counter() - start) / repetitions


def stream(bytes_moved: int, root: Path = POWERCAP) -> Measured:
    """Time and energy of reading ``bytes_moved`` bytes of weights once: a float32 matrix-vector product over
    ``STREAM_MIB`` MiB, repeated for about ``STREAM_SECONDS`` and scaled by the bytes."""
    rows = STREAM_MIB * 2**20 // 4 // _STREAM_COLUMNS
    matrix = np.ones((rows, _STREAM_COLUMNS), np.float32)
    vector, out = np.ones(_STREAM_COLUMNS, np.float32), np.empty(rows, np.float32)

    def product() -> None:
        np.dot(matrix, vector, out=out)

    once = measure_time(product, 2)
    found = measure(product, max(1, round(STREAM_SECONDS / once)), root)
    scale = bytes_moved / matrix.nbytes
    return Measured(found.seconds * scale, None if found.joules is None else found.joules * scale, found.meter)


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name and how many cores of it may be used."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0] if named else platform.machine()}, {os.cpu_count()} cores"
