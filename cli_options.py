"""Arguments and options that several verbs have, and what they stand for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from .models.precision import Precision
    from .traces.trace import Trace

Phase = Literal["decode", "prefill"]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Batch = Annotated[int, typer.Option(help="Sequences that run at once.")]
Length = Annotated[int, typer.Option(help="Tokens of the prompt (prefill) or already in the context (decode).")]
PhaseOption = Annotated[Phase, typer.Option(help="One decoded token, or a whole prompt.")]
Source = Annotated[str, typer.Argument(metavar="TRACE|MODEL", help="A trace file, or a name as in `xnorscan models`.")]


def make_trace(model: str, phase: Phase, batch: int, length: int, precision: Precision | None = None) -> Trace:
    """The operations of a model, from its dimensions."""
    from .models.operations import shape_trace
    from .models.published import get_config

    return shape_trace(get_config(model), phase=phase, batch=batch, length=length, precision=precision)


def read_or_make_trace(context: typer.Context, source: str, phase: Phase, batch: int, length: int) -> Trace:
    """The trace in the file ``source``, which has its own phase, batch and length, or that of the model ``source``."""
    if not _is_trace_file(source):
        return make_trace(source, phase, batch, length)
    from .traces.parquet import read_trace

    for option in ("phase", "batch", "length"):
        if getattr(context.get_parameter_source(option), "name", "") == "COMMANDLINE":
            raise ValueError(f"{source}: a trace has its own {option}, --{option} goes with the name of a model")
    return read_trace(source)


def about(trace: Trace) -> str:
    """A trace in a line."""
    meta = trace.metadata
    return f"{meta.model}, {meta.phase}, batch {meta.batch}, {meta.prompt_length:,} tokens"


def _is_trace_file(source: str) -> bool:
    """Whether ``source`` is a file, there or not, rather than the name of a model."""
    return source.endswith(".parquet") or os.path.exists(source)
