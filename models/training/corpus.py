"""The text that the tiny family is trained on: the running interpreter's own standard library, split by file.

Nothing of the text is shipped. Which file is held out depends on its path alone, so that two machines with the same
interpreter agree, and a library file never moves from one side to the other.
"""

from __future__ import annotations

import hashlib
import platform
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

HELD_OUT_OF_256 = 12
"""A file is held out iff the first byte of the SHA-256 of its path is below this: about 5 % of the files."""

BEGIN = 0
"""The byte that stands before every text; Python source does not contain it."""

_EXCLUDED = ("site-packages", "__pycache__")


@dataclass(frozen=True)
class SourceFile:
    """One library file: its path below the library's root, with forward slashes, and its bytes."""

    path: str
    text: bytes


def library_name() -> str:
    """The interpreter whose library this is, as the model card and every figure names it."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def held_out(path: str) -> bool:
    """Whether the library file at ``path`` belongs to the held-out split."""
    return hashlib.sha256(path.encode()).digest()[0] < HELD_OUT_OF_256


def library(split: Literal["train", "held-out"]) -> list[SourceFile]:
    """All non-empty ``.py`` files of the running interpreter's library in ``split``, sorted by path.

    Raises ``FileNotFoundError`` where the interpreter ships no library source.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.py"))
    wanted = [n for n in names if not set(_EXCLUDED) & set(n.split("/")) and held_out(n) == (split == "held-out")]
    files = [SourceFile(n, (root / n).read_bytes()) for n in wanted]
    if not any(f.text for f in files):
        raise FileNotFoundError(
            f"no Python source in {root}: the running interpreter ships without its library's source"
        )
    return [f for f in files if f.text]


@dataclass(frozen=True)
class Window:
    """One training step's bytes.

    ``ids`` and ``targets`` int64 [batch, length], target −100 where there is nothing to predict (padding behind a
    file's end); ``begins`` bool [batch]: a new file starts in this row, so its state must be zero.
    """

    ids: np.ndarray
    targets: np.ndarray
    begins: np.ndarray


def windows(files: list[SourceFile], batch: int, length: int, seed: int) -> Iterator[Window]:
    """Endless windows: each row streams whole files in an order drawn from ``seed``, window after window."""
    rng = np.random.default_rng(seed)
    order = _endless_order(len(files), rng)
    rows = [_file_windows(files[next(order)].text, length) for _ in range(batch)]
    while True:
        parts = []
        for r in range(batch):
            part = next(rows[r], None)
            if part is None:
                rows[r] = _file_windows(files[next(order)].text, length)
                part = next(rows[r])
            parts.append(part)
        yield Window(*(np.stack(column) for column in zip(*parts, strict=True)))


def _endless_order(count: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(count).tolist()


def _file_windows(text: bytes, length: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    data = np.frombuffer(text, np.uint8).astype(np.int64)
    steps = -(-len(data) // length) * length
    ids = np.zeros(steps, np.int64)
    ids[1 : len(data)] = data[:-1]
    ids[0] = BEGIN
    targets = np.full(steps, -100, np.int64)
    targets[: len(data)] = data
    for start in range(0, steps, length):
        yield ids[start : start + length], targets[start : start + length], np.array(start == 0)
