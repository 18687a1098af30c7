"""The verbs of sources: where the figures come from, and what chips say of them."""

from __future__ import annotations

from typing import Annotated

import typer

from . import cli_output
from .cli_options import AsJson


def sources(
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="TABLE", help="A technology, dram, gpu, published_areas, or YAML files; none for all."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Every figure behind an energy or an area: value, range, node, voltage, device, kind and source."""
    from . import cli_tables
    from .energy_models.figures import figure_tables

    rows = cli_tables.sources(tables or figure_tables())
    if json:
        cli_output.show_json(rows)
        return
    for table in dict.fromkeys(row["table"] for row in rows):
        of_table = [row for row in rows if row["table"] == table]
        cli_output.show(of_table, cli_tables.SOURCE, title=table)
    cli_output.show(cli_tables.references(rows), cli_tables.REFERENCE, title="sources")


def validate(
    chips: Annotated[
        list[str] | None,
        typer.Argument(metavar="CHIP", help="Names of published chips, or YAML files; none for all."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Published chips beside the cost model: our figure with its range, theirs, the ratio. A miss is a result."""
    from . import cli_tables
    from .energy_models.validation.chip import chip_names
    from .energy_models.validation.predict import predict
    from .reports import validation

    found = [each for chip in dict.fromkeys(chips or chip_names()) for each in predict(chip)]
    if json:
        cli_output.show_json(validation.records(found))
        return
    cli_output.show(validation.rows(found), cli_tables.VALIDATION, groups="chip")
    cli_output.console().print(validation.summary(found), highlight=False, soft_wrap=True)
