"""Holding a design's array, or its layer, against the simulator: golden data, the generated Verilog, the bench."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..designs.design import Design
from ..sim.formats import NORMED, RESIDUAL, SCANNED, VECTOR
from .bench.coverage import BINS, Coverage, remainder
from .build import Benched, array_config, build, engine_config
from .config import ArrayConfig
from .golden import (
    PROFILES,
    VALUES,
    Case,
    Profile,
    coverage_cases,
    random_case,
    random_product,
    write_golden,
)
from .golden_layer import FACES, Script, Task, linear_task, random_linear, random_x, raw_task, write_scripts
from .settings import EngineConfig
from .simulate import Simulator, simulate
from .tools import cell_models
from .verilog import generate

_RANDOM_CASES = 2
_FORMATS = ((NORMED, VECTOR), (NORMED, RESIDUAL), (SCANNED, RESIDUAL), (VECTOR, NORMED))
"""Of the inputs and the results of random layers."""
_ALONE = ((1, 1, 1, 1), (1, 3, 2, 2), (2, 2, 3, 1), (3, 1, 1, 4))
"""Token tiles, output tiles, words and planes of products without a stall: those whose cycles have a closed form."""


@dataclass(frozen=True)
class Check:
    """A case of a bench. ``cycles``: what the closed form says and the bench counts, where nobody stalls.

    ``mismatch``: empty, or the first thing that was not as it must be.
    """

    case: str
    products: int
    steps: int
    rows: int
    cycles: int | None
    mismatch: str = ""


@dataclass(frozen=True)
class Verification:
    """All cases, the bins of functional coverage that were hit, of those that this array can hit, and the waves.

    The bench of a layer counts no bins.
    """

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
    unit: Benched = "array",
    *,
    seed: int = 1,
    simulator: Simulator = "verilator",
    waves: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Verification:
    """Simulate the Verilog of ``unit`` in ``design`` on golden data drawn with ``seed``.

    ``waves``: a folder for the recorded waves, the log and the golden data.
    Raises ``ValueError`` for a design that cannot be built, and where a tool is missing or fails.
    """
    config = array_config(design)
    report("generating Verilog and golden data")
    component, top = build(design, unit)
    verilog = generate(component, top).verilog + cell_models(config.tech)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) if waves is None else waves
        directory.mkdir(parents=True, exist_ok=True)
        data = directory / "golden.npz"
        planned = write_cases(data, design, unit, seed)
        report(f"{simulator} runs {top}")
        bench = f"xnorscan.rtl.bench.{unit}_bench"
        result = simulate(verilog, top, bench, data, directory, simulator=simulator, seed=seed, waves=waves is not None)
        found = _mismatches(directory / "results.xml")
        hit = Coverage.read(path for path in [directory / "coverage.json"] if path.exists()).hits
    if result.tests != len(planned):
        raise ValueError(f"{simulator} ran {result.tests} cases of {len(planned)}")
    checks = tuple(replace(check, mismatch=mismatch) for check, mismatch in zip(planned, found, strict=True))
    possible = _bins(config) if unit == "array" else []
    return Verification(checks, sum(place in hit for place in possible), len(possible), result.waves)


def write_cases(path: Path, design: Design, unit: Benched, seed: int) -> list[Check]:
    """Leave golden data for the bench of ``unit`` in ``design`` at ``path``; returns its cases, yet to be run."""
    if unit == "layer":
        engine = engine_config(design)
        played = scripts(engine, seed)
        write_scripts(path, engine, played)
        return [_check_of_script(script) for script in played]
    config = array_config(design)
    write_golden(path, config, cases(config, seed), seed)
    return [_check_of_case(name, case) for name, case in _description(path)["cases"].items()]


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


def scripts(config: EngineConfig, seed: int) -> list[Script]:
    """Activations of every width past the quantizer, alone and without stalls; then, idle on every face after each
    profile, two layers and activations past the quantizer between them."""
    rng = np.random.default_rng(seed)
    found = []
    for bits in config.activation_bits:
        task = _random_raw(config, rng, bits)
        found.append(Script(config, f"alone_{task.name}", seed).run(task))
    for profile in PROFILES:
        idle: dict[str, Profile] = dict.fromkeys((*FACES, "registers"), profile) if profile != "none" else {}
        script = Script(config, f"layers_idle_{profile}", seed, idle)
        bits = int(rng.choice(config.activation_bits))
        for task in (_random_layer(config, rng), _random_raw(config, rng, bits), _random_layer(config, rng)):
            script.run(task)
        found.append(script)
    return found


def _random_layer(config: EngineConfig, rng: np.random.Generator) -> Task:
    tokens, outputs, inputs, planes = _sizes(config, rng)
    source, result = _FORMATS[int(rng.integers(len(_FORMATS)))]
    linear = random_linear(rng, inputs, outputs, planes, source, result)
    x = random_x(rng, tokens, inputs, source)
    return linear_task(config, f"{tokens}x{outputs}x{inputs}_planes_{planes}", linear, x, source, result)


def _random_raw(config: EngineConfig, rng: np.random.Generator, bits: int) -> Task:
    """Two token tiles at most: a third one's records wait for the first's to be freed, which a short tile would show.

    And no more than there are slots for, so that the array need not wait for activations either.
    """
    tokens, outputs, inputs, planes = _sizes(config, rng)
    array = config.array
    stride = -(-inputs // array.lanes) * (bits if array.activations == "serial" else 1)
    tokens = min(tokens, min(2, config.core.activation_words // stride) * array.rows)
    name = f"{tokens}x{outputs}x{inputs}_planes_{planes}_bits_{bits}"
    product = random_product(rng, name, tokens, outputs, inputs, planes, bits, rng.choice(VALUES))
    if config.planes_max == 1:
        product = replace(product, coefficients=np.ones(1, np.int64))
    return raw_task(config, product)


def _sizes(config: EngineConfig, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Tokens, outputs, inputs and planes of a layer: up to three tiles or words of each, as the memories hold them."""
    array, weight_words = config.array, config.core.weight_words
    planes = _up_to(rng, min(config.planes_max, weight_words))
    inputs = _up_to(rng, min(min(3, weight_words // planes) * array.lanes, array.inputs_max))
    tiles = weight_words // (planes * -(-inputs // array.lanes))
    outputs = _up_to(rng, min(3, tiles, config.output_tiles_max) * array.cols)
    return _up_to(rng, 3 * array.rows), outputs, inputs, planes


def _up_to(rng: np.random.Generator, greatest: int) -> int:
    return int(rng.integers(1, greatest, endpoint=True))


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


def _check_of_case(name: str, case: dict[str, Any]) -> Check:
    steps, rows = (case[stream][1] - case[stream][0] for stream in ("i_activations", "o"))
    return Check(name, len(case["products"]), steps, rows, case["cycles"])


def _check_of_script(script: Script) -> Check:
    """Cycles are of a script that is one layer."""
    steps, rows, cycles = (script.expected(register) for register in ("steps", "rows_out", "cycles"))
    return Check(script.name, len(steps), sum(steps), sum(rows), cycles[0] if len(cycles) == len(steps) == 1 else None)


def _bins(config: ArrayConfig) -> list[tuple[str, int, str, str]]:
    """The bins that an array of this kind of activations and this many lanes can hit."""
    rests = {remainder(inputs, config.lanes) for inputs in range(1, 2 * config.lanes + 1)}
    return [place for place in BINS if place[0].startswith(config.activations) and place[2] in rests]
