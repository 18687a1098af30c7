"""``cost``: what every operation of a trace costs on every design."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..designs.design import Design, GpuDesign
from ..traces.trace import Trace
from .cycles import compute_cycles
from .energy import COMPONENTS, Energy, energies
from .gpu import gpu_bandwidth_share, gpu_compute_cycles, gpu_energy
from .ops import Ints, Ops
from .roofline import ideal_cycles
from .schedule import cycles_per_byte, schedule
from .technology import load_technology
from .traffic import Fit, Traffic, fit, place, traffic
from .work import arithmetic

RANGE = ("_low", "", "_high")
"""Suffixes of an energy column: low, typical, high."""
IDENTITY = ("step", "layer", "name", "kind")
COLUMNS: tuple[str, ...] = (
    "design", *IDENTITY, "count", "binary_gemm", "arithmetic_ops",
    "ideal_cycles", "compute_cycles", "memory_cycles", "cycles", "bound", "time_s",
    "dram_bytes", "dram_weight_bytes", "dram_state_bytes", "dram_activation_bytes", "sram_bytes",
    *(f"energy_{component}_pj" for component in COMPONENTS), "energy_pj", "energy_pj_low", "energy_pj_high",
    *(f"energy_{component}_pj{end}" for component in COMPONENTS for end in ("_low", "_high")),
)  # fmt: skip
"""Columns of a cost frame, in order."""


def cost(trace: Trace, designs: Sequence[Design]) -> pd.DataFrame:
    """One row per operation × design, designs in the order given, operations in the order of the trace.

    FP16 designs and GPUs run the same operations with 16-bit weights, activations, state and head; a quantized array
    with its own weights and activations in the linears of the layers; a one-bit design in the widths of the trace, or
    those that it states for state and head.

    Columns: ``design``; ``step``, ``layer``, ``name``, ``kind`` of the operation; ``count`` (operations that the row
    stands for, 1); ``binary_gemm``: a linear of one-bit weights in the trace, on every design; ``arithmetic_ops``:
    multiplies and adds; ``ideal_cycles`` of its unit with every lane busy (``roofline.py``); ``compute_cycles`` with
    every operand at hand; ``memory_cycles`` of its DRAM bytes alone; ``cycles`` from the end of the operation before to
    its own in the schedule of ``schedule.py``, so that their sum is the latency and ``cycles`` − ``compute_cycles`` the
    wait for the DMA (of a GPU the greater of the two, a roofline); ``bound``, of ``BOUNDS``: ``compute`` where that
    takes as long as the DRAM or longer, else the largest part of the DRAM traffic; ``time_s``; bytes of DRAM by what
    they are, bytes read and written on chip; energy in pJ by component and in all, each with low and high (every figure
    of the technology tables at its low, or at its high, together).

    Raises ``ValueError`` where a design without DRAM cannot hold the model, or one with DRAM not what it says is on
    chip (need and have in KiB), where two designs have one name, where there is no design or no operation, and where a
    technology is unknown.
    """
    names = [design.name for design in designs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"design {name} is given twice; every design needs its own name")
    if not designs:
        raise ValueError("no design is given; cost needs at least one")
    if trace.ops.empty:
        raise ValueError(f"the trace of {trace.metadata.model} has no operations; cost needs at least one")
    ops = Ops.from_frame(trace.ops)
    identity = trace.ops[list(IDENTITY)].assign(binary_gemm=ops.is_binary)
    frames = [_cost(identity, ops.in_formats_of(design), design) for design in designs]
    return pd.concat(frames, ignore_index=True)


def fits(trace: Trace, design: Design) -> Fit:
    """Whether ``trace`` can run on ``design``; with the reason, need against have, where it cannot."""
    return fit(place(Ops.from_frame(trace.ops).in_formats_of(design), design), design)


def _cost(identity: pd.DataFrame, ops: Ops, design: Design) -> pd.DataFrame:
    placement = place(ops, design)
    fitting = fit(placement, design)
    if not fitting.feasible:
        raise ValueError(fitting.reason)
    moved = traffic(ops, design, placement)
    gpu = isinstance(design, GpuDesign)
    reached = gpu_bandwidth_share(design) if isinstance(design, GpuDesign) else 1.0
    memory = np.ceil(moved.dram * cycles_per_byte(design) / reached).astype(np.int64)
    if isinstance(design, GpuDesign):
        computing = gpu_compute_cycles(ops, design)
        cycles = np.maximum(computing, memory)
    else:
        computing = compute_cycles(ops, design)
        cycles = schedule(ops.step, computing, moved.dram, cycles_per_byte(design)).cycles
    time_s = cycles / design.clock_hz
    if isinstance(design, GpuDesign):
        zero = np.zeros((len(ops), 3))
        parts = dict.fromkeys(COMPONENTS, zero) | {"board": gpu_energy(computing, memory, design)}
    else:
        parts = energies(ops, design, load_technology(design.technology), moved, time_s)
    total: Energy = np.sum([parts[component] for component in COMPONENTS], axis=0)
    columns: dict[str, object] = {
        "design": design.name,
        **{name: identity[name].to_numpy() for name in identity},
        "count": np.int64(1),
        "arithmetic_ops": arithmetic(ops),
        "ideal_cycles": ideal_cycles(ops, design),
        "compute_cycles": computing,
        "memory_cycles": memory,
        "cycles": cycles,
        "bound": _bound(ops, moved, computing, memory),
        "time_s": time_s,
        "dram_bytes": moved.dram,
        "dram_weight_bytes": moved.dram_weights,
        "dram_state_bytes": moved.dram_state,
        "dram_activation_bytes": moved.dram_activations,
        "sram_bytes": np.zeros(len(ops)) if gpu else moved.sram,
    }
    for index, end in enumerate(RANGE):
        columns |= {f"energy_{component}_pj{end}": parts[component][:, index] for component in COMPONENTS}
        columns[f"energy_pj{end}"] = total[:, index]
    return pd.DataFrame(columns, index=range(len(ops)))[list(COLUMNS)]


def _bound(ops: Ops, moved: Traffic, computing: Ints, memory: Ints) -> np.ndarray:
    head = ops.is_head | ops.is_kind("embedding")
    weights = np.where(head, "head", "weights")
    parts = [moved.dram_weights, moved.dram_state, moved.dram_activations]
    largest = np.choose(np.argmax(parts, axis=0), [weights, "state", "activations"])
    return np.where(computing >= memory, "compute", largest).astype(object)
