"""The verbs of models: which there are, pack one, run it, let it write, list its operations."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import cli_output
from .cli_options import AsJson, Batch, Length, PhaseOption, make_trace

if TYPE_CHECKING:
    from .models.packed import PackedModel
    from .models.precision import Precision

StateBits = Annotated[int, typer.Option(help="Width of the recurrent state: 8, 12, 16, 18, 24 or 32 bits.")]
Head = Annotated[Literal["int8", "binary"], typer.Option(help="How embedding table and head are stored.")]
Quantizer = Annotated[Literal["pow2", "absmax"], typer.Option(help="Scale of the 8-bit activations.")]


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
    made = make_trace(model, phase, batch, length, _precision(state_bits, "pow2", head))
    if output is not None:
        write_trace(made, output)
    title = f"{made.metadata.model}, {phase}, batch {batch}, {length:,} tokens"
    cli_output.show(cli_tables.summary(made), cli_tables.SUMMARY, title=title, as_json=json)


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


def models(json: AsJson = False) -> None:
    """Models known by name: dimensions, parameters, bytes in FP16 and in one bit."""
    from . import cli_tables
    from .models.published import MODELS, SHIPPED

    cli_output.show(cli_tables.models(MODELS.values(), SHIPPED), cli_tables.MODEL, groups="weights", as_json=json)


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
