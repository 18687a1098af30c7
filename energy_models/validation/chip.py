"""``Chip``: a published chip as data, ``chips/*.yaml``: what it is built of, what was published of it, and where from.

Every figure says what it rests on: ``paper`` (its text or abstract), ``code`` (its authors' repository), ``derived``
(arithmetic on such figures) or ``assumed``. What is assumed carries the range in which it may lie.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, model_validator

from ...designs.yaml_file import read_yaml, validated
from ..scaling import Family
from ..technology import Price

Basis = Literal["paper", "code", "derived", "assumed"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=8)]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1)]

CHIPS = Path(__file__).parent / "chips"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stated(_Value):
    """A figure of a description: ``low`` and ``high`` bound it and are given for what is assumed, and only there."""

    value: _Positive
    low: _Positive | None = None
    high: _Positive | None = None
    basis: Basis
    source: Text

    @model_validator(mode="after")
    def _ranged_if_assumed(self) -> Stated:
        if (self.basis == "assumed") != (self.low is not None and self.high is not None):
            raise ValueError("low and high go with what is assumed, and with nothing else")
        low, value, high = self.range
        if not low <= value <= high:
            raise ValueError(f"low {low:g}, value {value:g}, high {high:g} must be in ascending order")
        return self

    @property
    def range(self) -> Price:
        """[low, value, high]."""
        return np.array([self.low or self.value, self.value, self.high or self.value])


class Published(_Value):
    """What was published: ``value`` in ``unit``, and what that includes (core or board, peak or average)."""

    value: _Positive
    unit: Literal["TOPS/W", "fJ/op", "tokens/s", "s/token"]
    includes: Text
    source: Text


class Part(_Value):
    """Logic that works in every cycle, ``count`` times.

    ``xnor_popcount``: a sum of ``lanes`` one-bit products; ``signed_sum``: of ``lanes`` activations of ``bits`` bits,
    each with a one-bit weight; ``multiply_sum``: of ``lanes`` products of ``bits`` × ``bits``; ``accumulator``: an
    adder and a register of ``bits``; ``registers``: ``bits`` of flip-flops that are clocked.
    """

    name: _Name
    kind: Literal["xnor_popcount", "signed_sum", "multiply_sum", "accumulator", "registers"]
    count: _Count = 1
    lanes: _Count = 1
    bits: _Count = 1
    basis: Basis
    source: Text


class Memory(_Value):
    """An on-chip memory and the bits that pass its ports in a cycle, on average.

    ``sram``: priced by the capacity of one bank and the width of its port. ``latch``: standard-cell memory of ``words``
    words, whose read is a multiplexer over the words and whose write is a register's clock and data.
    """

    name: _Name
    kind: Literal["sram", "latch"]
    bank_kib: Stated | None = None
    port_bits: _Count | None = None
    words: _Count | None = None
    read_bits: Annotated[float, Field(ge=0)]
    write_bits: Annotated[float, Field(ge=0)]
    basis: Basis
    source: Text

    @model_validator(mode="after")
    def _of_its_kind(self) -> Memory:
        if (self.kind == "sram") != (self.bank_kib is not None) or (self.kind == "latch") != (self.words is not None):
            raise ValueError(f"{self.name}: an sram has bank_kib, a latch memory has words")
        return self


class Wire(_Value):
    """``bits`` that cross ``length_mm`` of the chip in a cycle, on average: from a memory to the logic, or from a
    register to all the units that it serves."""

    name: _Name
    bits: _Positive
    length_mm: Stated


class Process(_Value):
    """Where logic is priced: ``technology``, the table that it starts from, scaled to ``node_nm``."""

    name: Text
    node_nm: _Positive
    device: Family
    technology: _Name


class EnergyPoint(_Value):
    """One operating point or precision: what works in a cycle, and how many operations come of it.

    One product and its addition are two operations, as all these papers count.
    """

    name: _Name
    vdd_v: Stated
    operations_per_cycle: Stated
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    memories: tuple[Memory, ...] = ()
    wires: tuple[Wire, ...] = ()
    published: Published

    @model_validator(mode="after")
    def _of_energy(self) -> EnergyPoint:
        if self.published.unit not in ("TOPS/W", "fJ/op"):
            raise ValueError(f"{self.name}: an energy is published in TOPS/W or fJ/op, not in {self.published.unit}")
        return self


class Operation(_Value):
    """``count`` equal operations of a decoded token: what each moves to and from DRAM, and its products.

    ``weights``: each is read once, for one product; ``weight_bits``: of one as stored, scales included.
    ``read_bytes`` and ``write_bytes``: of what else is read and written: state, small weights, KV cache.
    """

    name: _Name
    count: _Count = 1
    weights: Annotated[int, Field(ge=0)] = 0
    weight_bits: Stated | None = None
    read_bytes: Annotated[int, Field(ge=0)] = 0
    write_bytes: Annotated[int, Field(ge=0)] = 0
    basis: Basis
    source: Text

    @model_validator(mode="after")
    def _weights_have_a_width(self) -> Operation:
        if (self.weights > 0) != (self.weight_bits is not None):
            raise ValueError(f"{self.name}: weights and weight_bits go together")
        return self


class ThroughputPoint(_Value):
    """A model decoding on a board at batch 1. ``macs_per_cycle`` is null where no source says what the array does.

    ``claim``: ``prediction`` where arithmetic and memory are both described, or where memory alone decides by far;
    ``bound`` where only the memory is, so that the published figure need not come near, but may not exceed it.
    """

    name: _Name
    claim: Literal["prediction", "bound"]
    clock_mhz: Stated
    bandwidth_gb_per_s: Stated
    macs_per_cycle: Stated | None
    operations: Annotated[tuple[Operation, ...], Field(min_length=1)]
    published: Published

    @model_validator(mode="after")
    def _of_time(self) -> ThroughputPoint:
        if self.published.unit not in ("tokens/s", "s/token"):
            raise ValueError(
                f"{self.name}: a throughput is published in tokens/s or s/token, not in {self.published.unit}"
            )
        if self.claim == "bound" and self.published.unit != "tokens/s":
            raise ValueError(f"{self.name}: a bound is one from above, of tokens/s, not of {self.published.unit}")
        return self


class _Chip(_Value):
    """``order``: place in tables and pictures. ``fitted``: figures of the model that were set with this chip in hand;
    empty: its figures are predictions. ``read``: how much of the paper could be read. ``miss``: why a figure is missed,
    where one is. ``corrected``: errors of the description that were mended after a ratio was seen."""

    name: _Name
    title: Text
    paper: Text
    read: Text
    about: Text
    order: Annotated[int, Field(ge=0)]
    fitted: tuple[Text, ...] = ()
    miss: str = ""
    corrected: tuple[Text, ...] = ()


class EnergyChip(_Chip):
    """A chip of which the energy per operation was published."""

    kind: Literal["energy"]
    process: Process
    points: Annotated[tuple[EnergyPoint, ...], Field(min_length=1)]


class ThroughputChip(_Chip):
    """A board or chip of which tokens per second, or the time of a token, were published."""

    kind: Literal["throughput"]
    board: Text
    points: Annotated[tuple[ThroughputPoint, ...], Field(min_length=1)]


Chip = Annotated[EnergyChip | ThroughputChip, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[EnergyChip | ThroughputChip] = TypeAdapter(Chip)


def chip_names() -> tuple[str, ...]:
    """Names of the chips that come with the package, in the order of the tables."""
    return tuple(sorted((path.stem for path in CHIPS.glob("*.yaml")), key=lambda name: (load_chip(name).order, name)))


@cache
def load_chip(name: str) -> EnergyChip | ThroughputChip:
    """The chip of a name in any case (``xnorbin``), or of a YAML file.

    Raises ``ValueError`` (file, field, fault) for an invalid or unknown chip, ``OSError`` for an unreadable file.
    """
    if name.endswith((".yaml", ".yml")):
        return _read(Path(name))
    path = CHIPS / f"{name.lower()}.yaml"
    if not path.exists():
        known = ", ".join(sorted(each.stem for each in CHIPS.glob("*.yaml")))
        raise ValueError(f"no chip {name!r}: give a .yaml file or one of {known}")
    return _read(path)


def _read(path: Path) -> EnergyChip | ThroughputChip:
    return validated(_ADAPTER, read_yaml(path), str(path))
