"""The tables that the verbs print: their rows, as JSON would hold them, and how a terminal shows their columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cli_output import Column, records
from .energy_models.bounds import BOUNDS
from .reports import quantities

if TYPE_CHECKING:
    import pandas as pd

    from .designs.design import Design
    from .doctor import Finding
    from .models.config import ModelConfig
    from .models.convert import ConversionReport
    from .models.packed import PackedModel
    from .models.precision import Precision
    from .rtl.synth import SynthResult
    from .rtl.verify import Verification
    from .sim.run import Evaluation
    from .traces.trace import Trace

Rows = list[dict[str, Any]]

GIB = 2**30
PJ_PER_UJ = 1e6

MODEL = {
    "name": Column("model", left=True),
    "family": Column("family", left=True, spare=True),
    "weights": Column("weights", left=True),
    "d_model": Column("d_model", "{:,}".format, spare=True),
    "layers": Column("layers", "{:,}".format, spare=True),
    "vocab_size": Column("vocabulary", "{:,}".format, spare=True),
    "parameters": Column("parameters", "{:,}".format),
    "one_bit_parameters": Column("of one bit", "{:,}".format, spare=True),
    "fp16_gib": Column("FP16 GiB", quantities.digits),
    "one_bit_gib": Column("one-bit GiB", quantities.digits),
}


def models(configs: Iterable[ModelConfig], shipped: Iterable[str]) -> Rows:
    """One row per model: its dimensions, parameters and bytes. A model that is not binarized has no one-bit size."""
    from .models.published import parameter_counts

    rows = []
    for config in configs:
        counts = parameter_counts(config)
        sizes = {
            "weights": "shipped" if config.name in shipped else "published" if config.binarized else "published, FP16",
            "parameters": counts.total,
            "one_bit_parameters": counts.binarized or None,
            "fp16_gib": counts.fp16_bytes / GIB,
            "one_bit_gib": counts.one_bit_bytes / GIB if config.binarized else None,
        }
        rows.append(asdict(config) | sizes)
    return rows


EVALUATION = {
    "model": Column("model", left=True),
    "bytes": Column("bytes", "{:,}".format),
    "bits_per_byte": Column("bits per byte", "{:.4f}".format),
    "seconds": Column("seconds", "{:.2f}".format),
    "tokens_per_s": Column("tokens/s", "{:,.0f}".format),
}


def evaluation(model: PackedModel, result: Evaluation, precision: Precision) -> Rows:
    """One row: how well and how fast the model read the text, and in which widths."""
    row = {
        "model": model.config.name,
        "bytes": result.tokens,
        "bits_per_byte": result.bits_per_byte,
        "seconds": result.seconds,
        "tokens_per_s": result.tokens / result.seconds,
    }
    return [row | asdict(precision)]


SUMMARY = {
    "kind": Column("kind", left=True),
    "name": Column("name", left=True),
    "ops": Column("operations", "{:,}".format, spare=True),
    "tokens": Column("tokens", "{:,}".format),
    "macs": Column("multiply-adds", "{:,}".format, spare=True),
    "weight_bytes": Column("weights", quantities.size),
    "input_bytes": Column("inputs", quantities.size, spare=True),
    "output_bytes": Column("outputs", quantities.size, spare=True),
    "state_read_bytes": Column("state read", quantities.size),
    "state_write_bytes": Column("state written", quantities.size, spare=True),
}


def summary(trace: Trace) -> Rows:
    """One row per kind and name of operation."""
    return records(trace.summary())


CONVERSION = {
    "role": Column("what", left=True),
    "tensors": Column("tensors", "{:,}".format, spare=True),
    "values": Column("values", "{:,}".format),
    "minimum": Column("least", "{:.4g}".format, spare=True),
    "maximum": Column("greatest", "{:.4g}".format, spare=True),
    "zeros": Column("zeros", "{:,}".format),
    "lost_to_fp16": Column("lost to FP16", "{:,}".format),
    "not_positive": Column("≤ 0", "{:,}".format),
    "bytes_before": Column("before", quantities.size),
    "bytes_after": Column("after", quantities.size),
}
_ROLES = {"latent": "latent weights", "alpha": "scales α", "beta": "shifts β", "kept": "everything else"}


def conversion(report: ConversionReport) -> Rows:
    """One row per role of a tensor in the conversion."""
    rows = []
    for role, words in _ROLES.items():
        found = [tensor for tensor in report.tensors if tensor.role == role]
        if not found:
            continue
        counts = {c: sum(getattr(t, c) for t in found) for c in ("zeros", "lost_to_fp16", "not_positive")}
        sizes = {c: sum(getattr(t, c) for t in found) for c in ("bytes_before", "bytes_after")}
        extent = {"minimum": min(t.minimum for t in found), "maximum": max(t.maximum for t in found)}
        rows.append(
            {"role": words, "tensors": len(found), "values": report.values(found[0].role)} | extent | counts | sizes
        )
    return rows


FINDING = {
    "part": Column("part", left=True),
    "name": Column("name", left=True),
    "status": Column("status", left=True),
    "found": Column("found", left=True, spare=True),
    "purpose": Column("for", left=True, spare=True),
    "remedy": Column("to mend it", left=True),
}


def findings(found: Iterable[Finding]) -> Rows:
    """One row per thing that was looked for."""
    return [asdict(finding) for finding in found]


DESIGN = {
    "name": Column("design", left=True),
    "kind": Column("kind", left=True, spare=True),
    "rows": Column("rows"),
    "cols": Column("cols"),
    "lanes": Column("lanes"),
    "activations": Column("activations", left=True, spare=True),
    "scan_lanes": Column("scan lanes", spare=True),
    "clock_mhz": Column("MHz", "{:,.0f}".format),
    "peak_gmac_per_s": Column("peak GMAC/s", quantities.digits),
    "array_mm2": Column("array mm²", quantities.digits, spare=True),
    "weight_memory_kib": Column("weights KiB", "{:,}".format, spare=True),
    "state_memory_kib": Column("state KiB", "{:,}".format, spare=True),
    "activation_memory_kib": Column("activations KiB", "{:,}".format, spare=True),
    "dram_kind": Column("DRAM", left=True),
    "dram_bandwidth_gb_per_s": Column("GB/s", quantities.digits),
    "technology": Column("technology", left=True, spare=True),
}


def designs(found: Iterable[Design]) -> Rows:
    """One row per design: its fields, those of its DRAM beside them, its peak, and the area of its array where that is
    known (typical, and its range)."""
    from .designs.design import GpuDesign
    from .energy_models.asic_area import array_area, has_area

    rows = []
    for design in found:
        fields = design.model_dump(mode="json")
        dram = fields.pop("dram") or {}
        fields |= {f"dram_{name}": value for name, value in dram.items()}
        fields |= {"peak_gmac_per_s": design.peak_macs_per_cycle * design.clock_mhz / 1e3}
        if not isinstance(design, GpuDesign) and has_area(design):
            low, typical, high = (array_area(design) / 1e6).tolist()
            fields |= {"array_mm2": typical, "array_mm2_low": low, "array_mm2_high": high}
        rows.append(fields)
    return rows


AREA = {
    "design": Column("design", left=True),
    "resource": Column("resource", left=True),
    "predicted": Column("predicted"),
    "range": Column("low–high"),
    "share": Column("share", quantities.share),
    "placed": Column("placed", "{:,}".format, spare=True),
    "nand2": Column("NAND2", quantities.digits, spare=True),
    "off": Column("off by", lambda off: f"{100 * off:+.1f} %".replace("-", "−"), spare=True),
}


def area(rows: Rows) -> Rows:
    """The rows of ``reports.areas`` with the area and its range in words."""

    def number(value: float) -> str:
        return f"{value:,}" if isinstance(value, int) else quantities.digits(value)

    return [
        row
        | {
            "predicted": f"{number(row['predicted'])} {row['unit']}".rstrip(),
            "range": f"{number(row['low'])}–{number(row['high'])}" if row["low"] < row["high"] else "counted",
        }
        for row in rows
    ]


SOURCE = {
    "figure": Column("figure", left=True),
    "value": Column("value", "{:.3g}".format),
    "low": Column("low", "{:.3g}".format),
    "high": Column("high", "{:.3g}".format),
    "unit": Column("unit", left=True),
    "node_nm": Column("nm", "{:g}".format),
    "vdd_v": Column("V", "{:g}".format, spare=True),
    "device": Column("device", left=True, spare=True),
    "kind": Column("kind", left=True),
    "reference": Column("№"),
}
REFERENCE = {"reference": Column("№"), "source": Column("source", left=True)}


def sources(tables: Iterable[str]) -> Rows:
    """One row per figure of these tables; figures of one source have its number as ``reference``."""
    from .energy_models.figures import figures

    numbers: dict[str, int] = {}
    return [
        {"table": table, "figure": name}
        | figure.model_dump()
        | {"reference": numbers.setdefault(figure.source, len(numbers) + 1)}
        for table in dict.fromkeys(tables)
        for name, figure in figures(table).items()
    ]


def references(rows: Rows) -> Rows:
    """One row per source that ``rows`` of :func:`sources` refer to, in the order of its number."""
    found = {row["reference"]: row["source"] for row in rows}
    return [{"reference": number, "source": source} for number, source in found.items()]


VALIDATION = {
    "chip": Column("chip", left=True),
    "point": Column("point", left=True),
    "where": Column("where", left=True, spare=True),
    "ours": Column("ours (low–high)"),
    "published": Column("published"),
    "ratio": Column("ratio"),
    "inside": Column("inside?", left=True),
    "claim": Column("prediction or fit", left=True, spare=True),
}


def _picojoules(value: float) -> str:
    return quantities.energy(value / PJ_PER_UJ)


COST = {
    "design": Column("design", left=True),
    "kind": Column("kind", left=True),
    "operations": Column("operations", "{:,}".format, spare=True),
    "time_s": Column("time", quantities.duration),
    "cycles": Column("cycles", "{:,.0f}".format, spare=True),
    "bound": Column("bound by", left=True),
    "dram_bytes": Column("DRAM", quantities.size),
    "energy_pj": Column("energy", _picojoules),
    "energy_pj_low": Column("low", _picojoules, spare=True),
    "energy_pj_high": Column("high", _picojoules, spare=True),
    "energy_share": Column("share", quantities.share),
}
_SUMMED = ("time_s", "cycles", "dram_bytes", "energy_pj", "energy_pj_low", "energy_pj_high")


ROOFLINE = {
    "design": Column("design", left=True),
    "kind": Column("kind", left=True),
    "unit": Column("unit", left=True, spare=True),
    "intensity_ops_per_byte": Column("ops/DRAM byte", quantities.digits),
    "attained_ops_per_s": Column("attained", quantities.rate),
    "attainable_ops_per_s": Column("attainable", quantities.rate),
    "peak_ops_per_s": Column("peak", quantities.rate, spare=True),
    "ridge_ops_per_byte": Column("ridge point", quantities.digits, spare=True),
}
LIMITS = {
    "design": Column("design", left=True),
    "outside_dram_share": Column("DRAM traffic", quantities.share),
    "outside_time_share": Column("time", quantities.share),
    "outside_energy_share": Column("energy", quantities.share),
} | {f"{bound}_time_share": Column(bound, quantities.share, spare=True) for bound in BOUNDS}


def cost(costs: pd.DataFrame, designs: Iterable[Design]) -> Rows:
    """One row per design and kind of operation, the head apart, and one per design for all of them.

    ``bound`` is what limits most of the time of the row; the roofline stands in every row, the shares of what is not
    the binary GEMM and of what binds in the last of a design.
    """
    from .energy_models.roofline import ALL, op_kinds, roofline
    from .energy_models.summary import per_token

    limits = {row["design"]: row for row in records(per_token(costs, 1))}
    positions = {(row["design"], row["kind"]): row for each in designs for row in records(roofline(costs, each))}
    rows: Rows = []
    for design, of_design in costs.groupby("design", sort=False):
        whole = float(of_design["energy_pj"].sum())
        for kind, part in [*of_design.groupby(op_kinds(of_design), sort=False), (ALL, of_design)]:
            sums = {name: float(part[name].sum()) for name in _SUMMED}
            shares = limits[design] if kind == ALL else {}
            rows.append(
                positions[design, kind]
                | sums
                | {"energy_share": sums["energy_pj"] / whole}
                | {name: share for name, share in shares.items() if name in LIMITS and name != "design"}
            )
    return rows


COST_PER_OP = {
    "design": Column("design", left=True),
    "step": Column("step"),
    "layer": Column("layer"),
    "name": Column("name", left=True),
    "kind": Column("kind", left=True),
} | {name: COST[name] for name in ("time_s", "cycles", "bound", "dram_bytes", "energy_pj")}


def cost_per_op(costs: pd.DataFrame) -> Rows:
    """One row per operation and design, every column of the cost model."""
    return records(costs)


OCCUPATION = {
    "unit": Column("unit", left=True),
    "operations": Column("operations", "{:,}".format),
    "busy_s": Column("busy", quantities.duration),
    "busy_share": Column("of the time", quantities.share),
    "waiting_s": Column("waits for DMA", quantities.duration),
}


FILE = {
    "file": Column("file", left=True),
    "bytes": Column("bytes", "{:,}".format),
}


def files(directory: Path, found: Iterable[Path]) -> Rows:
    """One row per file in a folder."""
    return [{"file": str(path), "bytes": (directory / path).stat().st_size} for path in found]


PLACEMENT = {
    "seed": Column("seed"),
    "fmax_mhz": Column("Fmax MHz", "{:.1f}".format),
    "met": Column("met", lambda met: "yes" if met else "no"),
    "comb": Column("logic cells", "{:,}".format),
    "comb_share": Column("of device", quantities.share),
    "lut4": Column("LUT4", "{:,}".format),
    "ff": Column("FF", "{:,}".format),
    "ram": Column("block RAM"),
    "dsp": Column("DSP"),
    "harness_lut4": Column("harness LUT4", "{:,}".format, spare=True),
    "harness_ff": Column("harness FF", "{:,}".format, spare=True),
    "seconds": Column("seconds", "{:.0f}".format, spare=True),
}


def placements(found: SynthResult) -> Rows:
    """One row per seed. Logic cells, block RAM and DSP hold the harness too, LUT4 and FF do not."""
    return [asdict(p) | {"met": p.met, "comb_share": p.comb / p.comb_available} for p in found.placements]


def placed(found: SynthResult) -> str:
    """The result in a line."""
    first, total = found.placements[0], found.summary
    return (
        f"{first.unit} of {first.design} on {first.device}: {total.met} of {total.seeds} seeds meet "
        f"{first.clock_mhz:g} MHz; Fmax {total.fmax_min_mhz:.1f} MHz with every seed, "
        f"{total.fmax_median_mhz:.1f} median; peak {total.w1a1_tops:.3g} TOPS W1A1, {total.w1a8_tops:.3g} TOPS W1A8"
    )


CHECK = {
    "case": Column("case", left=True),
    "products": Column("products", "{:,}".format),
    "steps": Column("steps", "{:,}".format),
    "rows": Column("rows", "{:,}".format),
    "cycles": Column("cycles", "{:,}".format),
    "mismatch": Column("mismatch", left=True),
}


def checks(found: Verification) -> Rows:
    """One row per case. Cycles, where nobody stalls, are those of the closed form and those that were counted."""
    return [asdict(check) | {"mismatch": check.mismatch or "none"} for check in found.checks]


def verified(unit: str, name: str, found: Verification) -> str:
    """The result in a line."""
    wrong = sum(bool(check.mismatch) for check in found.checks)
    coverage = f"; functional coverage {found.bins_hit} of {found.bins} bins" if found.bins else ""
    return f"{unit} of {name}: {len(found.checks)} cases, {wrong} with a mismatch{coverage}"
