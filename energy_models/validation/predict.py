"""What the cost model says of a published chip, beside what was published of it.

Energy per operation. The logic of a cycle is counted in gates (:mod:`..gates`) at an activity of one half and priced
from the technology table nearest in node, at that table's node and voltage. A factor brings it to the chip's: the ratio
of Stillmaker & Baas's polynomials (:mod:`..scaling`), within the HP rows. The range takes in the ratio within the LP
rows and the plain rule node × V² (a gate's C V² with C as its length). Below the voltages of the polynomials only
node × V² is left, an extrapolation that the result names. A tree of one stage has its glitches (:mod:`..glitches`), a
flip-flop its clock tree. SRAM is priced from the same table and never scaled; memories of latches are registers to
write and multiplexers × ``LATCH_READ`` to read. A wire is the table's, by V² alone. Not counted: control and
leakage of logic. So a figure is of what is described, and tends to be low.

Throughput. The bytes of a token and the products on them go through the schedule of :mod:`..schedule`, a DMA with a
double buffer, at the peak bandwidth of the memory; ``SUSTAINED_SHARE`` is its range. Ranges are carried end to end: all
that is low together, all that is high together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..gates import Gates, accumulator, multiplier, signed_sum, switching_energy, xnor_popcount
from ..glitches import popcount_glitches, signed_sum_glitches
from ..ops import Floats
from ..scaling import Family, energy_factor
from ..schedule import schedule
from ..technology import Price, Technology, load_technology
from .chip import (
    EnergyChip,
    EnergyPoint,
    Memory,
    Operation,
    Part,
    Process,
    Published,
    ThroughputChip,
    ThroughputPoint,
    load_chip,
)

SUSTAINED_SHARE = np.array([0.7, 1.0, 1.0])
"""Of a memory's peak bandwidth that a stream sustains: typical the peak, as in the schedule; low an estimate of what
refresh, row misses and turnarounds leave."""
LATCH_READ = np.array([1.0, 1.8, 2.7])
"""A bit read from a memory of latches over its multiplexers alone. Meinerzhagen et al., ESSCIRC 2012: 14 fJ a bit of a
4 kbit standard-cell memory in 65 nm silicon at 0.5 V, all included; 128 words are 7 multiplexers, 5.1 fJ by node × V².
High is that ratio; typical a third less, for the leakage that it has at its voltage of least energy (an estimate)."""
WITHIN = 1.5
"""Factor up or down within which a prediction is called near."""
ONE_STAGE = 32
"""Levels of adders to a register: a published tree is taken to be one stage, with a register behind it alone."""
FEMTO = 1e3
"""fJ per pJ."""
FAMILIES: tuple[Family, ...] = ("hp", "lp")
_GLITCHES: dict[str, Callable[[int, int], Floats]] = {
    "xnor_popcount": popcount_glitches,
    "signed_sum": signed_sum_glitches,
}
"""Of the parts that are trees of one stage."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """One published figure beside ours.

    ``ours`` [3]: low, typical, high, in ``unit``. ``claim``: ``prediction``, or ``bound`` (from above, of a
    throughput). ``parts``: what ``ours`` is made of, [3] each: fJ/op of an energy, bytes per token of a throughput.
    ``remarks``: where the model was used outside what its sources cover.
    """

    chip: str
    point: str
    where: str
    quantity: Literal["energy per operation", "throughput", "latency"]
    unit: Literal["fJ/op", "tokens/s", "s/token"]
    ours: Price
    published: float
    claim: Literal["prediction", "bound"]
    fitted: bool
    parts: dict[str, Price]
    remarks: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """Ours, typical, over the published figure."""
        return float(self.ours[1] / self.published)

    @property
    def inside(self) -> bool:
        """Whether the published figure lies in our range; of a bound, whether it keeps below."""
        return bool((self.claim == "bound" or self.ours[0] <= self.published) and self.published <= self.ours[2])

    @property
    def near(self) -> bool:
        """Whether ours, typical, is within ``WITHIN`` of the published figure, up or down."""
        return 1 / WITHIN <= self.ratio <= WITHIN


@dataclass(frozen=True)
class Tally:
    """How many predictions there are, how many of them near and inside; how many bounds, how many of them holding; and
    how many figures of either kind rest on a fit."""

    predictions: int
    near: int
    inside: int
    bounds: int
    holding: int
    fitted: int


def predict(name: str) -> list[Prediction]:
    """Every published figure of a chip, by its name or its YAML file, beside ours. Raises as ``load_chip`` does, and
    ``ValueError`` for an unknown technology table or a port that it does not have."""
    chip = load_chip(name)
    if isinstance(chip, EnergyChip):
        return [_energy(chip, point) for point in chip.points]
    return [_throughput(chip, point) for point in chip.points]


def tally(found: Sequence[Prediction]) -> Tally:
    """The counts of a list of predictions; a bound counts among ``bounds`` alone."""
    predictions = [each for each in found if each.claim == "prediction"]
    bounds = [each for each in found if each.claim == "bound"]
    return Tally(
        predictions=len(predictions),
        near=sum(each.near for each in predictions),
        inside=sum(each.inside for each in predictions),
        bounds=len(bounds),
        holding=sum(each.inside for each in bounds),
        fitted=sum(each.fitted for each in found),
    )


def logic_factor(process: Process, technology: Technology, vdd_v: float) -> tuple[Price, bool]:
    """[3]: energy of a gate of ``process`` at ``vdd_v`` over one of the table; and whether that is extrapolated."""
    rule = process.node_nm / technology.node_nm * (vdd_v / technology.vdd_v) ** 2
    ratios: dict[Family, float] = {}
    for family in FAMILIES:
        try:
            there = energy_factor(process.node_nm, vdd_v, family)
        except ValueError:
            continue
        ratios[family] = there / energy_factor(technology.node_nm, technology.vdd_v, family)
    every = [rule, *ratios.values()]
    return np.array([min(every), ratios.get(process.device, rule), max(every)]), process.device not in ratios


def part_gates(part: Part) -> Gates:
    """The gates that work in a cycle, ``part.count`` times over."""
    match part.kind:
        case "xnor_popcount":
            one = xnor_popcount(part.lanes, ONE_STAGE)
        case "signed_sum":
            one = signed_sum(part.lanes, part.bits, ONE_STAGE)
        case "multiply_sum":
            one = multiplier(part.bits, part.bits) * part.lanes + _adder_tree(part.lanes, 2 * part.bits)
        case "accumulator":
            one = accumulator(part.bits, doubling=False)
        case "registers":
            one = Gates(register_bits=part.bits)
    return one * part.count


def token_seconds(point: ThroughputPoint, end: int) -> float:
    """Time of a decoded token in seconds; ``end``: 0 for the slow end of every range, 1 typical, 2 for the fast end."""
    clock_hz = point.clock_mhz.range[end] * 1e6
    bandwidth = point.bandwidth_gb_per_s.range[end] * 1e9 * SUSTAINED_SHARE[end]
    macs = point.macs_per_cycle.range[end] if point.macs_per_cycle else math.inf
    order = [
        operation
        for turn in range(max(operation.count for operation in point.operations))
        for operation in point.operations
        if turn < operation.count
    ]
    compute = np.array([math.ceil(operation.weights / macs) for operation in order], dtype=np.int64)
    moved = np.array([math.ceil(_operation_bytes(operation)[2 - end]) for operation in order], dtype=np.int64)
    found = schedule(np.zeros(len(order), dtype=np.int64), compute, moved, clock_hz / bandwidth)
    return float(found.ends[-1] / clock_hz)


def _adder_tree(words: int, bits: int) -> Gates:
    """The sum of ``words`` of ``bits``: at each level half as many words, one bit wider."""
    adders = 0
    while words > 1:
        adders += words // 2 * bits
        words, bits = words - words // 2, bits + 1
    return Gates(full_adder=adders)


def _energy(chip: EnergyChip, point: EnergyPoint) -> Prediction:
    technology = load_technology(chip.process.technology)
    vdd = point.vdd_v.range
    factors, beyond = zip(*(logic_factor(chip.process, technology, float(v)) for v in vdd), strict=True)
    factor = np.diagonal(np.array(factors))
    per_operation = FEMTO / point.operations_per_cycle.range[::-1]
    energies = {part.name: _part_energy(part, technology) * factor for part in point.parts}
    for memory in point.memories:
        scale = factor if memory.kind == "latch" else np.ones(3)
        energies[memory.name] = _memory_energy(memory, technology) * scale
    for wire in point.wires:
        price = technology.wires["full_swing"].price * (vdd / technology.vdd_v) ** 2
        energies[wire.name] = np.asarray(wire.bits * wire.length_mm.range * price)
    parts = {name: np.asarray(energy * per_operation) for name, energy in energies.items()}
    return Prediction(
        chip=chip.name,
        point=point.name,
        where=f"{chip.process.node_nm:g} nm, {point.vdd_v.value:g} V",
        quantity="energy per operation",
        unit="fJ/op",
        ours=np.sum(list(parts.values()), axis=0),
        published=_femtojoules(point.published),
        claim="prediction",
        fitted=bool(chip.fitted),
        parts=parts,
        remarks=tuple(_energy_remarks(chip.process, technology, point, beyond[1])),
    )


def _part_energy(part: Part, technology: Technology) -> Price:
    """[3] pJ of a cycle, at the table's node."""
    tree = _GLITCHES.get(part.kind)
    glitches = tree(part.lanes, ONE_STAGE) if tree else 0.0
    return switching_energy(part_gates(part), technology, glitches=glitches)


def _memory_energy(memory: Memory, technology: Technology) -> Price:
    """[3] pJ of a cycle. SRAM: by the bank's capacity, its range that of the bank. Latches: at the table's node."""
    if memory.bank_kib is not None:
        sizes = enumerate(memory.bank_kib.range)
        return np.array([_sram_energy(memory, technology, float(size))[end] for end, size in sizes])
    assert memory.words is not None
    read = switching_energy(Gates(mux2=memory.read_bits * math.log2(memory.words)), technology)
    return np.asarray(read * LATCH_READ + switching_energy(Gates(register_bits=memory.write_bits), technology))


def _sram_energy(memory: Memory, technology: Technology, bank_kib: float) -> Price:
    read = technology.sram_pj_per_bit(bank_kib, "read", memory.port_bits)
    return np.asarray(
        memory.read_bits * read + memory.write_bits * technology.sram_pj_per_bit(bank_kib, "write", memory.port_bits)
    )


def _femtojoules(published: Published) -> float:
    return FEMTO / published.value if published.unit == "TOPS/W" else published.value


def _energy_remarks(process: Process, technology: Technology, point: EnergyPoint, beyond: bool) -> list[str]:
    table = f"{technology.node_nm:g} nm, {technology.vdd_v:g} V"
    remarks = []
    if beyond:
        remarks.append(
            f"{point.vdd_v.value:g} V is below the voltages of the scaling polynomials at {process.node_nm:g} nm: "
            f"logic is the table's ({table}) × node × V², an extrapolation"
        )
    if any(memory.kind == "sram" for memory in point.memories):
        remarks.append(f"SRAM as in the table ({technology.name}, {technology.node_nm:g} nm), not scaled")
    return remarks


def _throughput(chip: ThroughputChip, point: ThroughputPoint) -> Prediction:
    times = np.array([token_seconds(point, end) for end in range(3)])
    per_second = point.published.unit == "tokens/s"
    return Prediction(
        chip=chip.name,
        point=point.name,
        where=f"{point.bandwidth_gb_per_s.value:g} GB/s",
        quantity="throughput" if per_second else "latency",
        unit="tokens/s" if per_second else "s/token",
        ours=1 / times if per_second else times[::-1],
        published=point.published.value,
        claim=point.claim,
        fitted=bool(chip.fitted),
        parts=_bytes_by_operation(point),
    )


def _bytes_by_operation(point: ThroughputPoint) -> dict[str, Price]:
    """[3] bytes of a token."""
    return {operation.name: _operation_bytes(operation) * operation.count for operation in point.operations}


def _operation_bytes(operation: Operation) -> Price:
    bits = operation.weight_bits.range if operation.weight_bits else np.zeros(3)
    return np.asarray(operation.weights * bits / 8 + operation.read_bytes + operation.write_bytes)
