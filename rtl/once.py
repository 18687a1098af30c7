"""Elaborating a component once for all its instances, where Verilog is made of it.

An array has thousands of equal elements. Amaranth elaborates each of them; its simulator needs that, Verilog does not.
A class that is marked ``@once`` is elaborated as ever, but for a ``Library``, which takes the place of a platform: it
converts the first component of each kind to a module of its own and puts instances of that module where the others go.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, TypeVar

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, ResetSignal
from amaranth.lib import wiring

_Kind = TypeVar("_Kind", bound=type)


def once(*attributes: str) -> Callable[[_Kind], _Kind]:
    """Mark a ``Component`` class in the ``sync`` domain whose hardware depends on nothing but ``attributes``."""

    def mark(kind: _Kind) -> _Kind:
        component: Any = kind  # amaranth is untyped: a class is all that is known
        elaborate = component.elaborate

        @wraps(elaborate)
        def elaborate_once(self: Any, platform: object) -> Any:
            if isinstance(platform, Library) and platform.converting is not self:
                return platform.instance(self, (kind, *(getattr(self, name) for name in attributes)))
            return elaborate(self, platform)

        component.elaborate = elaborate_once
        return kind

    return mark


class Library:
    """The modules that stand for all components of a kind. ``texts``: RTLIL of each, children before parents."""

    def __init__(self, top: str) -> None:
        self.texts: list[str] = []
        self.converting: object = None
        self._top = top
        self._names: dict[Hashable, str] = {}
        self._clocked: dict[str, list[str]] = {}

    def convert(self, component: Any, name: str) -> str:
        """RTLIL of ``component`` and of what in it is not marked."""
        outer, self.converting = self.converting, component
        try:
            return str(rtlil.convert(component, name=name, platform=self, emit_src=False))
        finally:
            self.converting = outer

    def instance(self, component: Any, kind: Hashable) -> Any:
        """An instance of the module that stands for ``kind``, joined to the ports of ``component``."""
        if kind not in self._names:
            name = f"{self._top}.{type(component).__name__.lower()}_{len(self._names)}"
            self._names[kind] = name
            self.texts.append(self.convert(component, name))
            self._clocked[name] = [port for port in ("clk", "rst") if f" \\{port}\n" in self.texts[-1]]
        name = self._names[kind]
        signals = {"clk": ClockSignal(), "rst": ResetSignal()}
        ports = [("i", port, signals[port]) for port in self._clocked[name]]
        for path, member, value in component.signature.flatten(component):
            ports.append(("i" if member.flow == wiring.In else "o", "__".join(map(str, path)), value))
        return Instance(name, *ports)
