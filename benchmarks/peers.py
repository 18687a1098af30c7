"""CPU seconds for one design and one layer: ZigZag and SCALE-Sim beside ``evaluate_one`` and ``evaluate``.

    python benchmarks/peers.py                      # installs the peers in a temporary directory
    python benchmarks/peers.py --venvs DIR          # or in DIR, where they are found again
    python benchmarks/peers.py --limit 600          # CPU seconds that a peer may take for a layer

Needs the network, unless DIR has the peers, and so is no part of ``run.py``. Each peer has a virtual environment of its
own and runs one layer a process; its imports are not counted. What is compared is time, not what is found in it:

- ZigZag searches mappings (LOMA, ``lpf_limit`` 6, its own default) on its ``tpu_like``, made 16 × 32, and writes
  results, a pickle and a picture;
- SCALE-Sim steps an output-stationary array of 16 × 32 cycle by cycle and counts what its memories serve. Off: traces
  (``save_disk_space``, as ``-s N`` of its command line has no effect in 3.0.0), layouts, sparsity, Ramulator;
  ``InterfaceBandwidth`` is ``CALC``, so the DRAM never stalls it;
- we evaluate closed forms, a schedule and an energy with its range, on an array of 16 × 32 elements of one lane.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from xnorscan.designs.design import OneBitDesign, load_design
from xnorscan.energy_models.cycles import array_cycles
from xnorscan.energy_models.evaluate import evaluate, evaluate_one
from xnorscan.energy_models.space import Space
from xnorscan.energy_models.workload import Workload
from xnorscan.models.operations import shape_trace
from xnorscan.models.published import get_config

MODEL, ROWS, COLS = "bi-mamba-780m", 16, 32
CALLS = 200
INSTALL_LIMIT = 1800
"""Seconds by the clock."""
WALL = 20
"""Seconds by the clock that a peer has for each of CPU time, on a machine that is busy."""

_PROLOGUE = """
import json, resource, sys, time
from pathlib import Path
layer, limit = json.loads(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
"""
_EPILOGUE = """
print("RESULT", json.dumps({"seconds": time.process_time() - start, "cycles": cycles}))
"""
_ZIGZAG = """
import zigzag
from zigzag.api import get_hardware_performance_zigzag
start = time.process_time()
array = (Path(zigzag.__file__).parent / "inputs/hardware/tpu_like.yaml").read_text()
Path("array.yaml").write_text(array.replace("sizes: [32, 32]", f"sizes: [{layer['rows']}, {layer['cols']}]"))
unrolled = {"D1": [f"K, {layer['rows']}"], "D2": [f"C, {layer['cols']}"]}
links = {"O": "O", "W": "I2", "I": "I1"}
Path("mapping.yaml").write_text(json.dumps(
    [{"name": "default", "spatial_mapping": unrolled, "memory_operand_links": links}]))
Path("layer.yaml").write_text(json.dumps([{
    "id": 0, "name": layer["name"], "operator_type": "Gemm", "equation": "O[b][k]+=I[b][c]*W[c][k]",
    "loop_dims": ["B", "K", "C"], "loop_sizes": [layer["tokens"], layer["outputs"], layer["inputs"]],
    "operand_precision": {"W": 1, "I": 8, "O": 16, "O_final": 16}, "operand_source": {"I": 0, "W": 0}}]))
_, cycles, _ = get_hardware_performance_zigzag(
    "layer.yaml", "array.yaml", "mapping.yaml", opt="latency", dump_folder="out", pickle_filename="out/results.pickle",
    lpf_limit=6, loma_show_progress_bar=False)
"""
_SCALE_SIM = """
from scalesim.scale_sim import scalesim
start = time.process_time()
Path("array.cfg").write_text(f'''
[general]
run_name = run
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
[architecture_presets]
ArrayHeight = {layer["rows"]}
ArrayWidth = {layer["cols"]}
IfmapSramSzkB = 512
FilterSramSzkB = 512
OfmapSramSzkB = 256
IfmapOffset = 0
FilterOffset = 100000000
OfmapOffset = 200000000
Bandwidth = 10
Dataflow = os
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = False
''')
sizes = (layer["tokens"], layer["outputs"], layer["inputs"])
Path("layer.csv").write_text(f"Layer,M,N,K,\\n{layer['name']},{sizes[0]},{sizes[1]},{sizes[2]},\\n")
layout = "Layer," + "factor," * 20 + "\\n" + layer["name"] + ",1" * 20 + ",\\n"  # asked for even where layouts are off
Path("layout.csv").write_text(layout)
scalesim(save_disk_space=True, verbose=False, config="array.cfg", topology="layer.csv", layout="layout.csv",
         input_type_gemm=True).run_scale(top_path="out")
header, row = Path("out/run/COMPUTE_REPORT.csv").read_text().splitlines()[:2]
report = dict(zip((name.strip() for name in header.split(",")), row.split(",")))
cycles = float(report["Total Cycles"]) - float(report["Stall Cycles"])
"""


@dataclass(frozen=True)
class Peer:
    """``packages``: what pip installs, the peer first; ``program``: runs ``layer`` and leaves its ``cycles``;
    ``folds``: whether these are those of ``Layer.folded``."""

    name: str
    packages: tuple[str, ...]
    program: str
    folds: bool


@dataclass(frozen=True)
class Layer:
    """A linear of one-bit weights."""

    name: str
    tokens: int
    outputs: int
    inputs: int
    workload: Workload

    @property
    def title(self) -> str:
        """With its shape, outputs × inputs."""
        return f"{self.name} {self.outputs}×{self.inputs}, {self.tokens} token{'s' if self.tokens > 1 else ''}"

    @property
    def folded(self) -> int:
        """Cycles of an output-stationary array that fills anew for each fold, as SCALE-Sim 3.0.0 steps it."""
        return -(-self.tokens // ROWS) * -(-self.outputs // COLS) * (self.inputs + ROWS + COLS - 2)


@dataclass(frozen=True)
class Run:
    """CPU seconds for one design and layer, and what was found; ``failed`` says why there is neither."""

    seconds: float = float("nan")
    cycles: float = float("nan")
    failed: str = ""


PEERS = (
    Peer("ZigZag 3.9.1", ("zigzag-dse==3.9.1", "numpy<2", "six"), _ZIGZAG, folds=False),
    Peer("SCALE-Sim 3.0.0", ("scalesim==3.0.0", "numpy<2"), _SCALE_SIM, folds=True),
)


def layers() -> list[Layer]:
    """One-bit linears of one decoded token, and of a prefill."""
    return [_layer("out_proj", 1), _layer("in_proj", 1), _layer("out_proj", 128)]


def ours(layer: Layer) -> tuple[Run, Run]:
    """``evaluate_one`` on designs of sizes never seen before; ``evaluate`` on 102,400 designs, their factors known."""
    base = load_design("edge-28nm")
    assert isinstance(base, OneBitDesign)
    design = base.model_copy(update={"rows": ROWS, "cols": COLS, "lanes": 1})
    evaluate_one(layer.workload, design)  # compiles
    cycles = float(array_cycles(layer.workload.ops, design)[0])
    own = ("rows", "cols", "weight_memory_kib", "scan_lanes", "vector_lanes")
    strange = [design.model_copy(update=dict.fromkeys(own, 9 + at)) for at in range(CALLS)]
    one = _seconds(lambda: [evaluate_one(layer.workload, each) for each in strange])
    space = Space.product(
        design,
        rows=range(1, 17),
        cols=range(8, 40, 2),
        **{"dram.bandwidth_gb_per_s": np.linspace(5, 100, 20).tolist()},
        clock_mhz=np.linspace(200, 960, 20).tolist(),
    )
    many = min(_seconds(lambda: evaluate(layer.workload, space)) for _ in range(3))
    return Run(one / CALLS, cycles), Run(many / len(space), cycles)


def install(peer: Peer, directory: Path) -> str:
    """Why ``peer`` is not in ``directory``, or nothing once it is there."""
    if (directory / "installed").exists():
        return ""
    venv.create(directory, with_pip=True, clear=True)
    command = [_python(directory), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return f"not installed in {INSTALL_LIMIT} s"
    if done.returncode:
        return f"not installed: {_last_line(done.stderr)}"
    (directory / "installed").touch()
    return ""


def run(peer: Peer, layer: Layer, directory: Path, limit: int) -> Run:
    """``peer``, installed in ``directory``, on one layer, for ``limit`` CPU seconds at most."""
    sizes = {"name": layer.name, "tokens": layer.tokens, "outputs": layer.outputs, "inputs": layer.inputs}
    described = json.dumps(sizes | {"rows": ROWS, "cols": COLS})
    command = [_python(directory), "-c", _PROLOGUE + peer.program + _EPILOGUE, described, str(limit)]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            done = subprocess.run(
                command, cwd=scratch, capture_output=True, text=True, timeout=WALL * limit, check=False
            )
        except subprocess.TimeoutExpired:
            return Run(failed=f"not finished in {WALL * limit} s by the clock")
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if results:
        return Run(**json.loads(results[0].removeprefix("RESULT ")))
    if done.returncode < 0:
        return Run(failed=f"not finished in {limit} s of CPU time")
    return Run(failed=_last_line(done.stderr))


def _layer(name: str, tokens: int) -> Layer:
    trace = shape_trace(
        get_config(MODEL), phase="decode" if tokens == 1 else "prefill", length=max(tokens, 128), batch=1
    )
    row = trace.ops[(trace.ops["name"] == name) & (trace.ops["layer"] == 0)].reset_index(drop=True)
    workload = Workload.from_trace(replace(trace, ops=row))
    return Layer(name, tokens, int(row["outputs"][0]), int(row["inputs"][0]), workload)


def _python(directory: Path) -> str:
    return str(directory / "bin" / "python")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def _seconds(task: Callable[[], object]) -> float:
    start = time.process_time()
    task()
    return time.process_time() - start


def main() -> int:
    """Install, run, print line by line; a peer that does not run says why in its line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venvs", type=Path, help="directory of the peers' virtual environments, kept")
    parser.add_argument("--limit", type=int, default=600, help="CPU seconds that a peer may take for a layer (600)")
    given = parser.parse_args()
    print(f"{MODEL}, arrays of {ROWS} × {COLS}: CPU seconds for one design and layer")
    print(_line("", "seconds", "of evaluate_one", "of evaluate", "cycles", "closed form"))
    with tempfile.TemporaryDirectory() as temporary:
        venvs: Path = given.venvs or Path(temporary)
        directories = {peer: venvs / peer.packages[0].partition("=")[0] for peer in PEERS}
        missing = {peer: install(peer, directory) for peer, directory in directories.items()}
        for layer in layers():
            one, many = ours(layer)
            print(layer.title)
            print(_line("  evaluate", *_cells(many, one, many)))
            print(_line("  evaluate_one, sizes never seen", *_cells(one, one, many)), flush=True)
            for peer, directory in directories.items():
                found = Run(failed=missing[peer]) if missing[peer] else run(peer, layer, directory, given.limit)
                cells = (found.failed,) if found.failed else _cells(found, one, many)
                closed = (f"{layer.folded:,}",) if peer.folds and not found.failed else ()
                print(_line(f"  {peer.name}", *cells, *closed), flush=True)
    return 0


def _cells(found: Run, one: Run, many: Run) -> tuple[str, ...]:
    """Seconds, how many times those of ours, cycles."""
    ratios = (found.seconds / each.seconds for each in (one, many))
    shown = (f"{ratio:,.0f} ×" if ratio >= 10 else f"{ratio:.2g} ×" for ratio in ratios)
    return (f"{found.seconds:.2g}", *shown, f"{found.cycles:,.0f}")


def _line(name: str, *cells: str) -> str:
    return f"{name:34}" + "".join(f"{cell:>17}" for cell in cells)


if __name__ == "__main__":
    sys.exit(main())
