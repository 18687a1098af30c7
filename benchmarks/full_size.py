"""A full-size model on this machine: Bi-Mamba-2.7B's dimensions with generated weights, one token at a time.

    python benchmarks/full_size.py [MODEL] [--tokens N]

It runs in a process of its own, whose peak resident memory the kernel reports (``getrusage``, on Linux in KiB).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from figure import Figure

MODEL = "bi-mamba-2.7b"
LIMIT_GB = 4.0

_RUN = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
from generated import generated_model
from xnorscan.models.published import get_config
from xnorscan.sim.run import Simulator

start = time.process_time()
simulator = Simulator(generated_model(get_config(sys.argv[2])))  # the packed model dies, its planes were copied
ready = time.process_time()
state, seconds = simulator.new_state(), []
for token in range(int(sys.argv[3])):
    before = time.process_time()
    logits = simulator.step(np.array([[token]]), state)
    seconds.append(time.process_time() - before)
print(json.dumps({
    "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    "prepare_s": ready - start,
    "first_token_s": seconds[0],
    "token_s": min(seconds[1:] or seconds),
    "says_something": bool(logits.std() > 0),
}))
"""


def measure(model: str = MODEL, tokens: int = 3) -> dict[str, float]:
    """``peak_gb``, and CPU seconds: ``prepare_s`` (with generating), ``first_token_s``, ``token_s`` (the best)."""
    command = [sys.executable, "-c", _RUN, str(Path(__file__).parent), model, str(tokens)]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if not result["says_something"]:
        raise RuntimeError(f"{model}: all logits are equal")
    return dict(result)


def figures() -> list[Figure]:
    """Peak memory, which has a bar, and tokens per second."""
    result = measure()
    return [
        Figure(f"{MODEL}, generated weights: peak memory", result["peak_gb"], "GB", LIMIT_GB, most=True),
        Figure(f"{MODEL}, generated weights: decode", 1 / result["token_s"], "tokens/s"),
    ]


def main() -> None:
    """Measure one model and print everything."""
    parser = argparse.ArgumentParser(description="Memory and time of a full-size model with generated weights.")
    parser.add_argument("model", nargs="?", default=MODEL)
    parser.add_argument("--tokens", type=int, default=3)
    args = parser.parse_args()
    for name, value in measure(args.model, args.tokens).items():
        print(f"{name}: {value:.3g}")


if __name__ == "__main__":
    main()
