"""How many designs a second the cost model evaluates on one core, and how many calls for one design a minute.

    python benchmarks/cost_speed.py

CPU time throughout, the best of several rounds; first: the first round, which works out every factor. A point is a
design and a whole decoded token of Bi-Mamba 2.7B, 387 operations; each has its own schedule and its own energy with its
range.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle, islice

import numpy as np
from figure import Figure

from xnorscan.designs.design import OneBitDesign, load_design
from xnorscan.energy_models import evaluate as model
from xnorscan.energy_models.cost import cost
from xnorscan.energy_models.evaluate import evaluate, evaluate_one
from xnorscan.energy_models.space import Space
from xnorscan.energy_models.workload import Workload
from xnorscan.models.operations import shape_trace
from xnorscan.models.published import get_config

MODEL, BASE, ROUNDS = "bi-mamba-2.7b", "edge-28nm", 5
POINTS_PER_SECOND, CALLS_PER_MINUTE = 20e6, 100e3


def spaces(base: OneBitDesign) -> dict[str, Space]:
    """Products of axes, and the same designs as a list."""
    rates = {
        "clock_mhz": np.linspace(200, 960, 20).tolist(),
        "dram.bandwidth_gb_per_s": np.linspace(5, 100, 20).tolist(),
    }
    sizes = {"rows": [1, 2, 4, 8], "cols": [16, 32, 64], "lanes": [32, 64, 128], "vector_lanes": [32, 64]}
    memories = {"weight_memory_kib": [128, 512, 4096], "state_memory_kib": [0, 1024, 65536]}
    wide = Space.product(base, **sizes, **memories, technology=["asic-28nm", "asic-22nm"], **rates)
    mixed = Space.product(base, **rates, **memories, technology=["asic-28nm", "asic-22nm"], **sizes)
    few = Space.product(base, **sizes, **memories, technology=["asic-28nm"])
    return {
        "clock and bandwidth fastest": wide,
        "sizes fastest": mixed,
        "list": Space.of(map(few.__getitem__, range(len(few)))),
    }


def figures() -> list[Figure]:
    """Points per second of the kernel and of the whole call, and convenience calls per minute."""
    trace = shape_trace(get_config(MODEL), phase="decode", length=512, batch=1)
    workload, base = Workload.from_trace(trace), load_design(BASE)
    assert isinstance(base, OneBitDesign)
    evaluate_one(workload, base)  # compiles
    found = []
    for name, space in spaces(base).items():
        kernel, seconds = [], []
        for _ in range(ROUNDS):
            inside, whole = _timed(workload, space)
            kernel.append(inside)
            seconds.append(whole)
        bar = POINTS_PER_SECOND if name.startswith("clock") else None
        found.append(Figure(f"{name}, {len(space):,} designs: kernel", len(space) / min(kernel), "designs/s", bar))
        found.append(Figure(f"{name}: with everything, first", len(space) / seconds[0], "designs/s"))
        found.append(Figure(f"{name}: with everything, later", len(space) / min(seconds), "designs/s"))
    axes = {"rows": [1, 2, 4, 8], "cols": [16, 32, 64], "lanes": [32, 64], "weight_memory_kib": [128, 512, 4096]}
    some = Space.product(base, **axes, **{"dram.bandwidth_gb_per_s": np.linspace(5, 100, 10).tolist()})
    designs = [some[at] for at in range(len(some))]
    known = [_seconds(lambda: [evaluate_one(workload, each) for each in islice(cycle(designs), 720)]) for _ in range(3)]
    found.append(Figure("one design: calls", 60 * 720 / min(known), "calls/min", CALLS_PER_MINUTE))
    own = ("rows", "cols", "vector_lanes", "scan_lanes")
    memories = ("weight_memory_kib", "activation_memory_kib", "state_memory_kib")
    strange = [base.model_copy(update=dict.fromkeys(own + memories, 9 + at)) for at in range(100)]
    new = []
    for _ in range(ROUNDS):
        fresh = Workload.from_trace(trace)
        evaluate_one(fresh, base)
        new.append(_seconds(lambda at=fresh: [evaluate_one(at, each) for each in strange]))
    found.append(
        Figure("one design, every size never seen before: calls", 60 * 100 / min(new), "calls/min", CALLS_PER_MINUTE)
    )
    frame = min(_seconds(lambda: cost(trace, [base])) for _ in range(3))
    found.append(Figure("cost frame of one design", 60 / frame, "calls/min"))
    return found


def _timed(workload: Workload, space: Space) -> tuple[float, float]:
    """CPU seconds in the kernel and in all."""
    compiled, inside = model.evaluate_points, []

    def timed(*arguments: object) -> None:
        inside.append(_seconds(lambda: compiled(*arguments)))

    model.evaluate_points = timed
    try:
        whole = _seconds(lambda: evaluate(workload, space))
    finally:
        model.evaluate_points = compiled
    return inside[0], whole


def _seconds(task: Callable[[], object]) -> float:
    start = time.process_time()
    task()
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    for figure in figures():
        bar = "" if figure.bar is None else f"  bar {figure.bar:.3g}, {'reached' if figure.reached else 'MISSED'}"
        print(f"{figure.name}: {figure.value:.4g} {figure.unit}{bar}")


if __name__ == "__main__":
    main()
