"""The verbs of designs: which there are, and how much area one takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import cli_output
from .cli_options import AsJson


def designs(
    design: Annotated[
        str | None, typer.Argument(metavar="DESIGN", help="A name or a YAML file: that design with its baselines.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Designs known by name: one-bit accelerators and GPUs; or one design with its baselines."""
    from . import cli_tables
    from .designs.design import load_design, preset_names
    from .energy_models.asic_area import with_baselines

    found = map(load_design, preset_names()) if design is None else with_baselines(design)
    cli_output.show(cli_tables.designs(found), cli_tables.DESIGN, as_json=json)


def area(
    design: Annotated[
        list[str], typer.Argument(metavar="DESIGN…", help="Names as in `xnorscan designs`, or YAML files.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write every row to this .csv or .parquet file.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Area of designs, without synthesis: LUTs and block RAMs of an FPGA, or µm² and NAND2 equivalents."""
    import pandas as pd

    from . import cli_tables
    from .designs.design import distinct, load_design
    from .energy_models.asic_area import ALL_TWINS
    from .reports import areas

    if output is not None:
        cli_output.check_output(output, *cli_output.TABLE_SUFFIXES)
    rows = areas.rows(distinct(load_design(name, ALL_TWINS) for name in design))
    if output is not None:
        cli_output.write_table(pd.DataFrame(rows), output)
    if json:
        cli_output.show_json(rows)
        return
    shown = cli_tables.area(rows)
    known = {name for row in shown for name, value in row.items() if value is not None}
    columns = {name: column for name, column in cli_tables.AREA.items() if name in known}
    cli_output.show(shown, columns, title="area, estimated", groups="design")
    cli_output.console().print("\n".join(areas.notes(rows)), style="dim", highlight=False)
