"""``compare``: models on designs beside their FP16 baselines, from running them to the report, in one call."""

from __future__ import annotations

import os
import platform
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from ..designs.design import TWIN, Design, load_designs
from ..models.precision import Precision
from ..models.published import SHIPPED, get_config
from ..traces.parquet import write_trace
from . import measures as m
from . import tables
from .page import render
from .plotting import Picture
from .results import GPU, Results, results
from .story import cards, leading_roofline, page, pictures
from .subjects import PHASES, PROMPT_LENGTH, TEXT_BYTES, Subject, subject

MODELS = ("tiny", "bi-mamba-780m", "bi-mamba-1.3b", "bi-mamba-2.7b")
DESIGNS = ("edge-28nm",)
SMALL_DESIGNS = ("up5k", "ecp5-85")
"""Designs that the shipped models are also shown on, where no design is named and they fit."""

PAGE = "report.html"
BASELINES = (TWIN, "gpu-h100")


@dataclass(frozen=True)
class CompareResult:
    """What was found and where it stands: the comparison of every batch, the headline, the files in ``directory``."""

    directory: Path
    comparison: pd.DataFrame
    headline: str
    files: tuple[Path, ...]


def compare(
    models: Sequence[str] = MODELS,
    designs: Sequence[str] | None = None,
    baselines: Sequence[str] = BASELINES,
    phase: str = "decode",
    batches: Sequence[int] = (1,),
    *,
    directory: Path,
    console: Console,
    precision: Precision | None = None,
    prompt_length: int = PROMPT_LENGTH,
    text_bytes: int = TEXT_BYTES,
    command: str | None = None,
) -> CompareResult:
    """Compare ``models`` on ``designs`` with ``baselines``; print the table and write the report into ``directory``.

    ``designs``: preset names or YAML files; by default ``edge-28nm``, and for shipped models the small FPGAs too.
    ``baselines``: ``fp16`` (the equal-throughput twin of every one-bit design) and names or files of other designs.
    ``phase``: ``decode`` or ``prefill``, the one the report leads with; both are computed. ``batches``: sequences at
    once; 1, with which the report leads, is always among them. ``command``: what makes the
    report again, as the page shows it.

    Shipped models run on held-out text of ``text_bytes``; others are costed from their dimensions. Everything is
    written beside ``directory`` first and moved in when it is complete. The same inputs give the same bytes; the page
    has a date only where the environment variable SOURCE_DATE_EPOCH gives one.

    Raises ``ValueError`` for an unknown model, design or phase, a batch below 1, and where no model fits any design;
    ``OSError`` where the directory cannot be written.
    """
    if phase not in PHASES:
        raise ValueError(f"phase is {phase!r}, it must be {' or '.join(PHASES)}")
    if not models:
        raise ValueError("no model is given, compare needs at least one")
    if min(batches, default=1) < 1:
        raise ValueError(f"batch is {min(batches)}, it must be at least 1")
    directory = Path(directory)
    _check_directory(directory)
    date = _date()
    plan = [(name, _designs(name, designs, baselines)) for name in dict.fromkeys(get_config(x).name for x in models)]
    chosen: list[tuple[Subject, list[Design]]] = []
    with _building(directory) as build, _progress(console) as progress:
        for name, planned in plan:
            task = progress.add_task(m.label(name), total=None)
            done = subject(
                name,
                precision=precision or Precision(),
                prompt_length=prompt_length,
                text_bytes=text_bytes,
                progress=_telling(progress, task),
            )
            progress.update(task, completed=1, total=1)
            chosen.append((done, planned))
        task = progress.add_task("costs, figures, page", total=None)
        found = results(chosen, phase, batches)
        drawn = pictures(found)
        made_by = command or _command(models, designs, baselines, phase, batches)
        html = render(page(found, drawn, made_by, _versions(date)))
        _write(build, found, drawn, html)
        files = _move(build, directory)
        progress.update(task, completed=1, total=1)
    _show(console, found, directory)
    return CompareResult(directory, found.batches, _headline(found), files)


def _check_directory(directory: Path) -> None:
    """Refuse, before any work is done, a place where no report could be left."""
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"{directory} is a file, the report needs a directory")
    nearest = next(place for place in (directory, *directory.absolute().parents) if place.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"{nearest} cannot be written, name another directory for the report")


def _designs(model: str, designs: Sequence[str] | None, baselines: Sequence[str]) -> list[Design]:
    """Designs for ``model`` in the order of the report: each FP16 twin before its one-bit design, GPUs last."""
    names = list(designs) if designs else [*DESIGNS, *(SMALL_DESIGNS if model in SHIPPED else ())]
    return load_designs(names, baselines)


def _command(
    models: Sequence[str], designs: Sequence[str] | None, baselines: Sequence[str], phase: str, batches: Sequence[int]
) -> str:
    words = ["xnorscan", "compare"]
    words += [] if tuple(models) == MODELS else list(models)
    words += [w for d in designs or () for w in ("--design", d)]
    words += [] if tuple(baselines) == BASELINES else [w for b in baselines for w in ("--baseline", b)]
    words += [] if phase == "decode" else ["--phase", phase]
    words += [] if set(batches) == {1} else ["--batch", ",".join(map(str, batches))]
    return shlex.join([*words, "-o", "report"])


def _progress(console: Console) -> Progress:
    name, share = TextColumn("{task.description}", markup=False), TextColumn("{task.percentage:>3.0f} %")
    parts = (name, BarColumn(), share, TimeElapsedColumn())
    return Progress(*parts, console=console, transient=True, disable=not console.is_terminal)


def _telling(progress: Progress, task: TaskID) -> Callable[[int, int], None]:
    return lambda done, total: progress.update(task, completed=done, total=total)


def _date() -> str | None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return None
    try:
        return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"SOURCE_DATE_EPOCH is {epoch!r}, it must be seconds since 1970 as a whole number") from None


def _versions(date: str | None) -> list[tuple[str, str]]:
    named = [(name, version(name)) for name in ("xnorscan", "numpy", "numba", "pandas", "matplotlib")]
    python = (platform.python_implementation(), platform.python_version())
    return [*named[:1], python, *named[1:], *([("date", date)] if date else [])]


@contextmanager
def _building(directory: Path) -> Iterator[Path]:
    """A place beside ``directory`` to build in, gone afterwards. Fails early where nothing can be written."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", suffix=".partial", dir=directory.parent) as place:
        build = Path(place) / "report"
        (build / "figures").mkdir(parents=True)
        yield build


def _write(build: Path, found: Results, drawn: Mapping[str, Sequence[Picture]], html: str) -> None:
    for picture in (p for group in drawn.values() for p in group):
        (build / "figures" / f"{picture.name}.svg").write_text(picture.svg, "utf-8")
        (build / "figures" / f"{picture.name}.png").write_bytes(picture.png)
    for each in found.subjects:
        for phase, trace in each.traces.items():
            write_trace(trace, build / f"{each.model}.{phase}.trace.parquet")
    for name, frame in (("compare", found.batches), ("roofline", found.roofline)):
        frame.to_csv(build / f"{name}.csv", index=False, float_format="%.9g", lineterminator="\n")
        frame.to_parquet(build / f"{name}.parquet", index=False)
    (build / PAGE).write_text(html, "utf-8")


def _move(build: Path, directory: Path) -> tuple[Path, ...]:
    """``build`` becomes ``directory``, or its files replace those of an older report one by one, the page last."""
    names = sorted((p.relative_to(build) for p in build.rglob("*") if p.is_file()), key=lambda n: (n.name == PAGE, n))
    if directory.exists():
        for place in (directory / name for name in names):
            if place.is_dir():
                raise IsADirectoryError(f"{place} is a directory, the report needs a file there")
            if place.parent.exists() and not place.parent.is_dir():
                raise NotADirectoryError(f"{place.parent} is a file, the report needs a directory there")
        for name in names:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(build / name, directory / name)
    else:
        os.replace(build, directory)
    return tuple(directory / name for name in names)


def _headline(found: Results) -> str:
    return " ".join(f"{c.number} {c.what}." for c in cards(found))


def _show(console: Console, found: Results, directory: Path) -> None:
    rows = found.comparison[found.comparison["phase"] == found.phase]
    for card in cards(found):
        console.print(Text(f"{card.number} {card.what}", style="bold"))
        console.print(Text(card.why, style="dim"))
    console.print()
    console.print(tables.terminal(rows[rows["role"] != GPU], f"Per token, {found.phase}, batch 1"))
    gpu = rows[rows["role"] == GPU]
    if len(gpu):
        columns = [c for c in tables.TERMINAL if c.title not in tables.NOT_FOR_GPU]
        console.print()
        console.print(tables.terminal(gpu, "GPU, another memory system: board power × roofline time, FP16", columns))
    console.print()
    limits = tables.terminal(found.batches, "Outside the binary GEMM, and what binds, of the time", tables.LIMITS)
    console.print(limits)
    shown = leading_roofline(found)
    if len(shown):
        console.print()
        console.print(tables.terminal(shown, f"Roofline, {found.phase}, batch 1", tables.ROOFLINE))
    console.print()
    for design, memory in dict(zip(rows["design"], rows["memory_system"], strict=True)).items():
        console.print(Text(f"{design}: {memory}", style="dim"))
    for sentence in found.left_out:
        console.print(Text(sentence, style="dim"))
    console.print(Text(f"report: {directory / PAGE}"))
