"""Draw the timeline of one layer, decoding and in a prefill, from the schedule: ``python docs/timeline_figure.py``."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sheet import save

from xnorscan.designs.design import Design, load_design
from xnorscan.models.operations import shape_trace
from xnorscan.models.published import get_config
from xnorscan.reports import quantities
from xnorscan.reports.plotting import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    VERMILLION,
    Picture,
    finish,
    headline,
    ink_on,
    style,
    text_width,
)
from xnorscan.reports.timeline import TRACKS, Event, occupation, timeline

MODEL, DESIGN, LAYER, TOKENS = "bi-mamba-2.7b", "edge-28nm", 32, 512
COLOURS = {"array": BLUE, "vector": ORANGE, "scan": GREEN, "DMA": GREY}
WAIT, IDLE = "#f9d7c3", "#eceff2"
PER_SECOND = {"µs": 1e6, "ms": 1e3}
WIDTH, HEIGHT, BAR, LABEL = 9.6, 5.5, 0.72, 7.6


def main() -> None:
    """Write ``images/timeline.png``: what each unit does in one layer of Bi-Mamba 2.7B on the edge design."""
    with style():
        save(draw())


def draw() -> Picture:
    """The picture, to be called inside ``plotting.style``."""
    figure, design = Figure(figsize=(WIDTH, HEIGHT)), load_design(DESIGN)
    title = "Decoding, the units wait for the DMA; in a prefill, the DMA waits for them"
    drawn = "when each unit works, when it waits (hatched), how much of its bandwidth the DMA uses (dark)"
    headline(figure, title, f"One layer of Bi-Mamba 2.7B on {DESIGN}: {drawn}")
    _panel(figure.add_axes((0.075, 0.54, 0.91, 0.29)), "decode", "One token", "µs", design)
    _panel(figure.add_axes((0.075, 0.09, 0.91, 0.29)), "prefill", f"A prompt of {TOKENS} tokens", "ms", design)
    return finish(figure, name="timeline", title=title, caption="", alt=title)


def _panel(axes: Axes, phase: str, name: str, unit: str, design: Design) -> None:
    trace = shape_trace(get_config(MODEL), phase=phase, length=TOKENS)
    events = timeline(trace, design)
    own = [e for e in events if e.args["layer"] == LAYER and e.track != "DMA"]
    start, end = own[0].start, own[-1].start + own[-1].duration
    scale = PER_SECOND[unit] / design.clock_hz
    axes.set(xlim=(0, (end - start) * scale), ylim=(len(TRACKS) - 0.5, -0.5))
    axes.set_yticks(range(len(TRACKS)), TRACKS)
    axes.tick_params(axis="y", pad=6)
    axes.grid(axis="x")
    axes.set_xlabel(f"{unit} from the start of the layer", loc="right", labelpad=1)
    for event in events:
        if event.start + event.duration > start and event.start < end:
            _bar(axes, event, start, scale)
    shares = {str(row["unit"]): float(str(row["busy_share"])) for row in occupation(events, design.clock_hz)}
    busy = ", ".join(f"{track} {quantities.share(share)}" for track, share in shares.items())
    axes.text(0, 1.06, name, transform=axes.transAxes, weight="bold", fontsize=9.5, color=INK)
    offset = (text_width(name, 9.5, "bold") + 9) / (WIDTH * 72 * 0.91)
    axes.text(offset, 1.06, f"busy in the whole model: {busy}", transform=axes.transAxes, fontsize=8.5, color=MUTED)


def _bar(axes: Axes, event: Event, origin: float, scale: float) -> None:
    """A bar, with its name in it where there is room; the DMA's is filled as far as its bandwidth is used."""
    left, right = ((x - origin) * scale for x in (event.start, event.start + event.duration))
    left, right = max(left, 0.0), min(right, axes.get_xlim()[1])
    row, colour = TRACKS.index(event.track), WAIT if event.wait else COLOURS[event.track]
    hatch = {"hatch": "////", "edgecolor": VERMILLION} if event.wait else {}
    used = float(str(event.args.get("transfer_cycles", event.duration))) / event.duration
    if event.track == "DMA":
        axes.barh(row, right - left, BAR, left, color=IDLE, linewidth=0, zorder=2)
    axes.bar(left, -BAR * used, right - left, row + BAR / 2, align="edge", color=colour, linewidth=0, zorder=3, **hatch)
    room = (right - left) / axes.get_xlim()[1] * WIDTH * 72 * 0.91
    if room > 3:
        axes.plot([right, right], [row - BAR / 2, row + BAR / 2], color=PAPER, linewidth=1.0, zorder=4)
    text = f"waits for {event.name.rpartition(' ')[2]}" if event.wait else event.name
    if text_width(text, LABEL) + 8 < room:
        ink = INK if event.wait or used < 0.5 else ink_on(colour)
        back = {"facecolor": WAIT, "edgecolor": "none", "pad": 1.2} if event.wait else None
        middle = (left + right) / 2
        axes.text(middle, row, text, fontsize=LABEL, color=ink, ha="center", va="center", zorder=5, bbox=back)


if __name__ == "__main__":
    main()
