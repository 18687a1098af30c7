"""Whole layers through the AXI faces alone, in Verilator: every result is that of the simulator's ``apply_linear``.

Each engine is built once and plays many scripts of ``golden_layer``; the tests differ in what their scripts do.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from oracles.popcount import bits_to_int, dot_plain
from xnorscan.models.shipped import load_shipped
from xnorscan.rtl.config import ArrayConfig, CoreConfig
from xnorscan.rtl.golden import PROFILES, VALUES, Product, Profile, random_product
from xnorscan.rtl.golden_layer import (
    DONE,
    Script,
    Task,
    activation_words,
    linear_task,
    random_linear,
    random_x,
    raw_task,
    result_rows,
    tasks_of_text,
    write_scripts,
)
from xnorscan.rtl.layer import FbiLinear
from xnorscan.rtl.register_table import ERRORS
from xnorscan.rtl.settings import EngineConfig, layer_settings
from xnorscan.rtl.simulate import simulate
from xnorscan.rtl.tools import cell_models
from xnorscan.rtl.verilog import to_verilog
from xnorscan.sim.formats import NORMED, RESIDUAL, SCANNED, VECTOR

TOP, BENCH = "xnorscan_linear", "xnorscan.rtl.bench.layer_bench"
FORMATS = ((NORMED, VECTOR), (NORMED, RESIDUAL), (SCANNED, RESIDUAL), (VECTOR, VECTOR), (VECTOR, NORMED))
FACES = ("parameters", "x", "y", "registers")
TEXT = b"The systolic array counts mismatches; what it counts is a sum of one-bit products."


def engine(array: tuple[int, int, int, str, int], weight_words: int, activation_words: int, **more) -> EngineConfig:
    """``array``: rows, cols, lanes, activations, inputs_max."""
    names = ("rows", "cols", "lanes", "activations", "inputs_max")
    options = {name: more.pop(name) for name in ("tech", "cols_per_block") if name in more}
    config = ArrayConfig(**dict(zip(names, array, strict=True)), **options)
    core = CoreConfig(array=config, weight_words=weight_words, activation_words=activation_words)
    return EngineConfig(core=core, **{"output_tiles_max": weight_words} | more)


ENGINES = {
    "parallel pow2": engine((2, 8, 32, "parallel", 256), 272, 24, vector_lanes=8, output_tiles_max=67),
    "serial absmax planes": engine(
        (3, 5, 16, "serial", 96), 120, 50, vector_lanes=4, planes_max=4, quantizer="absmax", cols_per_block=2
    ),
}
MORE_ENGINES = {
    "serial pow2": engine((2, 3, 8, "serial", 60), 60, 130, vector_lanes=8),
    "parallel absmax planes": engine(
        (5, 4, 8, "parallel", 70), 90, 20, vector_lanes=2, planes_max=3, quantizer="absmax", cols_per_block=3
    ),
    "one element": engine((1, 1, 1, "serial", 20), 60, 160, vector_lanes=1, planes_max=2),
    "ecp5": engine((2, 4, 16, "parallel", 64), 64, 16, vector_lanes=4, planes_max=2, quantizer="absmax", tech="ecp5"),
}
engines = pytest.mark.parametrize(
    "config",
    [*ENGINES.values(), *(pytest.param(config, marks=pytest.mark.verify) for config in MORE_ENGINES.values())],
    ids=[*ENGINES, *MORE_ENGINES],
)


@cache
def verilog_of(config: EngineConfig) -> str:
    return to_verilog(FbiLinear(config), TOP) + cell_models(config.array.tech)


def play(config: EngineConfig, directory: Path, *scripts: Script) -> dict[str, dict[str, int]]:
    """Run ``scripts``; returns the cycles of their tasks by the name of the script."""
    data = directory / "golden.npz"
    write_scripts(data, config, scripts)
    result = simulate(verilog_of(config), TOP, BENCH, data, directory)
    assert result.passed, result.message
    assert result.tests == len(scripts)
    return json.loads((directory / "counters.json").read_text())


def slots_of(config: EngineConfig, inputs: int, bits: int = 8) -> int:
    words = -(-inputs // config.array.lanes)
    return config.core.activation_words // (words * (bits if config.array.activations == "serial" else 1))


def random_task(config: EngineConfig, rng: np.random.Generator, name: str, **sizes: int) -> Task:
    """A layer of sizes that fit, or of those that are given; its tokens may need several turns of the slots."""
    array = config.array
    inputs = sizes.get("inputs") or int(rng.integers(1, array.inputs_max, endpoint=True))
    planes = sizes.get("planes") or int(rng.integers(1, config.planes_max, endpoint=True))
    words = -(-inputs // array.lanes)
    tiles = min(3, config.output_tiles_max, config.core.weight_words // (words * planes))
    outputs = sizes.get("outputs") or int(rng.integers(1, tiles * array.cols, endpoint=True))
    tokens = sizes.get("tokens") or int(rng.integers(1, 4 * array.rows, endpoint=True))
    source, result = FORMATS[sizes.get("formats", int(rng.integers(len(FORMATS))))]
    linear = random_linear(rng, inputs, outputs, planes, source, result)
    return linear_task(config, name, linear, random_x(rng, tokens, inputs, source), source, result)


def random_raw(config: EngineConfig, rng: np.random.Generator, name: str, bits: int, **sizes: int) -> Task:
    array = config.array
    inputs = sizes.get("inputs") or int(rng.integers(1, array.inputs_max, endpoint=True))
    planes = int(rng.integers(1, config.planes_max, endpoint=True))
    tiles = min(3, config.core.weight_words // (-(-inputs // array.lanes) * planes))
    outputs = int(rng.integers(1, tiles * array.cols, endpoint=True))
    tokens = sizes.get("tokens") or int(rng.integers(1, 3 * array.rows, endpoint=True))
    values = VALUES[int(rng.integers(len(VALUES)))]
    product = random_product(rng, name, tokens, outputs, inputs, planes, bits, values)
    if config.planes_max == 1:
        product = replace(product, coefficients=np.ones(1, np.int64))
    return raw_task(config, product)


def edges(config: EngineConfig, rng: np.random.Generator) -> list[Task]:
    """Sizes where a loop turns once or a word is just full, every pair of formats, every number of planes."""
    array = config.array
    lanes, rows, cols, most = array.lanes, array.rows, array.cols, array.inputs_max
    full = slots_of(config, most) * rows
    sizes = (
        {"inputs": 1, "outputs": 1, "tokens": 1},
        {"inputs": min(lanes, most), "outputs": cols, "tokens": rows},
        {"inputs": min(lanes + 1, most), "outputs": cols + 1, "tokens": rows + 1},
        {"inputs": max(lanes - 1, 1), "outputs": 2 * cols - 1, "tokens": 2 * rows - 1},
        {"inputs": most, "outputs": cols + 1, "tokens": 2 * full + 1},
        {"inputs": config.vector_lanes, "outputs": 2, "tokens": 5 * rows},
    )
    return [
        random_task(config, rng, f"edge {i}", formats=i % len(FORMATS), planes=i % config.planes_max + 1, **size)
        for i, size in enumerate(sizes)
    ]


def script_of(config: EngineConfig, name: str, tasks: list[Task], profile: Profile = "none") -> Script:
    """The tasks one after the other, every face idle after ``profile``."""
    idle = dict.fromkeys(FACES, profile) if profile != "none" else {}
    script = Script(config, name, seed=len(tasks), idle=idle)
    for task in tasks:
        script.run(task)
    return script


@engines
def test_layers_equal_the_simulator(config, tmp_path):
    """Layers of other sizes without a reset between them, with and without idle cycles on every face."""
    rng = np.random.default_rng(1)
    scripts = [script_of(config, "edges", edges(config, rng))]
    for profile in PROFILES:
        tasks = [random_task(config, rng, f"random {i}") for i in range(4)]
        scripts.append(script_of(config, profile, tasks, profile))
    for face in FACES[1:3]:
        script = Script(config, f"slow {face}", idle={face: "mostly"})
        scripts.append(script.run(random_task(config, rng, face, tokens=4 * config.array.rows)))
    play(config, tmp_path, *scripts)


@engines
def test_raw_activations_give_exact_sums(config, tmp_path):
    """1, 2, 4 and 8 bits (parallel: 8), one bit as ±1; more tiles than slots.

    Also between layers of x; the tokens of the next one are there before its start.
    """
    rng, bits = np.random.default_rng(2), config.activation_bits
    one = Script(config, "raw")
    for width in bits:
        for number in range(2):
            one.run(random_raw(config, rng, f"{width} bits, {number}", width))
    slow = Script(config, "raw, slow", idle=dict.fromkeys(FACES, "bursty"))
    between = Script(config, "raw between x")
    turns = Script(config, "more tiles than slots")
    for width in bits[-2:]:
        slow.run(random_raw(config, rng, f"{width} bits", width))
        between.run(random_task(config, rng, "before")).run(random_raw(config, rng, "raw", width))
        tokens = (slots_of(config, config.array.inputs_max, width) * 2 + 1) * config.array.rows - 1
        inputs = config.array.inputs_max
        turns.run(random_raw(config, rng, f"{width} bits", width, inputs=inputs, tokens=max(tokens, 1)))
    after = random_task(config, rng, "after", inputs=config.vector_lanes, tokens=2 * config.array.rows)
    between.run(after, early=2)
    play(config, tmp_path, one, slow, between, turns)


@engines
def test_a_layer_runs_right_after_a_soft_reset(config, tmp_path):
    """The reset finds the engine with tokens inside and results that nobody takes, or with a slot that was loaded."""
    rng = np.random.default_rng(3)
    scripts = []
    for part in (1, 3):
        script = Script(config, f"after {part} of 4 parts of the tokens")
        abandoned = random_task(config, rng, "abandoned", tokens=4 * config.array.rows, inputs=config.vector_lanes)
        script.load(abandoned)
        script.configure(layer_settings(config, **abandoned.arguments))
        script.start()
        beats = script.x_beats(abandoned)
        script.tokens(beats[: part * len(beats) // 4 - 1])
        script.soft_reset()
        scripts.append(script.run(random_task(config, rng, "next")).run(random_raw(config, rng, "raw", 8)))
    script = Script(config, "after a slot was loaded")
    raw = random_raw(config, rng, "raw", 8, inputs=config.array.inputs_max, tokens=config.array.rows)
    script.load_activations(raw, layer_settings(config, **raw.arguments), 0)
    script.soft_reset()
    scripts.append(script.run(random_task(config, rng, "next")).run(raw))
    play(config, tmp_path, *scripts)


@engines
def test_wrong_settings_are_refused_and_harm_nothing(config, tmp_path):
    rng = np.random.default_rng(4)
    script, array = Script(config, "refused"), config.array
    task = random_task(config, rng, "right", tokens=2 * array.rows + 1)
    right = layer_settings(config, **task.arguments)
    wrong = {
        "inputs": (0, array.inputs_max + 1),
        "words": (right["words"] + 1,),
        "bits": (0, 3, 5),
        "planes": (0, config.planes_max + 1),
        "output_tiles": (0, config.output_tiles_max + 1),
        "outputs": (right["outputs"] + array.cols, 0),
        "token_tiles": (0,),
        "last_height": (0, array.rows + 1),
        "tokens": (right["tokens"] + 1, right["tokens"] - 1),
        "slots": (0, config.core.activation_words + 1),
        "exponent": (64, -64),
        "bias_exponent": (64, -64),
        "result_bits": (17, 0),
    }
    assert set(wrong) | {"none", "busy", "load"} == set(ERRORS)
    script.load(task)
    script.configure(right)
    for name, values in wrong.items():
        for value in values:
            script.configure({name: value})
            script.start_refused(name)
        script.configure({name: right[name]})
    script.run(task, load=False)
    play(config, tmp_path, script)


@engines
def test_what_is_refused_while_busy_leaves_the_layer_right(config, tmp_path):
    """Settings are locked, a second start is an error, a packet beyond its memory is dropped; early x is kept."""
    task = random_task(config, np.random.default_rng(5), "right", tokens=config.array.rows + 1)
    script = Script(config, "busy")
    script.load(task)
    script.configure(settings := layer_settings(config, **task.arguments))
    beats = script.x_beats(task)
    script.tokens(beats[:2])
    script.start()
    script.refused("inputs", 1).refused("slots", 1)
    script.start()
    script.error("busy", busy=True)
    script.packet("weights", config.core.weight_words, np.ones(1))
    script.error("load", busy=True)
    script.layer(beats[2:], *result_rows(config, task.y))
    script.read("status", DONE).read("inputs", settings["inputs"])
    play(config, tmp_path, script)


def test_the_linears_of_tiny_on_a_text(tmp_path):
    config = ENGINES["parallel pow2"]
    tasks = tasks_of_text(config, load_shipped("tiny"), TEXT[:19])
    assert len(tasks) == 8
    play(config, tmp_path, script_of(config, "tiny", tasks), script_of(config, "tiny, slow", tasks[:2], "bursty"))


@pytest.mark.verify
@pytest.mark.parametrize("quantizer", ["pow2", "absmax"])
def test_the_linears_of_tiny_on_64_tokens(quantizer, tmp_path):
    config = replace(ENGINES["parallel pow2"], quantizer=quantizer)
    tasks = tasks_of_text(config, load_shipped("tiny"), TEXT[:64])
    assert len(tasks) == 8
    play(config, tmp_path, script_of(config, "tiny", tasks))


WIDE = {
    "8×16×32 parallel": engine((8, 16, 32, "parallel", 512), 528, 128, vector_lanes=32),
    "8×8×64 serial": engine((8, 8, 64, "serial", 512), 524, 512, vector_lanes=16),
    "8×16×64 serial": engine((8, 16, 64, "serial", 512), 264, 512, vector_lanes=32),
}


@pytest.mark.verify
@pytest.mark.parametrize("config", WIDE.values(), ids=WIDE)
def test_the_linears_of_small_on_64_tokens(config, tmp_path):
    """Results from x; then, activations loaded before, the share of the products that a cycle could do: ≥ 95 %."""
    tasks = tasks_of_text(config, load_shipped("small"), TEXT[:64])[:4]
    from_x = script_of(config, "x", tasks)
    loaded = Script(config, "loaded")
    rng = np.random.default_rng(6)
    products = [product_like(rng, task) for task in tasks[:2]]
    for product in products:
        loaded.run(raw_task(config, product))
    cycles = play(config, tmp_path, from_x, loaded)
    for name, share in shares(config, tasks, cycles["x"]) + shares(config, products, cycles["loaded"]):
        print(f"{name}: {share:.4f}")
    assert all(share >= 0.95 for _, share in shares(config, products, cycles["loaded"]))


def product_like(rng: np.random.Generator, task: Task) -> Product:
    """A product of the sizes of ``task``."""
    sizes = (len(task.y), task.arguments["outputs"], task.arguments["inputs"])
    product = random_product(rng, f"{task.name}, loaded", *sizes, 1, 8, "random")
    return replace(product, coefficients=np.ones(1, np.int64))


def shares(config, items, cycles):
    """Products of the layer over those that the array can do in its cycles; a serial step is an eighth of one."""
    array = config.array
    a_cycle = array.binary_macs / (8 if array.activations == "serial" else 1)
    found = []
    for item in items:
        inputs = item.arguments["inputs"] if isinstance(item, Task) else item.q.shape[1]
        tokens, outputs = item.y.shape if isinstance(item, Task) else item.sums.shape
        found.append((item.name, tokens * outputs * inputs / (cycles[item.name] * a_cycle)))
    return found


def test_random_layers_saturate_and_do_not():
    """What the hardware is held against must hold both."""
    config, rng = ENGINES["parallel pow2"], np.random.default_rng(7)
    seen = {bits: [0, 0] for bits in (18, 24, 32)}
    for i in range(60):
        task = random_task(config, rng, "", formats=i % len(FORMATS))
        bits = task.arguments["result_bits"]
        clipped = (task.y == (1 << bits - 1) - 1) | (task.y == -(1 << bits - 1))
        seen[bits][0] += int(clipped.sum())
        seen[bits][1] += int((~clipped & (abs(task.y.astype(np.int64)) > 1 << bits - 6)).sum())
    assert min(min(counts) for counts in seen.values()) > 20


def test_raw_results_are_plain_sums():
    config = ENGINES["serial absmax planes"]
    for bits in config.activation_bits:
        product = random_product(np.random.default_rng(bits), "", 4, 7, 21, 3, bits, "random")
        task = raw_task(config, product)
        for token, output in np.ndindex(*task.y.shape):
            q = product.q[token].tolist()
            dots = [dot_plain(bits_to_int(plane[output].tolist()), q) for plane in product.weights]
            assert task.y[token, output] == sum(c * d for c, d in zip(product.coefficients.tolist(), dots, strict=True))


def test_results_leave_by_token_tile_output_tile_token():
    config = ENGINES["serial absmax planes"]
    rows, columns = result_rows(config, np.arange(4 * 7).reshape(4, 7))
    first = [[0, 1, 2, 3, 4], [7, 8, 9, 10, 11], [14, 15, 16, 17, 18], [5, 6, 0, 0, 0], [12, 13, 0, 0, 0]]
    assert rows.tolist() == [*first, [19, 20, 0, 0, 0], [21, 22, 23, 24, 25], [26, 27, 0, 0, 0]]
    assert columns.tolist() == [5, 5, 5, 2, 2, 2, 5, 2]


def test_activations_are_cut_into_words():
    serial = activation_words(ENGINES["serial absmax planes"], np.array([[2, 1, 3] + [0] * 13 + [2]], np.uint8), 2)
    assert serial.tolist() == [[[0b101], [1], [0b110], [0]]]
    parallel = activation_words(ENGINES["parallel pow2"], np.arange(1, 6, dtype=np.uint8)[None], 8)
    assert parallel.tolist() == [[[0x04030201, 5, *[0] * 6]]]


def test_latency_and_interval():
    layer = FbiLinear(ENGINES["parallel pow2"])
    assert (layer.latency, layer.interval) == (9, 1)
