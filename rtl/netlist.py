"""Evaluating a netlist of gates, many versions of it at a time: every net is an integer with one bit per version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any

_GATES: dict[str, tuple[str, Callable[..., int]]] = {
    "$_NOT_": ("A", lambda a: ~a),
    "$_BUF_": ("A", lambda a: a),
    "$_AND_": ("AB", lambda a, b: a & b),
    "$_OR_": ("AB", lambda a, b: a | b),
    "$_XOR_": ("AB", lambda a, b: a ^ b),
    "$_XNOR_": ("AB", lambda a, b: ~(a ^ b)),
    "$_MUX_": ("ABS", lambda a, b, s: a ^ ((a ^ b) & s)),
}
GATES = tuple(_GATES)
"""The gates that a netlist may be made of, beside flip-flops ``$_DFF_P_``."""
Bit = int | str
"""A net by its number in Yosys' JSON, or a constant."""
_CONSTANTS: dict[Bit, int] = {"0": 0, "1": -1, "x": 0}


class Netlist:
    """One flat module of Yosys' JSON, of ``GATES`` and flip-flops of one clock.

    A net's value has bit v for version v of the netlist. An input is the same in all versions, but for those in
    ``selects``: their value in each version is its number.
    """

    def __init__(self, module: Mapping[str, Any], selects: str, versions: int) -> None:
        self._ports: dict[str, list[Bit]] = {name: port["bits"] for name, port in module["ports"].items()}
        cells = module["cells"].values()
        registers = [cell["connections"] for cell in cells if cell["type"] == "$_DFF_P_"]
        gates = {cell["connections"]["Y"][0]: cell for cell in cells if cell["type"] != "$_DFF_P_"}
        self._values: dict[Bit, int] = dict(_CONSTANTS)
        self._registers = [(pins["Q"][0], pins["D"][0]) for pins in registers]
        self._values |= _initial(module, {q for q, _ in self._registers})
        order = TopologicalSorter(
            {net: set(_inputs(cell)) & gates.keys() for net, cell in gates.items()}
        ).static_order()
        steps = [(net, _GATES[gates[net]["type"]][1], _inputs(gates[net])) for net in order]
        for place, bit in enumerate(self._ports.get(selects, [])):
            self._values[bit] = sum(1 << version for version in range(versions) if version >> place & 1)
        self._all = (1 << versions) - 1
        self._steps = self._settle(steps)

    def _settle(self, steps: list[tuple[Bit, Callable[..., int], list[Bit]]]) -> list[tuple[Bit, Any, list[Bit]]]:
        """Evaluate now what depends on nothing but selects and constants; the steps that are left."""
        left = []
        still = set(self._values) - {q for q, _ in self._registers}
        for net, gate, inputs in steps:
            if still.issuperset(inputs):
                self._values[net] = gate(*map(self._values.__getitem__, inputs))
                still.add(net)
            else:
                left.append((net, gate, inputs))
        return left

    def differing(self, cycles: Iterable[tuple[Mapping[str, int], Mapping[str, int | None]]]) -> int:
        """Versions whose outputs are, in any of ``cycles`` from power-up on, not those given with the inputs."""
        values, found = self._values, 0
        for inputs, outputs in cycles:
            for name, value in inputs.items():
                for place, bit in enumerate(self._ports.get(name, [])):
                    values[bit] = -(int(value) >> place & 1)
            for net, gate, pins in self._steps:
                values[net] = gate(*[values[pin] for pin in pins])
            for name, expected in outputs.items():
                if expected is not None:
                    for place, bit in enumerate(self._ports[name]):
                        found |= values[bit] ^ -(int(expected) >> place & 1)
            next_values = [values[d] for _, d in self._registers]
            for (q, _), value in zip(self._registers, next_values, strict=True):
                values[q] = value
        return found & self._all


def _initial(module: Mapping[str, Any], registers: set[Bit]) -> dict[Bit, int]:
    """What the registers hold after power-up; 0 where nothing is said."""
    found = dict.fromkeys(registers, 0)
    for net in module["netnames"].values():
        for bit, value in zip(net["bits"], reversed(net.get("attributes", {}).get("init", "")), strict=False):
            if bit in registers:
                found[bit] = _CONSTANTS[value]
    return found


def _inputs(cell: Mapping[str, Any]) -> list[Bit]:
    return [cell["connections"][pin][0] for pin in _GATES[cell["type"]][0]]
