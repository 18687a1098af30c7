"""energy_models/explain.py: the terms add up to the cost, their prices are those of the tables, their formulas hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from oracles.cost_workloads import array, linear, model_trace, scan, trace_of
from xnorscan.designs.design import Design, load_design, preset_names
from xnorscan.energy_models.asic_area import ALL_TWINS
from xnorscan.energy_models.cost import cost, fits
from xnorscan.energy_models.energy import COMPONENTS
from xnorscan.energy_models.explain import CycleTerm, EnergyTerm, Explanation, RatioPart, explain
from xnorscan.energy_models.summary import energy_ratio
from xnorscan.energy_models.technology import ACTIONS, load_technology, table_figures, technology_names
from xnorscan.traces.op import Op
from xnorscan.traces.trace import Trace

OTHERS = (*(f"edge-28nm/{twin}" for twin in ALL_TWINS), "ecp5-85-ddr3/fp16", "gpu-h100/achieved")
MODELS = ("bi-mamba-780m", "fbi-llm-130m", "tiny", "small")


@cache
def design(name: str) -> Design:
    return load_design(name, ALL_TWINS)


def explained(trace: Trace, one: Design, baselines: Sequence[Design] = ()) -> Explanation:
    """The explanation, once it is found to add up to what ``cost`` says."""
    found, costs = explain(trace, one, baselines), cost(trace, [one])
    for end, suffix in enumerate(("_low", "", "_high")):
        by_component = {c: math.fsum(t.energy_pj[end] for t in found.terms if t.component == c) for c in COMPONENTS}
        for component, energy in by_component.items():
            assert energy == pytest.approx(costs[f"energy_{component}_pj{suffix}"].sum(), rel=1e-9, abs=0)
        assert sum(by_component.values()) == pytest.approx(costs[f"energy_pj{suffix}"].sum(), rel=1e-9, abs=0)
        assert found.energy_pj[end] == pytest.approx(costs[f"energy_pj{suffix}"].sum(), rel=1e-12)
    assert found.cycles == costs["cycles"].sum() == sum(each.cycles for each in found.operations)
    assert sum(each.operations for each in found.operations) == len(costs)
    for each in found.operations:
        assert each.waits >= 0
        assert each.cycles == each.operations * sum(term.cycles for term in each.terms) + each.waits
    return found


def value(term: CycleTerm) -> float:
    """The formula of ``term``, with its numbers."""
    written = term.formula.replace("·", "*").replace("−", "-")
    return float(eval(written, {"ceil": math.ceil, "max": max}, dict(term.numbers)))


@pytest.mark.parametrize("name", [*preset_names(), *OTHERS])
def test_terms_add_up_and_stand_in_their_tables(name: str) -> None:
    """Energies to a part in 10^9, cycles exactly, for every preset and baseline; each price is what its rows give."""
    one = design(name)
    models = MODELS[:2] if name in OTHERS else MODELS
    traces = [model_trace(model, phase, 96) for model in models for phase in ("decode", "prefill")]
    fitting = [trace for trace in traces if fits(trace, one).feasible]
    assert fitting
    for trace in fitting:
        found = explained(trace, one)
        for term in found.terms:
            for row in term.rows:
                assert table_figures(row.table)[row.name] == row.figure
            assert term.price == pytest.approx(price_of(term))
        for each in found.operations:
            assert [value(term) for term in each.terms] == [term.cycles for term in each.terms]


def price_of(term: EnergyTerm) -> np.ndarray:
    """From the rows alone."""
    first, *others = (row.figure.price for row in term.rows)
    if term.component == "board" and others:
        return np.array(term.price)  # of several utilizations, see the GPU's own test
    if not others:
        return first
    assert term.share is not None
    return np.asarray(first * (others[0] / first) ** term.share)


def test_a_batch_of_sequences_adds_up() -> None:
    for name in ("edge-28nm", "edge-28nm/fp16"):
        explained(model_trace("fbi-llm-130m", "prefill", 33, batch=3), design(name))
        explained(model_trace("tiny", "prefill", 33, batch=3), design(name))


def test_a_linear_by_hand() -> None:
    """5 tokens × 20 outputs × 40 inputs on 4 rows × 8 columns × 16 lanes: two token tiles, three tiles of outputs,
    three words; select tree of 4 rows 2 levels, dot product of 16 lanes 4."""
    found = explained(trace_of(linear(tokens=5, outputs=20, inputs=40)), array())
    (only,) = found.operations
    terms = {term.what: (term.cycles, dict(term.numbers)) for term in only.terms}
    assert terms["full token tiles"] == (3 * 1 * 4, {"passes": 3, "tiles": 2, "steps": 3, "rows": 4})
    assert terms["last token tile"] == (2 * 3, {"passes": 3, "steps": 3, "height": 1})
    assert terms["its last pass"] == (3, {"steps": 3})
    assert terms["array latency"] == (2 + 4 + 2 + 2, {"blocks": 2, "dot": 4, "select": 2, "fifo": 2})
    assert terms["its other rows"] == (0, {"height": 1})
    assert terms["vector unit"][0] == math.ceil(2 * 5 * 40 / 4)
    counts = {(term.component, term.what): term.count for term in found.terms}
    assert counts["array", "xnor"] == 5 * 20 * 3 * 16 * 8
    assert counts["dram", "weights"] == 0
    assert counts["sram", "weights read"] == 8 * 100 * 2
    assert counts["leakage", "static power"] == pytest.approx(only.cycles * 10)


def test_alike_operations_are_told_together_and_others_apart() -> None:
    rows = [linear(), linear(), linear(outputs=16), linear(layer=-1), scan(), scan(tokens=2)]
    found = explained(trace_of(*rows), array())
    assert [(each.name, each.operations) for each in found.operations] == [
        ("in_proj", 2), ("in_proj", 1), ("in_proj", 1), ("scan", 1), ("scan", 1),
    ]  # fmt: skip
    assert [each.kind for each in found.operations] == ["linear"] * 3 + ["scan"] * 2


def test_attention_over_a_longer_context_is_told_apart() -> None:
    shape = {"step": 0, "layer": 0, "sequences": 1, "tokens": 1, "outputs": 8, "inputs": 8, "heads": 2, "headdim": 4}
    rows = [Op(name="attention", kind="attention", context=context, **shape) for context in (10, 40, 10)]
    for one in (array(), ALL_TWINS["fp16"](array())):
        assert [each.operations for each in explained(trace_of(*rows), one).operations] == [2, 1]


def test_waits_are_those_of_a_memory_that_is_slower() -> None:
    trace = trace_of(linear(outputs=1024, inputs=1024))
    slow, quick = (
        explained(trace, array(dram={"kind": "lpddr4", "bandwidth_gb_per_s": rate})).operations[0] for rate in (0.1, 9)
    )
    assert slow.terms == quick.terms
    assert slow.dram_bytes == quick.dram_bytes == 1024 * 1024 // 8
    assert slow.transfer_cycles == 131072
    assert slow.waits > quick.waits


@pytest.mark.parametrize(
    ("kib", "rows", "share"),
    [
        (1, ("8 KiB",), None),
        (256, ("256 KiB",), None),
        (512, ("256 KiB", "1024 KiB"), 0.5),
        (4096, ("256 KiB", "1024 KiB"), 2.0),
    ],
)
def test_prices_between_two_capacities_name_both(kib: int, rows: tuple[str, ...], share: float | None) -> None:
    """Below the first its own, on a point that alone, beyond the last the slope of the last two."""
    found = explained(trace_of(linear()), array(activation_memory_kib=kib, technology="asic-28nm"))
    term = next(term for term in found.terms if term.what == "activations read")
    assert [row.name for row in term.rows] == [f"{row} x64 read" for row in rows]
    assert term.share == (None if share is None else pytest.approx(share))
    assert term.price == pytest.approx(price_of(term))


@pytest.mark.parametrize("name", technology_names())
def test_every_action_has_a_row_at_its_price(name: str) -> None:
    """An FPGA's table lacks gates that its LUTs are: the row of the gate that stands for them."""
    table = load_technology(name)
    found = explain(trace_of(linear(), scan()), array(technology=name))
    rows = {term.what: term.rows[0] for term in found.terms if term.component in ("array", "scan")}
    assert rows
    for action in ACTIONS:
        if (label := action.replace("_", " ")) in rows:
            assert (rows[label].figure.price == table.action(action)).all()
            assert rows[label].name == action or action not in table.figures


def test_a_gpu_as_used_is_power_over_utilization() -> None:
    """A decode waits for DRAM, at each end of the range: the highest bandwidth at the lowest power is low."""
    figures = table_figures("gpu")
    found = explained(model_trace("bi-mamba-780m"), design("gpu-h100/achieved"))
    main = max(found.terms, key=lambda term: term.count)
    assert [row.name for row in main.rows] == ["achieved_bandwidth", "achieved_power"]
    power, share = figures["achieved_power"], figures["achieved_bandwidth"]
    low, high = power.low * share.value / share.high, power.high * share.value / share.low
    assert main.price == pytest.approx((low, power.value, high))
    assert main.count == pytest.approx(found.energy_pj[1] / power.value, rel=1e-3)


def test_the_corners_of_a_ratio_give_its_ends() -> None:
    trace = model_trace("bi-mamba-780m")
    one, twin = design("edge-28nm"), design("edge-28nm/fp16")
    (ratio,) = explained(trace, one, [twin]).ratios
    expected = energy_ratio(cost(trace, [one, twin]), one.name, twin.name)
    assert (ratio.baseline, ratio.typical, ratio.low, ratio.high) == (
        twin.name, expected.typical, expected.low, expected.high,
    )  # fmt: skip
    index = {"low": 0, "typical": 1, "high": 2}

    def quotient(ends: Sequence[str]) -> float:
        def total(part: RatioPart, energies: str, end: str) -> float:
            return float(getattr(part, energies)[index[end]])

        parts = list(zip(ratio.parts, ends, strict=True))
        return sum(total(p, "baseline_pj", e) for p, e in parts) / sum(total(p, "energy_pj", e) for p, e in parts)

    assert quotient([part.least_at for part in ratio.parts]) == pytest.approx(expected.low, rel=1e-12)
    assert quotient([part.greatest_at for part in ratio.parts]) == pytest.approx(expected.high, rel=1e-12)
    assert quotient(["typical"] * len(ratio.parts)) == pytest.approx(expected.typical, rel=1e-12)
    assert [part.component for part in ratio.parts] == ["array", "vector", "scan", "sram", "dram", "leakage"]
    ends = {part.component: (part.least_at, part.greatest_at) for part in ratio.parts}
    assert ends["dram"] == ("low", "high"), "its share of the FP16 energy is the greater one"
    assert ends["sram"] == ("high", "low"), "its share of the one-bit energy is the greater one"


def test_per_token_divides_energies_and_counts_alone() -> None:
    trace, one, twin = model_trace("tiny", "prefill", 64), design("edge-28nm"), design("edge-28nm/fp16")
    whole, each = explain(trace, one, [twin]), explain(trace, one, [twin], tokens=64)
    assert each.energy_pj == pytest.approx([energy / 64 for energy in whole.energy_pj])
    assert [term.count * 64 for term in each.terms] == pytest.approx([term.count for term in whole.terms])
    assert [term.price for term in each.terms] == [term.price for term in whole.terms]
    assert (each.cycles, each.time_s, each.operations) == (whole.cycles, whole.time_s, whole.operations)
    assert each.ratios[0].low == whole.ratios[0].low
    assert each.ratios[0].parts[0].baseline_pj[2] == pytest.approx(whole.ratios[0].parts[0].baseline_pj[2] / 64)


def test_tokens_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"^tokens is 0, it must be at least 1$"):
        explain(model_trace("tiny"), design("edge-28nm"), tokens=0)


def test_what_does_not_fit_is_refused_as_cost_does() -> None:
    with pytest.raises(ValueError, match=r"^up5k has no dram: weights need"):
        explain(model_trace("bi-mamba-780m"), design("up5k"))
