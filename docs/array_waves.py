"""Waves of a real run: a small array is simulated, held against a plain product, and what is drawn is its recording."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from amaranth import Cat
from amaranth.sim import Simulator
from sheet import Sheet

from xnorscan.reports.plotting import BLUE, GREY, GRID, MUTED, VERMILLION, Picture
from xnorscan.rtl.array import SystolicArray
from xnorscan.rtl.config import ArrayConfig

CONFIG = ArrayConfig(rows=2, cols=4, lanes=8, inputs_max=64, cols_per_block=2)
BITS, WORDS, PASSES = 2, 2, 2


Waves = dict[str, list[int]]
"""Of every signal, by its path, its value in each cycle (just before the clock's edge)."""


def waves() -> Waves:
    """Simulate ``PASSES`` passes without a pause between them and record every signal.

    Raises ``RuntimeError`` where the rows that leave are not the counts of a plain product.
    """
    rng = np.random.default_rng(3)
    u = rng.integers(1 << BITS, size=(PASSES, CONFIG.rows, WORDS, CONFIG.lanes))
    w = rng.integers(2, size=(PASSES, CONFIG.cols, WORDS, CONFIG.lanes))
    dut = SystolicArray(CONFIG)

    async def feed(ctx: Any) -> None:
        await ctx.tick().repeat(dut.latency)  # what the reset set going has passed
        for number, bit, word in product(range(PASSES), reversed(range(BITS)), range(WORDS)):
            activations = [_packed(lanes >> bit & 1) for lanes in u[number, :, word]]
            flags = {"double": int(word == 0), "last": int((bit, word) == (0, WORDS - 1)), "height": CONFIG.rows}
            ctx.set(dut.i_activations.payload, {"words": activations, **flags})
            ctx.set(dut.i_weights.payload, {"words": [_packed(lanes) for lanes in w[number, :, word]]})
            ctx.set(Cat(dut.i_activations.valid, dut.i_weights.valid, dut.o.ready), 0b111)
            await ctx.tick().until(dut.i_activations.ready)
        for port in (dut.i_activations, dut.i_weights):
            ctx.set(Cat(port.valid, port.payload), 0)
        await ctx.tick().repeat(dut.latency + CONFIG.rows)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "waves.vcd")
        with simulator.write_vcd(str(record)):
            simulator.run()
        found = read_vcd(record.read_text())
    rows = [
        [found[f"o__payload.raw[{column}]"][at] for column in range(CONFIG.cols)] for at in _ones(found, "o__valid")
    ]
    counts = [[_count(u[number, row], lanes) for lanes in w[number]] for number in range(PASSES) for row in (0, 1)]
    if rows != counts:
        raise RuntimeError(f"the array gave {rows}, the product has {counts}")
    return found


def _packed(lanes: np.ndarray) -> int:
    return sum(int(bit) << lane for lane, bit in enumerate(lanes))


def _count(u: np.ndarray, w: np.ndarray) -> int:
    """Σ of u where the weight is 0, of what is missing to the greatest u where it is 1."""
    return int(np.where(w == 1, (1 << BITS) - 1 - u, u).sum())


def _ones(found: Waves, name: str) -> list[int]:
    return [cycle for cycle, value in enumerate(found[name]) if value]


def read_vcd(text: str) -> Waves:
    """The signals of a recording by Amaranth; a path starts below its top module."""
    names: dict[str, str] = {}
    scopes: list[str] = []
    now: dict[str, int] = {}
    cycles: list[dict[str, int]] = []
    for line in text.splitlines():
        match line.split():
            case ["$scope", _, name, "$end"]:
                scopes.append(name)
            case ["$upscope", "$end"]:
                scopes.pop()
            case ["$var", _, _, code, name, "$end"]:
                names[".".join([*scopes[2:], name.removeprefix("\\")])] = code
            case [change] if change[0] in "01":
                if change == f"1{names['clk']}" and now[names["clk"]] == 0:
                    cycles.append(dict(now))
                now[change[1:]] = int(change[0])
            case [value, code] if value[0] == "b":
                now[code] = int(value[1:], 2)
    return {path: [cycle[code] for cycle in cycles] for path, code in names.items() if code in cycles[0]}


@dataclass(frozen=True)
class Row:
    """A line of the waves: a bit, or where ``gate`` is 1 the numbers of a bus, coloured by the pass they belong to.

    ``ends``: the signal that is 1 with the last number of a pass. ``late``: cycles that gate and ends lie behind.
    """

    label: str
    path: str
    gate: str = ""
    ends: str = ""
    hexadecimal: bool = False
    late: int = 0


FIRST, SECOND = "block_0_0.element_0", "block_1_0.element_0"
INPUTS = ("i_activations__valid", "i_activations__payload.last")
GROUPS = (
    ("", (Row("clk", "clk"),)),
    ("i_activations", (
        Row("valid", INPUTS[0]),
        Row("ready", "i_activations__ready"),
        Row("words[0]", "i_activations__payload.words[0]", *INPUTS, hexadecimal=True),
        Row("double", "i_activations__payload.double"),
        Row("last", INPUTS[1]),
    )),
    ("i_weights", (
        Row("valid", "i_weights__valid"),
        Row("ready", "i_weights__ready"),
        Row("words[0]", "i_weights__payload.words[0]", *INPUTS, hexadecimal=True),
    )),
    ("row 0, column 0", (
        Row("enable", f"{FIRST}.flags.enable"),
        Row("double", f"{FIRST}.flags.double"),
        Row("last", f"{FIRST}.flags.last"),
        Row("acc", f"{FIRST}.accumulator.acc", f"{FIRST}.flags.enable", f"{FIRST}.flags.last"),
        Row("o_sum", "block_0_0.o_sums[0]", f"{FIRST}.flags.enable", f"{FIRST}.flags.last"),
        Row("select", f"{FIRST}.o_select"),
    )),
    ("row 1, column 0", (
        Row("o_sum", "block_1_0.o_sums[0]", f"{SECOND}.flags.enable", f"{SECOND}.flags.last"),
        Row("select", f"{SECOND}.o_select"),
    )),
    ("tree of column 0", (
        Row("o", "tree_0.o", "tree_0.any", f"{SECOND}.o_select", late=1),
    )),
    ("o", (
        Row("valid", "o__valid"),
        Row("raw[0]", "o__payload.raw[0]", "o__valid", "o__payload.last"),
        Row("raw[1]", "o__payload.raw[1]", "o__valid", "o__payload.last"),
        Row("raw[2]", "o__payload.raw[2]", "o__valid", "o__payload.last"),
        Row("raw[3]", "o__payload.raw[3]", "o__valid", "o__payload.last"),
        Row("last", "o__payload.last"),
    )),
)  # fmt: skip
PASS_COLOURS = (BLUE, VERMILLION)


def waveform() -> Picture:
    """Two passes of a small array, as simulated."""
    found = waves()
    first = _ones(found, INPUTS[0])[0] - 1
    found = {path: values[first:] for path, values in found.items()}
    found["tree_0.any"] = [a | b for a, b in zip(found[f"{FIRST}.o_select"], found[f"{SECOND}.o_select"], strict=True)]
    ends, leaves = _ones(found, INPUTS[1]), _ones(found, "o__valid")
    shown, steps, latency = leaves[-1] + 2, len(_ones(found, INPUTS[0])), leaves[0] - ends[0]
    title = f"Simulated: {PASSES} passes of {steps // PASSES} steps follow each other without a bubble"
    shape = f"{CONFIG.rows} rows × {CONFIG.cols} columns × {CONFIG.lanes} lanes, blocks of {CONFIG.cols_per_block}"
    subtitle = (
        f"{shape}, {BITS}-bit activations, {WORDS} words; blue: first pass, red: second; latency {latency} cycles"
    )
    lines = sum(len(rows) + 0.7 for _, rows in GROUPS)
    s = Sheet(108, 3.0 * lines + 12, title, subtitle)
    left, unit = 25.0, 82.0 / shown
    y = 3.0 * lines + 1.5
    for cycle in range(shown):
        s.text(left + (cycle + 0.5) * unit, y + 2.3, str(cycle), size=7.4, colour=MUTED)
        s.wire((left + cycle * unit, y + 1), (left + cycle * unit, 1), colour=GRID, width=0.6, head=False)
    for group, rows in GROUPS:
        s.text(1, y - 1, group, align="left", bold=True, size=7.8)
        for row in rows:
            s.text(left - 1.2, y - 1, row.label, align="right", size=7.6)
            if row.label == "clk":
                _clock(s, left, y - 2, unit, shown)
            elif row.gate:
                _bus(s, row, found, left, y - 2, unit, shown)
            else:
                _bit(s, found[row.path][:shown], left, y - 2, unit)
            y -= 3.0
        y -= 2.1
    return s.finish(
        "array-waves", f"Waves of {shown} cycles: valid, ready, last and words of both inputs, flags, "
        "accumulator and select of two elements, a select tree, and the four rows that leave.",
    )  # fmt: skip


def _clock(s: Sheet, left: float, y: float, unit: float, shown: int) -> None:
    line = [(left + (c + part) * unit, y + 2 * level) for c in range(shown) for part, level in _CLOCK]
    s.wire(*line, width=1.0, head=False)


_CLOCK = ((0, 0), (0, 1), (0.5, 1), (0.5, 0), (1, 0))


def _bit(s: Sheet, values: list[int], left: float, y: float, unit: float) -> None:
    line = [(left + (cycle + part) * unit, y + 2 * value) for cycle, value in enumerate(values) for part in (0, 1)]
    s.wire(*line, width=1.2, head=False)


def _bus(s: Sheet, row: Row, found: Waves, left: float, y: float, unit: float, shown: int) -> None:
    number = 0
    for cycle in range(shown):
        at, x = cycle - row.late, left + cycle * unit
        if at < 0 or not found[row.gate][at]:
            s.wire((x, y + 1), (x + unit, y + 1), colour=GREY, width=0.9, head=False)
            continue
        value, slope = found[row.path][cycle], 0.35
        middle = (x + slope, y + 2), (x + unit - slope, y + 2), (x + unit, y + 1)
        s.shape((x, y + 1), *middle, (x + unit - slope, y), (x + slope, y), colour=PASS_COLOURS[number % 2])
        s.text(x + unit / 2, y + 0.95, f"{value:02x}" if row.hexadecimal else str(value), size=7.4)
        number += found[row.ends][at]
