"""The register table as text: SystemRDL 2.0, a C header, a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from textwrap import indent

from .register_table import ADDRESS_BITS, ERRORS, TARGETS, Access, Field, Register

NAME = "xnorscan_engine"
_CODES = {"error": ERRORS, "target": TARGETS}
_RDL_ACCESS: Mapping[Access, str] = {
    "constant": "sw = r; hw = na;",
    "ro": "sw = r; hw = w;",
    "rw": "sw = rw; hw = r;",
    "pulse": "sw = w; hw = r; singlepulse;",
    "w1c": "sw = rw; hw = r; onwrite = woclr; hwset;",
}
_ASCII = str.maketrans({"−": "-", "·": "*", "×": "*", "±": "+-", "…": "..", "α": "alpha", "β": "beta"})
"""Tools read SystemRDL and C in encodings of their own."""
_SHORT_ACCESS: Mapping[Access, str] = {
    "constant": "constant",
    "ro": "read",
    "rw": "read, write",
    "pulse": "write 1 to act",
    "w1c": "read, write 1 to clear",
}


def system_rdl(registers: Iterable[Register]) -> str:
    """The table as one SystemRDL 2.0 address map, for PeakRDL and other generators."""
    body = [
        f'name = "{NAME}";',
        'desc = "Registers of a one-bit linear layer engine. AXI4-Lite, 32 bit, little-endian.";',
        "default regwidth = 32;",
        "default accesswidth = 32;",
        "",
        *(_rdl_enum(name, codes) for name, codes in _CODES.items()),
        *map(_rdl_register, registers),
    ]
    return f"addrmap {NAME} {{\n{_inside(body)}}};\n".translate(_ASCII)


def _rdl_enum(name: str, codes: Mapping[str, str]) -> str:
    entries = [f"code_{key} = {code} {{ desc = {_quoted(text)}; }};" for code, (key, text) in enumerate(codes.items())]
    return f"enum {name}_code {{\n{_inside(entries)}}};\n"


def _rdl_register(register: Register) -> str:
    body = [f"desc = {_quoted(_description(register))};", *map(_rdl_field, register.fields)]
    return f"reg {{\n{_inside(body)}}} {register.name} @ 0x{register.offset:03X};\n"


def _rdl_field(field: Field) -> str:
    codes = f" encode = {field.codes}_code;" if field.codes else ""
    reset = "" if field.access == "ro" else f" = 0x{field.reset:X}"
    body = f"desc = {_quoted(field.description)}; {_RDL_ACCESS[field.access]}{codes}"
    return f"field {{ {body} }} {field.name}[{field.high}:{field.low}]{reset};"


def _inside(lines: Iterable[str]) -> str:
    return indent("\n".join(lines).rstrip("\n") + "\n", "    ")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def c_header(registers: Iterable[Register]) -> str:
    """Offsets, masks, shifts, codes and this engine's constants as C11 macros, all of type ``unsigned``."""
    guard = f"{NAME.upper()}_H"
    lines = [
        "/* Registers of a one-bit linear layer engine: byte offsets; MASK is in place, SHIFT its lowest bit.",
        " * A signed field is two's complement of WIDTH bits. VALUE: what this engine's constant reads. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        f"#define XNORSCAN_ADDRESS_BYTES 0x{1 << ADDRESS_BITS:X}u",
    ]
    for register in registers:
        lines += ["", f"/* {register.name}: {_description(register)} */", *_c_register(register)]
    for name, codes in _CODES.items():
        lines += ["", *(_define(f"{name}_{key}", code) for code, key in enumerate(codes))]
    return "\n".join([*lines, "", "#endif", ""]).translate(_ASCII)


def _c_register(register: Register) -> Iterator[str]:
    yield _define(f"{register.name}_offset", register.offset)
    for field in register.fields:
        name = register.name if field.name == register.name else f"{register.name}_{field.name}"
        yield _define(f"{name}_mask", field.mask)
        yield _define(f"{name}_shift", field.low)
        yield _define(f"{name}_width", field.width)
        if field.access == "constant":
            yield _define(f"{name}_value", field.reset)


def _define(name: str, value: int) -> str:
    return f"#define XNORSCAN_{name.upper()} 0x{value:X}u"


def markdown(registers: Iterable[Register]) -> str:
    """The table as a page: all registers, then the bits of each with several fields, then the codes."""
    registers = tuple(registers)
    lines = [
        "# Registers",
        "",
        "32 bit, little-endian, behind AXI4-Lite. Bits that no field has read as 0. Byte strobes are honoured.",
        "SLVERR answers an offset that is not here, a write to a register that cannot be written, and a write to a "
        "locked",
        "register while `status.busy` is 1; nothing changes then.",
        "",
        *_markdown_table(
            ("offset", "register", "access", "bits", "reset", "what it is"),
            (
                (
                    f"`0x{register.offset:03X}`",
                    f"`{register.name}`" + (" (locked)" if register.locked else ""),
                    "; ".join(dict.fromkeys(_SHORT_ACCESS[field.access] for field in register.fields)),
                    _bits(register.fields[0]) if len(register.fields) == 1 else "below",
                    f"`0x{register.reset:08X}`",
                    _description(register),
                )
                for register in registers
            ),
        ),
    ]
    for register in registers:
        if len(register.fields) > 1:
            lines += ["", f"## `{register.name}`, `0x{register.offset:03X}`", "", *_markdown_fields(register)]
    for name, codes in _CODES.items():
        rows = ((str(code), f"`{key}`", text) for code, (key, text) in enumerate(codes.items()))
        lines += ["", f"## {name.capitalize()} codes", "", *_markdown_table(("code", "name", "what it is"), rows)]
    return "\n".join([*lines, ""])


def _markdown_fields(register: Register) -> list[str]:
    rows = (
        (_bits(field), f"`{field.name}`", _SHORT_ACCESS[field.access], f"`0x{field.reset:X}`", field.description)
        for field in reversed(register.fields)
    )
    return _markdown_table(("bits", "field", "access", "reset", "what it is"), rows)


def _markdown_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [header, ("---",) * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _bits(field: Field) -> str:
    return f"{field.high}…{field.low}" if field.width > 1 else str(field.low)


def _description(register: Register) -> str:
    signed = "; signed" if any(field.signed for field in register.fields) else ""
    return register.description + signed
