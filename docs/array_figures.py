"""Draw the pictures of ``docs/array.md`` again: ``python docs/array_figures.py``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from array_waves import waveform
from sheet import Sheet

from xnorscan.reports.plotting import BLUE, GREEN, GREY, MUTED, PURPLE, VERMILLION, Picture, style

IMAGES = Path(__file__).parent / "images"


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
    s.wire((29, 18), (29, 14.5), (92, 14.5), (92, 20))
    s.text(57.5, 15.9, "a record per token: multiplier, shift, Σ β·x")

    s.box(17, 3, 82, 5.5, "registers: settings and start to every part, status and counters back", colour=PURPLE)
    s.wire((1, 5.7), (17, 5.7), colour=PURPLE)
    s.text(1, 7.3, "s_axil", align="left")
    s.wire((99, 5.7), (107, 5.7), colour=PURPLE)
    s.text(107, 7.3, "o_interrupt", align="right", size=7.6)
    for x in (23, 47.7, 68.7, 97):
        s.wire((x, 8.5), (x, 11.7), colour=PURPLE)
    return s.finish(
        "array-layer", "A block diagram: AXI streams of parameters and x on the left, quantizer, memories, "
        "sequencer and array in the middle, offsets, scale and bias and the stream of results on the right.",
    )  # fmt: skip


def array() -> Picture:
    """Rows, blocks of columns, skew, select trees, FIFOs; beside it one element."""
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
            s.wire((out - 0.6, 11.8), (out - 0.6, 9.2), colour=VERMILLION)
        s.box(x + 1, 5.8, w - 1, 3.4, "FIFO", colour=VERMILLION)
        s.wire((x + 6.5, 5.8), (x + 6.5, 2.7), colour=VERMILLION)
    s.text(lefts[0] - 1.4, 55.4, "weights: a word of lanes bits for every column", align="left")
    s.text(1, 47.6, "activations: a word\nfor every row", align="left")
    s.text(1, 13.2, "select trees:\na word of each row", align="left")
    s.text(1, 7.5, "a FIFO per block", align="left")
    s.text(1, 2.7, "a row of all columns a beat", align="left")
    s.wire((lefts[0] + 5.5, 2.7), (69, 2.7), colour=VERMILLION)
    _element(s)
    return s.finish(
        "array", "Activations enter rows from the left, each row one cycle later; weights enter blocks of "
        "columns from the top, each block one cycle later; select trees below read the rows in turn into FIFOs.",
    )  # fmt: skip


def _element(s: Sheet) -> None:
    """One block in detail, right of the array."""
    s.box(71, 9, 36, 45.5, "one element: from the registers of its block to its tree", dashed=True)
    s.box(73, 44, 8.5, 4.5, "activations", colour=BLUE, size=7.2)
    s.box(83.5, 44, 7, 4.5, "flags", colour=PURPLE, size=7.6)
    s.box(93, 44, 12, 4.5, "weights", colour=GREEN, size=7.6)
    s.text(107 - 1, 50, "registers", align="right", colour=MUTED, size=7.6)
    s.box(75.5, 33.5, 27, 5.6, "XOR and a tree of adders,\nregisters behind its levels", colour=VERMILLION, size=7.8)
    s.wire((77.2, 44), (77.2, 39.1), colour=BLUE)
    s.wire((99, 44), (99, 39.1), colour=GREEN)
    s.wire((87, 44), (87, 42.5), (73.2, 42.5), (73.2, 30.7), colour=PURPLE)
    s.box(72.2, 24.2, 9, 6.5, "per block,\nlast cycle\nper element", colour=PURPLE, size=7.4)
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
    s.box(84, 12.5, 14, 5, "tree, first level:\nAND select, OR", colour=VERMILLION, size=7.4)
    s.wire((74.4, 24.2), (74.4, 15), (84, 15), colour=PURPLE)
    s.text(79.3, 16.2, "select", size=7.4, colour=MUTED)
    s.wire((91, 12.5), (91, 9.6), colour=VERMILLION)
    s.text(92, 10.8, "further levels", align="left", size=7.4, colour=MUTED)
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
    return s.finish(
        "array-carry", "Two half CCU2C cells: in the first LUT4 and LUT2 compute XORs, so that it adds two "
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
