"""How much faster Verilator runs the array than Icarus does: the same Verilog, bench and products, one after the other.

    python benchmarks/rtl_simulators.py

The array has 8 × 8 elements of 64 lanes. Without Icarus Verilog on PATH only Verilator's speed is shown.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from figure import Figure

from xnorscan.rtl.array import SystolicArray
from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.golden import Case, random_product, write_golden
from xnorscan.rtl.simulate import Simulator, simulate
from xnorscan.rtl.verilog import to_verilog

CONFIG = ArrayConfig(rows=8, cols=8, lanes=64, inputs_max=4096)
BENCH, TOP = "xnorscan.rtl.bench.array_bench", "xnorscan_array"
RATIO = 10
OUTPUTS: dict[Simulator, int] = {"verilator": 1536, "icarus": 96}
"""Outputs of the product that each runs, so that either takes seconds: 16 tokens, 512 inputs, 8 bits."""


def figures() -> list[Figure]:
    """Cycles a second of each simulator, the bench's work included, and their ratio."""
    verilog = to_verilog(SystolicArray(CONFIG), TOP)
    speeds = {name: _speed(verilog, name) for name in OUTPUTS if name != "icarus" or shutil.which("iverilog")}
    found = [Figure(f"{name}: array of 8 × 8 × 64, checked", speed, "cycles/s") for name, speed in speeds.items()]
    if "icarus" in speeds:
        found.append(Figure("Verilator against Icarus", speeds["verilator"] / speeds["icarus"], "×", RATIO))
    return found


def _speed(verilog: str, simulator: Simulator) -> float:
    item = random_product(np.random.default_rng(1), "layer", 16, OUTPUTS[simulator], 512, 1, 8, "random")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_golden(directory / "golden.npz", CONFIG, [Case("layer", [item])])
        result = simulate(verilog, TOP, BENCH, directory / "golden.npz", directory, simulator=simulator)
        if not result.passed:
            raise RuntimeError(f"{simulator}: {result.message}")
        with np.load(directory / "golden.npz", allow_pickle=False) as file:
            cycles = json.loads(str(file["description"]))["cases"]["layer"]["cycles"]
    return float(cycles / result.seconds)


if __name__ == "__main__":
    for figure in figures():
        print(f"{figure.name}: {figure.value:.4g} {figure.unit}")
