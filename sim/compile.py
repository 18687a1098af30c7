"""``kernel``: Numba compilation with a disk cache that can not be stale.

Numba's own cache looks only at the file a function stands in; a changed helper module would leave old machine code in
use. The cache directory here is named after a digest of every source file that kernels are compiled from and of Numba's
version: another source, another directory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llvmlite
import numba

PACKAGE = Path(__file__).parents[1]


def sources(package: Path = PACKAGE) -> list[Path]:
    """Every file whose text a compiled kernel may depend on: the room ``sim`` and the widths that its formats read."""
    return [*sorted((package / "sim").rglob("*.py")), package / "models" / "precision.py"]


def source_digest(package: Path = PACKAGE) -> str:
    """Hexadecimal digest of ``sources`` and of the compiler's version."""
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    for path in sources(package):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cache_directory() -> Path:
    """Where compiled kernels are kept: ``$XNORSCAN_CACHE_DIR`` or the user's cache directory, one folder per digest."""
    chosen = os.environ.get("XNORSCAN_CACHE_DIR")
    home = chosen or os.path.join(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "xnorscan")
    return Path(home) / f"kernels-{_DIGEST}"


_DIGEST = source_digest()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` on first use: no Python inside, GIL released, division as in C, cached on disk."""
    with _numba_cache_in(cache_directory()):
        return numba.njit(cache=_writable(cache_directory()), nogil=True, error_model="numpy")(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a small helper that only kernels call; it is compiled into each of them."""
    return numba.njit(nogil=True, error_model="numpy")(function)


@contextmanager
def _numba_cache_in(directory: Path) -> Iterator[None]:
    """Numba reads this setting when a function is decorated; other packages' functions keep their own."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(directory)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(directory, os.W_OK)
