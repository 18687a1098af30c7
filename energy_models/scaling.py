"""Energy of logic at another node and voltage, after Stillmaker & Baas, Integration 58 (2017) 74–81.

The energy of a gate at a node is a V² + b V + c, with coefficients for each node and device family in ``scaling.yaml``;
an energy scales by the ratio of two such values. It says nothing about memories, wires and DRAM, which are refused.

Between two nodes of the table the energy is interpolated, log against log: that part is ours. Not between 32 and 20 nm,
though: the 32 nm models are of planar transistors, those from 20 nm down are of FinFETs (PTM-MG: Sinha et al., DAC
2012), and 28 and 22 nm processes are planar, bulk or fully depleted. There a gate is that of 32 nm with its capacitance
shrunk as the node (C of width × length ÷ thickness; Dennard et al., IEEE JSSC 9(5) 1974).

At nominal voltages the polynomials fall faster than the inverters that the paper simulates (45 to 7 nm: 16 against 9.5
times), so a scaled figure is as sure as a factor of two.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from .technology import Figure, read_table

Family = Literal["hp", "lp"]
"""High-performance or low-power transistors."""

LAST_PLANAR_NM = 32
"""The smallest node whose row is of planar transistors; the next is of FinFETs."""

_TABLE = Path(__file__).parent / "scaling.yaml"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(_Value):
    """Energy of a gate at one node: a V² + b V + c over the voltages from ``vdd_low_v`` to ``vdd_high_v``.

    ``bulk`` rows come before the families part, and belong to both.
    """

    node_nm: Annotated[float, Field(gt=0)]
    device: Literal["bulk", "hp", "lp"]
    energy: tuple[float, float, float]
    vdd_low_v: Annotated[float, Field(gt=0)]
    vdd_high_v: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _rises_with_voltage(self) -> Row:
        """A parabola of a positive energy that rises at both ends rises between them."""
        a, b, _ = self.energy
        slopes = [2 * a * vdd + b for vdd in (self.vdd_low_v, self.vdd_high_v)]
        if self.vdd_low_v >= self.vdd_high_v or min(slopes) <= 0 or self.at(self.vdd_low_v) <= 0:
            raise ValueError(
                f"{self.device} {self.node_nm:g} nm: energy must be positive and rise "
                f"from {self.vdd_low_v:g} to {self.vdd_high_v:g} V"
            )
        return self

    def at(self, vdd_v: float) -> float:
        """The polynomial; its unit cancels in every use."""
        a, b, c = self.energy
        return a * vdd_v**2 + b * vdd_v + c


class Scaling(_Value):
    """The rows, nodes descending within a family."""

    source: Annotated[str, StringConstraints(strip_whitespace=True, min_length=8)]
    rows: Annotated[tuple[Row, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _each_node_once(self) -> Scaling:
        for family in ("hp", "lp"):
            nodes = [row.node_nm for row in self.of(family)]
            if sorted(set(nodes), reverse=True) != nodes:
                raise ValueError(f"{family} nodes {nodes} must descend, bulk first")
        return self

    def of(self, family: str) -> list[Row]:
        """The rows of a family, its bulk nodes first."""
        return [row for row in self.rows if row.device in ("bulk", family)]


@cache
def scaling() -> Scaling:
    """The coefficients that come with the package."""
    return read_table(Scaling, _TABLE)


def energy_factor(node_nm: float, vdd_v: float, device: Family) -> float:
    """Energy of a gate at this node and voltage, in a unit that cancels in a ratio of two.

    Raises ``ValueError`` outside the nodes of the family, and outside the voltages of the node or of a neighbour that
    it rests on.
    """
    rows = scaling().of(device)
    if not rows[-1].node_nm <= node_nm <= rows[0].node_nm:
        raise ValueError(
            f"no scaling at {node_nm:g} nm: {device} rows reach from {rows[-1].node_nm:g} to {rows[0].node_nm:g} nm"
        )
    for row in rows:
        if row.node_nm == node_nm:
            return _at(row, vdd_v)
    larger, smaller = next(pair for pair in pairwise(rows) if pair[0].node_nm > node_nm > pair[1].node_nm)
    if larger.node_nm == LAST_PLANAR_NM:
        return _at(larger, vdd_v) * node_nm / larger.node_nm
    share = math.log(node_nm / smaller.node_nm) / math.log(larger.node_nm / smaller.node_nm)
    return _at(smaller, vdd_v) ** (1 - share) * _at(larger, vdd_v) ** share


def scaled(figure: Figure, *, node_nm: float, vdd_v: float, device: Family) -> Figure:
    """``figure``, an energy of logic, at another node and voltage: value, low and high times one factor.

    Raises ``ValueError`` for anything but pJ of logic, for a figure without node or voltage, for a change between the
    device families, and as :func:`energy_factor` does.
    """
    if figure.device not in ("hp logic", "lp logic") or figure.unit != "pJ":
        raise ValueError(f"a figure of {figure.device} in {figure.unit} does not scale: only energies of logic do")
    if figure.device != f"{device} logic":
        raise ValueError(f"a figure of {figure.device} does not scale to {device}: hp and lp are two processes")
    if figure.node_nm is None or figure.vdd_v is None:
        raise ValueError("a figure without node and Vdd does not scale")
    factor = energy_factor(node_nm, vdd_v, device) / energy_factor(figure.node_nm, figure.vdd_v, device)
    step = f"{figure.node_nm:g} nm {figure.vdd_v:g} V to {node_nm:g} nm {vdd_v:g} V x {factor:.3g}"
    return figure.model_copy(
        update={
            "value": figure.value * factor,
            "low": figure.low * factor,
            "high": figure.high * factor,
            "node_nm": node_nm,
            "vdd_v": vdd_v,
            "kind": "derived",
            "source": f"{figure.source}; {step}: Stillmaker & Baas, Integration 58 (2017) 74-81, {device} rows",
        }
    )


def _at(row: Row, vdd_v: float) -> float:
    if not row.vdd_low_v <= vdd_v <= row.vdd_high_v:
        raise ValueError(
            f"no scaling to {vdd_v:g} V: the {row.device} row of {row.node_nm:g} nm holds "
            f"from {row.vdd_low_v:g} to {row.vdd_high_v:g} V"
        )
    return row.at(vdd_v)
