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

from ..designs.design import TWIN, Design, OneBitDesign, distinct, load_design, load_designs
from ..energy_models.asic_area import ALL_TWINS, UnknownAreaError, check_baselines
from ..models.precision import Precision
from ..models.published import SHIPPED, get_config
from ..traces.parquet import write_trace
from . import measures as m
from . import tables
from .cpu import CpuRun, measure_cpu
from .page import render
from .plotting import Picture
from .results import Results, results
from .story import cards, leading_roofline, page, pictures
from .subjects import PHASES, PROMPT_LENGTH, TEXT_BYTES, Subject, subject

MODELS = ("tiny", "bi-mamba-780m", "bi-mamba-1.3b", "bi-mamba-2.7b")
DESIGNS = ("edge-28nm",)
SMALL_DESIGNS = ("up5k", "ecp5-85")
"""Designs that the shipped models are also shown on, where no design is named and they fit."""

PAGE = "report.html"
BASELINES = (TWIN, "fp16-area", "w8a8", "w4a16", "gpu-h100", "gpu-h100/achieved")


@dataclass(frozen=True)
class CompareResult:
    """What was found and where it stands: the comparison of every batch, the models and the designs of its rows by
    name, the headline, the files in ``directory``."""

    directory: Path
    comparison: pd.DataFrame
    subjects: Mapping[str, Subject]
    designs: Mapping[str, Design]
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
    cpu: bool = False,
    command: str | None = None,
) -> CompareResult:
    """Compare ``models`` on ``designs`` with ``baselines``; print the table and write the report into ``directory``.

    ``designs``: preset names or YAML files; by default ``edge-28nm``, and for shipped models the small FPGAs too.
    ``baselines``: keys of ``ALL_TWINS`` (that baseline of every one-bit design; one of equal area is left out where the
    technology has no areas) and names or files of other designs. ``cpu``: measure the machine at hand too.
    ``phase``: ``decode`` or ``prefill``, the one the report leads with; both are computed. ``batches``: sequences at
    once; 1, with which the report leads, is always among them. ``command``: what makes the report again, as the page
    shows it.

    Shipped models run on held-out text of ``text_bytes``; others are costed from their dimensions. Everything is
    written beside ``directory`` first and moved in when it is complete. The same inputs give the same bytes, unless
    ``cpu`` is measured; the page has a date only where the environment variable SOURCE_DATE_EPOCH gives one.

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
    unknown = [sentence for _, planned in plan for sentence in planned.left_out]
    chosen: list[tuple[Subject, list[Design]]] = []
    measured: dict[str, Mapping[str, CpuRun]] = {}
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
            if cpu:
                measured[done.model] = measure_cpu(done)
            progress.update(task, completed=1, total=1)
            chosen.append((done, planned.designs))
        task = progress.add_task("costs, figures, page", total=None)
        found = results(chosen, phase, batches, left_out=unknown, cpu=measured)
        drawn = pictures(found)
        made_by = command or _command(models, designs, baselines, phase, batches, cpu)
        html = render(page(found, drawn, made_by, _versions(date)))
        _write(build, found, drawn, html)
        files = _move(build, directory)
        progress.update(task, completed=1, total=1)
    _show(console, found, directory)
    subjects = {each.model: each for each, _ in chosen}
    return CompareResult(directory, found.batches, subjects, found.designs, _headline(found), files)


def _check_directory(directory: Path) -> None:
    """Refuse, before any work is done, a place where no report could be left."""
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"{directory} is a file, the report needs a directory")
    nearest = next(place for place in (directory, *directory.absolute().parents) if place.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"{nearest} cannot be written, name another directory for the report")


@dataclass(frozen=True)
class _Plan:
    """Designs for a model, and a sentence for each baseline that cannot be made of one."""

    designs: list[Design]
    left_out: list[str]


def _designs(model: str, designs: Sequence[str] | None, baselines: Sequence[str]) -> _Plan:
    """Designs for ``model`` in the order of the report: each baseline before its one-bit design, GPUs last."""
    check_baselines(baselines)
    names = list(designs) if designs else [*DESIGNS, *(SMALL_DESIGNS if model in SHIPPED else ())]
    twins = [each for each in baselines if each in ALL_TWINS]
    chosen: list[Design] = []
    left_out = []
    for design in (load_design(name, ALL_TWINS) for name in names):
        if isinstance(design, OneBitDesign):
            for twin in twins:
                try:
                    chosen.append(ALL_TWINS[twin](design))
                except UnknownAreaError as error:
                    left_out.append(f"{design.name}/{twin} left out: {error}.")
        chosen.append(design)
    others = load_designs([], [each for each in baselines if each not in twins], ALL_TWINS)
    return _Plan(distinct([*chosen, *others]), left_out)


def _command(
    models: Sequence[str],
    designs: Sequence[str] | None,
    baselines: Sequence[str],
    phase: str,
    batches: Sequence[int],
    cpu: bool,
) -> str:
    words = ["xnorscan", "compare"]
    words += [] if tuple(models) == MODELS else list(models)
    words += [w for d in designs or () for w in ("--design", d)]
    words += [] if tuple(baselines) == BASELINES else [w for b in baselines for w in ("--baseline", b)]
    words += [] if phase == "decode" else ["--phase", phase]
    words += [] if set(batches) == {1} else ["--batch", ",".join(map(str, batches))]
    words += ["--measure-cpu"] if cpu else []
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
    elsewhere = rows[rows["role"].isin(m.ELSEWHERE)]
    console.print(tables.terminal(tables.main_rows(rows), f"Per token, {found.phase}, batch 1", width=console.width))
    beside = tables.baselines(rows)
    if len(beside):
        title = "Energy of each baseline over the one-bit design's, on its memory system"
        console.print()
        console.print(tables.terminal(beside, title, tables.baseline_columns(beside, times=False), console.width))
    if len(elsewhere):
        title = "Other memory systems: not to be held against the rows above"
        console.print()
        console.print(tables.terminal(elsewhere, title, tables.ELSEWHERE, console.width))
    console.print()
    title = "Outside the binary GEMM, and what binds, of the time"
    console.print(tables.terminal(tables.limited_rows(found.batches), title, tables.LIMITS, console.width))
    shown = leading_roofline(found)
    if len(shown):
        console.print()
        console.print(tables.terminal(shown, f"Roofline, {found.phase}, batch 1", tables.ROOFLINE, console.width))
    console.print()
    for memory, of_memory in rows.groupby("memory_system", sort=False):
        console.print(Text(f"{', '.join(of_memory['design'].unique())}: {memory}", style="dim"))
    for sentence in found.left_out:
        console.print(Text(sentence, style="dim"))
    console.print(Text(f"report: {directory / PAGE}"))
