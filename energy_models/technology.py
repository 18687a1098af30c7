"""Technology tables: what an action costs, each figure with its range, unit, node, voltage, kind and source.

A table is data in ``technologies/*.yaml``. A figure without a source, or whose low–typical–high are out of order, does
not load. Energies of arithmetic are at an activity of one half (see :mod:`.energy`).

Conventions: one multiply-accumulate = 2 operations wherever a published figure counts operations. Logic scaling between
nodes (Stillmaker & Baas 2017) is never applied to SRAM or DRAM.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, model_validator

from ..designs.yaml_file import read_yaml, validated

FigureKind = Literal["silicon", "post-layout", "datasheet", "model", "estimate", "derived"]
Action = Literal[
    "full_adder", "xnor", "register_clock", "register_data",
    "multiply_18x18", "table_lookup", "fp16_multiply", "fp16_add",
]  # fmt: skip
"""Arithmetic actions, priced per bit (full adder, XNOR, register) or per operation (the rest)."""
ACTIONS: tuple[Action, ...] = get_args(Action)

Price = npt.NDArray[np.float64]
"""[3]: low, typical, high."""

_TABLES = Path(__file__).parent / "technologies"
_Model = TypeVar("_Model")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Value):
    """One figure: ``value`` is typical, ``low`` and ``high`` bound what the sources say. ``node_nm`` and ``vdd_v`` are
    null where they mean nothing (DRAM, whole boards)."""

    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    low: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    high: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit: Literal["pJ", "pJ/bit", "mW", "mW/KiB", "ratio"]
    node_nm: Annotated[float, Field(gt=0)] | None
    vdd_v: Annotated[float, Field(gt=0)] | None
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


class SramPoint(_Value):
    """Energy per bit of a memory of ``capacity_kib`` with a 64-bit port."""

    capacity_kib: Annotated[float, Field(gt=0)]
    read: Figure
    write: Figure


class Technology(_Value):
    """One node: actions in pJ, memories in pJ/bit over capacity, leakage in mW per KiB, static power in mW."""

    name: str
    node_nm: Annotated[float, Field(gt=0)]
    vdd_v: Annotated[float, Field(gt=0)]
    device: str
    full_adder: Figure
    xnor: Figure
    register_clock: Figure
    register_data: Figure
    multiply_18x18: Figure
    table_lookup: Figure
    fp16_multiply: Figure
    fp16_add: Figure
    sram: Annotated[tuple[SramPoint, ...], Field(min_length=1)]
    sram_leakage: Figure
    static_power: Figure

    @model_validator(mode="after")
    def _consistent(self) -> Technology:
        capacities = [point.capacity_kib for point in self.sram]
        if sorted(set(capacities)) != capacities:
            raise ValueError(f"sram capacities {capacities} must ascend")
        wanted = dict.fromkeys(ACTIONS, "pJ") | {"sram_leakage": "mW/KiB", "static_power": "mW"}
        for name, unit in wanted.items():
            if getattr(self, name).unit != unit:
                raise ValueError(f"{name} is in {getattr(self, name).unit}, it must be in {unit}")
        for point in self.sram:
            for figure in (point.read, point.write):
                if figure.unit != "pJ/bit":
                    raise ValueError(f"sram of {point.capacity_kib} KiB is in {figure.unit}, it must be in pJ/bit")
        return self

    def action(self, action: Action) -> Price:
        """pJ per action."""
        figure: Figure = getattr(self, action)
        return figure.price

    def sram_pj_per_bit(self, capacity_kib: float, access: Literal["read", "write"]) -> Price:
        """pJ per bit of a memory of this capacity: log-log between the table's points, the last slope beyond them,
        the smallest point below them. Never falls as the capacity grows."""
        prices = np.array([getattr(point, access).price for point in self.sram])
        if len(self.sram) == 1 or capacity_kib <= self.sram[0].capacity_kib:
            return np.array(prices[0])
        x = np.log([point.capacity_kib for point in self.sram])
        upper = min(int(np.searchsorted(x, math.log(capacity_kib))), len(x) - 1)
        share = (math.log(capacity_kib) - x[upper - 1]) / (x[upper] - x[upper - 1])
        return np.asarray(prices[upper - 1] * (prices[upper] / prices[upper - 1]) ** share)

    def leakage_mw(self, capacity_kib: float) -> Price:
        """mW of the memories of this total capacity and of the device itself."""
        return np.asarray(self.sram_leakage.price * capacity_kib + self.static_power.price)


def technology_names() -> tuple[str, ...]:
    """Names of the tables that come with the package, sorted."""
    return tuple(sorted(path.stem for path in _TABLES.glob("*.yaml") if path.stem not in ("dram", "gpu")))


@cache
def load_technology(name_or_path: str) -> Technology:
    """The table of a name (``asic-28nm``) or of a YAML file.

    Raises ``ValueError`` (file, field, fault) for an invalid or unknown table, ``OSError`` for an unreadable file.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return _read(Technology, Path(name_or_path))
    if name_or_path in technology_names():
        return _read(Technology, _TABLES / f"{name_or_path}.yaml")
    raise ValueError(f"no technology {name_or_path!r}: give a .yaml file or one of {', '.join(technology_names())}")


@cache
def dram_figures() -> dict[str, Figure]:
    """pJ per bit moved, by kind of DRAM."""
    return _read(dict[str, Figure], _TABLES / "dram.yaml")


@cache
def gpu_figures() -> dict[str, Figure]:
    """``board_energy_factor``: energy of a GPU over board power × roofline time."""
    return _read(dict[str, Figure], _TABLES / "gpu.yaml")


def _read(model: type[_Model], path: Path) -> _Model:
    return validated(TypeAdapter(model), read_yaml(path), str(path))
