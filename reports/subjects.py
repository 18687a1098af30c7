"""What is compared: a model with a trace of each phase, run on real text where its weights are here."""

from __future__ import annotations

import gzip
import hashlib
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..models.config import ModelConfig
from ..models.operations import shape_trace
from ..models.precision import Precision
from ..models.published import SHIPPED, get_config
from ..models.shipped import load_shipped
from ..models.training.corpus import SourceFile, library, library_name
from ..sim.run import Simulator
from ..traces.trace import Trace

PHASES: tuple[Literal["decode", "prefill"], ...] = ("decode", "prefill")
TEXT_BYTES = 65_536
"""About how much held-out text a model is measured on."""

PROMPT_LENGTH = 512
"""Tokens of the prefill, and tokens in the context of the decode steps."""

DECODED = 64
"""Decode steps that are recorded, so that the statistics of the data are those of real text."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What a model and two compressors make of the same held-out files, each file on its own, in bits per byte."""

    text: str
    files: int
    bytes: int
    bits_per_byte: float
    gzip: float
    xz: float


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model to be compared. ``quality`` is ``None`` where there are no weights to run."""

    config: ModelConfig
    precision: Precision
    traces: dict[str, Trace]
    prompt_length: int
    quality: Quality | None = None

    @property
    def model(self) -> str:
        return self.config.name

    def trace(self, phase: Literal["decode", "prefill"], batch: int) -> Trace:
        """The trace of ``phase``; of more than one sequence from the model's dimensions alone."""
        if batch == 1:
            return self.traces[phase]
        length = self.prompt_length
        return shape_trace(self.config, phase=phase, length=length, batch=batch, precision=self.precision)


def subject(
    name: str,
    *,
    precision: Precision,
    prompt_length: int = PROMPT_LENGTH,
    text_bytes: int = TEXT_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> Subject:
    """The model ``name``: run on held-out text if its weights come with the package, else from its dimensions alone.

    ``progress`` is told (bytes done, bytes in all) while it runs. Raises ``ValueError`` for an unknown name.
    """
    config = get_config(name)
    if config.name in SHIPPED:
        return _run(config.name, precision, prompt_length, held_out_sample(text_bytes), progress)
    traces: dict[str, Trace] = {
        phase: shape_trace(config, phase=phase, length=prompt_length, precision=precision) for phase in PHASES
    }
    return Subject(config=config, precision=precision, traces=traces, prompt_length=prompt_length)


def held_out_sample(limit: int, files: Sequence[SourceFile] | None = None) -> list[SourceFile]:
    """Whole held-out files of at most ``limit`` bytes together, in an order fixed by their paths' hashes.

    A file that no longer fits is passed over. The first file is always there, however long.
    """
    files = library("held-out") if files is None else files
    chosen: list[SourceFile] = []
    total = 0
    for file in sorted(files, key=lambda f: hashlib.sha256(f.path.encode()).digest()):
        if not chosen or total + len(file.text) <= limit:
            chosen.append(file)
            total += len(file.text)
    return chosen


def _run(
    name: str,
    precision: Precision,
    prompt_length: int,
    files: Sequence[SourceFile],
    progress: Callable[[int, int], None] | None,
) -> Subject:
    simulator = Simulator(load_shipped(name), precision)
    total = sum(len(f.text) for f in files)
    done, bits = 0, 0.0
    for file in files:

        def tell(count: int, before: int = done) -> None:
            if progress:
                progress(before + count, total)

        result = simulator.evaluate(file.text, record=False, progress=tell)
        bits += result.bits_per_byte * len(file.text)
        done += len(file.text)
    quality = Quality(
        text=library_name(),
        files=len(files),
        bytes=total,
        bits_per_byte=bits / total,
        gzip=8 * sum(len(gzip.compress(f.text, 9, mtime=0)) for f in files) / total,
        xz=8 * sum(len(lzma.compress(f.text, preset=9 | lzma.PRESET_EXTREME)) for f in files) / total,
    )
    traces = _recorded(simulator, b"".join(f.text for f in files), prompt_length)
    return Subject(
        config=simulator.config, precision=precision, traces=traces, prompt_length=prompt_length, quality=quality
    )


def _recorded(simulator: Simulator, text: bytes, prompt_length: int) -> dict[str, Trace]:
    """A prefill of the first ``prompt_length`` bytes and decode steps on the bytes behind them."""
    ids = np.frombuffer(text[: prompt_length + DECODED], np.uint8).astype(np.int64)[None]
    if ids.shape[1] < prompt_length + DECODED:
        raise ValueError(
            f"the held-out text has {ids.shape[1]} bytes, {prompt_length + DECODED} are needed for a trace"
        )
    state, prefill, decode = simulator.new_state(), simulator.recorder(), simulator.recorder()
    simulator.step(ids[:, :prompt_length], state, prefill, last_only=True)
    for position in range(prompt_length, prompt_length + DECODED):
        simulator.step(ids[:, position : position + 1], state, decode)
    return {
        "decode": decode.trace("decode", prompt_length=prompt_length, new_tokens=DECODED),
        "prefill": prefill.trace("prefill", prompt_length=prompt_length, new_tokens=0),
    }
