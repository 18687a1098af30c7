"""The figure over the batch: energy per token beside FP16, the gain, and what binds."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..energy_models.bounds import BOUNDS
from . import measures as m
from . import quantities as q
from .bars import COLOURS, WIDTH_INCHES
from .plotting import (
    ACCENT,
    FP16,
    INK,
    MUTED,
    ONE_BIT,
    PAPER,
    Picture,
    finish,
    headline,
    ink_on,
    key,
    style,
    text_width,
)

_HEIGHT, _BOTTOM, _TALL = 4.2, 0.12, 0.57
_COLOURS = {m.FP16: FP16, m.ONE_BIT: ONE_BIT}
_READING = {
    "decode": "The sequences of a batch share every weight that is read, in FP16 as at one bit, so the weights' part "
    "of a token falls as 1 / batch. The recurrent state (or the KV cache) belongs to each sequence and is as wide in "
    "both: once it is most of the traffic, there is little left that one-bit weights could save.",
    "prefill": "The tokens of a prompt share the weights already at batch 1, so a larger batch saves no more of them; "
    "it costs where activations or state no longer fit on the chip.",
}


def over_batch(batches: pd.DataFrame) -> Picture:
    """Left, energy per token with its range; middle, how many times less; right, what binds the one-bit design.

    ``batches``: rows of ``Results.batches`` of one model and phase on a one-bit design and its FP16 twin, with two
    batches or more.
    """
    rows = batches.sort_values("batch")
    bit, fp16 = (rows[rows["role"] == role] for role in (m.ONE_BIT, m.FP16))
    first, last = bit.iloc[0], bit.iloc[-1]
    model, phase = m.label(first["model"]), str(first["phase"])
    title = (
        f"{phase.capitalize()}: {q.factor(first['ratio'])} less energy than FP16 at batch {first['batch']:,}, "
        f"{q.factor(last['ratio'])} at {last['batch']:,}, bound by {last['bound']}"
    )
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, _HEIGHT))
        headline(
            figure, title, f"{model} on {first['design']}, {first['memory_system']}; bands: low–high of the sources"
        )
        energy, gain, binds = (
            figure.add_axes((x, _BOTTOM, w, _TALL)) for x, w in ((0.06, 0.27), (0.39, 0.22), (0.665, 0.32))
        )
        _energy(energy, {m.FP16: fp16, m.ONE_BIT: bit})
        _gain(gain, bit)
        _binds(binds, bit)
        return finish(
            figure,
            name=f"batch-{phase}-{first['model']}-{first['design']}",
            title=title,
            caption=_READING[phase],
            alt="; ".join(
                f"batch {r.batch:,}: {q.energy(r.energy_uj)} per token, {q.factor(r.ratio)} less "
                f"({q.factor_range(r.ratio_low, r.ratio_high)}), {q.share(r.bound_share)} of time by {r.bound}"
                for r in bit.itertuples()
            ),
        )


def _energy(axes: Axes, series: dict[str, pd.DataFrame]) -> None:
    scale, unit = q.energy_unit(float(series[m.FP16]["energy_uj"].max()))
    for role, rows in series.items():
        x, colour = rows["batch"].to_numpy(float), _COLOURS[role]
        low, typical, high = (rows[f"energy{end}_uj"].to_numpy(float) / scale for end in ("_low", "", "_high"))
        axes.fill_between(x, low, high, color=colour, alpha=0.22, linewidth=0)
        axes.plot(x, typical, "o-", color=colour, linewidth=2.0, markersize=4.5)
        above = role == m.FP16
        axes.annotate(
            "FP16 twin" if above else "one-bit design", (x[0], high[0]) if above else (x[-1], low[-1]),
            (-2, 6) if above else (2, -14), textcoords="offset points", fontsize=8.5, ha="left" if above else "right",
            weight="bold", color=MUTED if above else ACCENT,
        )  # fmt: skip
    axes.set_yscale("log")
    lowest, highest = (series[r][f"energy_{e}_uj"] / scale for r, e in ((m.ONE_BIT, "low"), (m.FP16, "high")))
    axes.set_ylim(lowest.min() / 1.9, highest.max() * 1.9)
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:,.12g}")
    axes.yaxis.set_minor_formatter(lambda v, _: "")
    _over_batch(axes, series[m.ONE_BIT], f"energy per token, {unit}")


def _gain(axes: Axes, bit: pd.DataFrame) -> None:
    x, ratio = bit["batch"].to_numpy(float), bit["ratio"].to_numpy(float)
    low, high = bit["ratio_low"].to_numpy(float), bit["ratio_high"].to_numpy(float)
    axes.fill_between(x, low, high, color=ONE_BIT, alpha=0.22, linewidth=0)
    axes.plot(x, ratio, "o-", color=ONE_BIT, linewidth=2.0, markersize=4.5)
    for i, y, offset, side in ((0, high[0], 5, "left"), (-1, low[-1], -13, "right")):
        axes.annotate(
            q.factor(ratio[i]), (x[i], y), (0, offset), textcoords="offset points", fontsize=10, weight="bold",
            color=ACCENT, ha=side,
        )  # fmt: skip
    axes.set_ylim(0, high.max() * 1.18)
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:g}×")
    _over_batch(axes, bit, "less than FP16")


def _over_batch(axes: Axes, rows: pd.DataFrame, what: str) -> None:
    """A logarithmic axis of batches and the name of the panel."""
    axes.set_xscale("log", base=2)
    axes.grid(visible=True)
    axes.minorticks_off()
    batches = rows["batch"].astype(int).tolist()
    axes.set_xticks(_apart(batches), [f"{b:,}" for b in _apart(batches)])
    axes.set_xlim(batches[0] / 1.35, batches[-1] * 1.35)
    axes.tick_params(axis="y", labelcolor=MUTED, labelsize=8.5)
    axes.set_xlabel("batch", loc="right", labelpad=1)
    axes.text(0, 1.05, what, transform=axes.transAxes, weight="bold", fontsize=9.0, color=INK)


def _apart(batches: list[int]) -> list[int]:
    """At most six of them, the first and the last among them."""
    step = -(-(len(batches) - 1) // 5)
    return [b for i, b in enumerate(reversed(batches)) if i % step == 0][::-1]


def _binds(axes: Axes, bit: pd.DataFrame) -> None:
    """A bar of 100 % of the time for each batch."""
    bars = range(len(bit))
    below = [0.0] * len(bit)
    for bound in BOUNDS:
        shares = (bit[f"{bound}_time_share"] * 100).tolist()
        axes.bar(bars, shares, 0.86, below, color=COLOURS[bound], edgecolor=PAPER, linewidth=0.6)
        for bar, share, start in zip(bars, shares, below, strict=True):
            text = f"{share:.0f}"
            if share > 7 and text_width(text, 7.6) < WIDTH_INCHES * 72 * 0.32 / len(bit) * 0.8:
                axes.text(
                    bar, start + share / 2, text, ha="center", va="center", fontsize=7.6, color=ink_on(COLOURS[bound])
                )
        below = [start + share for start, share in zip(below, shares, strict=True)]
    axes.set_ylim(0, 100)
    axes.set_xlim(-0.6, len(bit) - 0.4)
    axes.set_yticks([])
    batches = bit["batch"].astype(int).tolist()
    axes.set_xticks(list(bars), [f"{b:,}" if b in _apart(batches) else "" for b in batches])
    axes.set_xlabel("batch", loc="right", labelpad=1)
    axes.text(0, 1.19, "what binds, % of the time", transform=axes.transAxes, weight="bold", fontsize=9.0, color=INK)
    key(axes, [(b, COLOURS[b]) for b in BOUNDS if bit[f"{b}_time_share"].max() > 0.005])
