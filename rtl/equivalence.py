"""Proofs by SAT that a component built for a device does what its generic twin does, with the solver inside Yosys."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from amaranth.back import rtlil
from amaranth.lib import wiring

from .config import Tech
from .tools import YOSYS, run

_STEPS = 16


def prove_equal(gold: wiring.Component, gate: wiring.Component, tech: Tech) -> None:
    """Prove that ``gate``, which may hold primitives of ``tech``, has the outputs of ``gold`` in every cycle.

    The proof is for all inputs in all cycles after power-up, when registers hold their initial values: by temporal
    induction over up to 16 cycles, which for components without registers is one cycle. Pins that are left open may
    hold anything. The primitives are Yosys' models of them.

    Raises ``ValueError`` where they differ, or where 16 cycles do not decide it, and as ``tools.run`` does.
    """
    script = [
        "read_rtlil gold.il",
        "read_rtlil gate.il",
        *([] if tech == "generic" else [f"read_verilog -nooverwrite +/{tech}/cells_sim.v"]),
        "setattr -mod -unset top gold gate",
        "hierarchy",
        "proc gold* gate*",
        "flatten gold gate",
        "miter -equiv -make_assert -flatten gold gate miter",
        f"sat -verify -prove-asserts -tempinduct -maxsteps {_STEPS} miter",
    ]
    with TemporaryDirectory() as folder:
        for name, component in (("gold", gold), ("gate", gate)):
            Path(folder, f"{name}.il").write_text(rtlil.convert(component, name=name), encoding="utf-8")
        run(YOSYS, ["-q", "-p", "; ".join(script)], Path(folder))
