"""How fast the simulator decodes and prefills on one core, and what recording statistics costs.

    python benchmarks/decode.py

The trained weights are used where they are there, else generated ones of the same sizes: times do not depend on them.
"""

from __future__ import annotations

import statistics
from functools import partial

import numpy as np
from figure import Figure, interleaved
from generated import generated_model

from xnorscan.models.published import get_config
from xnorscan.models.shipped import load_shipped, weights_path
from xnorscan.sim.record import Recorder
from xnorscan.sim.run import Simulator

TOKENS_PER_SECOND = {"tiny": 2000, "small": 300}
RECORDING = 15.0
DECODED, PREFILLED, ROUNDS = 200, 512, 15


def figures() -> list[Figure]:
    """Tokens per second and recording overhead of both shipped sizes."""
    return [figure for name, bar in TOKENS_PER_SECOND.items() for figure in _of_model(name, bar)]


def _of_model(name: str, bar: int) -> list[Figure]:
    model = load_shipped(name) if weights_path(name).exists() else generated_model(get_config(name))
    simulator = Simulator(model)
    ids = np.random.default_rng(1).integers(0, model.config.vocab_size, (1, PREFILLED))
    tasks = {
        "decode": partial(_decode, simulator, ids, record=False),
        "decode, recorded": partial(_decode, simulator, ids, record=True),
        "prefill": partial(_prefill, simulator, ids, record=False),
        "prefill, recorded": partial(_prefill, simulator, ids, record=True),
    }
    interleaved(tasks, 1)  # compiles
    recorder = _decode(simulator, ids, record=True)
    tasks["trace"] = partial(recorder.trace, "decode", 0, DECODED)
    seconds = interleaved(tasks, ROUNDS)
    return [
        Figure(f"{name}: decode, one core", DECODED / min(seconds["decode"]), "tokens/s", bar),
        Figure(f"{name}: prefill, one core", PREFILLED / min(seconds["prefill"]), "tokens/s"),
        *(
            Figure(f"{name}: statistics in a {phase}", _overhead(seconds, phase), "% of its time", RECORDING, most=True)
            for phase in ("decode", "prefill")
        ),
        Figure(f"{name}: trace of {DECODED} decoded tokens, made afterwards", 1e3 * min(seconds["trace"]), "ms"),
    ]


def _overhead(seconds: dict[str, list[float]], phase: str) -> float:
    """The median over the rounds of recorded / plain − 1, in percent."""
    pairs = zip(seconds[f"{phase}, recorded"], seconds[phase], strict=True)
    return 100 * (statistics.median(recorded / plain for recorded, plain in pairs) - 1)


def _decode(simulator: Simulator, ids: np.ndarray, *, record: bool) -> Recorder:
    state, recorder = simulator.new_state(), simulator.recorder(record)
    for t in range(DECODED):
        simulator.step(ids[:, t : t + 1], state, recorder, last_only=True)
    return recorder


def _prefill(simulator: Simulator, ids: np.ndarray, *, record: bool) -> None:
    simulator.step(ids, simulator.new_state(), simulator.recorder(record))


if __name__ == "__main__":
    for figure in figures():
        print(f"{figure.name}: {figure.value:.4g} {figure.unit}")
