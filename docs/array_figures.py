"""Draw the pictures of ``docs/array.md`` again: ``python docs/array_figures.py``.

Three drawings, and the waves of a real run: a small array is simulated, its results are held against a plain product,
and what the picture shows is read from the simulator's recording.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from amaranth import Cat
from amaranth.sim import Simulator
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon
from matplotlib.path import Path as Line

from xnorscan.reports.plotting import (
    BLUE,
    GREEN,
    GREY,
    GRID,
    INK,
    MUTED,
    PAPER,
    PURPLE,
    VERMILLION,
    Picture,
    finish,
    headline,
    style,
)
from xnorscan.rtl.array import SystolicArray
from xnorscan.rtl.config import ArrayConfig

IMAGES = Path(__file__).parent / "images"
WIDTH_INCHES = 9.6
TINTS = {BLUE: "#e4f0f8", GREEN: "#e0f2ec", VERMILLION: "#fbe9dd", PURPLE: "#f7ebf2", GREY: "#f1f3f5", INK: PAPER}
"""Fill of a box by the colour of its edge: activations, weights, results, control, what is none of them."""
Point = tuple[float, float]


class Sheet:
    """A figure to draw on, ``width`` × ``height`` units from the lower left corner, ``WIDTH_INCHES`` wide."""

    def __init__(self, width: float, height: float, title: str, subtitle: str) -> None:
        self.figure = Figure(figsize=(WIDTH_INCHES, WIDTH_INCHES * height / width))
        self.axes: Axes = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set(xlim=(0, width), ylim=(0, height))
        self.axes.set_axis_off()
        headline(self.figure, title, subtitle)

    def text(
        self, x: float, y: float, text: str, *, size: float = 8.2, colour: str = INK, align: str = "center",
        bold: bool = False,
    ) -> None:  # fmt: skip
        weight = "bold" if bold else "normal"
        self.axes.text(
            x, y, text, fontsize=size, color=colour, ha=align, va="center", weight=weight, linespacing=1.35, zorder=5
        )

    def box(
        self, x: float, y: float, w: float, h: float, text: str = "", *, colour: str = GREY, size: float = 8.2,
        dashed: bool = False,
    ) -> None:  # fmt: skip
        """``dashed``: no fill, what stands inside belongs together; its text stands at the top left."""
        self.axes.add_patch(
            FancyBboxPatch(
                (x, y), w, h, boxstyle="round,pad=0,rounding_size=0.5", edgecolor=colour, linewidth=1.1,
                facecolor="none" if dashed else TINTS[colour], linestyle=(0, (4, 2.5)) if dashed else "-",
                zorder=1 if dashed else 3,
            )
        )  # fmt: skip
        if dashed:
            self.text(x + 1, y + h - 1.5, text, size=size, colour=MUTED, align="left")
        else:
            self.text(x + w / 2, y + h / 2, text, size=size)

    def wire(
        self, *points: Point, colour: str = INK, width: float = 1.4, head: bool = True, dashed: bool = False
    ) -> None:
        self.axes.add_patch(
            FancyArrowPatch(
                path=Line(points), arrowstyle="-|>" if head else "-", mutation_scale=8.5, color=colour, zorder=2,
                linewidth=width, linestyle=(0, (3, 2)) if dashed else "-", joinstyle="miter", capstyle="butt",
            )
        )  # fmt: skip

    def dot(self, x: float, y: float, colour: str = INK) -> None:
        """Where a wire branches."""
        self.axes.plot([x], [y], "o", color=colour, markersize=3.6, zorder=4)

    def shape(self, *points: Point, colour: str = GREY) -> None:
        self.axes.add_patch(Polygon(points, closed=True, edgecolor=colour, facecolor=TINTS[colour], zorder=3))


def layer() -> Picture:
    """The whole layer behind its AXI faces."""
    title = "A layer: integers in, integers out, one bit per weight in between"
    s = Sheet(
        108,
        58,
        title,
        "FbiLinear and its parts; blue: activations, green: weights, red: results, purple: control, grey: parameters",
    )
    s.box(17, 45, 82, 4.5, "loader: a packet goes to the memory that load_target names, from load_address on")
    s.wire((1, 47.2), (17, 47.2), colour=MUTED)
    s.text(1, 48.8, "s_axis_parameters", align="left")
    for x in (26, 78.5, 95.5):
        s.wire((x, 45), (x, 39), colour=MUTED)

    s.box(17, 18, 24, 24.5, "FrontEnd", dashed=True)
    s.box(18.5, 33.5, 9, 5.5, "α, β\nmemory")
    s.box(18.5, 20, 9, 9.5, "x · α\nΣ β · x", colour=BLUE)
    s.box(30.5, 20, 9, 9.5, "quantizer\nu = q + 128", colour=BLUE, size=7.6)
    s.wire((23, 33.5), (23, 29.5), colour=MUTED)
    s.wire((1, 24.7), (18.5, 24.7), colour=BLUE)
    s.text(1, 26.3, "s_axis_x", align="left")
    s.wire((27.5, 24.7), (30.5, 24.7), colour=BLUE)
    s.box(43.5, 20, 8.5, 9.5, "word\npacker", colour=BLUE)
    s.wire((39.5, 24.7), (43.5, 24.7), colour=BLUE)

    s.box(55, 18, 27.5, 24.5, "ArrayCore", dashed=True)
    s.box(56.5, 33.5, 10.5, 5.5, "sequencer", colour=PURPLE)
    s.box(70, 33.5, 11, 5.5, "weight\nmemory", colour=GREEN)
    s.box(56.5, 20, 10.5, 9.5, "activation\nmemories,\none a row", colour=BLUE)
    s.box(70, 20, 11, 9.5, "array\nrows × cols\n× lanes", colour=VERMILLION)
    s.wire((53.5, 45), (53.5, 27.4), (56.5, 27.4), colour=MUTED)
    s.wire((52, 22.6), (56.5, 22.6), colour=BLUE)
    s.wire((67, 36.2), (70, 36.2), colour=PURPLE)
    s.wire((59.5, 33.5), (59.5, 29.5), colour=PURPLE)
    s.wire((64.5, 33.5), (64.5, 31.5), (72.5, 31.5), (72.5, 29.5), colour=PURPLE)
    s.wire((67, 24.7), (70, 24.7), colour=BLUE)
    s.wire((78.5, 33.5), (78.5, 29.5), colour=GREEN)

    s.box(85, 18, 14, 24.5, "BackEnd", dashed=True)
    s.box(86.5, 33.5, 11, 5.5, "offset\nmemory")
    s.box(86.5, 26.3, 11, 4, "offset − Σ C·raw", colour=VERMILLION, size=7.4)
    s.box(86.5, 20, 11, 4, "scale, + bias", colour=VERMILLION, size=7.6)
    s.wire((92, 33.5), (92, 30.3), colour=MUTED)
    s.wire((81, 28.3), (86.5, 28.3), colour=VERMILLION)
    s.wire((92, 26.3), (92, 24), colour=VERMILLION)
    s.wire((97.5, 22), (107, 22), colour=VERMILLION)
    s.text(107, 23.6, "m_axis_y", align="right")
    s.wire((23, 20), (23, 14.5), (92, 14.5), (92, 20))
    s.text(57.5, 15.9, "a record per token: multiplier, shift, Σ β·x")

    s.box(17, 3, 82, 5.5, "registers: settings and start to every part, status and counters back", colour=PURPLE)
    s.wire((1, 5.7), (17, 5.7), colour=PURPLE)
    s.text(1, 7.3, "s_axil", align="left")
    s.wire((99, 5.7), (107, 5.7), colour=PURPLE)
    s.text(107, 7.3, "o_interrupt", align="right", size=7.6)
    for x in (29, 47.7, 68.7, 96):
        s.wire((x, 8.5), (x, 11.7), colour=PURPLE)
    return _finished(
        s, "array-layer", title, "A block diagram: AXI streams of parameters and x on the left, quantizer, memories, "
        "sequencer and array in the middle, offsets, scale and bias and the stream of results on the right.",
    )  # fmt: skip


def array() -> Picture:
    """Rows, blocks of columns, skew, select trees, deskew, FIFO; beside it one element."""
    title = "The array: skewed in, so that a tree per column can read it out row by row"
    s = Sheet(
        108,
        64,
        title,
        "3 rows, 3 blocks of 2 columns; blue, green: registers of activations and weights; red: elements, results",
    )
    lefts, bottoms, w, h = (19.0, 35.0, 51.0), (38.0, 28.0, 18.0), 12.0, 7.0
    for row, y in enumerate(bottoms):
        s.text(1, y + 5.2, f"row {row}", align="left")
        s.wire((6.6, y + 5.2), (lefts[0], y + 5.2), colour=BLUE)
        for step in range(row):
            s.box(9.2 + 3.4 * step, y + 4.2, 2, 2, colour=BLUE)
        for block, x in enumerate(lefts):
            s.box(x, y, w, h, colour=GREY)
            s.box(x + 0.8, y + 0.8, 1.5, h - 1.6, colour=BLUE)
            if block + 1 < len(lefts):
                s.wire((x + 2.3, y + 1.6), (lefts[block + 1], y + 1.6), colour=BLUE)
            for column in range(2):
                left = x + 3.3 + 4.3 * column
                s.box(left, y + 5.2, 3.2, 1.2, colour=GREEN)
                s.box(left, y + 2.2, 3.2, 2.4, "", colour=VERMILLION)
    for block, x in enumerate(lefts):
        for column in range(2):
            middle = x + 3.3 + 4.3 * column + 1.2
            s.wire((middle, 54), (middle, bottoms[0] + h), colour=GREEN)
            for above, below in pairwise(bottoms):
                s.wire((middle, above), (middle, below + h), colour=GREEN)
            for step in range(block):
                s.box(middle - 1, 51 - 2.9 * step - 1, 2, 2, colour=GREEN)
            out = middle + 1.3
            for y in bottoms:
                s.wire((out, y + 2.2), (out, 14.6), colour=VERMILLION, width=1.0)
            s.shape((out - 2.3, 14.6), (out + 1.1, 14.6), (out + 0.2, 11.8), (out - 1.4, 11.8), colour=VERMILLION)
            s.wire((out - 0.6, 11.8), (out - 0.6, 4.4), colour=VERMILLION)
            for step in range(2 - block):
                s.box(out - 1.6, 8.6 - 2.9 * step, 2, 2, colour=VERMILLION)
    s.text(lefts[0] - 1.4, 55.4, "weights: a word of lanes bits for every column", align="left")
    s.text(1, 47.6, "activations: a word\nfor every row", align="left")
    s.text(1, 13.2, "select trees:\na word of each row", align="left")
    s.text(1, 8, "deskew", align="left")
    s.box(lefts[0], 1, lefts[2] + w - lefts[0], 3.4, "output FIFO: one row of all columns a beat", colour=VERMILLION)
    s.wire((lefts[2] + w, 2.7), (69, 2.7), colour=VERMILLION)
    _element(s)
    return _finished(
        s, "array", title, "Activations enter rows from the left, each row one cycle later; weights enter blocks of "
        "columns from the top, each block one cycle later; select trees below read the rows in turn into a FIFO.",
    )  # fmt: skip


def _element(s: Sheet) -> None:
    """One block in detail, right of the array."""
    s.box(71, 9, 36, 45.5, "a block, and in it one of its elements", dashed=True)
    s.box(73, 44, 8.5, 4.5, "activations", colour=BLUE, size=7.2)
    s.box(83.5, 44, 7, 4.5, "flags", colour=PURPLE, size=7.6)
    s.box(93, 44, 12, 4.5, "weights", colour=GREEN, size=7.6)
    s.text(107 - 1, 50, "registers", align="right", colour=MUTED, size=7.6)
    s.box(75.5, 33.5, 27, 5.6, "XOR and a tree of adders,\na register behind every level", colour=VERMILLION, size=7.8)
    s.wire((77.2, 44), (77.2, 39.1), colour=BLUE)
    s.wire((99, 44), (99, 39.1), colour=GREEN)
    s.wire((87, 44), (87, 42.5), (73.2, 42.5), (73.2, 30.7), colour=PURPLE)
    s.box(72.2, 24.2, 9, 6.5, "delay, once\nper block", colour=PURPLE, size=7.4)
    s.wire((91, 33.5), (91, 30), colour=VERMILLION)
    s.text(92, 31.7, "mismatches", align="left", size=7.6, colour=MUTED)
    s.box(87, 26, 8, 4, "+", colour=VERMILLION, size=11)
    s.wire((91, 26), (91, 17.5), colour=VERMILLION)
    s.box(97, 18.7, 7.5, 4, "acc", colour=VERMILLION)
    s.wire((91, 24.2), (100.7, 24.2), (100.7, 22.7), colour=VERMILLION)
    s.wire((104.5, 20.7), (105.7, 20.7), (105.7, 28), (95, 28), colour=VERMILLION)
    s.text(100.7, 29.3, "× 2 if double", size=7.4, colour=MUTED)
    s.wire((76.7, 24.2), (76.7, 20.7), (97, 20.7), colour=PURPLE)
    s.text(77.5, 19.4, "enable, last", size=7.4, align="left", colour=MUTED)
    s.box(86, 12.5, 10, 5, "AND select", colour=VERMILLION, size=7.6)
    s.wire((74.4, 24.2), (74.4, 15), (86, 15), colour=PURPLE)
    s.text(80.5, 16.2, "select", size=7.4, colour=MUTED)
    s.wire((91, 12.5), (91, 9.6), colour=VERMILLION)
    s.text(92, 10.8, "to the tree", align="left", size=7.4, colour=MUTED)
    s.text(90.2, 22.4, "o_sum", align="right", size=7.4, colour=MUTED)


def carry() -> Picture:
    """Half a CCU2C twice: an adder bit with the XORs inside, and the slot between two sums; below, a chain."""
    title = "ECP5: the XOR costs nothing, and one slot both ends a sum and begins the next"
    s = Sheet(108, 56, title, "half a CCU2C is one LUT4 with a carry: S = LUT4 ^ CIN, COUT = LUT4 ? CIN : LUT2")
    adder = (
        "LUT4\nA ^ B ^ C ^ D",
        "LUT2\nA ^ B",
        ("a", "w", "a'", "w'"),
        "bit of (a^w)\n+ (a'^w') + CIN",
        "carry to\nthe next bit",
    )
    slot = (
        "LUT4\n0",
        "LUT2\nA ^ B",
        ("a", "w", "1", "1"),
        "carry out of\nthe sum before",
        "a^w: carry into\nthe next sum",
    )
    _half(s, 3, "a bit of a sum: table 0x6996", adder)
    _half(s, 57, "a slot between two sums: table 0x0006", slot)
    s.text(3, 17.2, "one level of leaves: three lanes of a popcount take two halves", align="left", bold=True)
    for index in range(7):
        x, is_slot = 10 + 13 * index, index % 2 == 0
        name = "slot" if is_slot else "adder bit"
        s.box(x, 6.5, 10, 5, name, colour=GREY if is_slot else VERMILLION, size=7.8)
        if index:
            s.wire((x - 3, 9), (x, 9), colour=PURPLE)
        under = (
            f"bit 1 of sum {index // 2 - 1}"
            if is_slot and index
            else f"bit 0 of sum {index // 2}"
            if not is_slot
            else ""
        )
        if index < 6:
            s.wire((x + 5, 14.3), (x + 5, 11.5), colour=BLUE)
            s.text(x + 5, 15.2, "1 lane" if is_slot else "2 lanes", size=7.4, colour=MUTED)
        if under:
            s.wire((x + 5, 6.5), (x + 5, 3.6), colour=VERMILLION)
            s.text(x + 5, 2.2, under, size=7.4)
    return _finished(
        s, "array-carry", title, "Two half CCU2C cells: in the first LUT4 and LUT2 compute XORs, so that it adds two "
        "XORed bits; in the second LUT4 is 0, so that S reads the carry in and LUT2 is the next carry.",
    )  # fmt: skip


def _half(s: Sheet, x: float, name: str, content: tuple[str, str, Sequence[str], str, str]) -> None:
    lut4, lut2, pins, result, carried = content
    s.text(x, 46.2, name, align="left", bold=True)
    s.box(x + 8, 33.5, 12, 8, lut4, colour=BLUE, size=7.8)
    s.box(x + 8, 22.5, 12, 6.5, lut2, colour=BLUE, size=7.8)
    for index, (pin, value) in enumerate(zip("ABCD", pins, strict=True)):
        y = 40.3 - 1.9 * index
        s.wire((x + 4.4, y), (x + 8, y), colour=BLUE, width=1.1)
        s.text(x + 3.6, y, f"{pin} = {value}", align="right", size=7.6)
    for index, inward in enumerate((5.8, 6.8)):
        pin, y = (x + inward, 40.3 - 1.9 * index), 26.8 - 1.9 * index
        s.wire(pin, (x + inward, y), (x + 8, y), colour=BLUE, width=1.1)
        s.dot(*pin, BLUE)
    s.box(x + 28, 35.5, 5, 4, "^", colour=VERMILLION, size=11)
    s.wire((x + 20, 37.5), (x + 28, 37.5))
    s.wire((x + 33, 37.5), (x + 37.5, 37.5), colour=VERMILLION)
    s.text(x + 38.2, 37.5, result, align="left", size=7.6)
    s.text(x + 35.2, 38.8, "S", size=7.6, bold=True)
    s.shape((x + 28, 31), (x + 28, 22), (x + 32, 24), (x + 32, 29), colour=PURPLE)
    s.text(x + 28.9, 28.8, "1", size=7)
    s.text(x + 28.9, 24.2, "0", size=7)
    s.wire((x + 20, 24.2), (x + 28, 24.2), colour=BLUE)
    s.wire((x + 24, 37.5), (x + 24, 33), (x + 30, 33), (x + 30, 30))
    s.wire((x + 22, 20.2), (x + 22, 28.8), (x + 28, 28.8), colour=PURPLE)
    s.wire((x + 22, 28.8), (x + 22, 42.8), (x + 30.5, 42.8), (x + 30.5, 39.5), colour=PURPLE)
    s.text(x + 22, 19.2, "CIN", size=7.6, bold=True)
    s.wire((x + 32, 26.5), (x + 37.5, 26.5), colour=PURPLE)
    s.text(x + 35, 27.8, "COUT", size=7.6, bold=True)
    s.text(x + 38.2, 26.5, carried, align="left", size=7.6)
    s.dot(x + 24, 37.5)
    s.dot(x + 22, 28.8, PURPLE)


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
        Row("enable", "block_0_0.o.enable"),
        Row("double", "block_0_0.o.double"),
        Row("last", "block_0_0.o.last"),
        Row("acc", "block_0_0.element_0.accumulator.acc", "block_0_0.o.enable", "block_0_0.o.last"),
        Row("o_sum", "block_0_0.o_sums[0]", "block_0_0.o.enable", "block_0_0.o.last"),
        Row("select", "block_0_0.o_select"),
    )),
    ("row 1, column 0", (
        Row("o_sum", "block_1_0.o_sums[0]", "block_1_0.o.enable", "block_1_0.o.last"),
        Row("select", "block_1_0.o_select"),
    )),
    ("tree of column 0", (
        Row("o", "tree_0.o", "tree_0.any", "block_1_0.o_select", late=1),
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
    found["tree_0.any"] = [a | b for a, b in zip(found["block_0_0.o_select"], found["block_1_0.o_select"], strict=True)]
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
    return _finished(
        s, "array-waves", title, f"Waves of {shown} cycles: valid, ready, last and words of both inputs, flags, "
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


def _finished(s: Sheet, name: str, title: str, alt: str) -> Picture:
    return finish(s.figure, name=name, title=title, caption="", alt=alt)


def pictures() -> list[Picture]:
    """All of them."""
    with style():
        return [layer(), array(), carry(), waveform()]


def main() -> None:
    """Write ``images/array*.png``."""
    IMAGES.mkdir(exist_ok=True)
    for picture in pictures():
        path = IMAGES / f"{picture.name}.png"
        path.write_bytes(picture.png)
        print(f"{path}: {picture.title}")


if __name__ == "__main__":
    main()
