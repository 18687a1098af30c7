"""The command line: ``xnorscan VERB …``. Thin: each verb reads its arguments, calls a room, shows what it returns.

The verbs stand in ``cli_*.py``, those of one room in one file.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, cast

import typer

from . import __version__, cli_costs, cli_designs, cli_models, cli_output, cli_rtl, cli_sources
from .cli_options import AsJson

app = typer.Typer(
    name="xnorscan",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run one-bit language models bit for bit as hardware would, and cost them on designs.",
)

USAGE_ERROR = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])
"""Any wrong use of verbs and options: typer has no public name for this base of ``BadParameter``."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Wrong input is one line on stderr and exit code 2, an interrupt is exit code 130."""
    try:
        code = app(arguments, prog_name="xnorscan", standalone_mode=False)
        sys.stdout.flush()  # here, where a reader that has gone away is still ours to handle
        sys.exit(code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more as it ends
        sys.exit(1)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        _refuse(where + error.strerror if error.strerror else str(error))
    except ValueError as error:
        _refuse(str(error))
    except USAGE_ERROR as error:
        verb = error.ctx.command_path if error.ctx else "xnorscan"
        message = error.format_message().replace("Value error, ", "").rstrip(".")
        _refuse(f"{message}; see {verb} --help")


def _refuse(message: str) -> None:
    print("xnorscan:", " ".join(message.split()), file=sys.stderr)
    sys.exit(2)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"xnorscan {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that stand before the verb; help where there is no verb."""
    if context.invoked_subcommand is None:
        context.get_help()
        raise typer.Exit(2)


def doctor(json: AsJson = False) -> None:
    """What this machine has of what xnorscan needs; exit code 1 if the core is not whole."""
    from . import cli_tables
    from .doctor import examine, healthy

    found = examine()
    cli_output.show(cli_tables.findings(found), cli_tables.FINDING, groups="part", as_json=json)
    raise typer.Exit(0 if healthy(found) else 1)


VERBS = {
    "Work": (
        cli_costs.compare, cli_models.run, cli_models.generate, cli_models.trace, cli_costs.cost, cli_costs.timeline,
        cli_models.convert,
    ),
    "Hardware": (cli_rtl.rtl, cli_rtl.synth, cli_rtl.verify),
    "Look": (
        cli_models.models, cli_designs.designs, cli_designs.area, cli_sources.sources, cli_sources.validate, doctor,
    ),
}  # fmt: skip
"""The verbs by the panel of the help that they stand in, in its order."""
for _panel, _verbs in VERBS.items():
    for _verb in _verbs:
        app.command(rich_help_panel=_panel)(_verb)


if __name__ == "__main__":
    main()
