"""The report's figures. Each takes frames of :mod:`.results` and returns a :class:`~.plotting.Picture`.

Every title states what the numbers show and is computed from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from statistics import median

import pandas as pd

from ..models.published import get_config
from . import measures as m
from . import quantities as q
from .bars import COLOURS, PAIR, WIDTH_INCHES, amounts, bar_with_range, beside, models_in, rows_figure, span, stack
from .plotting import ACCENT, FP16, INK, MUTED, ONE_BIT, PAPER, Picture, finish, key, style, text_width

_ROLE_COLOURS = {m.FP16: FP16, m.ONE_BIT: ONE_BIT}
_TRAFFIC_CAPTIONS = {
    "decode": "What the one-bit design still moves per token. Beside FP16 weights the head and the state are small; "
    "beside one-bit weights they set the limit.",
    "prefill": "What the one-bit design moves per token of the prompt. The tokens share each weight that is read, so "
    "activations that do not fit on the chip count.",
}


def energy_per_token(comparison: pd.DataFrame, parts: pd.DataFrame) -> Picture:
    """Left: energy per token of each model, FP16 and one-bit, with ranges. Right: what the one-bit energy is spent on.

    ``comparison``, ``parts``: rows of one phase, one design and its FP16 twin.
    """
    models, title, first = models_in(comparison), energy_title(comparison), comparison.iloc[0]
    scale, unit = q.energy_unit(comparison["energy_uj"].max())
    spent = {x: amounts(parts, "energy_uj", "part", model=x, role=m.ONE_BIT) for x in models}
    greatest = max(sum(s.values()) for s in spent.values())
    small, small_unit = q.energy_unit(greatest)
    with style():
        subtitle = f"{first['phase']}, batch 1, {first['memory_system']}; FP16: array of equal peak throughput"
        labels = [m.label(x) for x in models]
        figure, (left, right) = rows_figure(labels, title, subtitle, panels=2, left=0.125, key_lines=3)
        for row, model in enumerate(models):
            pair = comparison[comparison["model"] == model].set_index("role").to_dict("index")
            for offset, role in PAIR:
                y, one = row + offset, pair[role]
                end = one["energy_high_uj"] / scale
                bar_with_range(left, y, one, scale, _ROLE_COLOURS[role], 0.32)
                text = f"{role}  {q.energy(one['energy_uj'])}"
                beside(left, end, y, text, fontsize=8.5, color=INK)
                if role == m.ONE_BIT:
                    less, gap = f"{q.factor(one['ratio'])} less", 16 + text_width(text, 8.5)
                    beside(left, end, y, less, gap=gap, fontsize=10, weight="bold", color=ACCENT)
            whole = sum(spent[model].values())
            stack(right, row, spent[model], m.PARTS, small, 0.44, partial(_share_of, whole))
        left.set_xlim(0, comparison["energy_high_uj"].max() / scale * 1.27)
        right.set_xlim(0, greatest / small * 1.02)
        left.set_xlabel(f"energy per token, {unit}; whiskers: low–high of the sources")
        right.set_xlabel(f"where the one-bit energy goes, {small_unit} per token")
        key(right, [(p, COLOURS[p]) for p in m.PARTS if any(s[p] > 0.003 * greatest for s in spent.values())])
        return finish(
            figure,
            name="energy-per-token",
            title=title,
            caption="Left, energy per token beside an FP16 array of equal peak throughput on the same memory system. "
            "Right, where the energy of the one-bit design goes, on its own scale.",
            alt=_listed_energies(comparison),
        )


def energy_title(comparison: pd.DataFrame) -> str:
    """The finding of :func:`energy_per_token` in one line."""
    ratios = comparison.loc[comparison["role"] == m.ONE_BIT, "ratio"].astype(float).tolist()
    families = {m.family(x) for x in models_in(comparison)}
    who = families.pop() if len(families) == 1 else "model"
    who = f"A one-bit {who}" if all(get_config(x).binarized for x in models_in(comparison)) else f"An int8 {who}"
    if min(ratios) < 1:
        return f"{who} needs FP16's energy per token divided by {span(ratios)}"
    ideal = ", not 16×" if who.startswith("A one-bit") and max(ratios) < 15 else ""
    return f"{who} spends {span(ratios)} less energy per token than FP16{ideal}"


def energy_components(parts: pd.DataFrame) -> Picture:
    """Share of each component in the energy per token, FP16 above one-bit, per model."""
    fp16, bit = (_median_share(parts, "part", role, [m.LINEAR]) for role in (m.FP16, m.ONE_BIT))
    return _shares(
        parts,
        "part",
        m.PARTS,
        name="energy-components",
        title=f"Moving linear weights: {q.share(fp16)} of the energy at FP16, {q.share(bit)} at one bit",
        subtitle="share of the energy per token by component",
        caption="Each bar is 100 % of its design's energy per token; an FP16 and a one-bit bar stand for different "
        "energies, see the first figure. DRAM energy is split by what was moved. The title quotes the median model.",
    )


def energy_kinds(kinds: pd.DataFrame) -> Picture:
    """Share of each kind of layer in the energy per token, FP16 above one-bit, per model."""
    rest = [k for k in m.KIND_GROUPS if k != "projections"]
    fp16, bit = (_median_share(kinds, "kind", role, rest) for role in (m.FP16, m.ONE_BIT))
    return _shares(
        kinds,
        "kind",
        list(m.KIND_GROUPS),
        name="energy-kinds",
        title=f"What is not a projection takes {q.share(fp16)} of the energy at FP16, {q.share(bit)} at one bit",
        subtitle="share of the energy per token by kind of layer",
        caption="Everything an operation causes (memory, arithmetic, leakage while it runs) is counted with its kind "
        "of layer. The title quotes the median model.",
    )


def memory_footprint(memory: pd.DataFrame) -> Picture:
    """Bytes that a model needs with one sequence, FP16 above one-bit. ``memory``: model, role, part, bytes."""
    models = models_in(memory)
    kept = {(x, role): amounts(memory, "bytes", "part", model=x, role=role) for x in models for _, role in PAIR}
    sums = {k: sum(v.values()) for k, v in kept.items()}
    ratios = [sums[x, m.FP16] / sums[x, m.ONE_BIT] for x in models]
    title = f"{span(ratios)} less memory: the embedding and the state shrink less than the weights"
    scale, unit = q.size_unit(max(sums.values()))
    with style():
        subtitle = "weights as the hardware stores them, and the state of one sequence"
        figure, (axes,) = rows_figure([m.label(x) for x in models], title, subtitle)
        for row, model in enumerate(models):
            for offset, role in PAIR:
                end = stack(axes, row + offset, kept[model, role], m.MEMORY_PARTS, scale, 0.32)
                beside(axes, end, row + offset, f"{role}  {q.size(sums[model, role])}", fontsize=8.5, color=INK)
        axes.set_xlim(0, max(sums.values()) / scale * 1.16)
        axes.set_xlabel(f"memory, {unit}")
        key(axes, [(p, COLOURS[p]) for p in m.MEMORY_PARTS if any(v.get(p) for v in kept.values())])
        return finish(
            figure,
            name="memory",
            title=title,
            caption="FP16: every parameter and the state in 16 bit. One-bit: binary planes, 16-bit scales, an 8-bit "
            "tied embedding and head, the state in the width of the run.",
            alt="; ".join(f"{m.label(x)} {role}: {q.size(v)}" for (x, role), v in sums.items()),
        )


def dram_traffic(traffic: pd.DataFrame) -> Picture:
    """DRAM bytes per token of the one-bit design by what they are; the FP16 total is written beside.

    ``traffic``: rows of one phase with model, role, part, bytes.
    """
    models, phase = models_in(traffic), str(traffic["phase"].iloc[0])
    moved = {x: amounts(traffic, "bytes", "part", model=x, role=m.ONE_BIT) for x in models}
    sums = {x: sum(v.values()) for x, v in moved.items()}
    shares = [1 - moved[x].get(m.BINARY, 0.0) / sums[x] for x in models]
    title = f"{span(shares, q.share)} of the DRAM traffic is not the binary weights"
    scale, unit = q.size_unit(max(sums.values()))
    with style():
        subtitle = f"bytes moved per token by the one-bit design, {phase}, batch 1"
        figure, (axes,) = rows_figure([m.label(x) for x in models], title, subtitle)
        for row, model in enumerate(models):
            end = stack(axes, row, moved[model], m.TRAFFIC_PARTS, scale, 0.5, q.size)
            fp16 = sum(amounts(traffic, "bytes", "part", model=model, role=m.FP16).values())
            beside(axes, end, row - 0.14, q.size(sums[model]), fontsize=8.5, color=INK, weight="bold")
            beside(axes, end, row + 0.16, f"FP16: {q.size(fp16)}", fontsize=8.5, color=MUTED)
        axes.set_xlim(0, max(sums.values()) / scale * 1.17)
        axes.set_xlabel(f"DRAM traffic per token, {unit}")
        key(axes, [(p, COLOURS[p]) for p in m.TRAFFIC_PARTS if any(v.get(p) for v in moved.values())])
        return finish(
            figure,
            name="dram-traffic",
            title=title,
            caption=_TRAFFIC_CAPTIONS[phase],
            alt="; ".join(
                f"{m.label(x)}: {q.share(s)} not binary weights" for x, s in zip(models, shares, strict=True)
            ),
        )


def phases(comparison: pd.DataFrame) -> Picture:
    """Energy per token in decode and in prefill, FP16 and one-bit. ``comparison``: both phases of the same designs."""
    models = models_in(comparison)
    energy = {(r.model, r.role, r.phase): float(r.energy_uj) for r in comparison.itertuples()}
    gain = {p: median(energy[x, m.FP16, p] / energy[x, m.ONE_BIT, p] for x in models) for p in ("decode", "prefill")}
    length = int(comparison["prompt_length"].iloc[0])
    decoding, prefilling = q.factor(gain["decode"]), q.factor(gain["prefill"])
    title = f"The gain over FP16: {decoding} in decode, {prefilling} in a {length:,}-token prefill"
    scale, unit = q.energy_unit(max(energy.values()))
    with style():
        subtitle = f"open circle: prefill of {length:,} tokens, filled circle: decode, batch 1"
        figure, (axes,) = rows_figure([m.label(x) for x in models], title, subtitle)
        for row, model in enumerate(models):
            for offset, role in PAIR:
                y, colour = row + offset, _ROLE_COLOURS[role]
                prefill, decode = (energy[model, role, p] for p in ("prefill", "decode"))
                axes.plot([prefill / scale, decode / scale], [y, y], color=colour, linewidth=2.2, zorder=2)
                for value, fill, side in ((prefill, PAPER, -9), (decode, colour, 9)):
                    side = side if prefill < decode else -side
                    axes.plot([value / scale], [y], "o", color=colour, markersize=7, mfc=fill, mew=1.8, zorder=3)
                    beside(axes, value / scale, y, q.energy(value), gap=side, fontsize=8.2, color=INK)
        axes.set_xscale("log")
        axes.set_xlim(min(energy.values()) / scale / 2.4, max(energy.values()) / scale * 2.4)
        axes.xaxis.set_major_formatter(lambda v, _: f"{v:,.12g}")
        axes.xaxis.set_minor_formatter(lambda v, _: "")
        axes.set_xlabel(f"energy per token, {unit} (logarithmic)")
        key(axes, [("FP16, equal peak throughput", FP16), ("one-bit design", ONE_BIT)])
        return finish(
            figure,
            name="decode-prefill",
            title=title,
            caption="The tokens of a prefill share each weight that is read, so arithmetic counts; a decoded token has "
            "every weight read for itself, so memory counts. The title quotes the median model.",
            alt="; ".join(f"{m.label(x)} {role} {p}: {q.energy(v)}" for (x, role, p), v in energy.items()),
        )


def energy_by_design(comparison: pd.DataFrame) -> Picture:
    """Energy per token of one model on each of its designs, with ranges, on a logarithmic axis.

    ``comparison``: rows of one model and phase. The memory systems may differ, so each is written out.
    """
    first = comparison.iloc[0]
    bit = comparison[comparison["role"] == m.ONE_BIT]
    bit = comparison if bit.empty else bit
    where = "by the chip it runs on" if len(bit) > 1 else f"on {bit['design'].iloc[0]}"
    title = f"{m.label(first['model'])}: {span(bit['energy_uj'].tolist(), q.energy)} per token, {where}"
    alike = comparison["memory_system"].nunique() == 1
    scale, unit = q.energy_unit(bit["energy_uj"].max())
    with style():
        subtitle = f"{first['phase']}, batch 1; point: typical, line: low–high"
        labels = comparison["design"].tolist()
        figure, (axes,) = rows_figure(labels, title, subtitle, row_inches=0.42, key_lines=0)
        width = axes.get_position().width * WIDTH_INCHES * 72
        low = math.log10(comparison["energy_low_uj"].min() / scale / 1.6)
        decades = 0.0
        for y, row in enumerate(comparison.to_dict("records")):
            colour = _ROLE_COLOURS.get(row["role"], FP16)
            end = row["energy_high_uj"] / scale
            text = f"{q.energy(row['energy_uj'])}  ·  {row['memory_system']}"
            axes.plot([row["energy_low_uj"] / scale, end], [y, y], color=colour, linewidth=2.4)
            axes.plot([row["energy_uj"] / scale], [y], "o", color=colour, markersize=7)
            beside(axes, end, y, text, gap=10, fontsize=8.2, color=INK)
            decades = max(decades, (math.log10(end) - low) / (1 - (text_width(text, 8.2) + 16) / width))
        axes.set_xscale("log")
        axes.set_xlim(10**low, 10 ** (low + decades))
        axes.xaxis.set_major_formatter(lambda v, _: f"{v:,.12g}")
        axes.xaxis.set_minor_formatter(lambda v, _: "")
        axes.set_xlabel(f"energy per token, {unit} (logarithmic)")
        return finish(
            figure,
            name=f"energy-{first['model']}",
            title=title,
            caption="Point: typical, line: low–high of the sourced figures."
            + ("" if alike else " The memory systems differ: read each row for itself."),
            alt=_listed_energies(comparison),
        )


def _share_of(whole: float, part: float) -> str:
    return q.share(part / whole)


def _shares(
    frame: pd.DataFrame, column: str, order: Sequence[str], *, name: str, title: str, subtitle: str, caption: str
) -> Picture:
    """Bars of 100 %, FP16 above one-bit, per model."""
    models = models_in(frame)
    shares = {(x, role): _share(frame, column, x, role) for x in models for _, role in PAIR}
    with style():
        labels = [m.label(x) for x in models]
        figure, (axes,) = rows_figure(labels, title, subtitle, left=0.225, key_lines=2)
        for row, model in enumerate(models):
            for offset, role in PAIR:
                stack(axes, row + offset, shares[model, role], order, 0.01, 0.34, q.share)
        ticks = [(row + offset, role) for row in range(len(models)) for offset, role in PAIR]
        axes.set_yticks(
            [y for y, _ in ticks],
            [f"{labels[int(y + 0.5)]}  {role}" if role == m.FP16 else role for y, role in ticks],
        )
        axes.grid(visible=False)
        axes.set_xlim(0, 100)
        axes.set_xlabel("share of the energy per token, %")
        key(axes, [(p, COLOURS[p]) for p in order if any(v.get(p, 0) > 0.001 for v in shares.values())])
        alt = "; ".join(
            f"{m.label(x)} {role}: {', '.join(f'{p} {q.share(v[p])}' for p in order if v.get(p, 0) > 0.001)}"
            for (x, role), v in shares.items()
        )
        return finish(figure, name=name, title=title, caption=caption, alt=alt)


def _share(frame: pd.DataFrame, column: str, model: str, role: str) -> dict[str, float]:
    values = amounts(frame, "energy_uj", column, model=model, role=role)
    whole = sum(values.values())
    return {k: v / whole for k, v in values.items()}


def _median_share(frame: pd.DataFrame, column: str, role: str, names: Sequence[str]) -> float:
    return median(sum(_share(frame, column, x, role).get(n, 0.0) for n in names) for x in models_in(frame))


def _listed_energies(comparison: pd.DataFrame) -> str:
    return "; ".join(
        f"{m.label(r.model)} on {r.design}: {q.energy(r.energy_uj)}"
        f" ({q.energy_range(r.energy_low_uj, r.energy_high_uj)})"
        for r in comparison.itertuples()
    )
