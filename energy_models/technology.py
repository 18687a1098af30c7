"""Technology tables: what an action costs, each figure with its range, unit, node, voltage, device, kind and source.

A table is data in ``technologies/*.yaml``. A figure without a source, or whose low–typical–high are out of order, does
not load. Energies of arithmetic are at an activity of one half (see :mod:`.energy`).

Conventions: one multiply-accumulate = 2 operations wherever a published figure counts operations. Logic scaling between
nodes (:mod:`.scaling`) is never applied to SRAM or DRAM.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, model_validator

from ..designs.yaml_file import read_yaml, validated

FigureKind = Literal["silicon", "post-layout", "datasheet", "model", "estimate", "derived"]
Action = Literal[
    "full_adder", "half_adder", "xnor", "and2", "mux2", "glitch", "register_clock", "register_data",
    "multiply_18x18", "table_lookup", "fp16_multiply", "fp16_add",
]  # fmt: skip
"""Arithmetic actions, priced per gate or register bit, or per operation (the second line). ``glitch``: a change of a
full adder's sum or carry that does not last (:mod:`.glitches`). ``register_clock`` has its share of the clock tree."""
ACTIONS: tuple[Action, ...] = get_args(Action)
Cell = Literal["full_adder", "half_adder", "xnor", "and2", "mux2", "register_bit", "nand2"]
"""Standard cells that have an area; the NAND2 is what gate equivalents are counted in."""
Operation = Literal[
    "int8_add", "int16_add", "int32_add", "int8_multiply", "int16_multiply", "int32_multiply",
    "bf16_add", "bf16_multiply", "fp32_add", "fp32_multiply",
]  # fmt: skip
"""Published arithmetic that no design here is built of: what the actions rest on, and what others are compared by."""
Device = Literal[
    "hp logic", "lp logic", "hp sram", "lop sram", "lstp sram", "wire", "fpga", "dram", "board",
]  # fmt: skip
"""Device flavour: high-performance, low-power, low-operating-power and low-standby-power transistors."""

Price = npt.NDArray[np.float64]
"""[3]: low, typical, high."""

SAME_LUT: dict[Action, Action] = {
    "half_adder": "full_adder", "and2": "xnor", "mux2": "xnor", "glitch": "full_adder",
}  # fmt: skip
"""Of an FPGA, whose table may leave a gate out: the gate that takes the same LUT, and so has its price."""

_TABLES = Path(__file__).parent / "technologies"
_Model = TypeVar("_Model")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Value):
    """One figure: ``value`` is typical, ``low`` and ``high`` bound what the sources say. ``node_nm`` and ``vdd_v`` are
    null where they mean nothing (DRAM, whole boards, ratios; an area has no voltage)."""

    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    low: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    high: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit: Literal["pJ", "pJ/bit", "pJ/bit/mm", "mW", "mW/KiB", "um2", "ratio"]
    node_nm: Annotated[float, Field(gt=0)] | None
    vdd_v: Annotated[float, Field(gt=0)] | None
    device: Device
    kind: FigureKind
    source: Annotated[str, StringConstraints(strip_whitespace=True, min_length=8)]

    @model_validator(mode="after")
    def _ordered(self) -> Figure:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"low {self.low}, value {self.value}, high {self.high} must be in ascending order")
        return self

    @property
    def price(self) -> Price:
        """[low, typical, high]."""
        return np.array([self.low, self.value, self.high])


class SramPort(_Value):
    """Energy per bit through a port of ``port_bits``."""

    port_bits: Annotated[int, Field(ge=1)]
    read: Figure
    write: Figure


class SramPoint(SramPort):
    """Energy per bit of a memory of ``capacity_kib`` with one port; ``others``: with another in its place."""

    capacity_kib: Annotated[float, Field(gt=0)]
    others: tuple[SramPort, ...] = ()

    @property
    def ports(self) -> dict[int, SramPort]:
        """The ports by their width, the first the one that a memory has if nothing is said."""
        return {port.port_bits: port for port in (self, *self.others)}

    def price(self, access: Literal["read", "write"], port_bits: int | None = None) -> Price:
        """pJ per bit. Raises ``ValueError`` for a width that the table does not have."""
        ports = self.ports
        if port_bits is not None and port_bits not in ports:
            widths = ", ".join(map(str, sorted(ports)))
            raise ValueError(f"no port of {port_bits} bits at {self.capacity_kib:g} KiB: the table has {widths}")
        figure: Figure = getattr(ports[port_bits or self.port_bits], access)
        return figure.price


class Technology(_Value):
    """One node: actions in pJ, memories in pJ/bit over capacity, leakage in mW per KiB, static power in mW, areas of
    standard cells in um2 (all of them or none).

    An FPGA's table has a ``multiply_18x18``, which is a block there; others have none and build it of gates. It may
    leave out gates that one of its LUTs is anyway: see :meth:`action`.
    No energy is made of ``arithmetic`` (pJ per operation) and ``wires`` (pJ per bit moved and mm, random data): they
    are there to compare with, and for a model of what lies between the blocks.
    """

    name: str
    node_nm: Annotated[float, Field(gt=0)]
    vdd_v: Annotated[float, Field(gt=0)]
    device: str
    full_adder: Figure
    xnor: Figure
    register_clock: Figure
    register_data: Figure
    table_lookup: Figure
    fp16_multiply: Figure
    fp16_add: Figure
    half_adder: Figure | None = None
    and2: Figure | None = None
    mux2: Figure | None = None
    glitch: Figure | None = None
    multiply_18x18: Figure | None = None
    sram: Annotated[tuple[SramPoint, ...], Field(min_length=1)]
    sram_leakage: Figure
    static_power: Figure
    arithmetic: dict[Operation, Figure] = {}
    wires: dict[Literal["full_swing"], Figure] = {}
    areas: dict[Cell, Figure] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Technology:
        capacities = [point.capacity_kib for point in self.sram]
        if sorted(set(capacities)) != capacities:
            raise ValueError(f"sram capacities {capacities} must ascend")
        for point in self.sram:
            if len(point.ports) <= len(point.others):
                raise ValueError(f"sram of {point.capacity_kib:g} KiB has a port_bits twice")
        missing = [cell for cell in get_args(Cell) if cell not in self.areas]
        if self.areas and missing:
            raise ValueError(f"areas lack {', '.join(missing)}; give the area of every cell, or of none")
        for name, unit, figure in self._expected():
            _require_unit(name, unit, figure)
        return self

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure of the table by its name."""
        return {name: figure for name, _, figure in self._expected()}

    def _expected(self) -> Iterator[tuple[str, str, Figure]]:
        """Name, the unit that it must be in, and figure."""
        for action in ACTIONS:
            figure = getattr(self, action)
            if figure is not None:
                yield action, "pJ", figure
        for operation, figure in self.arithmetic.items():
            yield operation, "pJ", figure
        for point in self.sram:
            for bits, port in sorted(point.ports.items()):
                yield f"{point.capacity_kib:g} KiB x{bits} read", "pJ/bit", port.read
                yield f"{point.capacity_kib:g} KiB x{bits} write", "pJ/bit", port.write
        for wire, figure in self.wires.items():
            yield f"wire {wire}", "pJ/bit/mm", figure
        for cell, figure in self.areas.items():
            yield f"area {cell}", "um2", figure
        yield "sram_leakage", "mW/KiB", self.sram_leakage
        yield "static_power", "mW", self.static_power

    def action(self, action: Action) -> Price:
        """pJ per action. Where the table lacks a gate, it is a LUT: a half adder costs what a full adder does, an AND
        and a multiplexer what an XNOR does, a glitch what a full adder does. Raises ``ValueError`` for a multiplier
        that the table does not have."""
        figure: Figure | None = getattr(self, action)
        if figure is None and action in SAME_LUT:
            figure = getattr(self, SAME_LUT[action])
        if figure is None:
            raise ValueError(f"{self.name} has no {action}; it is built of gates there")
        return figure.price

    def sram_pj_per_bit(
        self, capacity_kib: float, access: Literal["read", "write"], port_bits: int | None = None
    ) -> Price:
        """pJ per bit of a memory of this capacity: log-log between the table's points, the last slope beyond them,
        the smallest point below them. With the table's own port (64 bits) it never falls as the capacity grows.

        Raises ``ValueError`` for a port of a width that the table does not have.
        """
        prices = np.array([point.price(access, port_bits) for point in self.sram])
        if len(self.sram) == 1 or capacity_kib <= self.sram[0].capacity_kib:
            return np.array(prices[0])
        x = np.log([point.capacity_kib for point in self.sram])
        upper = min(int(np.searchsorted(x, math.log(capacity_kib))), len(x) - 1)
        share = (math.log(capacity_kib) - x[upper - 1]) / (x[upper] - x[upper - 1])
        return np.asarray(prices[upper - 1] * (prices[upper] / prices[upper - 1]) ** share)

    def leakage_mw(self, capacity_kib: float) -> Price:
        """mW of the memories of this total capacity and of the device itself."""
        return np.asarray(self.sram_leakage.price * capacity_kib + self.static_power.price)


class DramTable(_Value):
    """pJ per bit moved to or from each kind of DRAM, device and interface together."""

    ddr3: Figure
    ddr4: Figure
    lpddr4: Figure
    lpddr5: Figure
    hbm2: Figure
    hbm3: Figure

    @model_validator(mode="after")
    def _consistent(self) -> DramTable:
        for name, figure in self:
            _require_unit(name, "pJ/bit", figure)
        return self


class GpuTable(_Value):
    """``board_energy_factor``: energy of a GPU over board power × roofline time. ``achieved_*``: shares of the peak
    bandwidth, of the peak FP16 arithmetic and of the board power that real kernels reach."""

    board_energy_factor: Figure
    achieved_bandwidth: Figure
    achieved_arithmetic: Figure
    achieved_power: Figure

    @model_validator(mode="after")
    def _consistent(self) -> GpuTable:
        for name, figure in self:
            _require_unit(name, "ratio", figure)
            if name.startswith("achieved") and not 0 < figure.low <= figure.high <= 1:
                raise ValueError(f"{name} is from {figure.low} to {figure.high}, a share must be above 0 and at most 1")
        return self


_OTHERS: dict[str, type[DramTable] | type[GpuTable]] = {"dram": DramTable, "gpu": GpuTable}
"""Tables that are not of one node."""


def technology_names() -> tuple[str, ...]:
    """Names of the tables of one node each that come with the package, sorted."""
    return tuple(sorted(path.stem for path in _TABLES.glob("*.yaml") if path.stem not in _OTHERS))


def table_names() -> tuple[str, ...]:
    """Names of all tables of figures that come with the package: ``technology_names``, then ``dram`` and ``gpu``."""
    return (*technology_names(), *_OTHERS)


@cache
def load_technology(name_or_path: str) -> Technology:
    """The table of a name (``asic-28nm``) or of a YAML file.

    Raises ``ValueError`` (file, field, fault) for an invalid or unknown table, ``OSError`` for an unreadable file.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return read_table(Technology, Path(name_or_path))
    if name_or_path in technology_names():
        return read_table(Technology, _TABLES / f"{name_or_path}.yaml")
    raise ValueError(f"no technology {name_or_path!r}: give a .yaml file or one of {', '.join(technology_names())}")


def table_figures(name_or_path: str) -> dict[str, Figure]:
    """Every figure, by its name, of a table of ``table_names`` or of a technology's YAML file.

    Raises as :func:`load_technology` does.
    """
    if name_or_path in _OTHERS:
        return _others(name_or_path)
    if name_or_path.endswith((".yaml", ".yml")) or name_or_path in technology_names():
        return load_technology(name_or_path).figures
    raise ValueError(f"no table {name_or_path!r}: give a .yaml file or one of {', '.join(table_names())}")


def dram_figures() -> dict[str, Figure]:
    """pJ per bit moved, by kind of DRAM."""
    return _others("dram")


def gpu_figures() -> dict[str, Figure]:
    """What turns a GPU's roofline into time and energy: the figures of :class:`GpuTable` by name."""
    return _others("gpu")


def read_table(model: type[_Model], path: Path) -> _Model:
    """The YAML file as a ``model``. Raises ``ValueError`` (file, field, fault) and ``OSError``."""
    return validated(TypeAdapter(model), read_yaml(path), str(path))


@cache
def _others(name: str) -> dict[str, Figure]:
    return dict(read_table(_OTHERS[name], _TABLES / f"{name}.yaml"))


def _require_unit(name: str, unit: str, figure: Figure) -> None:
    if figure.unit != unit:
        raise ValueError(f"{name} is in {figure.unit}, it must be in {unit}")
