"""What is installed: the wheel holds the package alone, and importing or asking for help costs little."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = {"designs", "energy_models", "models", "reports", "rtl", "sim", "traces"}
HEAVY = {"numba", "torch", "matplotlib", "amaranth", "cocotb", "pandas", "pyarrow"}


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names in a wheel that is built from a copy of what the package lists, beside things that must stay out."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in ROOT.rglob("*"):
        inside = path.relative_to(ROOT)
        wanted = len(inside.parts) == 1 or inside.parts[0] in ROOMS | {"tests", "docs"}
        if path.is_file() and wanted and "__pycache__" not in inside.parts:
            (source / inside).parent.mkdir(parents=True, exist_ok=True)
            (source / inside).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(out), str(source)], check=True, capture_output=True, timeout=120)
    (wheel,) = out.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_wheel_holds_the_package_alone(wheel_names: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"xnorscan"}
    seconds = {name.split("/")[1] for name in wheel_names if name.startswith("xnorscan/") and name.count("/") > 1}
    assert seconds == ROOMS
    assert not [name for name in wheel_names if "test" in name or name.endswith((".md", "Makefile", ".toml"))]


def test_wheel_holds_every_file_of_the_package(wheel_names: list[str]) -> None:
    suffixes = {".py", ".yaml", ".xnor", ".json", ".html", ".css", ".js", ".v"}
    files = [p for room in ROOMS for p in (ROOT / room).rglob("*") if p.suffix in suffixes] + list(ROOT.glob("*.py"))
    expected = {f"xnorscan/{p.relative_to(ROOT).as_posix()}" for p in files} | {"xnorscan/py.typed"}
    assert expected <= set(wheel_names)


def test_every_package_is_listed() -> None:
    found = {
        "xnorscan." + p.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for r in ROOMS
        for p in (ROOT / r).rglob("__init__.py")
    }
    assert {"xnorscan", *found} == set(PROJECT["tool"]["setuptools"]["packages"])


def test_version_stands_once() -> None:
    import xnorscan

    assert xnorscan.__version__ == PROJECT["project"]["version"] == metadata.version("xnorscan")


@pytest.mark.parametrize("module", ["xnorscan", "xnorscan.cli"])
def test_import_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize("room", ["traces.trace", "designs.design", "energy_models.cost"])
def test_costing_a_trace_needs_no_eda_tool_torch_or_plotting(room: str) -> None:
    code = f"import sys, xnorscan.{room}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "amaranth", "cocotb", "matplotlib", "numba"} & set(loaded)


def test_every_import_is_of_a_declared_dependency() -> None:
    declared = names_of(PROJECT["project"]["dependencies"])
    training, hardware = (names_of(PROJECT["project"]["optional-dependencies"][extra]) for extra in ("train", "rtl"))
    files = [p for room in ROOMS for p in (ROOT / room).rglob("*.py")] + list(ROOT.glob("*.py"))
    owners = metadata.packages_distributions()
    for path in files:
        for module in sorted(third_party_imports(path)):
            names = {name.lower() for name in owners.get(module, [module])}
            allowed = declared | training if "torch" in path.name or "training" in path.parts else declared
            if path.is_relative_to(ROOT / "rtl"):
                allowed = allowed | hardware
            assert names & allowed, f"{path.relative_to(ROOT)} imports {module}"


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", line)[0].lower() for line in requirements}


def third_party_imports(path: Path) -> set[str]:
    """First parts of the absolute imports of a file, without the standard library's."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names


def test_help_is_quick() -> None:
    def seconds() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "xnorscan.cli", "--help"], check=True, capture_output=True)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.5


def test_every_dependency_is_bounded_below_and_says_why() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    requirements = [line for line in lines if re.match(r'    "[A-Za-z].*[<>=].*",', line)]
    extras = PROJECT["project"]["optional-dependencies"].values()
    assert len(requirements) == len(PROJECT["project"]["dependencies"]) + sum(map(len, extras))
    for line in requirements:
        assert re.search(r">=\d.*\",\s+# \S", line), line
