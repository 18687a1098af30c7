"""Synthesis, place and route of generated Verilog with Yosys and nextpnr; every placement is a row that is kept.

A component has more ports than a package has pins. It is placed inside a harness of four pins: a shift register feeds
its inputs, and its outputs are folded by exclusive ors of four, two registers behind each, into one. All paths of the
component then start and end in registers. What the harness costs is measured with it and stated beside it.

Hierarchy is kept while Yosys maps, so that modules that are equal are mapped once; what nextpnr places is flat.
"""

from __future__ import annotations

import csv
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from ..designs.design import Design, OneBitDesign
from .build import Unit, build, one_bit
from .chain_ends import open_in
from .tools import NEXTPNR_ECP5, NEXTPNR_ICE40, YOSYS, Tool, run
from .verilog import to_verilog

_PORT = re.compile(r"^  (input|output) (?:signed )?(?:\[(\d+):0\] )?(\w+);", re.M)
_FOLDED = 4
"""Outputs that one LUT of the harness folds."""


@dataclass(frozen=True)
class Target:
    """A device: what Yosys and nextpnr are told, and under which names they report its resources.

    ``tech``: its primitives. ``lut4``: LUT4s that a cell of Yosys is made of (a CCU2C of two, a DPR16X4 stores in
    four); ``ff``: how the names of flip-flops begin. ``comb``, ``ram``, ``dsp``: nextpnr's names of logic cells, memory
    blocks and multipliers.
    """

    tech: str
    synthesis: str
    placer: Tool
    options: tuple[str, ...]
    lut4: dict[str, int]
    ff: str
    comb: str
    ram: str
    dsp: str


_STATIC = ("--placer", "static")


def _ecp5(size: str) -> Target:
    return Target(
        tech="ecp5",
        synthesis="synth_ecp5 -noflatten -nowidelut",
        placer=NEXTPNR_ECP5,
        # the static placer leaves a third less wire than the default, which a large core cannot be routed with
        options=(f"--{size}", "--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained", *_STATIC),
        lut4={"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
        ff="TRELLIS_FF",
        comb="TRELLIS_COMB",
        ram="DP16KD",
        dsp="MULT18X18D",
    )


def _ice40(device: str, package: str, letters: str) -> Target:
    return Target(
        tech="ice40",
        synthesis=f"synth_ice40 -device {letters} -noflatten -dsp",
        placer=NEXTPNR_ICE40,
        options=(f"--{device}", "--package", package, "--pcf-allow-unconstrained", "--placer-heap-timingweight", "30"),
        lut4={"SB_LUT4": 1},
        ff="SB_DFF",
        comb="ICESTORM_LC",
        ram="ICESTORM_RAM",
        dsp="ICESTORM_DSP",
    )


TARGETS = {
    "ecp5-25k": _ecp5("25k"),
    "ecp5-45k": _ecp5("45k"),
    "ecp5-85k": _ecp5("85k"),
    "up5k": _ice40("up5k", "sg48", "u"),
    "hx8k": _ice40("hx8k", "ct256", "hx"),
}
_DEVICES = {"ecp5": "ecp5-85k", "ice40": "up5k"}
"""Where hardware of each device's primitives is placed if its design names no device."""
_MEASURE = ("--timing-allow-fail",)
"""A clock that is missed is a result here, not an error."""


@dataclass(frozen=True)
class Placement:
    """One seed of one design, placed and routed.

    ``lut4`` and ``ff``: of the component alone, before placing; ``harness_lut4`` and ``harness_ff``: of its harness.
    ``comb``, ``ram``, ``dsp``: logic cells, memory blocks and multipliers as placed, harness included;
    ``comb_available``: of the device. ``fmax_mhz``: after routing. ``digest``: of Verilog, options and versions.
    """

    unit: str
    design: str
    device: str
    seed: int
    clock_mhz: float
    fmax_mhz: float
    comb: int
    comb_available: int
    lut4: int
    ff: int
    ram: int
    dsp: int
    harness_lut4: int
    harness_ff: int
    yosys: str
    nextpnr: str
    options: str
    seconds: float
    digest: str

    @property
    def met(self) -> bool:
        """Whether the clock that was wanted is reached."""
        return self.fmax_mhz >= self.clock_mhz


_KINDS: dict[str, type] = {f.name: {"int": int, "float": float, "str": str}[str(f.type)] for f in fields(Placement)}
"""The columns of a table of placements."""


@dataclass(frozen=True)
class Summary:
    """What the placements of one component come to.

    ``met``: of ``seeds``, those that reach the clock; ``fmax_min_mhz``: what every seed reaches; ``fmax_median_mhz``.
    ``w1a1_tops`` and ``w1a8_tops``: 10^12 operations a second at ``fmax_min_mhz``, a multiply and an add being two;
    0 where the sizes of the array are not known.
    """

    seeds: int
    met: int
    fmax_min_mhz: float
    fmax_median_mhz: float
    w1a1_tops: float
    w1a8_tops: float


@dataclass(frozen=True)
class SynthResult:
    """The placements of one component, one per seed. ``w1a1``, ``w1a8``: its products a cycle."""

    placements: tuple[Placement, ...]
    w1a1: float = 0
    w1a8: float = 0

    @property
    def met(self) -> int:
        """Seeds that reach the clock."""
        return sum(placement.met for placement in self.placements)

    @property
    def summary(self) -> Summary:
        """All placements together."""
        clocks = [placement.fmax_mhz for placement in self.placements]
        tera = 2 * min(clocks) / 1e6
        return Summary(
            len(clocks), self.met, min(clocks), statistics.median(clocks), self.w1a1 * tera, self.w1a8 * tera
        )


def synthesize_design(
    design: Design,
    unit: Unit,
    device: str | None,
    seeds: Sequence[int],
    *,
    kept: Path | None = None,
    jobs: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> SynthResult:
    """Place and route ``unit`` of ``design`` on ``device``, by default its own, for the design's clock.

    Raises ``ValueError`` for a design that cannot be built, and for a device that is none or lacks its primitives.
    """
    wanted = one_bit(design)
    chosen, tech = device or device_of(wanted), wanted.rtl.tech
    if chosen is None:
        raise ValueError(f"{design.name} names no device: choose one with --device: {', '.join(TARGETS)}")
    if tech not in ("generic", target_of(chosen).tech):
        raise ValueError(f"{design.name} is built of {tech} primitives, {chosen} has none: its rtl.tech may be generic")
    component, top = build(wanted, unit)
    report(f"generating {top}")
    verilog = to_verilog(component, top)
    result = synthesize(
        verilog,
        top,
        chosen,
        wanted.clock_mhz,
        seeds,
        design=wanted.name,
        unit=unit,
        kept=kept,
        jobs=jobs,
        report=report,
    )
    products = wanted.rows * wanted.cols * wanted.lanes
    return replace(result, w1a1=products, w1a8=wanted.peak_macs_per_cycle)


def target_of(device: str) -> Target:
    """The target of this name. Raises ``ValueError``."""
    if device not in TARGETS:
        raise ValueError(f"no device {device!r}: it must be one of {', '.join(TARGETS)}")
    return TARGETS[device]


def device_of(design: OneBitDesign) -> str | None:
    """The device of ``design``: the one it names or one of its primitives; none for generic hardware without."""
    return design.rtl.device or _DEVICES.get(design.rtl.tech)


def synthesize(
    verilog: str,
    top: str,
    device: str,
    clock_mhz: float,
    seeds: Sequence[int],
    *,
    design: str = "",
    unit: str = "",
    kept: Path | None = None,
    jobs: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> SynthResult:
    """Place and route module ``top`` of ``verilog`` on ``device`` once for each of ``seeds``, ``jobs`` at a time.

    ``kept``: a CSV file of placements; a seed that stands there with the same digest is not placed again, every new
    one is written at once, so that work that was interrupted goes on where it stood. ``report`` is told what goes on.
    Raises ``ValueError`` for an unknown device, a component without inputs or outputs, and where a tool fails.
    """
    target = target_of(device)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError("seeds must be given, each once")
    source = verilog + harness(verilog, top)
    options = f"{target.synthesis}; {' '.join((*target.options, *_MEASURE))} --freq {clock_mhz:g}"
    versions = {"yosys": YOSYS.version, "nextpnr": target.placer.version}
    digest = sha256("\n".join((source, options, *versions.values())).encode()).hexdigest()[:16]
    subject: dict[str, Any] = {"unit": unit or top, "design": design}
    common = subject | versions | {"device": device, "clock_mhz": clock_mhz, "options": options, "digest": digest}
    known = read_placements(kept) if kept is not None else []
    done = {p.seed: replace(p, **subject) for p in known if p.digest == digest}
    waiting = [seed for seed in seeds if seed not in done]
    if waiting:
        with tempfile.TemporaryDirectory() as folder:
            directory, lock = Path(folder), Lock()
            report(f"Yosys maps {top} to {device}")
            mapped = _map(source, top, target, directory)

            def place(seed: int) -> None:
                report(f"nextpnr places seed {seed}")
                found = _place(top, seed, clock_mhz, target, directory)
                done[seed] = Placement(seed=seed, **common, **mapped, **found)
                report(f"seed {seed}: {done[seed].fmax_mhz:.1f} MHz, {done[seed].comb:,} {target.comb}")
                if kept is not None:
                    with lock:
                        write_placements([*read_placements(kept), done[seed]], kept)

            with ThreadPoolExecutor(jobs) as pool:
                list(pool.map(place, waiting))
    return SynthResult(tuple(done[seed] for seed in seeds))


def harness(verilog: str, top: str) -> str:
    """A module ``TOP_on_pins`` (clk, rst, i, o) around module ``top`` of ``verilog``.

    Costs one flip-flop per input bit, a third of a LUT4 and two thirds of a flip-flop per output bit.
    """
    found = re.search(rf"^module {top}\(.*?^endmodule", verilog, re.M | re.S)
    if found is None:
        raise ValueError(f"the Verilog has no module {top}")
    ports = [(way, int(high or 0) + 1, name) for way, high, name in _PORT.findall(found[0])]
    connections, widths = [], {"input": 0, "output": 0}
    for way, width, name in ports:
        if name in ("clk", "rst"):
            connections.append(f".{name}({name})")
            continue
        low = widths[way]
        widths[way] += width
        connections.append(f".{name}({'feed' if way == 'input' else 'fold_0'}[{low + width - 1}:{low}])")
    if not all(widths.values()):
        raise ValueError(f"{top} has {widths['input']} bits of input and {widths['output']} of output, both are needed")
    lines = [
        f"module {top}_on_pins(input clk, input rst, input i, output o);",
        f"  reg [{widths['input'] - 1}:0] feed;",
        "  always @(posedge clk) feed <= {feed, i};",
        f"  wire [{widths['output'] - 1}:0] fold_0;",
        f"  {top} placed({', '.join(connections)});",
    ]
    level, width = 0, widths["output"]
    while level == 0 or width > 1:
        parts = [f"^fold_{level}[{min(low + _FOLDED, width) - 1}:{low}]" for low in range(0, width, _FOLDED)]
        level, width = level + 1, len(parts)
        lines += [
            f"  reg [{width - 1}:0] near_{level};",
            f"  reg [{width - 1}:0] fold_{level};",
            f"  always @(posedge clk) near_{level} <= {{{', '.join(reversed(parts))}}};",
            f"  always @(posedge clk) fold_{level} <= near_{level};",
        ]
    return "\n".join([*lines, f"  assign o = fold_{level};", "endmodule", ""])


def mapping_script(sources: str, top: str, target: Target) -> str:
    """Yosys: ``sources`` to TOP.json, with what is in it in parts.json (by module, as mapped) and whole.json (flat).

    The attribute that is taken off makes Yosys read a module anew, and forget what it has mapped, once it knows the
    primitives in it. It is made flat apart from the library of cells, whose models would be taken for parts of it; this
    takes out the registers that a module has but nobody at its instance reads. Registers that hold the same are not
    made one: they stand where they are needed.
    """
    return (
        f"read_verilog {sources}\n"
        "setattr -unset reprocess_after t:*\n"
        f"{target.synthesis} -top {top}_on_pins\n"
        "tee -q -o parts.json stat -json\n"
        "write_json mapped.json\n"
        "design -reset\n"
        "read_json mapped.json\n"
        "flatten\nopt_clean\n"
        "tee -q -o whole.json stat -json\n"
        f"write_json {top}.json\n"
    )


def _map(source: str, top: str, target: Target, directory: Path) -> dict[str, Any]:
    """Map to the cells of the device; leaves ``TOP.json`` and counts what the component and its harness take."""
    (directory / "design.v").write_text(source)
    (directory / "design.ys").write_text(mapping_script("design.v", top, target))
    run(YOSYS, ["-q", "-s", "design.ys"], directory)
    open_in(directory / f"{top}.json")
    parts, flat = (json.loads((directory / name).read_text()) for name in ("parts.json", "whole.json"))
    alone = parts["modules"][f"\\{top}_on_pins"]["num_cells_by_type"]
    whole = flat["design"]["num_cells_by_type"]
    counts = {}
    for name, count in (("lut4", _lut4), ("ff", _ff)):
        counts[f"harness_{name}"] = count(alone, target)
        counts[name] = count(whole, target) - count(alone, target)
    return counts


def _lut4(cells: dict[str, int], target: Target) -> int:
    return sum(cells.get(cell, 0) * luts for cell, luts in target.lut4.items())


def _ff(cells: dict[str, int], target: Target) -> int:
    return sum(number for cell, number in cells.items() if cell.startswith(target.ff))


def _place(top: str, seed: int, clock_mhz: float, target: Target, directory: Path) -> dict[str, Any]:
    """Place and route ``TOP.json``; what nextpnr reports of it."""
    start, name = time.monotonic(), f"report-{seed}.json"
    arguments = ["-q", "--json", f"{top}.json", "--freq", f"{clock_mhz:g}", "--seed", str(seed), "--report", name]
    run(target.placer, [*arguments, *target.options, *_MEASURE], directory)
    report = json.loads((directory / name).read_text())
    (clock,) = report["fmax"].values()
    used = report["utilization"]
    return {
        "fmax_mhz": round(clock["achieved"], 2),
        "comb": used[target.comb]["used"],
        "comb_available": used[target.comb]["available"],
        "ram": used[target.ram]["used"],
        "dsp": used.get(target.dsp, {"used": 0})["used"],
        "seconds": round(time.monotonic() - start, 1),
    }


def read_placements(path: Path) -> list[Placement]:
    """The placements in a CSV file; none where there is no file. Raises ``ValueError`` for a file of something else."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != list(_KINDS):
            raise ValueError(f"{path}: is no table of placements, its columns must be {', '.join(_KINDS)}")
        try:
            return [Placement(**{name: kind(row[name]) for name, kind in _KINDS.items()}) for row in reader]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from None


def write_placements(placements: Iterable[Placement], path: Path) -> None:
    """Write a CSV file; it appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(_KINDS), lineterminator="\n")
            writer.writeheader()
            writer.writerows(map(asdict, placements))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
