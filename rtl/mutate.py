"""Would the benches of the primitives notice a fault? Yosys plants many, and every one must be seen or be none.

All mutants of a part are one netlist, chosen between by an input ``mutsel``, which is evaluated for all of them at a
time. Those that the bench does not tell from the part go to a SAT solver, together with the contract of the part's
inputs: what is the same under the contract, in every cycle, is no fault. What is left has survived: the bench is weak.

    python -m xnorscan.rtl.mutate [--mutants 1000] [--cycles 1000] [--seed 1]
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, ClockSignal, Instance, Module, ResetSignal, Signal, Value
from amaranth.lib.wiring import In
from rich.console import Console
from rich.table import Table

from .config import Tech
from .netlist import Netlist
from .primitives import PRIMITIVES, Primitive
from .tools import YOSYS, run

_READ = """\
read_rtlil dut.il
{models}hierarchy -top dut
proc dut*
memory_map dut*
flatten
hierarchy -top dut
opt_clean
setundef -undriven -zero
"""
_LIST = """\
write_rtlil gold.il
write_json gold.json
"""
_BATCH = 50
"""Faults that Yosys is asked for at a time: it searches for ever for more than there are."""
_APPLY = """\
read_rtlil gold.il
script mutants.ys
write_rtlil mutated.il
techmap
opt_expr
opt_merge
dffunmap
simplemap
opt_clean -purge
write_json gates.json
"""
_SIEVE = """\
read_rtlil gold.il
rename dut gold
read_rtlil mutated.il
rename dut mutated
{expose}
read_rtlil top.il
setattr -mod -unset top
hierarchy -top top
proc
flatten
chformal -lower
opt_clean
"""
_PROOF = "sat -set-assumes -prove-asserts -tempinduct -maxsteps {steps} -set mutsel {number} top"
_STEPS = 12
"""Cycles from power-up, or in an inductive step, in which a survivor of the bench must differ to count."""


@dataclass(frozen=True)
class Outcome:
    """What became of the mutants of a part.

    ``killed``: the bench saw them; ``equivalent``: proven to do the same; ``alike``: do the same in the first cycles
    after power-up, without a proof for all; ``survived``: the wording of Yosys for each that the bench missed.
    """

    mutants: int
    killed: int
    equivalent: int
    alike: int
    survived: tuple[str, ...]

    @property
    def kill_rate(self) -> float:
        """Killed, of those that are not the same as the part."""
        return self.killed / max(1, self.killed + len(self.survived))


def run_mutants(primitive: Primitive, *, mutants: int, cycles: int, seed: int = 1) -> Outcome:
    """Plant up to ``mutants`` faults in a part, run its bench for ``cycles``, prove the survivors equivalent or not.

    Raises ``ValueError`` where the bench finds the part itself wrong, and where a tool is missing or fails.
    """
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        dut = primitive.component()
        faults = _plant(dut, primitive.tech, mutants, seed, directory)
        module = json.loads((directory / "gates.json").read_text())["modules"]["dut"]
        netlist = Netlist(module, "mutsel", max(faults) + 1)
        differing = netlist.differing(islice(primitive.bench(Random(seed)), cycles))
        if differing & 1:
            raise ValueError("the bench finds the part wrong without any fault")
        missed = [number for number in faults if not differing >> number & 1]
        verdicts = _sieve(primitive, dut, missed, directory) if missed else {}
    survived = tuple(faults[number] for number in missed if verdicts[number] == "differs")
    equivalent = sum(verdict == "equivalent" for verdict in verdicts.values())
    alike = len(missed) - len(survived) - equivalent
    return Outcome(len(faults), len(faults) - len(missed), equivalent, alike, survived)


def _plant(dut: Any, tech: Tech, mutants: int, seed: int, directory: Path) -> dict[int, str]:
    """Leave ``gold.il``, ``mutated.il`` and ``gates.json``; the faults by number, as Yosys words them."""
    (directory / "dut.il").write_text(rtlil.convert(dut, name="dut", emit_src=False))
    models = "" if tech == "generic" else f"read_verilog -nooverwrite +/{tech}/cells_sim.v\n"
    lists = [
        f"mutate -list {_BATCH} -seed {seed + batch} -o faults_{batch}" for batch in range(2 * mutants // _BATCH + 1)
    ]
    _yosys("\n".join([_READ.format(models=models) + _LIST, *lists, ""]), directory)
    found = [line for batch in range(len(lists)) for line in (directory / f"faults_{batch}").read_text().splitlines()]
    # A clock is no logic, and a register whose output is another net would lose its initial value.
    logic = [line for line in dict.fromkeys(found) if not re.search(r" -port (CLK|Q) ", line)][:mutants]
    faults = dict(enumerate(logic, 1))
    control = f"mutate -ctrl mutsel {len(faults).bit_length()}"
    chosen = [fault.replace("mutate", f"{control} {number}", 1) for number, fault in faults.items()]
    (directory / "mutants.ys").write_text("\n".join([*chosen, ""]))
    _yosys(_APPLY, directory)
    return {number: _worded(fault) for number, fault in faults.items()}


def _worded(line: str) -> str:
    options = dict(re.findall(r"-(mode|cell|port|portbit) (\S+)", line))
    return f"{options['mode']} {options['cell']} {options['port']}[{options['portbit']}]"


def _sieve(primitive: Primitive, dut: Any, missed: Sequence[int], directory: Path) -> dict[int, str]:
    """For every number of a mutant: ``equivalent``, ``differs`` or, where there is no proof of either, ``alike``.

    Most of those that are equivalent keep every register as it was, which one step shows.
    """
    registers = _registers(directory)
    verdicts = _prove(primitive, dut, missed, registers, 1, directory)
    left = [number for number in missed if verdicts[number] != "equivalent"]
    return verdicts | _prove(primitive, dut, left, {}, _STEPS, directory)


def _registers(directory: Path) -> dict[str, int]:
    """Names and widths of the registers of ``gold.json``."""
    module = json.loads((directory / "gold.json").read_text())["modules"]["dut"]
    held = [cell["connections"]["Q"] for cell in module["cells"].values() if cell["type"] == "$dff"]
    nets = {name: net["bits"] for name, net in module["netnames"].items() if not net["hide_name"]}
    return {name: len(bits) for name, bits in nets.items() if bits in held and name not in module["ports"]}


def _prove(
    primitive: Primitive, dut: Any, numbers: Sequence[int], registers: Mapping[str, int], steps: int, directory: Path
) -> dict[int, str]:
    """The verdict on each mutant, in which ``registers`` must be the same as in the part, as outputs must."""
    if not numbers:
        return {}
    (directory / "top.il").write_text(_miter(primitive, dut, max(numbers), registers))
    names = [re.sub(r"([\[\]])", r"\\\1", name) for name in registers]
    script = _SIEVE.format(expose="\n".join(f"expose gold/w:{name} mutated/w:{name}" for name in names))
    for number in numbers:
        script += f"log mutant {number}\n{_PROOF.format(steps=steps, number=number)}\n"
    verdicts = {}
    for number, said in zip(numbers, _yosys(script, directory).split("\nmutant ")[1:], strict=True):
        if "Induction step proven: SUCCESS!" in said:
            verdicts[number] = "equivalent"
        else:
            verdicts[number] = "differs" if "model found for base case: FAIL!" in said else "alike"
    return verdicts


def _miter(primitive: Primitive, dut: Any, greatest: int, registers: Mapping[str, int]) -> str:
    """RTLIL of the part beside its mutants, under its contract; a payload counts while it is valid."""
    m = Module()
    free = [Signal(greatest.bit_length(), name="mutsel")]
    shared: list[tuple[str, str, Any]] = [("i", "clk", ClockSignal()), ("i", "rst", ResetSignal())]
    outputs = {}
    for path, member, value in dut.signature.flatten(dut):
        name, signal = "__".join(map(str, path)), Value.cast(value)
        if member.flow == In:
            shared.append(("i", name, signal))
            free.append(signal)
        else:
            outputs[name] = signal
    outputs |= {name: Signal(width, name=f"gold_{index}") for index, (name, width) in enumerate(registers.items())}
    others = {name: Signal(len(signal), name=f"other_{index}") for index, (name, signal) in enumerate(outputs.items())}
    m.submodules += [
        Instance("gold", *shared, *(("o", name, signal) for name, signal in outputs.items())),
        Instance("mutated", *shared, ("i", "mutsel", free[0]), *(("o", name, other) for name, other in others.items())),
    ]
    m.d.comb += Assume(primitive.contract(m, dut))
    if registers:
        m.d.comb += Assert(primitive.invariant(outputs))
    for name, signal in outputs.items():
        is_open = ~outputs["o__valid"] if name == "o__payload" else 0
        m.d.comb += Assert(is_open | (signal == others[name]))
    return str(rtlil.convert(m, name="top", ports=free, emit_src=False))


def _yosys(script: str, directory: Path) -> str:
    (directory / "run.ys").write_text(script)
    return run(YOSYS, ["-s", "run.ys"], directory)


def table(outcomes: Mapping[str, Outcome]) -> Table:
    """One row a part."""
    shown = Table("part", *("mutants", "killed", "equivalent", "alike", "survived", "kill rate"), title="Mutants")
    for name, outcome in outcomes.items():
        counts = (outcome.mutants, outcome.killed, outcome.equivalent, outcome.alike, len(outcome.survived))
        shown.add_row(name, *map(str, counts), f"{outcome.kill_rate:.1%}")
    return shown


def main() -> int:
    """Run all parts, print the table and every survivor; 1 if there is one."""
    parser = argparse.ArgumentParser(description="Plant faults in the primitives and count those that benches notice.")
    parser.add_argument("--mutants", type=int, default=1000, help="faults per part")
    parser.add_argument("--cycles", type=int, default=1000, help="length of a bench")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    console = Console()
    outcomes = {}
    for name, primitive in PRIMITIVES.items():
        outcomes[name] = run_mutants(primitive, mutants=given.mutants, cycles=given.cycles, seed=given.seed)
        for fault in outcomes[name].survived:
            console.print(f"{name} survived: {fault}", markup=False)
    console.print(table(outcomes))
    return int(any(outcome.survived for outcome in outcomes.values()))


if __name__ == "__main__":
    raise SystemExit(main())
