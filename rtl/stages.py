"""Registers between pipeline stages, written as functions of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth import Module, Signal

from .delay import DelayLine


def registered(m: Module, value: Any, name: str | None = None) -> Any:
    """``value`` a cycle later, in its own shape, not reset."""
    register = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register


def delayed(m: Module, value: Any, cycles: int, init: object = None, name: str | None = None) -> Any:
    """``value`` after ``cycles`` cycles, in a module of its own; reset to ``init`` if that is given."""
    line = DelayLine(value.shape(), cycles, init)
    if name is None:
        m.submodules += line
    else:
        m.submodules[name] = line
    m.d.comb += line.i.eq(value)
    return line.o


def tree(m: Module, values: list[Any], join: Callable[[Any, Any], Any], name: str) -> Any:
    """``values`` (a power of two of them) joined in pairs, a register after each level: log2(len(values)) cycles."""
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=True)
        values = [registered(m, join(x, y), f"{name}_{len(values) // 2}_{k}") for k, (x, y) in enumerate(pairs)]
    return values[0]
