"""The folder of a generated design: Verilog, names, registers, constraints, scripts and the bench that verifies it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

from ..designs.design import Design, OneBitDesign
from . import bench, chain_ends, simulate
from .build import Benched, Unit, build, engine_config, one_bit
from .export_text import constraints, fusesoc_core, makefile_bench, makefile_synth, readme, script_vivado, script_yosys
from .register_table import register_table
from .register_text import c_header, markdown, system_rdl
from .synth import device_of, harness, target_of
from .tools import cell_models
from .verify import write_cases
from .verilog import generate


def export(
    design: Design,
    unit: Unit,
    directory: Path,
    *,
    seed: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Write the hardware of ``unit`` in ``design`` to the folder ``directory``, which appears whole or not at all.

    Returns the files, relative to it. ``seed``: of the golden data.
    Raises ``ValueError`` for a design that cannot be built and for a folder that exists and is not empty.
    """
    wanted = one_bit(design)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(f"{directory}: exists and is not an empty folder, name a new one")
    if not directory.absolute().parent.is_dir():
        raise ValueError(f"{directory}: there is no folder {directory.parent}, make it first")
    component, top = build(wanted, unit)
    partial = Path(mkdtemp(prefix=f".{directory.name}.", suffix=".partial", dir=directory.absolute().parent))
    try:
        report(f"generating {top}")
        generated = generate(component, top)
        for name, text in _files(wanted, unit, top, generated.verilog, generated.name_map):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_text(text, encoding="utf-8")
        report("golden data of the bench")
        _add_bench(partial / "bench", wanted, unit, seed)
        partial.chmod(0o755)
        if directory.is_dir():
            directory.rmdir()
        os.replace(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file())


def _files(design: OneBitDesign, unit: Unit, top: str, verilog: str, names: str) -> Iterator[tuple[str, str]]:
    """Path and text of every file but the bench's."""
    yield f"{top}.v", verilog
    yield f"{top}.names.json", names
    yield "design.json", design.model_dump_json(indent=1) + "\n"
    yield "README.md", readme(design, unit, top)
    yield f"{top}.core", fusesoc_core(design, unit, top)
    yield f"synth/{top}_on_pins.v", harness(verilog, top)
    for suffix, text in constraints(design).items():
        yield f"synth/{top}{suffix}", text
    if design.rtl.tech == "generic":
        yield "synth/vivado.tcl", script_vivado(top)
    if (device := device_of(design)) is not None:
        yield "synth/yosys.ys", script_yosys(top, device)
        yield "synth/Makefile", makefile_synth(design, top, device)
        if target_of(device).tech == "ecp5":
            yield "synth/chain_ends.py", Path(str(chain_ends.__file__)).read_text(encoding="utf-8")
    if unit == "layer":
        registers = register_table(engine_config(design))
        yield f"registers/{top}.rdl", system_rdl(registers)
        yield f"registers/{top}.h", c_header(registers)
        yield f"registers/{top}.md", markdown(registers)
    if models := cell_models(design.rtl.tech):
        yield "models/cells.v", models


def _add_bench(directory: Path, design: OneBitDesign, unit: Unit, seed: int) -> None:
    """The bench of the unit as it is run here, flat modules in a package of their own, and its golden data.

    A core has no bench: the array alone is written for the array's.
    """
    benched: Benched = "layer" if unit == "layer" else "array"
    package = directory / "bench"
    package.mkdir(parents=True)
    for source in sorted(Path(str(bench.__file__)).parent.glob("*.py")):
        shutil.copyfile(source, package / source.name)
    shutil.copyfile(str(simulate.__file__), directory / "simulate.py")
    component, top = build(design, benched)
    verilog = f"../{top}.v" if unit == benched else f"{top}.v"
    if unit != benched:
        (directory / verilog).write_text(generate(component, top).verilog, encoding="utf-8")
    write_cases(directory / "golden.npz", design, benched, seed)
    (directory / "Makefile").write_text(makefile_bench(design, benched, top, verilog))
