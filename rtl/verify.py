"""Holding a design's array against the simulator's kernels: golden data, the generated Verilog, the cocotb bench."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..designs.design import Design
from .bench.coverage import BINS, Coverage, remainder
from .build import array_config, build
from .config import ArrayConfig
from .golden import Case, coverage_cases, random_case, random_product, write_golden
from .simulate import Simulator, simulate
from .tools import cell_models
from .verilog import generate

BENCH = "xnorscan.rtl.bench.array_bench"
_RANDOM_CASES = 2
_ALONE = ((1, 1, 1, 1), (1, 3, 2, 2), (2, 2, 3, 1), (3, 1, 1, 4))
"""Token tiles, output tiles, words and planes of products without a stall: those whose cycles have a closed form."""


@dataclass(frozen=True)
class Check:
    """A case that the bench ran. ``cycles``: what the closed form says and the bench counted, where nobody stalls.

    ``mismatch``: empty, or the first thing that was not as it must be.
    """

    case: str
    products: int
    steps: int
    rows: int
    cycles: int | None
    mismatch: str


@dataclass(frozen=True)
class Verification:
    """All cases, the bins of functional coverage that were hit, of those that this array can hit, and the waves."""

    checks: tuple[Check, ...]
    bins_hit: int
    bins: int
    waves: Path | None

    @property
    def passed(self) -> bool:
        """Whether nothing mismatched."""
        return not any(check.mismatch for check in self.checks)


def verify(
    design: Design,
    *,
    seed: int = 1,
    simulator: Simulator = "verilator",
    waves: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Verification:
    """Simulate the Verilog of the array of ``design`` on golden data drawn with ``seed``.

    ``waves``: a folder for the recorded waves, the log and the golden data.
    Raises ``ValueError`` for a design that cannot be built, and where a tool is missing or fails.
    """
    config = array_config(design)
    report("generating Verilog and golden data")
    component, top = build(design, "array")
    verilog = generate(component, top).verilog + cell_models(config.tech)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) if waves is None else waves
        directory.mkdir(parents=True, exist_ok=True)
        data = directory / "golden.npz"
        write_golden(data, config, cases(config, seed), seed)
        report(f"{simulator} runs {top}")
        result = simulate(verilog, top, BENCH, data, directory, simulator=simulator, seed=seed, waves=waves is not None)
        described = _description(data)["cases"]
        found = _mismatches(directory / "results.xml")
        hit = Coverage.read(path for path in [directory / "coverage.json"] if path.exists()).hits
    if result.tests != len(described):
        raise ValueError(f"{simulator} ran {result.tests} cases of {len(described)}")
    checks = tuple(starmap(_check, zip(described, described.values(), found, strict=True)))
    possible = _bins(config)
    return Verification(checks, sum(place in hit for place in possible), len(possible), result.waves)


def cases(config: ArrayConfig, seed: int) -> Iterable[Case]:
    """Products without stalls, alone; those that fill the functional coverage; random ones."""
    rng = np.random.default_rng(seed)
    for token_tiles, tiles, words, planes in _ALONE:
        tokens, outputs = token_tiles * config.rows - config.rows // 2, tiles * config.cols
        inputs = min(words * config.lanes, config.inputs_max)
        name = f"alone_{tokens}x{outputs}x{inputs}_planes_{planes}"
        yield Case(name, [random_product(rng, name, tokens, outputs, inputs, planes, 8, "random")])
    yield from coverage_cases(config, seed)
    for number in range(_RANDOM_CASES):
        yield random_case(config, seed + number)


def _description(data: Path) -> dict[str, Any]:
    with np.load(data, allow_pickle=False) as file:
        described: dict[str, Any] = json.loads(str(file["description"]))
    return described


def _mismatches(results: Path) -> list[str]:
    """Of each test of the bench, one per case in their order: why it failed, empty where it passed."""
    found = []
    for test in ElementTree.parse(results).getroot().iter("testcase"):
        faults = [*test.findall("failure"), *test.findall("error")]
        found.append((faults[0].get("message") or "failed") if faults else "")
    return found


def _check(name: str, case: dict[str, Any], mismatch: str) -> Check:
    steps, rows = (case[stream][1] - case[stream][0] for stream in ("i_activations", "o"))
    return Check(name, len(case["products"]), steps, rows, case["cycles"], mismatch)


def _bins(config: ArrayConfig) -> list[tuple[str, int, str, str]]:
    """The bins that an array of this kind of activations and this many lanes can hit."""
    rests = {remainder(inputs, config.lanes) for inputs in range(1, 2 * config.lanes + 1)}
    return [place for place in BINS if place[0].startswith(config.activations) and place[2] in rests]
