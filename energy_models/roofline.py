"""``roofline``: where every kind of operation stands between arithmetic and DRAM bandwidth on a design.

The model is that of Williams, Waterman and Patterson, Roofline: an insightful visual performance model for multicore
architectures, CACM 52 (2009) 65-76: attainable = min(peak, intensity * bandwidth), with the ridge point at peak ÷
bandwidth. An operation is one multiply or one add (``work.arithmetic``), the bytes are those to and from DRAM.

The peak of an operation is that of the one unit that does most of it, with every row, column and lane of it busy: the
array (a weight of p planes takes p passes), the scan unit or the vector unit, each at the mix of multiplies and adds
that the operation has.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from ..designs.design import Design, GpuDesign, OneBitDesign
from .cycles import PARALLEL_BITS, fp16_lanes
from .ops import Floats, Ops
from .work import scan_work, vector_work_of

Unit = Literal["array", "vector", "scan", "board"]
ALL, HEAD = "all", "head"
"""The row of a roofline for all operations together; the kind of the linear outside the layers."""


def unit_of(kind: str, design: Design) -> Unit:
    """The unit that does most of an operation of ``kind``; a GPU is one whole."""
    if isinstance(design, GpuDesign):
        return "board"
    if kind in ("linear", HEAD) or (kind == "attention" and not isinstance(design, OneBitDesign)):
        return "array"
    return "scan" if kind == "scan" else "vector"


def op_kinds(costs: pd.DataFrame) -> pd.Series:
    """The kind of each row of a cost frame, the head apart from the other linears."""
    return costs["kind"].mask(costs["kind"].eq("linear") & costs["layer"].lt(0), HEAD)


def ideal_cycles(ops: Ops, design: Design) -> Floats:
    """[n]: cycles of each operation on its unit with every row, column and lane busy; ``ops`` in the design's formats.

    Never more than the compute cycles.
    """
    vector, scan = vector_work_of(ops, design), scan_work(ops)
    if isinstance(design, GpuDesign):
        fused = np.maximum(vector.multiplies, vector.adds) + np.maximum(scan.multiplies, scan.adds)
        return np.asarray((ops.macs + fused) / design.peak_macs_per_cycle)
    lanes = design.rows * design.cols * design.lanes
    linear, in_array = ops.is_kind("linear"), ops.is_kind("linear")
    passes = np.ones(len(ops))
    if not isinstance(design, OneBitDesign):
        in_array = in_array | ops.is_kind("attention")
        passes = np.where(ops.is_layer_linear, 1.0, design.lanes / fp16_lanes(design))
    else:
        bits = ops.activation_bits
        per_plane = bits if design.activations == "serial" else -(-bits // PARALLEL_BITS)
        passes = np.where(linear, ops.weight_planes * per_plane, 1).astype(np.float64)
    return np.select(
        [in_array, ops.is_kind("scan")],
        [ops.macs * passes / lanes, scan.lane_cycles / design.scan_lanes],
        vector.lane_cycles / design.vector_lanes,
    )


def roofline(costs: pd.DataFrame, design: Design) -> pd.DataFrame:
    """One row per kind of operation in the rows of ``costs`` (from ``cost``) of ``design``, and one for all of them.

    Columns: ``design``; ``kind`` (the head apart, ``all`` last); ``unit`` that does most of it; ``operations`` and
    ``arithmetic_ops``, what was done; ``dram_bytes``; ``time_s``; ``intensity_ops_per_byte`` (infinite where nothing is
    moved); ``attained_ops_per_s``; ``peak_ops_per_s``; ``attainable_ops_per_s``, the roof above the row;
    ``ridge_ops_per_byte``, from which on the peak is the roof (0 without DRAM); ``bound``, by most of the time.

    The time of a kind counts what its operations wait for themselves: bytes that the double buffer fetched while the
    operation before was computing are free, so a kind can stand above the slope of the DRAM, all of them together
    never. No kind stands above its peak.
    Raises ``ValueError`` where ``costs`` has no row of ``design``.
    """
    own = costs[costs["design"] == design.name]
    if own.empty:
        raise ValueError(f"design {design.name} is not in the cost frame; it has {', '.join(costs['design'].unique())}")
    kinds = op_kinds(own)
    summed = {"operations": "count"} | {c: c for c in ("arithmetic_ops", "ideal_cycles", "dram_bytes", "time_s")}
    parts = own.groupby(kinds, sort=False)[list(summed.values())].sum()
    parts.loc[ALL] = parts.sum()
    time = own.groupby([kinds, "bound"])["time_s"].sum().unstack(fill_value=0.0)
    time.loc[ALL] = time.sum()
    bandwidth = design.dram.bandwidth_gb_per_s * 1e9 if design.dram else np.inf
    amount, moved = parts["arithmetic_ops"], parts["dram_bytes"].to_numpy(float)
    with np.errstate(divide="ignore"):
        intensity = amount / moved
    peak = amount / parts["ideal_cycles"] * design.clock_hz
    roof = np.where(moved > 0, np.minimum(peak, intensity * bandwidth), peak)
    columns: dict[str, object] = {
        "design": design.name,
        "kind": parts.index.astype(str),
        "unit": [unit_of(str(kind), design) if kind != ALL else ALL for kind in parts.index],
        "operations": parts["count"].astype(np.int64),
        "arithmetic_ops": amount,
        "dram_bytes": parts["dram_bytes"].astype(np.int64),
        "time_s": parts["time_s"],
        "intensity_ops_per_byte": intensity,
        "attained_ops_per_s": amount / parts["time_s"],
        "peak_ops_per_s": peak,
        "attainable_ops_per_s": roof,
        "ridge_ops_per_byte": peak / bandwidth,
        "bound": time.loc[parts.index].idxmax(axis=1).astype(str),
    }
    return pd.DataFrame(columns).reset_index(drop=True)
