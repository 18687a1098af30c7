"""The machine at hand beside the designs: models whose weights are here run on it, of others the bytes are streamed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..energy_models.cpu import STREAM_MIB, Measured, measure, processor, stream
from ..energy_models.ops import Ops
from ..models.published import SHIPPED
from ..models.shipped import load_shipped
from ..sim.run import Simulator
from .subjects import DECODED, Subject

NAME = "cpu"
"""Of the machine at hand, where a design has its name."""


@dataclass(frozen=True)
class CpuRun:
    """One token on this machine. ``how`` it was found, ``machine``: what it was found on."""

    measured: Measured
    how: str
    machine: str
    dram_bytes: float | None = None


def measure_cpu(subject: Subject) -> dict[str, CpuRun]:
    """What a token of each phase takes on this machine at batch 1, by phase; a phase that cannot be measured is absent.

    A shipped model runs in the bit-accurate Numba simulator, as decode steps and as a prefill. Of any other the bytes
    that FP16 moves in a decode step are streamed; nothing stands for its prefill, which arithmetic bounds.
    """
    if subject.model in SHIPPED:
        return _simulated(subject)
    ops = Ops.from_frame(subject.traces["decode"].ops).as_fp16()
    steps = len(np.unique(ops.step))
    moved = int((ops.weight_bytes + ops.state_read_bytes + ops.state_write_bytes).sum()) // steps
    how = f"FP16 bytes at the rate of a float32 GEMV over {STREAM_MIB} MiB"
    return {"decode": CpuRun(stream(moved), how, processor(), float(moved))}


def _simulated(subject: Subject) -> dict[str, CpuRun]:
    simulator = Simulator(load_shipped(subject.model), subject.precision)
    ids = np.zeros((1, subject.prompt_length), np.int64)
    state = simulator.new_state()

    def prefill() -> None:
        simulator.step(ids, simulator.new_state(), last_only=True)

    def decode() -> None:
        simulator.step(ids[:, :1], state)

    found = {}
    for phase, run, repetitions, tokens in (("decode", decode, DECODED, 1), ("prefill", prefill, 3, ids.size)):
        run()  # compiles, and fills the caches
        whole = measure(run, repetitions)
        joules = None if whole.joules is None else whole.joules / tokens
        one = Measured(whole.seconds / tokens, joules, whole.meter)
        found[phase] = CpuRun(one, "Numba simulator", processor())
    return found
