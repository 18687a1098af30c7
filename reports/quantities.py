"""Numbers as people read them: an SI prefix, three significant digits, thousands separators."""

from __future__ import annotations

import math

_ENERGY = ((1e6, "J"), (1e3, "mJ"), (1.0, "µJ"), (1e-3, "nJ"), (1e-6, "pJ"))
_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_RATES = ((1e12, "Top/s"), (1e9, "Gop/s"), (1e6, "Mop/s"), (1.0, "op/s"))
_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def digits(value: float) -> str:
    """Three significant digits: ``0.123``, ``1.23``, ``12.3``, ``123``, ``12,300``."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    places = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    places = 2 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, places)}f}"


def factor(value: float) -> str:
    """A ratio to two significant digits: ``7.4×``, ``12×``, ``0.93×``."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}×" if value >= 9.95 else f"{value:.1f}×" if value >= 0.995 else f"{value:.2f}×"


def factor_range(low: float, high: float) -> str:
    """``8.6–9.3×``, or one of them where they read the same."""
    return factor(low) if factor(low) == factor(high) else f"{factor(low)[:-1]}–{factor(high)}"


def energy_unit(microjoules: float) -> tuple[float, str]:
    """The scale and the unit in which ``microjoules`` has one to three digits before the point."""
    return _unit(microjoules, _ENERGY)


def energy(microjoules: float) -> str:
    """``25.6 mJ``, from microjoules."""
    return _with_unit(microjoules, _ENERGY)


def energy_range(low: float, high: float) -> str:
    """``5.1–14 mJ``: both ends in the unit of the higher one."""
    scale, unit = energy_unit(high)
    return f"{digits(low / scale)}–{digits(high / scale)} {unit}"


def duration(seconds: float) -> str:
    """``11.4 ms``, from seconds."""
    return _with_unit(seconds, _TIME)


def rate(operations: float) -> str:
    """``1.23 Top/s``, from operations per second."""
    return _with_unit(operations, _RATES)


def size(count: float) -> str:
    """Bytes with decimal prefixes."""
    return _with_unit(count, _BYTES)


def size_unit(count: float) -> tuple[float, str]:
    """The scale and the unit in which ``count`` bytes have one to three digits before the point."""
    return _unit(count, _BYTES)


def share(value: float) -> str:
    """``43 %``; below 1 %, one digit after the point, and ``<0.1 %`` where that would be 0."""
    if value == 0 or value >= 0.00995:
        return f"{value * 100:.0f} %"
    return f"{value * 100:.1f} %" if value >= 0.0005 else "<0.1 %"


def _unit(value: float, units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    return next((u for u in units if abs(value) >= u[0]), units[-1])


def _with_unit(value: float, units: tuple[tuple[float, str], ...]) -> str:
    scale, unit = _unit(value, units)
    return f"{digits(value / scale)} {unit}" if math.isfinite(value) else "–"
