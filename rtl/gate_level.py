"""Does what synthesis makes of the hardware still do what the hardware does? Its cells, simulated on the same benches.

A design that is right in simulation can be wrong on the device: Yosys has made the logic around a carry chain into a
lookup table with a wrong content (YosysHQ/yosys#5777), which nothing before the bitstream shows. So the parts, and
small arrays, are synthesized with the options of placements, written as Verilog of LUTs, carries and flip-flops, and
run on Yosys' models of those against the same data as the Verilog that they were made of.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from .array import SystolicArray
from .config import ArrayConfig
from .golden import random_case, write_golden
from .primitives import Primitive
from .simulate import Result, Simulator, simulate
from .synth import target_of
from .tools import YOSYS, cell_models, run
from .verilog import to_verilog

TOP = "gates"
DEVICE = "ecp5-85k"
_CELLS = ("TRELLIS_FF", "TRELLIS_DPR16X4", "PFUMX", "L6MUX21")
"""Cells of synthesis itself; those that the hardware names are ``cell_models``."""
_CASES = 2


def gates(component: Any, *, device: str = DEVICE) -> str:
    """Verilog of the cells of an ECP5 that synthesis makes of ``component``, module ``gates``, and their models.

    Raises ``ValueError`` for a device of another kind, and as ``tools.run`` does.
    """
    target = target_of(device)
    if target.tech != "ecp5":
        raise ValueError(f"{device} is of {target.tech} cells, gate level is simulated of ecp5 cells")
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        (directory / "design.v").write_text(to_verilog(component, TOP), encoding="utf-8")
        (directory / "design.ys").write_text(
            f"read_verilog design.v\n{target.synthesis} -top {TOP}\nwrite_verilog -noattr gates.v\n"
        )
        run(YOSYS, ["-q", "-s", "design.ys"], directory)
        return (directory / "gates.v").read_text(encoding="utf-8") + _models()


def _models() -> str:
    """Yosys' Verilog of the cells, as an ECP5 has them."""
    path = Path(str(resources.files(YOSYS.module))) / "share" / "lattice" / "common_sim.vh"
    modules = re.findall(
        rf"^module (?:{'|'.join(_CELLS)})\b.*?^endmodule", path.read_text(encoding="utf-8"), re.M | re.S
    )
    return "\n".join([*modules, cell_models("ecp5")])


def check_primitive(
    primitive: Primitive, cycles: int, directory: Path, *, verilog: str = "", simulator: Simulator = "verilator"
) -> Result:
    """Run the bench of a part for ``cycles`` on its gates (or on ``verilog``, module ``gates``) in ``directory``.

    Raises ``ValueError`` as ``gates`` and ``simulate`` do.
    """
    vectors = directory / "vectors.json"
    vectors.write_text(json.dumps(list(islice(primitive.bench(Random(1)), cycles))))
    source = verilog or gates(primitive.component())
    return simulate(source, TOP, "xnorscan.rtl.bench.vector_bench", vectors, directory, simulator=simulator)


def check_array(
    config: ArrayConfig, directory: Path, *, verilog: str = "", seed: int = 1, simulator: Simulator = "verilator"
) -> Result:
    """Run random products on the gates of an array (or on ``verilog``, module ``gates``) in ``directory``.

    Raises ``ValueError`` as ``gates`` and ``simulate`` do.
    """
    data = directory / "golden.npz"
    write_golden(data, config, [random_case(config, seed + number) for number in range(_CASES)], seed)
    source = verilog or gates(SystolicArray(config))
    return simulate(source, TOP, "xnorscan.rtl.bench.array_bench", data, directory, simulator=simulator, seed=seed)
