"""The verbs of costs: what a model takes on designs, beside FP16, and what happens when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import cli_output
from .cli_options import AsJson, Batch, Length, PhaseOption, Source, about, read_or_make_trace

if TYPE_CHECKING:
    from .energy_models.explain import Explanation

Designs = Annotated[
    list[str] | None, typer.Option("--design", help="A name as in `xnorscan designs`, or a YAML file; may be repeated.")
]
Baselines = Annotated[
    list[str] | None,
    typer.Option(
        "--baseline",
        help="fp16, w8a8, w4a16 (arrays of equal peak throughput) or these with -area (of equal area), on the memory "
        "system of the design; or any design, gpu-h100/achieved too; may be repeated.",
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="Every term: count × price = energy and the table row of the price, cycles, the corners of the ratio.",
    ),
]

DEFAULT_DESIGN = "edge-28nm"


def compare(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="Names as in `xnorscan models`; none for the default set."),
    ] = None,
    design: Designs = None,
    baseline: Baselines = None,
    phase: PhaseOption = "decode",
    batch: Annotated[
        str, typer.Option(metavar="N,N,…", help="Sequences that run at once; 1 is always among them.")
    ] = "1",
    directory: Annotated[Path, typer.Option("--output", "-o", help="Folder of the report.")] = Path("report"),
    measure_cpu: Annotated[
        bool, typer.Option("--measure-cpu", help="Time this machine too, and read its RAPL counters where they are.")
    ] = False,
    explain: Explain = False,
    json: AsJson = False,
) -> None:
    """Models on designs beside FP16: a table, figures, CSV, Parquet and one HTML page."""
    from rich.console import Console

    from .reports import compare as reports

    result = reports.compare(
        models or reports.MODELS,
        design,
        baseline or reports.BASELINES,
        phase,
        _batches(batch),
        directory=directory,
        cpu=measure_cpu,
        console=Console(quiet=True) if json else cli_output.console(),
    )
    if explain:
        from .reports import explain as terms

        _show_terms(terms.of_comparison(result, None if json else phase), json)
    elif json:
        cli_output.show_json(cli_output.records(result.comparison))


def cost(
    context: typer.Context,
    source: Source,
    design: Designs = None,
    baseline: Baselines = None,
    phase: PhaseOption = "decode",
    batch: Batch = 1,
    length: Length = 1024,
    per_op: Annotated[bool, typer.Option("--per-op", help="One row per operation instead of per kind.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write every row to this .csv or .parquet file.")
    ] = None,
    explain: Explain = False,
    json: AsJson = False,
) -> None:
    """Cycles, bytes and energy of a trace on designs."""
    from . import cli_tables
    from .designs.design import TWIN
    from .energy_models.asic_area import load_beside_baselines
    from .energy_models.cost import cost as cost_of

    if explain and per_op:
        raise ValueError("--explain has the terms of all operations together; leave out --per-op")
    if output is not None:
        cli_output.check_output(output, *cli_output.TABLE_SUFFIXES)
    made = read_or_make_trace(context, source, phase, batch, length)
    chosen = load_beside_baselines(design or [DEFAULT_DESIGN], baseline or [TWIN])
    costs = cost_of(made, chosen)
    if output is not None:
        cli_output.write_table(costs, output)
    if explain:
        from .reports import explain as terms

        _show_terms(terms.of_costs(made, chosen), json)
        return
    rows = cli_tables.cost_per_op(costs) if per_op else cli_tables.cost(costs, chosen)
    columns = cli_tables.COST_PER_OP if per_op else cli_tables.COST
    cli_output.show(rows, columns, title=about(made), groups="design", as_json=json)
    if json or per_op:
        return
    cli_output.show(rows, cli_tables.ROOFLINE, title="roofline", groups="design")
    wholes = [row for row in rows if row["kind"] == "all"]
    cli_output.show(wholes, cli_tables.LIMITS, title="outside the binary GEMM, and what binds, of the time")


def timeline(
    context: typer.Context,
    source: Source,
    design: Annotated[
        str, typer.Argument(metavar="DESIGN", help="An array design: a name as in `xnorscan designs`, or a YAML file.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .json file to write, for ui.perfetto.dev.")],
    phase: PhaseOption = "decode",
    batch: Batch = 1,
    length: Length = 1024,
    json: AsJson = False,
) -> None:
    """What array, vector unit, scan unit and DMA do when, and what waits for what: a Perfetto trace."""
    from . import cli_tables
    from .designs.design import load_design
    from .energy_models.asic_area import ALL_TWINS
    from .reports import timeline as timelines

    cli_output.check_output(output, ".json")
    made, wanted = read_or_make_trace(context, source, phase, batch, length), load_design(design, ALL_TWINS)
    events = timelines.timeline(made, wanted)
    timelines.write_timeline(timelines.chrome_trace(events, made, wanted), output)
    rows = timelines.occupation(events, wanted.clock_hz)
    title = f"{about(made)} on {wanted.name}: {len(events):,} events in {output}"
    cli_output.show(rows, cli_tables.OCCUPATION, title=title, as_json=json)


def _show_terms(found: list[Explanation], json: bool) -> None:
    from .reports import explain as terms

    if json:
        cli_output.show_json(terms.records(found))
    else:
        terms.show(found, cli_output.console())


def _batches(text: str) -> tuple[int, ...]:
    """``1,4,16`` as numbers."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise ValueError(f"--batch is {text!r}, it must be whole numbers of at least 1 with commas between them")
    return tuple(int(part) for part in parts)
