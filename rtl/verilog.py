"""Amaranth to Verilog, each module once: Amaranth writes one module per instance, modules that are equal are folded.

What Amaranth writes is RTLIL text. Two of its modules are equal if one becomes the other by renaming wires, cells and
memories. This is decided by a canonical text, in which every such name is replaced by the number of its first use:
equal texts prove that a renaming exists. Modules are folded from the leaves up, so that parents of equal children can
be equal too. Every name becomes a plain identifier; Yosys writes the Verilog.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from amaranth.hdl import Shape, Value
from amaranth.lib import data, wiring

from .once import Library
from .tools import YOSYS, run

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s"]+')
_AT_START = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ")
"""Yosys' name of the constant that makes every ``always @*`` run once; no plain name starts with _."""
_ATTRIBUTES = "-remove generator -remove top -remove src -remove amaranth.hierarchy -remove amaranth.decoding"
_SCRIPT = f"""\
read_rtlil design.il
proc -nomux -norom
memory_collect
attrmap {_ATTRIBUTES}
attrmap -modattr {_ATTRIBUTES}
write_verilog design.v
"""


@dataclass(frozen=True)
class Port:
    """A port of the top module: its name in Verilog and, for each field of its payload, its lowest bit and width."""

    name: str
    direction: str
    width: int
    fields: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Generated:
    """Verilog and the names in it.

    ``ports``: by path in Amaranth (``o.payload``). ``modules``: by name in Verilog, the paths of a module's instances
    and, by name in Amaranth's RTLIL, what its signals are called in Verilog. ``signal$2`` is Amaranth's second signal
    of that name.
    """

    top: str
    verilog: str
    ports: dict[str, Port]
    modules: dict[str, dict[str, Any]]

    @property
    def name_map(self) -> str:
        """Everything but the Verilog, as JSON."""
        ports = {path: asdict(port) for path, port in self.ports.items()}
        return json.dumps({"top": self.top, "ports": ports, "modules": self.modules}, indent=1) + "\n"


def to_verilog(component: Any, name: str) -> str:
    """Verilog of an Amaranth ``Component``: top module ``name``, one module for all equal instances."""
    return generate(component, name).verilog


def generate(component: Any, name: str, *, fold: bool = True) -> Generated:
    """Verilog of an Amaranth ``Component`` and its names; ``fold=False`` keeps one module per instance.

    Raises ``ValueError`` for a name that is no plain identifier, and where Yosys is missing or fails.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"module name {name!r}: it must be letters, digits and _, a letter first")
    library = Library(name)
    top = library.convert(component, name)
    kept = _fold([module for text in [top, *reversed(library.texts)] for module in _parse(text)], fold)
    _rename(kept, name)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        (directory / "design.il").write_text("".join(map(_text, kept)), encoding="utf-8")
        (directory / "design.ys").write_text(_SCRIPT)
        run(YOSYS, ["-q", "-s", "design.ys"], directory)
        verilog = _AT_START.sub("_start_", (directory / "design.v").read_text(encoding="utf-8"))
    return Generated(name, verilog, dict(_ports(component)), _names(kept, name))


def _ports(component: Any) -> Iterator[tuple[str, Port]]:
    for path, member, port in component.signature.flatten(component):
        name, direction = "__".join(map(str, path)), "input" if member.flow == wiring.In else "output"
        yield ".".join(map(str, path)), Port(name, direction, len(Value.cast(port)), _fields(member.shape))
    for name in ("clk", "rst"):
        yield name, Port(name, "input", 1)


def _fields(shape: Any) -> dict[str, tuple[int, int]]:
    """Lowest bit and width of every field of a layout, nested ones by path; nothing for a plain shape."""
    if isinstance(shape, type) and issubclass(shape, data.Struct | data.Union):
        shape = data.Layout.cast(shape)
    if not isinstance(shape, data.Layout):
        return {}
    found = {}
    for key, member in shape:
        found[str(key)] = (member.offset, Shape.cast(member.shape).width)
        for inner, (offset, width) in _fields(member.shape).items():
            found[f"{key}.{inner}"] = (member.offset + offset, width)
    return found


@dataclass
class _Cell:
    """An instance of a module, a primitive or an operator. ``connections``: by port, the tokens of what it joins."""

    type: str
    name: str
    attributes: list[str]
    parameters: list[list[str]] = field(default_factory=list)
    connections: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class _Module:
    """A module of RTLIL. ``wires``: by name, the declaration but for the name. ``body``: cells, other lines as tokens.

    ``names``: what wires, cells and memories are called in the end.
    """

    name: str
    wires: dict[str, _Wire] = field(default_factory=dict)
    body: list[_Cell | list[str]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def cells(self) -> Iterator[_Cell]:
        return (part for part in self.body if isinstance(part, _Cell))


@dataclass(frozen=True)
class _Wire:
    attributes: tuple[str, ...]
    width: str
    direction: str
    signed: str


def _parse(text: str) -> list[_Module]:
    """The modules of RTLIL text as Amaranth writes it: one statement a line, parents before children."""
    modules: list[_Module] = []
    attributes: list[str] = []
    cell: _Cell | None = None
    for line in text.splitlines():
        tokens = _TOKEN.findall(line)
        match tokens:
            case []:
                continue
            case ["attribute", *_]:
                attributes.append(line.strip())
                continue
            case ["module", name]:
                modules.append(_Module(name))
            case ["wire", "width", width, *flags, name]:
                direction = next((flag for flag in flags if flag in ("input", "output", "inout")), "")
                wire = _Wire(tuple(sorted(attributes)), width, direction, "signed" if "signed" in flags else "")
                modules[-1].wires[name] = wire
            case ["cell", kind, name]:
                cell = _Cell(kind, name, sorted(attributes))
                modules[-1].body.append(cell)
            case ["parameter", *_] if cell:
                cell.parameters.append(tokens)
            case ["connect", port, *signal] if cell:
                cell.connections[port] = signal
            case ["end"] if cell:
                cell = None
            case _:
                modules[-1].body += [[attribute] for attribute in sorted(attributes)]
                modules[-1].body.append(tokens)
        attributes.clear()
    for module in modules:
        module.body.pop()  # the end of the module itself
    return modules


Naming = Callable[[str], str]


def _lines(body: Iterable[_Cell | list[str]], naming: Naming) -> Iterator[str]:
    """The body of a module as RTLIL, its wires, cells and memories named by ``naming``."""

    def named(tokens: Iterable[str]) -> str:
        return " ".join(naming(token) if token[0] in "\\$" else token for token in tokens)

    for part in body:
        if isinstance(part, list):
            yield named(part)
            continue
        yield from part.attributes
        yield f"cell {part.type} {naming(part.name)}"
        for tokens in part.parameters:
            if tokens[1] == "\\MEMID":
                memory = naming(tokens[2][1:-1].replace("\\\\", "\\")).replace("\\", "\\\\")
                tokens = [*tokens[:2], f'"{memory}"']
            yield " ".join(tokens)
        for port, signal in part.connections.items():
            yield f"connect {port} {named(signal)}"
        yield "end"


def _fold(modules: list[_Module], fold: bool) -> list[_Module]:
    """One module of each kind, the cells of the others made instances of it."""
    kept: list[_Module] = []
    known: dict[str, tuple[_Module, list[str]]] = {}
    instead: dict[str, tuple[_Module, dict[str, str]]] = {}
    for module in reversed(modules):  # children first
        for cell in module.cells():
            if cell.type in instead:
                same, ports = instead[cell.type]
                joined = {ports[port]: signal for port, signal in cell.connections.items()}
                cell.type = same.name
                cell.connections = {port: joined[port] for port in same.wires if port in joined}
        key, names = _canonical(module) if fold else (module.name, list(module.wires))
        if key not in known:
            known[key] = module, names
            kept.append(module)
        same, same_names = known[key]
        instead[module.name] = same, dict(zip(names, same_names, strict=True))
    return kept[::-1]


def _canonical(module: _Module) -> tuple[str, list[str]]:
    """A text that only modules equal up to names share, and the names in the order in which it numbers them."""
    numbers: dict[str, str] = {}

    def number(name: str) -> str:
        return numbers.setdefault(name, f"#{len(numbers)}")

    lines = list(_lines(module.body, number))
    unused = sorted((str(wire), name) for name, wire in module.wires.items() if name not in numbers)
    lines += [f"{number(name)} {module.wires.get(name)}" for name in [*numbers, *(name for _, name in unused)]]
    return "\n".join(lines), list(numbers)


def _rename(modules: list[_Module], top: str) -> None:
    """Plain names, each once: of a module after the first of its instances, of all else after what Amaranth says."""
    stems = [top, *(f"{top}_{_stem(module.name)}" for module in modules[1:])]
    types = {module.name: f"\\{name}" for module, name in zip(modules, _unique(stems), strict=True)}
    for module in modules:
        ports = [
            name for name, wire in module.wires.items() if wire.direction
        ]  # first: those of the top stay as they are
        memories = [part[-1] for part in module.body if isinstance(part, list) and part[0] == "memory"]
        # Ports come first, so that those of the top are called as they were.
        local = dict.fromkeys([*ports, *module.wires, *(cell.name for cell in module.cells()), *memories])
        public = [name for name in local if name.startswith("\\")]
        plain = _unique(map(_plain, public))
        module.names = {name: f"\\{new}" for name, new in zip(public, plain, strict=True)}
    of_type = {module.name: module for module in modules}
    for module in modules:
        for cell in module.cells():
            if cell.type in of_type:
                ports_of = of_type[cell.type].names
                cell.connections = {ports_of[port]: signal for port, signal in cell.connections.items()}
                cell.type = types[cell.type]
    for module in modules:
        module.name = types[module.name]


def _stem(module: str) -> str:
    """What the module of the instance ``\\top.array.element_3_4`` is called: ``element``."""
    return re.sub(r"(_\d+)+$", "", _plain(module.rpartition(".")[2]))


def _plain(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
    return plain if plain[:1].isalpha() else f"n{plain}"


def _unique(names: Iterable[str]) -> Iterator[str]:
    taken: set[str] = set()
    for name in names:
        free = next(new for n in count(1) if (new := name if n == 1 else f"{name}_{n}") not in taken)
        taken.add(free)
        yield free


def _text(module: _Module) -> str:
    """RTLIL again."""
    lines = [f"module {module.name}"]
    for index, (name, wire) in enumerate(module.wires.items()):
        direction = f"{wire.direction} {index}" if wire.direction else ""
        lines += [*wire.attributes, f"wire width {wire.width} {direction} {wire.signed} {module.names.get(name, name)}"]
    lines += _lines(module.body, lambda name: module.names.get(name, name))
    return "\n".join([*lines, "end", ""])


def _names(modules: list[_Module], top: str) -> dict[str, dict[str, Any]]:
    """By module: the paths of its instances, top first, and its signals."""
    of_type = {module.name: module for module in modules}
    instances: dict[str, list[str]] = {module.name: [] for module in modules}
    waiting = [(f"\\{top}", top)]
    while waiting:
        kind, path = waiting.pop()
        instances[kind].append(path)
        inside = [cell for cell in of_type[kind].cells() if cell.type in of_type]
        waiting += [(cell.type, f"{path}.{of_type[kind].names[cell.name][1:]}") for cell in reversed(inside)]
    return {
        kind[1:]: {
            "instances": paths,
            "signals": {w[1:]: new[1:] for w, new in of_type[kind].names.items() if w in of_type[kind].wires},
        }
        for kind, paths in instances.items()
    }
