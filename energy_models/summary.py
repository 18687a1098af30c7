"""Totals of a cost frame: per token and design, and the ratio between two designs with its range."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pandas as pd

from .bounds import BOUNDS
from .cost import RANGE
from .energy import COMPONENTS


def per_token(frame: pd.DataFrame, tokens: int) -> pd.DataFrame:
    """One row per design of ``frame`` (from ``cost``), in its order; ``tokens``: processed or made in the whole trace.

    Columns: ``design``; ``energy_uj_per_token`` with ``_low`` and ``_high``; ``latency_us_per_token`` (time of the
    trace ÷ tokens) and its inverse ``tokens_per_s``; ``dram_bytes_per_token``; ``share_<component>`` of the energy,
    summing to 1; ``bound``: what bounds the operations that take the most time in all, and ``bound_share`` of the time;
    ``<bound>_time_share`` of every bound of ``BOUNDS``, summing to 1; ``outside_dram_share``, ``outside_time_share``,
    ``outside_energy_share``: of the DRAM bytes (missing where there are none), the time and the energy, what is not the
    binary GEMM, that is, not the linears that have one-bit weights in the trace, whatever the design makes of them.

    Raises ``ValueError`` where ``tokens`` is not positive.
    """
    if tokens < 1:
        raise ValueError(f"tokens is {tokens}, it must be at least 1")
    designs = frame.groupby("design", sort=False)
    parts = [f"energy_{component}_pj" for component in COMPONENTS]
    sums = designs[[*parts, "energy_pj", "energy_pj_low", "energy_pj_high", "time_s", "dram_bytes"]].sum()
    time_by_bound = frame.pivot_table("time_s", "design", "bound", "sum", fill_value=0.0).loc[sums.index]
    time_by_bound = time_by_bound.reindex(columns=list(BOUNDS), fill_value=0.0)
    outside = frame[~frame["binary_gemm"]].groupby("design")[["dram_bytes", "time_s", "energy_pj"]].sum()
    outside = outside.reindex(sums.index, fill_value=0.0)
    columns = {f"energy_uj_per_token{end}": sums[f"energy_pj{end}"] / tokens / 1e6 for end in ("", "_low", "_high")}
    columns |= {
        "latency_us_per_token": sums["time_s"] / tokens * 1e6,
        "tokens_per_s": tokens / sums["time_s"],
        "dram_bytes_per_token": sums["dram_bytes"] / tokens,
    }
    columns |= {
        f"share_{component}": sums[part] / sums["energy_pj"] for component, part in zip(COMPONENTS, parts, strict=True)
    }
    columns |= {"bound": time_by_bound.idxmax(axis=1), "bound_share": time_by_bound.max(axis=1) / sums["time_s"]}
    columns |= {f"{bound}_time_share": time_by_bound[bound] / sums["time_s"] for bound in BOUNDS}
    shared = {"dram": "dram_bytes", "time": "time_s", "energy": "energy_pj"}
    columns |= {
        f"outside_{what}_share": outside[column] / sums[column].where(sums[column] > 0)
        for what, column in shared.items()
    }
    return pd.DataFrame(columns).reset_index()


@dataclass(frozen=True)
class Ratio:
    """How many times less energy: ``typical``, and the range it stays in."""

    typical: float
    low: float
    high: float


def energy_ratio(frame: pd.DataFrame, design: str, baseline: str) -> Ratio:
    """Energy of ``baseline`` ÷ energy of ``design``, both names in ``frame``.

    Two designs on one memory system share the price of DRAM, and their arithmetic shares a node: if it is low for one
    it is low for the other. So the range is taken over all corners in which each component (array, vector, scan, SRAM,
    DRAM, leakage, board) is at its low or its high in both designs together. It contains low ÷ low and high ÷ high of
    the totals. It does not contain a design at its low against the other at its high, which would vary one price both
    ways.

    Raises ``ValueError`` on a name that is not in the frame.
    """
    totals = []
    for name in (design, baseline):
        rows = frame[frame["design"] == name]
        if rows.empty:
            raise ValueError(f"design {name!r} is not in the cost frame; it has {', '.join(frame['design'].unique())}")
        totals.append({(c, end): float(rows[f"energy_{c}_pj{end}"].sum()) for c in COMPONENTS for end in RANGE})
    mine, other = totals

    def ratio(ends: tuple[str, ...]) -> float:
        corner = list(zip(COMPONENTS, ends, strict=True))
        return sum(other[key] for key in corner) / sum(mine[key] for key in corner)

    corners = [ratio(ends) for ends in product(("_low", "_high"), repeat=len(COMPONENTS))]
    return Ratio(ratio(("",) * len(COMPONENTS)), min(corners), max(corners))
