"""A GPU as a roofline: the greater of arithmetic at peak and DRAM traffic at peak bandwidth, at board power.

Real kernels reach a part of either, and a memory-bound kernel draws less than the board's limit: the range of
``board_energy_factor`` stands for both. Launch overheads and everything else a host does are not counted.
"""

from __future__ import annotations

import numpy as np

from ..designs.design import GpuDesign
from .energy import Energy
from .ops import Floats, Ints, Ops
from .technology import gpu_figures
from .work import scan_work, vector_work


def gpu_compute_cycles(ops: Ops, design: GpuDesign) -> Ints:
    """[n]: cycles of every multiply and add at the peak FP16 rate; ``ops`` in FP16."""
    vector, scan = vector_work(ops, one_bit=False), scan_work(ops)
    macs = ops.macs + np.maximum(vector.multiplies, vector.adds) + np.maximum(scan.multiplies, scan.adds)
    return np.ceil(macs / design.peak_macs_per_cycle).astype(np.int64)


def gpu_energy(time_s: Floats, design: GpuDesign) -> Energy:
    """[n, 3] pJ: board power × time × the factor's low, typical, high."""
    return np.outer(time_s * design.board_power_w * 1e12, gpu_figures()["board_energy_factor"].price)
