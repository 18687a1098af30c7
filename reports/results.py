"""Costs of the subjects on the designs, as the frames that tables, figures and words are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import pandas as pd

from ..designs.design import Design, GpuDesign, OneBitDesign, QuantizedArrayDesign
from ..energy_models.cost import cost, fits
from ..energy_models.ops import Ops
from ..energy_models.roofline import roofline
from ..energy_models.summary import energy_ratio, per_token
from ..energy_models.technology import Figure, dram_figures, gpu_figures, load_technology
from ..energy_models.traffic import place
from ..traces.trace import Trace
from . import measures as m
from .cpu import NAME as CPU_NAME
from .cpu import CpuRun
from .subjects import PHASES, Subject
from .tables import frame

_BASIS = {
    m.GPU: "board power × roofline time",
    m.GPU_ACHIEVED: "at the published utilization",
}
_KEYS = ["model", "phase", "design", "role"]


@dataclass(frozen=True)
class Source:
    """One figure of a technology table and what it is used for."""

    name: str
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything a report shows.

    ``phase``: the one that stands first. ``comparison``: :data:`~.tables.FIELDS`, both phases, batch 1; ``batches``:
    the same for every batch. ``parts``, ``kinds`` (µJ) and ``traffic`` (bytes): per token at batch 1, with model,
    phase, design and role in front; ``roofline``: of every batch, the columns of ``energy_models.roofline`` behind
    model, phase, batch and role. ``memory``: bytes per model and role. ``left_out``: a sentence for each design on
    which a model does not fit. ``designs``: those that were used.
    """

    phase: str
    subjects: Sequence[Subject]
    comparison: pd.DataFrame
    batches: pd.DataFrame
    roofline: pd.DataFrame
    parts: pd.DataFrame
    kinds: pd.DataFrame
    traffic: pd.DataFrame
    memory: pd.DataFrame
    left_out: Sequence[str]
    designs: Mapping[str, Design]

    @property
    def sources(self) -> list[Source]:
        """Every figure behind the energies."""
        return sources(list(self.designs.values()))


def results(
    chosen: Sequence[tuple[Subject, Sequence[Design]]],
    phase: str,
    batches: Sequence[int] = (1,),
    *,
    left_out: Sequence[str] = (),
    cpu: Mapping[str, Mapping[str, CpuRun]] | None = None,
) -> Results:
    """Each subject on its designs, in both phases, at batch 1 and at every one of ``batches``.

    A one-bit row is set against the FP16 array named ``<design>/fp16`` if that is among the designs and fits, and
    every other baseline ``<design>/…`` against it. ``left_out``: sentences about what was left out before. ``cpu``:
    what was measured on this machine, by model and phase.
    Raises ``ValueError`` where no model fits on an array.
    """
    rows: list[dict[str, object]] = []
    rooflines: list[pd.DataFrame] = []
    frames: dict[str, list[pd.DataFrame]] = {"parts": [], "kinds": [], "traffic": []}
    missing: dict[str, None] = dict.fromkeys(left_out)
    used: dict[str, Design] = {}
    for (subject, designs), each, batch in product(chosen, PHASES, sorted({1, *batches})):
        trace = subject.trace(each, batch)
        fitting = []
        for design in designs:
            fit = fits(trace, design)
            if fit.feasible:
                fitting.append(design)
            else:
                at = f" at batch {batch:,}" if batch > 1 else ""
                missing[f"{m.label(subject.model)} left out{at}: {fit.reason}."] = None
        if not fitting:
            continue
        used |= {d.name: d for d in fitting}
        costs = cost(trace, fitting)
        rows += _rows(subject, trace, fitting, costs)
        run = (cpu or {}).get(subject.model, {}).get(each)
        if run and batch == 1:
            rows.append(_cpu_row(subject, trace, run))
        for design in fitting:
            keys = {"model": subject.model, "phase": each, "design": design.name, "role": role(design)}
            rooflines.append(roofline(costs, design).assign(**keys, batch=batch))
            if batch > 1:
                continue
            own = costs[costs["design"] == design.name]
            for name, measured in (
                ("parts", m.energy_parts(own)),
                ("kinds", m.energy_kinds(own)),
                ("traffic", m.dram_traffic(own, trace)),
            ):
                value = measured.columns[-1]
                frames[name].append(measured.assign(**keys, **{value: measured[value] / tokens(trace)}))
    if all(isinstance(design, GpuDesign) for design in used.values()):
        raise ValueError(" ".join(("nothing to compare: no one-bit or FP16 array here holds a model.", *missing)))
    joined = {n: pd.concat(f, ignore_index=True)[[*_KEYS, *f[0].columns.drop(_KEYS)]] for n, f in frames.items()}
    memory = [m.memory_parts(s.config, s.precision).assign(model=s.model) for s, _ in chosen]
    found, first = frame(rows), ["model", "phase", "batch", "design", "role"]
    positions = pd.concat(rooflines, ignore_index=True)
    return Results(
        phase=phase,
        subjects=[s for s, _ in chosen],
        comparison=found[found["batch"] == 1].reset_index(drop=True),
        batches=found,
        roofline=positions[[*first, *positions.columns.drop(first)]],
        memory=pd.concat(memory, ignore_index=True),
        left_out=list(missing),
        designs=used,
        **joined,
    )


def tokens(trace: Trace) -> int:
    """Tokens that ``trace`` processed."""
    ops = trace.ops
    return int(ops.loc[ops["kind"] == "embedding", "tokens"].sum())


def role(design: Design) -> str:
    """The role of a design in a comparison: of ``measures``, or the formats of a quantized array (``W8A8``)."""
    if isinstance(design, OneBitDesign):
        return m.ONE_BIT
    if isinstance(design, GpuDesign):
        return m.GPU if design.utilization == "peak" else m.GPU_ACHIEVED
    owner, _, suffix = design.name.rpartition("/")
    if owner and suffix in m.TWIN_ROLES:
        return m.TWIN_ROLES[suffix]
    if isinstance(design, QuantizedArrayDesign):
        return f"W{design.weight_bits}A{design.activation_bits}"
    return m.FP16


def memory_system(design: Design) -> str:
    """The memories in words, the same for designs that may be compared: ``LPDDR5 51.2 GB/s + 2.0 MiB on chip``."""
    kib = design.weight_memory_kib + design.activation_memory_kib + design.state_memory_kib
    on_chip = f"{kib / 1024:.3g} MiB on chip" if kib >= 1024 else f"{kib} KiB on chip"
    if design.dram is None:
        return on_chip
    return f"{design.dram.kind.upper()} {design.dram.bandwidth_gb_per_s:,.5g} GB/s + {on_chip}"


def _rows(
    subject: Subject, trace: Trace, designs: Sequence[Design], costs: pd.DataFrame
) -> Iterator[dict[str, object]]:
    totals = per_token(costs, tokens(trace)).set_index("design")
    kept = m.memory_parts(subject.config, subject.precision).groupby("role")["bytes"].sum()
    names = {d.name for d in designs}
    for design in designs:
        total = totals.loc[design.name]
        row: dict[str, object] = {
            "model": subject.model,
            "phase": trace.metadata.phase,
            "design": design.name,
            "role": role(design),
            "memory_system": memory_system(design),
            "basis": _BASIS.get(role(design), "operations × sourced energies"),
            "batch": trace.metadata.batch,
            "prompt_length": subject.prompt_length,
            "energy_uj": total["energy_uj_per_token"],
            "energy_low_uj": total["energy_uj_per_token_low"],
            "energy_high_uj": total["energy_uj_per_token_high"],
            "latency_s": total["latency_us_per_token"] * 1e-6,
            "tokens_per_s": total["tokens_per_s"],
            "dram_bytes": total["dram_bytes_per_token"],
            "bound": total["bound"],
            "bound_share": total["bound_share"],
            "memory_bytes": _memory_bytes(design, trace, kept),
            **{name: total[name] for name in totals if name.endswith("_time_share") or name.startswith("outside_")},
        }
        if isinstance(design, OneBitDesign):
            moved = m.dram_traffic(costs[costs["design"] == design.name], trace).set_index("part")["bytes"]
            row["not_binary_share"] = 1 - moved[m.BINARY] / moved.sum() if moved.sum() else None
            row["bits_per_byte"] = subject.quality.bits_per_byte if subject.quality else None
            twin = f"{design.name}/fp16"
            if twin in names:
                ratio = energy_ratio(costs, design.name, twin)
                row |= {"baseline": twin, "ratio": ratio.typical, "ratio_low": ratio.low, "ratio_high": ratio.high}
                row["ratio_fp16_head"] = m.ratio_with_fp16_head(costs, design.name, twin)
        owner = design.name.rpartition("/")[0]
        if owner in names and not isinstance(design, GpuDesign):
            over = energy_ratio(costs, owner, design.name)
            row |= {"of": owner, "over": over.typical, "over_low": over.low, "over_high": over.high}
        yield row


def _memory_bytes(design: Design, trace: Trace, kept: pd.Series) -> float:
    """Weights and the state of one sequence. ``kept``: of a one-bit and of an FP16 design."""
    if not isinstance(design, QuantizedArrayDesign):
        return float(kept[m.ONE_BIT if isinstance(design, OneBitDesign) else m.FP16])
    needed = place(Ops.from_frame(trace.ops).in_formats_of(design), design)
    return needed.weight_need + needed.state_need / trace.metadata.batch


def _cpu_row(subject: Subject, trace: Trace, run: CpuRun) -> dict[str, object]:
    joules = run.measured.joules
    energy = dict.fromkeys(("energy_uj", "energy_low_uj", "energy_high_uj"), None if joules is None else joules * 1e6)
    return energy | {
        "model": subject.model,
        "phase": trace.metadata.phase,
        "design": CPU_NAME,
        "role": m.CPU,
        "memory_system": run.machine,
        "basis": f"measured: {run.how}; {run.measured.meter}",
        "batch": 1,
        "prompt_length": subject.prompt_length,
        "latency_s": run.measured.seconds,
        "tokens_per_s": 1 / run.measured.seconds,
        "dram_bytes": run.dram_bytes,
    }


def sources(designs: Sequence[Design]) -> list[Source]:
    """The figures of the technology tables that ``designs`` are priced with."""
    arrays = [d for d in designs if not isinstance(d, GpuDesign)]
    found = []
    for name in dict.fromkeys(d.technology for d in arrays):
        table = load_technology(name)
        found += [
            Source(f"{name}: {field.replace('_', ' ')}", value) for field, value in table if isinstance(value, Figure)
        ]
        for point in table.sram:
            for access in ("read", "write"):
                found.append(Source(f"{name}: {point.capacity_kib:g} KiB SRAM {access}", getattr(point, access)))
    found += [
        Source(dram_name(kind), dram_figures()[kind]) for kind in dict.fromkeys(d.dram.kind for d in arrays if d.dram)
    ]
    if len(arrays) < len(designs):
        found += [Source(f"GPU: {field.replace('_', ' ')}", figure) for field, figure in gpu_figures().items()]
    return found


def dram_name(kind: str) -> str:
    """What a bit moved to or from this kind of DRAM is called among the sources."""
    return f"{kind.upper()} transfer"
