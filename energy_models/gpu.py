"""A GPU as a roofline: the greater of arithmetic and DRAM traffic, each at its peak or at what real kernels achieve.

At peak, the time is a bound that no GPU reaches and the board draws its limit; the range of ``board_energy_factor``
stands for what kernels miss of either. As achieved, arithmetic runs at ``achieved_arithmetic`` of its peak, DRAM at
``achieved_bandwidth`` of its, and the board draws ``achieved_power`` of its limit, each with its range: published
figures of single models, a 7B transformer for the bandwidth, so a smaller model, whose kernels are shorter, may reach
less. What a host does is not counted.
"""

from __future__ import annotations

import numpy as np

from ..designs.design import GpuDesign
from .energy import Energy
from .ops import Floats, Ints, Ops
from .technology import gpu_figures
from .work import scan_work, vector_work


def gpu_compute_cycles(ops: Ops, design: GpuDesign) -> Ints:
    """[n]: cycles of every multiply and add at the peak FP16 rate, or at the typical share that is achieved of it;
    ``ops`` in FP16."""
    vector, scan = vector_work(ops, one_bit=False), scan_work(ops)
    macs = ops.macs + np.maximum(vector.multiplies, vector.adds) + np.maximum(scan.multiplies, scan.adds)
    share = gpu_figures()["achieved_arithmetic"].value if design.utilization == "achieved" else 1.0
    return np.ceil(macs / (design.peak_macs_per_cycle * share)).astype(np.int64)


def gpu_bandwidth_share(design: GpuDesign) -> float:
    """Of the peak DRAM bandwidth, what ``design`` reaches (typical)."""
    return gpu_figures()["achieved_bandwidth"].value if design.utilization == "achieved" else 1.0


def gpu_energy(computing: Ints, memory: Ints, design: GpuDesign) -> Energy:
    """[n, 3] pJ: board power × time × the share of the power that is drawn: low, typical, high.

    ``computing``, ``memory``: cycles of the arithmetic and of the DRAM traffic. As achieved, low is the highest
    utilization at the lowest power, high the lowest utilization at the highest power.
    """
    figures = gpu_figures()
    pj_per_cycle = design.board_power_w / design.clock_hz * 1e12
    if design.utilization == "peak":
        time: Floats = np.maximum(computing, memory).astype(np.float64)
        return np.outer(time * pj_per_cycle, figures["board_energy_factor"].price)
    slower = [
        np.outer(cycles, figures[name].value / figures[name].price[::-1])
        for cycles, name in ((computing, "achieved_arithmetic"), (memory, "achieved_bandwidth"))
    ]
    return np.asarray(np.maximum(*slower) * figures["achieved_power"].price * pj_per_cycle)
