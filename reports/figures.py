"""The report's figures. Each takes frames of :mod:`.measures` and returns a :class:`~.plotting.Picture`.

Every title states what the numbers show and is computed from them; a title never says what was merely hoped for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import measures as m
from . import quantities as q
from .plotting import (
    ACCENT, BLUE, FP16, GREEN, GREY, INK, MUTED, ONE_BIT, ORANGE, PAPER, PURPLE, SKY, VERMILLION, Picture, finish, headline,
    ink_on, key, style, text_width,
)  # fmt: skip

COLOURS: Mapping[str, str] = {
    m.LINEAR: BLUE, m.HEAD: ORANGE, m.STATE: VERMILLION, m.OTHER_DRAM: "#f0c98a",
    m.SRAM: SKY, m.ARRAY: GREEN, m.VECTOR: PURPLE, m.LEAKAGE: GREY,
    "projections": BLUE, "head and embedding": ORANGE, "scan": VERMILLION, "attention": VERMILLION,
    "convolution": GREEN, "norms and gates": PURPLE,
    "linear weights": BLUE, m.BINARY: BLUE, m.SCALES: SKY, "embedding and head": ORANGE, "state": VERMILLION,
    "other linears": GREEN, "other": PURPLE,
}  # fmt: skip

_ROW = 0.27
"""Height of one bar with its gap, inches."""


def energy_per_token(totals: pd.DataFrame, parts: pd.DataFrame) -> Picture:
    """Left: energy per token of each model, FP16 and one-bit, with ranges. Right: what the one-bit energy is spent on.

    ``totals`` and ``parts`` hold one phase and one memory system; ``role`` tells FP16 from one-bit.
    """
    models = _models(totals)
    scale, unit = q.energy_unit(totals["energy_uj"].max())
    with style():
        height = 1.66 + 0.62 * len(models)
        figure = Figure(figsize=(9.6, height))
        left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.0, 1.02]}, sharey=True)
        figure.subplots_adjust(left=0.125, right=0.985, top=1 - 1.26 / height, bottom=0.46 / height, wspace=0.08)
        for row, model in enumerate(models):
            pair = totals[totals["model"] == model].set_index("role")
            base, bit = pair.loc[m.FP16], pair.loc[m.ONE_BIT]
            for y, one, colour in ((row - 0.19, base, FP16), (row + 0.19, bit, ONE_BIT)):
                _bar_with_range(left, y, one, scale, colour, 0.32)
                text = f"{one.name}  {q.energy(one['energy_uj'])}"
                at = {"xytext": (7, 0), "textcoords": "offset points", "va": "center"}
                left.annotate(text, (one["energy_high_uj"] / scale, y), fontsize=8.5, color=INK, **at)
            at["xytext"] = (7 + text_width(text, 8.5) + 9, 0)
            less = f"{q.factor(bit['ratio'])} less"
            left.annotate(less, (one["energy_high_uj"] / scale, y), fontsize=10, weight="bold", color=ACCENT, **at)
        one_bit = parts[parts["role"] == m.ONE_BIT]
        small, small_unit = q.energy_unit(one_bit.groupby("model")["energy_uj"].sum().max())
        _stacks(right, models, one_bit, m.PARTS, small, 0.44)
        for axes, label in ((left, f"energy per token, {unit}"), (right, f"energy per token, {small_unit}")):
            axes.set_xlabel(label)
            axes.grid(axis="x")
            axes.set_xlim(left=0)
        left.set_xlim(right=totals["energy_high_uj"].max() / scale * 1.27)
        right.set_xlim(right=one_bit.groupby("model")["energy_uj"].sum().max() / small * 1.02)
        left.set_yticks(range(len(models)), [m.label(x) for x in models])
        left.set_ylim(len(models) - 0.45, -0.55)
        key(right, [(p, COLOURS[p]) for p in m.PARTS if p in set(one_bit["part"])])
        title = energy_title(totals)
        phase, memory = totals["phase"].iloc[0], totals["memory_system"].iloc[0]
        headline(figure, title, f"{phase}, batch 1; FP16 is an array of equal peak throughput on the same {memory}; whiskers: low–high of the sourced figures")  # fmt: skip
        return finish(
            figure, name="energy-per-token", title=title,
            caption="Left, energy per token beside an FP16 array of equal peak throughput on the same memory system. Right, "
            "where the energy of the one-bit design goes, on its own scale.",
            alt="; ".join(
                f"{m.label(r.model)} {r.role}: {q.energy(r.energy_uj)} ({q.energy_range(r.energy_low_uj, r.energy_high_uj)})"
                for r in totals.itertuples()
            ),
        )  # fmt: skip


def energy_title(totals: pd.DataFrame) -> str:
    """The finding of :func:`energy_per_token` in one line."""
    ratios = totals.loc[totals["role"] == m.ONE_BIT, "ratio"]
    names = {m.family(x) for x in _models(totals)}
    who = f"A one-bit {names.pop()}" if len(names) == 1 else "A one-bit model"
    span = q.factor(ratios.min()) if q.factor(ratios.min()) == q.factor(ratios.max()) else f"{q.factor(ratios.min())[:-1]}–{q.factor(ratios.max())}"  # fmt: skip
    return f"{who} spends {span} less energy per token than FP16" + (
        ", not 16×" if ratios.max() < 15 else ""
    )


def energy_components(parts: pd.DataFrame) -> Picture:
    """Share of each component in the energy per token, FP16 above one-bit, per model."""
    shares = _shares(parts, "part", "energy_uj")
    fp16 = _mean_share(shares, m.FP16, "part", [m.LINEAR])
    bit = _mean_share(shares, m.ONE_BIT, "part", [m.LINEAR])
    title = f"Moving linear weights: {q.share(fp16)} of the energy at FP16, {q.share(bit)} at one bit"
    return _share_figure(
        shares, m.PARTS, "part", name="energy-components", title=title,
        subtitle="share of the energy per token by component, percent",
        caption="Each bar is 100 % of its design's energy per token; an FP16 and a one-bit bar stand "
        "for different energies, see the first figure. DRAM energy is split by what was moved.",
    )  # fmt: skip


def energy_kinds(kinds: pd.DataFrame) -> Picture:
    """Share of each layer kind in the energy per token, FP16 above one-bit, per model."""
    shares = _shares(kinds, "kind", "energy_uj")
    rest = [k for k in m.KIND_GROUPS if k != "projections"]
    fp16, bit = (_mean_share(shares, role, "kind", rest) for role in (m.FP16, m.ONE_BIT))
    title = f"What is not a projection takes {q.share(fp16)} of the energy at FP16, {q.share(bit)} at one bit"
    return _share_figure(
        shares, list(m.KIND_GROUPS), "kind", name="energy-kinds", title=title,
        subtitle="share of the energy per token by kind of layer, percent",
        caption="Everything an operation causes (memory, arithmetic, leakage while it runs) is counted with its kind of layer.",
    )  # fmt: skip


def memory_footprint(memory: pd.DataFrame) -> Picture:
    """Bytes that a model needs on the device at batch 1, FP16 above one-bit, per model.

    ``memory``: model, role, part, bytes.
    """
    models = _models(memory)
    sums = memory.groupby(["model", "role"])["bytes"].sum()
    ratios = [sums[x, m.FP16] / sums[x, m.ONE_BIT] for x in models]
    span = f"{q.factor(min(ratios))[:-1]}–{q.factor(max(ratios))}" if len(models) > 1 else q.factor(ratios[0])
    title = f"{span} less memory: the embedding and the state do not shrink with the weights"
    scale, unit = q.size_unit(sums.max())
    with style():
        figure, axes = _rows_figure(len(models), left=0.165)
        for row, model in enumerate(models):
            for offset, role in ((-0.19, m.FP16), (0.19, m.ONE_BIT)):
                chosen = memory[(memory["model"] == model) & (memory["role"] == role)]
                end = _stack(axes, row + offset, chosen.set_index("part")["bytes"], m.MEMORY_PARTS, scale, 0.32)
                text = f"  {role}  {q.size(chosen['bytes'].sum())}"
                axes.text(end, row + offset, text, va="center", fontsize=8.5, color=MUTED if role == m.FP16 else INK)
        axes.set_xlim(0, sums.max() / scale * 1.16)
        axes.set_xlabel(f"memory, {unit}")
        axes.grid(axis="x")
        axes.set_yticks(range(len(models)), [m.label(x) for x in models])
        key(axes, [(p, COLOURS[p]) for p in m.MEMORY_PARTS if p in set(memory["part"])])
        headline(figure, title, "weights as the hardware stores them and the state of one sequence")
        return finish(
            figure, name="memory", title=title,
            caption="FP16: every parameter and the state in 16 bit. One-bit: binary planes, 16-bit scales, an 8-bit tied "
            "embedding and head, the state in the width of the run.",
            alt="; ".join(f"{m.label(x)} {role}: {q.size(v)}" for (x, role), v in sums.items()),
        )  # fmt: skip


def dram_traffic(traffic: pd.DataFrame) -> Picture:
    """DRAM bytes per token of the one-bit design by what they are; the FP16 total is written beside.

    ``traffic``: model, role, part, bytes per token, one phase.
    """
    models = _models(traffic)
    bit = traffic[traffic["role"] == m.ONE_BIT]
    sums = traffic.groupby(["role", "model"])["bytes"].sum()
    binary = bit[bit["part"] == m.BINARY].groupby("model")["bytes"].sum()
    shares = [1 - binary.get(x, 0.0) / sums[m.ONE_BIT, x] for x in models]
    low, high = q.share(min(shares)), q.share(max(shares))
    span = low if low == high else f"{low[:-2]}–{high}"
    title = f"{span} of the DRAM traffic is not the binary weights"
    scale, unit = q.size_unit(sums[m.ONE_BIT].max())
    with style():
        figure, axes = _rows_figure(len(models), left=0.165)
        for row, model in enumerate(models):
            amounts = bit[bit["model"] == model].set_index("part")["bytes"]
            end = _stack(axes, row, amounts, m.TRAFFIC_PARTS, scale, 0.5, inside=q.size)
            axes.text(
                end, row, f"  {q.size(sums[m.ONE_BIT, model])}\n  FP16: {q.size(sums[m.FP16, model])}",
                va="center", fontsize=8.5, color=INK, linespacing=1.4,
            )  # fmt: skip
        axes.set_xlim(0, sums[m.ONE_BIT].max() / scale * 1.2)
        axes.set_xlabel(f"DRAM traffic per token, {unit}")
        axes.grid(axis="x")
        axes.set_yticks(range(len(models)), [m.label(x) for x in models])
        key(axes, [(p, COLOURS[p]) for p in m.TRAFFIC_PARTS if p in set(bit["part"])])
        headline(figure, title, f"bytes moved per token, one-bit design, {traffic['phase'].iloc[0]}, batch 1")
        return finish(
            figure, name="dram-traffic", title=title,
            caption="What the one-bit design still moves per token. The head (a tied embedding) and the recurrent state were "
            "a rounding error beside FP16 weights; beside one-bit weights they set the limit.",
            alt="; ".join(f"{m.label(x)}: {q.share(s)} not binary weights" for x, s in zip(models, shares, strict=True)),
        )  # fmt: skip


def phases(totals: pd.DataFrame) -> Picture:
    """Energy per token, decode against prefill, for FP16 and one-bit on a logarithmic axis.

    ``totals`` holds both phases of the same models and designs.
    """
    models = _models(totals)
    table = totals.pivot_table(index="model", columns=["role", "phase"], values="energy_uj").loc[models]
    gain = {p: (table[m.FP16, p] / table[m.ONE_BIT, p]) for p in ("decode", "prefill")}
    d, p = gain["decode"].median(), gain["prefill"].median()
    length = int(totals.loc[totals["phase"] == "prefill", "prompt_length"].iloc[0])
    title = f"The gain over FP16 is {q.factor(d)} in decode and {q.factor(p)} in a {length:,}-token prefill"
    lo, hi = table.to_numpy().min(), table.to_numpy().max()
    scale, unit = q.energy_unit(hi)
    with style():
        figure, axes = _rows_figure(len(models), left=0.165)
        for row, model in enumerate(models):
            for offset, role, colour in ((-0.19, m.FP16, FP16), (0.19, m.ONE_BIT, ONE_BIT)):
                a, b = (table.loc[model, (role, x)] / scale for x in ("prefill", "decode"))
                y = row + offset
                axes.plot([a, b], [y, y], color=colour, linewidth=2.2, solid_capstyle="round", zorder=2)
                axes.plot([a], [y], "o", color=colour, markersize=7, markerfacecolor=PAPER, markeredgewidth=1.8, zorder=3)
                axes.plot([b], [y], "o", color=colour, markersize=7, zorder=3)
                axes.annotate(q.energy(a * scale), (a, y), (-8, 0), textcoords="offset points", ha="right", va="center", fontsize=8.2, color=MUTED)  # fmt: skip
                axes.annotate(q.energy(b * scale), (b, y), (8, 0), textcoords="offset points", ha="left", va="center", fontsize=8.2, color=MUTED)  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlim(lo / scale / 2.2, hi / scale * 2.4)
        axes.xaxis.set_major_formatter(lambda v, _: f"{v:,.12g}")
        axes.xaxis.set_minor_formatter(lambda v, _: "")
        axes.set_xlabel(f"energy per token, {unit} (logarithmic)")
        axes.grid(axis="x")
        axes.set_yticks(range(len(models)), [m.label(x) for x in models])
        key(axes, [("FP16, equal peak throughput", FP16), ("one-bit design", ONE_BIT)])
        headline(figure, title, f"open circle: prefill of {length:,} tokens, filled circle: decode, batch 1")
        return finish(
            figure, name="decode-prefill", title=title,
            caption="The tokens of a prefill share each weight that is read, so arithmetic counts; a decoded token has every "
            "weight read for itself, so memory counts.",
            alt="; ".join(
                f"{m.label(x)} {role} {phase}: {q.energy(table.loc[x, (role, phase)])}"
                for x in models for role in (m.FP16, m.ONE_BIT) for phase in ("decode", "prefill")
            ),
        )  # fmt: skip


def energy_by_design(rows: pd.DataFrame) -> Picture:
    """Energy per token of one model on each of its designs, with ranges, on a logarithmic axis.

    ``rows``: comparison rows of one model and phase. The memory systems may differ, so each is written out.
    """
    model = str(rows["model"].iloc[0])
    bit = rows[rows["role"] == m.ONE_BIT]["energy_uj"]
    span = q.energy_range(bit.min(), bit.max()) if bit.min() < bit.max() else q.energy(bit.min())
    title = f"{m.label(model)}: {span} per token, by the chip it runs on"
    scale, unit = q.energy_unit(bit.max())
    with style():
        figure, axes = _rows_figure(len(rows), left=0.165, row_height=0.42, key_lines=0)
        low = math.log10(rows["energy_low_uj"].min() / scale / 1.6)
        width = axes.get_position().width * figure.get_figwidth() * 72
        decades = 0.0
        for y, row in enumerate(rows.to_dict("records")):
            colour = ONE_BIT if row["role"] == m.ONE_BIT else FP16
            ends = [row["energy_low_uj"] / scale, row["energy_high_uj"] / scale]
            axes.plot(ends, [y, y], color=colour, linewidth=2.4, solid_capstyle="round")
            axes.plot([row["energy_uj"] / scale], [y], "o", color=colour, markersize=7)
            text = f"{q.energy(row['energy_uj'])}  ·  {row['memory_system']}"
            at = {"xytext": (10, 0), "textcoords": "offset points", "va": "center", "fontsize": 8.2}
            axes.annotate(text, (ends[1], y), color=INK if row["role"] == m.ONE_BIT else MUTED, **at)
            decades = max(decades, (math.log10(ends[1]) - low) / (1 - (text_width(text, 8.2) + 14) / width))
        axes.set_xscale("log")
        axes.set_xlim(10**low, 10 ** (low + decades))
        axes.xaxis.set_major_formatter(lambda v, _: f"{v:,.12g}")
        axes.xaxis.set_minor_formatter(lambda v, _: "")
        axes.set_xlabel(f"energy per token, {unit} (logarithmic)")
        axes.grid(axis="x")
        axes.set_yticks(range(len(rows)), list(rows["design"]))
        headline(figure, title, f"{rows['phase'].iloc[0]}, batch 1; point: typical, line: low–high. Memory systems differ")
        return finish(
            figure, name=f"energy-{model}", title=title,
            caption="One model on chips of different size. Their memory systems differ, so these rows are no ratio of one "
            "against the other.",
            alt="; ".join(f"{r.design}: {q.energy(r.energy_uj)}" for r in rows.itertuples()),
        )  # fmt: skip


def _models(frame: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(frame["model"]))


def _bar_with_range(axes: Axes, y: float, row: pd.Series, scale: float, colour: str, height: float) -> None:
    typical = row["energy_uj"] / scale
    axes.barh(y, typical, height=height, color=colour, linewidth=0)
    axes.plot([row["energy_low_uj"] / scale, row["energy_high_uj"] / scale], [y, y], color=INK, linewidth=1.1)
    for end in ("energy_low_uj", "energy_high_uj"):
        axes.plot([row[end] / scale] * 2, [y - height * 0.22, y + height * 0.22], color=INK, linewidth=1.1)


def _stack(
    axes: Axes, y: float, amounts: pd.Series, order: Sequence[str], scale: float, height: float, *, inside=None
) -> float:
    """One stacked bar in ``order``; returns where it ends. ``inside``: writes an amount where it fits."""
    start = 0.0
    total = float(amounts.sum())
    for part in order:
        amount = float(amounts.get(part, 0.0))
        if amount <= 0:
            continue
        colour = COLOURS[part]
        axes.barh(y, amount / scale, left=start, height=height, color=colour, edgecolor=PAPER, linewidth=0.6)
        if inside is not None and amount > 0.12 * total:
            axes.text(
                start + amount / scale / 2, y, inside(amount), ha="center", va="center", fontsize=8, color=ink_on(colour)
            )
        start += amount / scale
    return start


def _stacks(
    axes: Axes, models: Sequence[str], parts: pd.DataFrame, order: Sequence[str], scale: float, height: float
) -> None:
    for row, model in enumerate(models):
        amounts = parts[parts["model"] == model].groupby("part")["energy_uj"].sum()
        total = amounts.sum()
        _stack(axes, row, amounts, order, scale, height, inside=lambda v, t=total: q.share(v / t))


def _shares(frame: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    sums = frame.groupby(["model", "role", column], sort=False)[value].sum().reset_index()
    whole = sums.groupby(["model", "role"])[value].transform("sum")
    return sums.assign(share=np.where(whole > 0, sums[value] / whole, 0.0))


def _mean_share(shares: pd.DataFrame, role: str, column: str, names: Sequence[str]) -> float:
    chosen = shares[(shares["role"] == role) & shares[column].isin(names)]
    return float(chosen.groupby("model")["share"].sum().median()) if len(chosen) else 0.0


def _share_figure(
    shares: pd.DataFrame, order: Sequence[str], column: str, *, name: str, title: str, subtitle: str, caption: str
) -> Picture:
    models = _models(shares)
    with style():
        figure, axes = _rows_figure(len(models), left=0.225, key_lines=2)
        ticks, labels = [], []
        for row, model in enumerate(models):
            for offset, role in ((-0.2, m.FP16), (0.2, m.ONE_BIT)):
                chosen = shares[(shares["model"] == model) & (shares["role"] == role)].set_index(column)["share"]
                _stack(axes, row + offset, chosen, order, 0.01, 0.34, inside=q.share)
                ticks.append(row + offset)
                labels.append(f"{m.label(model)}  {role}" if role == m.FP16 else role)
        axes.set_xlim(0, 100)
        axes.set_xlabel("share of the energy per token, %")
        axes.set_yticks(ticks, labels)
        key(axes, [(p, COLOURS[p]) for p in order if p in set(shares.loc[shares["share"] > 0.001, column])])
        headline(figure, title, subtitle)
        alt = "; ".join(
            f"{m.label(r['model'])} {r['role']} {r[column]}: {q.share(r['share'])}" for _, r in shares.iterrows()
        )
        return finish(figure, name=name, title=title, caption=caption, alt=alt)


def _rows_figure(rows: int, *, left: float, row_height: float = 0.62, key_lines: int = 1) -> tuple[Figure, Axes]:
    top = 0.74 + 0.18 * key_lines
    height = top + 0.46 + row_height * rows
    figure = Figure(figsize=(9.6, height))
    axes = figure.subplots()
    figure.subplots_adjust(left=left, right=0.985, top=1 - top / height, bottom=0.46 / height)
    axes.set_ylim(rows - 0.45, -0.55)
    return figure, axes
