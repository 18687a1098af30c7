"""The words of a report, each number in them taken from the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from . import figures
from . import measures as m
from . import quantities as q
from .bars import span
from .batches import over_batch
from .page import Card, Page, PageTable, Row, Section, comparison_table
from .plotting import Picture
from .results import Results, dram_name, memory_system, sources
from .rooflines import roofline_plot
from .subjects import PHASES, Quality
from .tables import ELSEWHERE, LIMITS, ROOFLINE, Column, baseline_columns, baselines, limited_rows, main_rows

SOURCE_KINDS = {
    "silicon": "measured in silicon",
    "post-layout": "post-layout",
    "datasheet": "from datasheets",
    "model": "modelled",
    "derived": "derived",
    "estimate": "estimated",
}
"""Kinds of source in words, from what was measured on a chip to what was judged."""

_SOURCE_COLUMNS = tuple(
    Column(title, str, numeric=title in ("value", "low–high"))
    for title in ("figure", "value", "low–high", "unit", "kind", "source")
)


def leading(results: Results) -> pd.DataFrame:
    """The rows of the first thing a reader sees: one-bit and FP16 of the largest model's family on the first design."""
    rows = results.comparison
    one_bit = rows[(rows["phase"] == results.phase) & rows["ratio"].notna()]
    if one_bit.empty:
        return one_bit
    largest = one_bit.loc[one_bit["memory_bytes"].idxmax()]
    of_family = one_bit[one_bit["model"].map(m.family) == m.family(str(largest["model"]))]
    of_design = of_family[of_family["design"] == largest["design"]]
    pairs = rows[
        (rows["phase"] == results.phase)
        & rows["model"].isin(of_design["model"])
        & rows["design"].isin({largest["design"], largest["baseline"]})
    ]
    return pairs.reset_index(drop=True)


def pictures(results: Results) -> dict[str, list[Picture]]:
    """The figures by the section they stand in; those that the results do not carry are left out."""
    lead = leading(results)
    shown = set(zip(lead["model"], lead["design"], strict=True))
    rows = main_rows(results.comparison[results.comparison["phase"] == results.phase])
    single = [
        figures.energy_by_design(of_model)
        for model, of_model in rows.groupby("model", sort=False)
        if {(model, design) for design in of_model["design"]} - shown
    ]
    rooflines = [
        roofline_plot(rows_of_design, memory_system(results.designs[design]))
        for design, rows_of_design in _roofline_rows(results).items()
    ]
    if lead.empty:
        return {"single": single, "limits": rooflines}
    keys = ["model", "phase", "design"]
    parts, kinds, traffic = (f.merge(lead[keys], on=keys) for f in (results.parts, results.kinds, results.traffic))
    both = results.comparison.merge(lead[["model", "design"]], on=["model", "design"])
    memory = [figures.memory_footprint(results.memory[results.memory["model"].isin(lead["model"])])]
    if traffic[traffic["role"] == m.ONE_BIT].groupby("model")["bytes"].sum().min() > 0:
        memory.append(figures.dram_traffic(traffic))
    energy = [figures.energy_per_token(lead, parts), figures.energy_components(parts), figures.energy_kinds(kinds)]
    return {
        "energy": energy,
        "memory": memory,
        "phases": [figures.phases(both)],
        "limits": rooflines,
        "batches": _over_batches(results),
        "single": single,
    }


def largest_pair(results: Results) -> pd.DataFrame:
    """The rows of the leading model that occupies most, at every batch and in both phases, on the leading design and
    its FP16 twin."""
    lead = leading(results)
    bit = lead[lead["role"] == m.ONE_BIT]
    if bit.empty:
        return results.batches.iloc[:0]
    row = bit.loc[bit["memory_bytes"].idxmax()]
    rows = results.batches[results.batches["model"] == row["model"]]
    return rows[rows["design"].isin({row["design"], row["baseline"]})]


def leading_roofline(results: Results) -> pd.DataFrame:
    """Its roofline rows, on both designs, in the phase that stands first and at batch 1."""
    pair = largest_pair(results)[["model", "design"]].drop_duplicates()
    rows = results.roofline[(results.roofline["batch"] == 1) & (results.roofline["phase"] == results.phase)]
    return rows.merge(pair, on=["model", "design"])


def _over_batches(results: Results) -> list[Picture]:
    """A figure per phase in which there are two batches or more, with both designs at each of them."""
    pair = largest_pair(results)
    both = pair[pair.groupby(["phase", "batch"])["design"].transform("size") == 2]
    found = [both[both["phase"] == phase] for phase in PHASES]
    return [over_batch(rows) for rows in found if rows["batch"].nunique() > 1]


def _roofline_rows(results: Results) -> dict[str, pd.DataFrame]:
    """Of each one-bit design its roofline at batch 1 with the model that occupies most, with that of its FP16 twin.

    Designs that move nothing have no slope to be held against.
    """
    first = results.comparison[results.comparison["role"] == m.ONE_BIT]
    chosen = {}
    for design, rows in first.groupby("design", sort=False):
        moving = rows.groupby("model").filter(lambda each: len(each) == len(PHASES) and each["dram_bytes"].min() > 0)
        if moving.empty:
            continue
        model = moving.loc[moving["memory_bytes"].idxmax(), "model"]
        of_model = results.roofline[(results.roofline["model"] == model) & (results.roofline["batch"] == 1)]
        chosen[str(design)] = of_model[of_model["design"].isin({design, f"{design}/fp16"})]
    return chosen


def cards(results: Results) -> list[Card]:
    """How much less energy, what limits it, how sure we are."""
    lead = leading(results)
    bit = lead[lead["role"] == m.ONE_BIT]
    if bit.empty:
        return [_certainty(results, main_rows(results.comparison))]
    who = _listed([m.label(x) for x in bit["model"]])
    less = (
        "less energy per token" if bit["ratio"].min() >= 1 else "is FP16's energy per token over the one-bit design's"
    )
    first = Card(
        ask="How much less energy than FP16?",
        number=span(bit["ratio"].tolist()),
        what=less,
        why=f"{q.factor_range(bit['ratio_low'].min(), bit['ratio_high'].max())} over the ranges of the sourced "
        f"figures. {who} on {bit['design'].iloc[0]} beside an FP16 array of equal peak throughput on the same memory "
        f"system ({bit['memory_system'].iloc[0]}). Embedding and head: {_head(results)} in the one-bit design, "
        f"FP16 in its twin; FP16 in both would make it {span(bit['ratio_fp16_head'].tolist())}. "
        f"{' '.join(_residency(lead))}".rstrip(),
    )
    return [first, _limit(results, bit), _certainty(results, bit)]


def _limits(results: Results, drawn: Sequence[Picture]) -> Section:
    """Shares and bounds of every model, phase, batch and design; rooflines."""
    shown = leading_roofline(results)
    tables = [comparison_table(limited_rows(results.batches), "Outside the binary GEMM, and what binds", LIMITS)]
    if len(shown):
        tables.append(comparison_table(shown, "Roofline of every kind of operation", ROOFLINE))
    return Section(
        title="What is not the binary GEMM, and what binds",
        texts=[
            "The binary GEMM is the linears of one-bit weights inside the layers; in the rows of FP16 and GPU it is "
            "the same linears. Outside it are embedding and head, scan or attention with their state, convolution, "
            "norms, gates. The last columns share the time out by what binds each operation: its arithmetic, or the "
            "largest part of its DRAM traffic.",
            *(
                ["The second table is the roofline; roofline.csv has it for every model, phase, batch and design."]
                if len(shown)
                else []
            ),
        ],
        tables=tables,
        pictures=drawn,
    )


def _limit(results: Results, bit: pd.DataFrame) -> Card:
    row = bit.loc[bit["memory_bytes"].idxmax()]
    keys = {k: row[k] for k in ("model", "phase", "design")}
    traffic = _of(results.traffic, keys).set_index("part")["bytes"]
    energy = _of(results.parts, keys).set_index("part")["energy_uj"]
    shares = (energy / energy.sum()).sort_values(ascending=False)
    moved = _dram_share(energy)
    bound = f"{q.share(row['bound_share'])} of the time is bound by {row['bound']}."
    if traffic[m.BINARY] == 0 or moved < 0.5:
        most = _listed([f"{part} {q.share(value)}" for part, value in shares.head(4).items()])
        return Card(
            ask="What limits it?",
            number=q.share(shares.iloc[0]),
            what=f"of the energy goes into: {shares.index[0]}",
            why=f"{m.label(row['model'])}, {row['phase']}: {most}. {bound}",
        )
    return Card(
        ask="What limits it?",
        number=span(bit["not_binary_share"].tolist(), q.share),
        what="of the DRAM traffic is not the binary weights",
        why=f"A token of {m.label(row['model'])} moves {q.size(traffic[m.BINARY])} of binary weights, but also "
        f"{q.size(traffic['embedding and head'])} of embedding and head and {q.size(traffic['state'])} of state, which "
        f"shrink far less than the weights. DRAM takes {q.share(moved)} of the energy.",
    )


def _dram_share(energy: pd.Series) -> float:
    return float(energy[[part for part in m.PARTS if part.startswith("DRAM")]].sum() / energy.sum())


def _certainty(results: Results, rows: pd.DataFrame) -> Card:
    row = rows.loc[rows["memory_bytes"].idxmax()]
    figures_used = sources([results.designs[name] for name in (row["design"], row["baseline"]) if pd.notna(name)])
    counts = Counter[str](s.figure.kind for s in figures_used)
    kinds = _listed([f"{counts[k]} {word}" for k, word in SOURCE_KINDS.items() if counts[k] or k == "silicon"])
    energy = _of(results.parts, {k: row[k] for k in ("model", "phase", "design")}).set_index("part")["energy_uj"]
    moved = _dram_share(energy)
    dram = results.designs[row["design"]].dram
    rests = ""
    if dram and moved >= 0.5:
        one = next(s for s in figures_used if s.name == dram_name(dram.kind))
        f = one.figure
        rests = (
            f" {q.share(moved)} of the energy rests on one of them: {one.name}, {f.value:g} {f.unit} "
            f"({f.low:g}–{f.high:g}), {SOURCE_KINDS[f.kind]}."
        )
    return Card(
        ask="How sure are we?",
        number=q.energy_range(row["energy_low_uj"], row["energy_high_uj"]),
        what=f"around {q.energy(row['energy_uj'])} per token",
        why=f"{m.label(row['model'])} on {row['design']}: the range of {len(figures_used)} sourced figures, {kinds}."
        f"{rests} The array's cycles are those of its RTL, of the other units stated ones.",
    )


LEFT_OUT = "What was left out"
"""Title of a section of the page."""


def page(results: Results, drawn: dict[str, list[Picture]], command: str, versions: Sequence[tuple[str, str]]) -> Page:
    """The whole page."""
    lead = leading(results)
    bit = lead[lead["role"] == m.ONE_BIT]
    title = figures.energy_title(lead) if len(bit) else "What a token costs"
    where = f" on {bit['design'].iloc[0]} ({bit['memory_system'].iloc[0]})" if len(bit) else ""
    text = (
        f"{results.phase.capitalize()} at batch 1{where}, costed operation by operation. FP16 is the same model on an "
        "array of equal peak throughput and the same memory system."
    )
    sections = [
        _comparison(results),
        _baselines(results),
        _elsewhere(results),
        Section(title="Where the energy goes", pictures=drawn.get("energy", [])),
        Section(title="What has to be kept, and what has to be moved", pictures=drawn.get("memory", [])),
        Section(title="Decode against prefill", pictures=drawn.get("phases", [])),
        _limits(results, drawn.get("limits", [])),
        Section(title="What a batch changes", pictures=drawn.get("batches", [])),
        Section(title="What really ran", texts=_quality(results)),
        Section(title="Other models, other chips", pictures=drawn.get("single", [])),
        Section(title=LEFT_OUT, notes=results.left_out),
        Section(title="How it was found", notes=_method(results)),
        Section(
            title="Every figure behind the energies, with its source",
            texts=[f"{len(results.sources)} figures; energies are of one action or one bit."],
            tables=[_sources(results)],
        ),
    ]
    shown = [s for s in sections if s.texts or s.tables or s.pictures or s.notes]
    return Page(title=title, lead=text, cards=cards(results), sections=shown, command=command, versions=versions)


def _comparison(results: Results) -> Section:
    rows = results.comparison[results.comparison["phase"] == results.phase]
    return Section(
        title=f"The comparison: {results.phase}, batch 1",
        texts=[
            "A ratio stands only between designs with the same memory system; the FP16 twin has the same memories, the "
            "same DRAM and as many multiply-accumulates a second."
        ],
        tables=[comparison_table(main_rows(rows), "Energy, time and memory per token")],
        notes=[*_residency(rows), *_left_out(results)],
    )


def _left_out(results: Results) -> list[str]:
    """Where the sentences about what was left out are to be found."""
    return [f"Not everything fits everywhere: see “{LEFT_OUT}” below."] if results.left_out else []


def _baselines(results: Results) -> Section:
    """Every other baseline on the same memory system, a column each."""
    rows = results.comparison[results.comparison["phase"] == results.phase]
    beside = baselines(rows)
    if beside.empty or not set(m.TWIN_ROLES.values()) - {m.FP16} & set(rows["role"]):
        return Section(title="")
    shown = [role for role in m.TWIN_ROLES.values() if role in beside]
    return Section(
        title="Other baselines on the same memory system",
        texts=[
            "How many times the energy of the one-bit design each baseline takes for the same trace with the same "
            "memories and DRAM, its range, and its time per token. A column is one baseline; no two are mixed."
        ],
        tables=[
            comparison_table(beside, "Energy of each baseline over the one-bit design's", baseline_columns(beside))
        ],
        notes=[_BASELINE_NOTES[role] for role in shown if role in _BASELINE_NOTES],
    )


_BASELINE_NOTES = {
    "FP16, equal area": "FP16, equal area: as many FP16 lanes as fit in the area of the one-bit array, both counted in "
    "standard cells from the same gates; rows, units and memories are those of the one-bit design.",
    "W8A8": "W8A8: int8 weights and activations in the layers' linears, a 32-bit sum and an FP16 scale per output; "
    "head, embedding, attention and state are FP16.",
    "W4A16": "W4A16: 4-bit weights with an FP16 scale per group of 128, dequantized as they enter an FP16 array; "
    "head, embedding, attention and state are FP16.",
}
_ELSEWHERE_NOTES = {
    m.GPU: "GPU: board power × roofline time of an FP16 model. It includes what a board spends beyond the chip and "
    "leaves out what a host and a kernel launch cost; for a small model the time is a bound that no GPU reaches.",
    m.GPU_ACHIEVED: "GPU as used: the same with the shares of bandwidth, arithmetic and power that are published of "
    "real kernels; their sources stand below.",
    m.CPU: "CPU: wall time on the machine that made this page, with whatever else ran on it. A model whose weights are "
    "here ran in the simulator, bit for bit as the hardware would; of others the FP16 bytes were streamed.",
}


def _elsewhere(results: Results) -> Section:
    """GPUs and the machine at hand: absolute figures, no ratio."""
    rows = results.comparison[results.comparison["phase"] == results.phase]
    there = rows[rows["role"].isin(m.ELSEWHERE)]
    if there.empty:
        return Section(title="")
    return Section(
        title="Other memory systems",
        texts=["These rows stand for themselves: their memories are not those above, so no ratio is formed with them."],
        tables=[comparison_table(there, "GPUs and the machine at hand", ELSEWHERE)],
        notes=[note for role, note in _ELSEWHERE_NOTES.items() if role in set(there["role"])],
    )


def _residency(rows: pd.DataFrame) -> list[str]:
    """A note for each ratio that is won by fitting on the chip where FP16 does not."""
    baselines = rows.set_index(["model", "design"])["dram_bytes"]
    return [
        f"{m.label(r['model'])} on {r['design']}: the one-bit model stays on chip, its FP16 twin does not and moves "
        f"{q.size(baselines[r['model'], r['baseline']])} per token. The {q.factor(r['ratio'])} counts that."
        for r in rows[rows["ratio"].notna()].to_dict("records")
        if r["dram_bytes"] == 0 < baselines[r["model"], r["baseline"]]
    ]


def _quality(results: Results) -> list[str]:
    return [
        f"{m.label(s.model)} read {v.bytes:,} bytes in {v.files} held-out files of the standard library of {v.text} "
        f"bit-accurately, as the hardware will: {v.bits_per_byte:.3f} bits per byte ({_compressors(v)}). Its traces "
        "are recorded from that text; those of the other models follow from their dimensions alone."
        for s in results.subjects
        if (v := s.quality)
    ]


def _compressors(v: Quality) -> str:
    return f"gzip −9: {v.gzip:.3f}, xz −9e: {v.xz:.3f}, file by file"


def _head(results: Results) -> str:
    """The format in which the one-bit design keeps the embedding and head."""
    return results.subjects[0].precision.head


def _method(results: Results) -> list[str]:
    length = results.subjects[0].prompt_length
    bit = results.comparison[(results.comparison["phase"] == results.phase) & results.comparison["ratio"].notna()]
    integer = [m.label(s.model) for s in results.subjects if not s.config.binarized]
    heads = [
        f"{m.label(r['model'])} on {r['design']} {q.factor(r['ratio_fp16_head'])} instead of {q.factor(r['ratio'])}"
        for r in bit.to_dict("records")
    ]
    return [
        f"One token costs the energy of every operation of a decode step with {length:,} tokens in the context, or, in "
        f"a prefill, of a {length:,}-token prompt divided by its tokens; batch 1.",
        "Cycles: operations in order, DRAM bytes streamed through a double buffer, with the array's fill and drain. "
        "Energy: actions × energy per action, and leakage of the memories for as long as the operation runs. Not "
        + "counted, in any of the arrays: wires between blocks, control, leakage of the logic.",
        "Low and high take every figure at its low and at its high end at once: an outer range, not a standard "
        "deviation. The range of a ratio takes FP16 and one-bit at the same ends, because they share the memory and "
        + "the technology; each group of figures (DRAM, on-chip memory, arithmetic, leakage) is moved on its own.",
        "FP16: weights, activations, state and head in 16 bit. One-bit: binary planes, 16-bit α and β per input "
        f"channel, 8-bit activations into the array, embedding and head in {_head(results)}, "
        f"{results.subjects[0].precision.state_bits}-bit state. The activation quantizer and the {_head(results)} head "
        "are xnorscan's; the papers leave activations, embedding and head in FP16.",
        *(
            [f"With an FP16 embedding and head in both designs the ratios are lower: {'; '.join(heads)}."]
            if heads
            else []
        ),
        *(
            [
                f"{_listed(integer)}: published in FP16 and not binarized; on a one-bit design the linears are 8-bit "
                "integers, of eight planes."
            ]
            if integer
            else []
        ),
        "State and weights stay on chip where the design's memories hold them or the design says so; otherwise every "
        "step moves them.",
        *(
            ["Batches above 1 are costed from the models' dimensions alone."]
            if results.batches["batch"].max() > 1
            else []
        ),
    ]


def _sources(results: Results) -> PageTable:
    rows = [
        Row([(t, "") for t in (s.name, f"{f.value:.3g}", f"{f.low:.3g}–{f.high:.3g}", f.unit, f.kind, f.source)])
        for s in results.sources
        for f in (s.figure,)
    ]
    return PageTable("Sources", _SOURCE_COLUMNS, rows, sources=True)


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _of(rows: pd.DataFrame, keys: dict[str, object]) -> pd.DataFrame:
    chosen = rows
    for name, value in keys.items():
        chosen = chosen[chosen[name] == value]
    return chosen
