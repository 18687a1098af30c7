"""The cache of compiled kernels: another source is another directory, and never old bits."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xnorscan.sim.compile import PACKAGE, cache_directory, source_digest, sources

RUN = """
import numpy as np
from xnorscan.sim.kernels.linear import shift_dot
out = np.empty(1, np.int64)
shift_dot(np.array([[3, 5]], np.int32), np.array([7, 11], np.int16), 1, out)
print(out[0], shift_dot.stats.cache_hits.total() if hasattr(shift_dot.stats.cache_hits, "total") else 0)
"""
"""(3·7 + 5·11)/2 = 38, by a kernel that uses a helper of another module."""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, to be imported as ``xnorscan`` from ``tmp_path``."""
    root = tmp_path / "xnorscan"
    for room in ("sim", "models", "traces"):
        shutil.copytree(PACKAGE / room, root / room, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    shutil.copy(PACKAGE / "__init__.py", root)
    return root


def run(package: Path, cache: Path) -> list[int]:
    """Result and cache hits of ``RUN`` in a new process on ``package``."""
    environment = os.environ | {"PYTHONPATH": str(package.parent), "XNORSCAN_CACHE_DIR": str(cache)}
    command = [sys.executable, "-W", "error", "-c", RUN]
    result = subprocess.run(command, env=environment, cwd=package.parent, check=True, capture_output=True, text=True)
    return [int(word) for word in result.stdout.split()]


def test_the_digest_depends_on_every_source(package: Path) -> None:
    before = source_digest(package)
    assert before == source_digest(), "the copy is the same source"
    seen = {before}
    for path in sources(package):
        text = path.read_text()
        path.write_text(text + "\n# edited\n")
        seen.add(source_digest(package))
        path.write_text(text)
    assert len(seen) == 1 + len(sources(package))
    (package / "sim" / "kernels" / "another.py").write_text("")
    assert source_digest(package) not in seen
    assert source_digest(package) != before


def test_every_module_that_kernels_are_compiled_from_is_a_source() -> None:
    """Follows the imports of the kernels through the package: nothing that they reach lies outside the digest."""
    reached: set[Path] = set()
    todo = sorted((PACKAGE / "sim" / "kernels").glob("*.py"))
    while todo:
        path = todo.pop()
        if path in reached:
            continue
        reached.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                todo += [file for file in (base.with_suffix(".py"), base / "__init__.py") if file.exists()]
    assert {path.name for path in reached} >= {"arith.py", "formats.py", "tables.py", "precision.py"}
    assert {path for path in reached if path.stat().st_size} <= set(sources())


def test_an_edited_helper_gives_new_results(package: Path, tmp_path: Path) -> None:
    """Four processes: compiled, read from the cache, edited and compiled anew, edited back and read again."""
    cache, helper = tmp_path / "cache", package / "sim" / "kernels" / "arith.py"
    assert run(package, cache) == [38, 0]
    assert run(package, cache) == [38, 1]
    text = helper.read_text()
    edited = text.replace("    down = min(bits, FARTHEST_RIGHT)\n", "    down = min(bits, FARTHEST_RIGHT) + 1\n")
    assert edited != text
    helper.write_text(edited)
    assert run(package, cache) == [19, 0]
    helper.write_text(text)
    assert run(package, cache) == [38, 1]
    assert len(list(cache.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_done_without(package: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert run(package, blocked / "cache") == [38, 0]


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XNORSCAN_CACHE_DIR", str(tmp_path))
    name = f"kernels-{source_digest()}"
    assert cache_directory() == tmp_path / name
    monkeypatch.delenv("XNORSCAN_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "xnorscan" / name
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_directory() == tmp_path / "home" / ".cache" / "xnorscan" / name
