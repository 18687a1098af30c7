"""The Verilog of ``SystolicArray`` against golden data, under cocotb, on Verilator and Icarus."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from rich.console import Console

from xnorscan.designs.design import OneBitDesign, load_design, preset_names
from xnorscan.models.shipped import load_shipped
from xnorscan.rtl.array import SystolicArray
from xnorscan.rtl.bench.coverage import BINS, Coverage, table
from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.golden import Case, coverage_cases, products_of_text, random_case, random_product, write_golden
from xnorscan.rtl.simulate import Result, simulate
from xnorscan.rtl.verilog import to_verilog

BENCH, TOP = "xnorscan.rtl.bench.array_bench", "xnorscan_array"
TEXT = b'"""Least squares."""\n\nimport math\n\n\ndef norm(values):\n    return math.sqrt(sum(v * v for v in values))\n'
SERIAL = ArrayConfig(rows=2, cols=3, lanes=8, inputs_max=512, cols_per_block=2)
BLOCKS = replace(SERIAL, rows=5, rows_per_block=2, levels_per_stage=2)
PARALLEL = ArrayConfig(rows=3, cols=4, lanes=8, activations="parallel", inputs_max=512, cols_per_block=4)
ROW = ArrayConfig(rows=1, cols=5, lanes=16, inputs_max=512, cols_per_block=4)
COVERED = {"serial": SERIAL, "parallel": PARALLEL}

Bench = Callable[..., Result]
verilog_of = cache(lambda config: to_verilog(SystolicArray(config), TOP))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Run cases on the array of a configuration, or on a changed text of its Verilog."""
    builds = tmp_path_factory.getbasetemp() / "simulations"

    def run(config: ArrayConfig, cases: list[Case], verilog: str | None = None, simulator: str = "verilator") -> Result:
        directory = tmp_path_factory.mktemp("bench")
        write_golden(directory / "golden.npz", config, cases)
        text = verilog or verilog_of(config)
        return simulate(text, TOP, BENCH, directory / "golden.npz", directory, simulator=simulator, cache=builds)

    return run


def full_rate(config: ArrayConfig, seed: int, count: int = 12) -> list[Case]:
    """Single products that nobody stalls: the bench holds their cycles against the closed form."""
    rng = np.random.default_rng(seed)
    cases = []
    for i in range(count):
        tokens, outputs = (int(rng.integers(1, 3 * size, endpoint=True)) for size in (config.rows, config.cols))
        inputs, planes = int(rng.integers(1, 4 * config.lanes)), int(rng.integers(1, 5))
        bits = 8 if config.activations == "parallel" else int(2 ** rng.integers(4))
        item = random_product(rng, "alone", tokens, outputs, inputs, planes, bits, "random")
        cases.append(Case(f"full_rate_{i}", [item]))
    return cases


@pytest.fixture(scope="module")
def covering(bench: Bench) -> dict[str, Result]:
    """The runs that together hit every bin."""
    return {
        name: bench(config, [*coverage_cases(config, 1), *(random_case(config, seed) for seed in range(3))])
        for name, config in COVERED.items()
    }


@pytest.mark.parametrize("name", COVERED)
def test_products_of_every_kind(covering: dict[str, Result], name: str) -> None:
    assert covering[name].passed, covering[name].message
    assert covering[name].tests == 8


def test_functional_coverage_is_whole(covering: dict[str, Result]) -> None:
    merged = Coverage.read(result.directory / "coverage.json" for result in covering.values())
    Console().print(table(merged))
    assert not merged.missing
    alone = Coverage.read([covering["parallel"].directory / "coverage.json"])
    assert len(alone.missing) == len(BINS) * 4 // 5, "a parallel array takes 8 bits only"


@pytest.mark.parametrize("config", [SERIAL, BLOCKS, PARALLEL, ROW], ids=["serial", "blocks", "parallel", "row"])
def test_cycles_are_the_closed_form(bench: Bench, config: ArrayConfig) -> None:
    result = bench(config, full_rate(config, 2))
    assert result.passed, result.message


@pytest.mark.parametrize(("model", "config"), [("tiny", PARALLEL), ("small", PARALLEL), ("tiny", SERIAL)])
def test_layers_of_trained_models(bench: Bench, model: str, config: ArrayConfig) -> None:
    tokens = 7 if config is PARALLEL else 2
    layers = products_of_text(load_shipped(model), TEXT[:tokens])
    result = bench(config, [Case(item.name, [item]) for item in (layers[0], layers[1], layers[-1])])
    assert result.passed, result.message
    assert result.tests == 3


def test_a_reset_leaves_nothing_behind(bench: Bench) -> None:
    whole = random_case(SERIAL, 5, products=3)
    cases = [replace(whole, name=f"after_{cycles}", reset_after=cycles) for cycles in (1, 7, 30, 75, 100)]
    result = bench(SERIAL, cases)
    assert result.passed, result.message


def flipped(verilog: str, seed: int) -> str:
    """The same Verilog with one XOR of a dot product made an XNOR."""
    levels = re.finditer(r"^module \w+_level.*?^endmodule", verilog, re.M | re.S)
    xors = re.compile(r"(?<=[\w\])}]) \^ (?=[\w({~])")
    places = [xor.start() for level in levels for xor in xors.finditer(verilog, *level.span())]
    place = places[seed % len(places)]
    return f"{verilog[:place]} ~^ {verilog[place + 3 :]}"


@pytest.mark.parametrize("config", [SERIAL, PARALLEL], ids=["serial", "parallel"])
def test_a_flipped_bit_is_caught(bench: Bench, config: ArrayConfig) -> None:
    result = bench(config, full_rate(config, 3, 4), flipped(verilog_of(config), 0))
    assert result.failed
    assert re.search(r"full_rate_\d: (row|token|nothing moved)", result.message), result.message


def test_a_wrong_number_of_cycles_is_caught(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from xnorscan.rtl import golden

    right = golden.layer_cycles
    monkeypatch.setattr(golden, "layer_cycles", lambda *sizes, **config: right(*sizes, **config) + 1)
    result = bench(SERIAL, full_rate(SERIAL, 2, 1))
    assert result.failed == 1
    assert re.search(r"full_rate_0: \d+ cycles from the first step to the last row, not \d+", result.message)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not on PATH")
def test_icarus_says_the_same(bench: Bench) -> None:
    cases = [random_case(SERIAL, 1, products=3), *full_rate(SERIAL, 4, 2)]
    result = bench(SERIAL, cases, simulator="icarus")
    assert result.passed, result.message
    assert result.tests == 3


PRESETS = [design for design in map(load_design, preset_names()) if isinstance(design, OneBitDesign)]
WIDER = [
    *(ArrayConfig(rows=r, cols=c, lanes=n, inputs_max=4096) for r, c, n in [(1, 1, 1), (2, 2, 2), (4, 9, 4)]),
    *(ArrayConfig(rows=r, cols=c, lanes=n, inputs_max=4096) for r, c, n in [(8, 8, 16), (5, 3, 32), (8, 8, 64)]),
    *(
        ArrayConfig(rows=r, cols=c, lanes=n, activations="parallel", inputs_max=4096)
        for r, c, n in [(1, 1, 1), (2, 3, 2), (4, 4, 16), (7, 5, 8), (1, 32, 16), (16, 2, 4)]
    ),
    ArrayConfig(rows=3, cols=8, lanes=8, inputs_max=16384, cols_per_block=1),
    ArrayConfig(rows=3, cols=8, lanes=8, inputs_max=100, cols_per_block=8),
    ArrayConfig(rows=6, cols=5, lanes=16, inputs_max=4096, rows_per_block=4, levels_per_stage=2),
    ArrayConfig(
        rows=5, cols=3, lanes=16, activations="parallel", inputs_max=4096, rows_per_block=2, levels_per_stage=3
    ),
]


@pytest.mark.verify
@pytest.mark.parametrize("config", WIDER, ids=lambda c: f"{c.rows}x{c.cols}x{c.lanes}-{c.activations}")
def test_other_sizes(bench: Bench, config: ArrayConfig) -> None:
    cases = [*(random_case(config, seed) for seed in range(8)), *full_rate(config, 5)]
    result = bench(config, cases)
    assert result.passed, result.message


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("config", [SERIAL, PARALLEL], ids=["serial", "parallel"])
def test_any_flipped_bit_is_caught(bench: Bench, config: ArrayConfig, seed: int) -> None:
    verilog = flipped(verilog_of(config), 1 + 7 * seed)
    assert bench(config, [random_case(config, 0), *full_rate(config, 3)], verilog).failed


@pytest.mark.verify
@pytest.mark.parametrize("design", PRESETS, ids=lambda design: design.name)
def test_presets(bench: Bench, design: OneBitDesign) -> None:
    config = ArrayConfig.of_design(design)
    if config.binary_macs > 1 << 14:
        pytest.skip("Verilator takes hours for an array of this size; its sizes are covered by smaller ones")
    layers = products_of_text(load_shipped("tiny"), TEXT[: 2 * config.rows])
    cases = [random_case(config, 0), *full_rate(config, 1, 3), Case("layer", [layers[0]])]
    result = bench(replace(config, tech="generic"), cases)
    assert result.passed, result.message
