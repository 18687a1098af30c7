"""The one table of the engine's registers. The hardware, SystemRDL, the C header and the Markdown page are made of it.

Access of a field, as software sees it:

    constant   reads as its reset, which is a size of this engine
    ro         reads what the hardware says
    rw         holds what was written
    pulse      a 1 written acts once; reads as 0
    w1c        the hardware sets it; a 1 written clears it

``locked`` registers are refused (SLVERR, nothing changes) while the engine is busy, so that no layer runs on settings
that change under it; writes to registers without a writable field, and any access to an offset that is not here, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .settings import (
    COEFFICIENT_BITS,
    EXPONENT_LIMIT,
    INPUTS_BITS,
    PLANES_LIMIT,
    RESULT_BITS,
    ROWS_BITS,
    TILES_BITS,
    EngineConfig,
)

Access = Literal["constant", "ro", "rw", "pulse", "w1c"]
MAGIC = int.from_bytes(b"XNOR", "big")
MAJOR, MINOR = 1, 0
"""Version of this table: software for one major version runs on every minor one not below its own."""
ADDRESS_BITS = 9
"""Bytes of address space, as a power of two."""
_EXPONENT_BITS = 8

ERRORS = {
    "none": "no error",
    "busy": "start while busy",
    "inputs": "inputs is 0 or greater than inputs_max",
    "words": "words is not ceil(inputs / lanes)",
    "bits": "bits is not 1, 2, 4 or 8 (serial), not 8 (parallel)",
    "planes": "planes is 0 or greater than planes_max",
    "output_tiles": "output_tiles is 0 or greater than output_tiles_max",
    "outputs": "outputs does not end in the last of output_tiles",
    "token_tiles": "token_tiles is 0",
    "last_height": "last_height is 0 or greater than rows",
    "tokens": "tokens is not (token_tiles − 1) · rows + last_height",
    "slots": "slots is 0 or greater than activation_words",
    "exponent": f"exponent is not within ±{EXPONENT_LIMIT}",
    "bias_exponent": f"bias_exponent is not within ±{EXPONENT_LIMIT}",
    "result_bits": f"result_bits is not {', '.join(map(str, RESULT_BITS))}",
    "load": "a parameter packet ended within a value, went beyond its memory, or had no such target",
}
"""Error codes in order: what ``status.code`` says. Where several settings are wrong, the first in this order."""

TARGETS = {
    "weights": "32-bit banks of words of cols · lanes bits (bit = col · lanes + lane), low bank first",
    "alpha": "one 16-bit value per beat; an address is vector_lanes inputs",
    "beta": "as alpha",
    "offset": "one signed value per column, in one beat, or in two (low first) where it has over 32 bits",
    "activations": "words of lanes · (1 or 8) bits in 32-bit beats, low first; bits 31…16 of load_address are the row",
    "last_activations": "as activations; the end of the packet also hands the slot to the array",
}
"""Load targets in order: what ``load_target`` chooses."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """``width`` bits of a register from bit ``low``. ``codes``: the table that names its values."""

    name: str
    low: int = 0
    width: int = 32
    access: Access
    description: str
    reset: int = 0
    signed: bool = False
    codes: Literal["error", "target"] | None = None

    @property
    def high(self) -> int:
        """Its greatest bit."""
        return self.low + self.width - 1

    @property
    def mask(self) -> int:
        """Its bits in the register."""
        return (1 << self.width) - 1 << self.low


@dataclass(frozen=True, kw_only=True)
class Register:
    """32 bits at a byte ``offset``. Its fields do not overlap; the other bits read as 0."""

    name: str
    offset: int
    description: str
    fields: tuple[Field, ...]
    locked: bool = False

    @property
    def reset(self) -> int:
        """Its value after a reset."""
        return sum(field.reset << field.low for field in self.fields)

    @property
    def writable(self) -> bool:
        """Whether a write can have an effect."""
        return any(field.access in ("rw", "pulse", "w1c") for field in self.fields)


def register_table(config: EngineConfig) -> tuple[Register, ...]:
    """Every register, by rising offset. Only the resets of constants depend on ``config``."""
    return (*_identification(config), *_CONTROL, *_SETTINGS, *_COUNTERS)


def setting_writes(settings: Mapping[str, int]) -> list[tuple[int, int]]:
    """(offset, 32-bit value) of each setting in ``settings``, in the order of the table.

    Raises ``ValueError`` for a name that no setting has and for a value that its field cannot hold.
    """
    registers = {register.name: register for register in _SETTINGS}
    for name in settings:
        if name not in registers:
            raise ValueError(f"{name} is not a setting, the settings are {', '.join(registers)}")
    return [(r.offset, _encoded(r.fields[0], settings[r.name])) for r in _SETTINGS if r.name in settings]


def _encoded(field: Field, value: int) -> int:
    least, end = (-(1 << field.width - 1), 1 << field.width - 1) if field.signed else (0, 1 << field.width)
    if not least <= value < end:
        raise ValueError(f"{field.name} is {value}, its register holds {least} to {end - 1}")
    return value & ((1 << field.width) - 1)


def _single(
    name: str,
    offset: int,
    access: Access,
    description: str,
    *,
    width: int = 32,
    reset: int = 0,
    signed: bool = False,
    codes: Literal["error", "target"] | None = None,
    locked: bool = False,
) -> Register:
    """A register of one field of the same name."""
    field = Field(
        name=name, width=width, access=access, description=description, reset=reset, signed=signed, codes=codes
    )
    return Register(name=name, offset=offset, description=description, fields=(field,), locked=locked)


def _constant(name: str, low: int, width: int, value: int, description: str) -> Field:
    return Field(name=name, low=low, width=width, access="constant", reset=value, description=description)


def _identification(config: EngineConfig) -> tuple[Register, ...]:
    array = config.array
    parallel, absmax = int(array.activations == "parallel"), int(config.quantizer == "absmax")
    sizes = (
        ("inputs_max", array.inputs_max, "greatest number of inputs of a layer"),
        ("weight_words", config.core.weight_words, "depth of the weight memory, in words of cols · lanes bits"),
        (
            "activation_words",
            config.core.activation_words,
            "depth of each row's activation memory, in words of one step",
        ),
        ("output_tiles_max", config.output_tiles_max, "depth of the offset memory, in words of cols offsets"),
    )
    return (
        _single("magic", 0x00, "constant", "the letters XNOR, X in the highest byte", reset=MAGIC),
        Register(
            name="version",
            offset=0x04,
            description="version of this register map",
            fields=(
                _constant("minor", 0, 16, MINOR, "raised when something is added"),
                _constant("major", 16, 16, MAJOR, "raised when software has to change"),
            ),
        ),
        Register(
            name="array",
            offset=0x08,
            description="the array's shape",
            fields=(
                _constant("rows", 0, 16, array.rows, "tokens at once"),
                _constant("cols", 16, 16, array.cols, "outputs at once"),
            ),
        ),
        Register(
            name="lane_counts",
            offset=0x0C,
            description="inputs taken at once",
            fields=(
                _constant("lanes", 0, 16, array.lanes, "inputs that an element takes a cycle"),
                _constant("vector_lanes", 16, 16, config.vector_lanes, "inputs that the quantizer takes a cycle"),
            ),
        ),
        Register(
            name="features",
            offset=0x10,
            description="what was built",
            fields=(
                _constant("parallel", 0, 1, parallel, "1: all 8 activation bits at once; 0: one bit after another"),
                _constant("absmax", 1, 1, absmax, "1: the quantizer scales by absmax / 127; 0: by powers of two"),
                _constant("planes_max", 8, 4, config.planes_max, "greatest number of weight planes of a layer"),
            ),
        ),
        *(
            _single(name, 0x14 + 4 * index, "constant", description, reset=value)
            for index, (name, value, description) in enumerate(sizes)
        ),
    )


_CONTROL = (
    Register(
        name="control",
        offset=0x40,
        description="commands",
        fields=(
            Field(
                name="start",
                width=1,
                access="pulse",
                description="check the settings, then run the layer; with an error set instead if one is wrong",
            ),
            Field(
                name="soft_reset",
                low=1,
                width=1,
                access="pulse",
                description="abandon the layer; settings and what is in the memories stay",
            ),
        ),
    ),
    Register(
        name="status",
        offset=0x44,
        description="how the layer stands: wait until busy is 0, then done or error is 1",
        fields=(
            Field(name="busy", width=1, access="ro", description="a layer is being checked or run"),
            Field(name="done", low=1, width=1, access="w1c", description="a layer has ended since; start clears it"),
            Field(name="error", low=2, width=1, access="w1c", description="something was refused; code says what"),
            Field(
                name="code",
                low=8,
                width=8,
                access="ro",
                codes="error",
                description="the first error since error was cleared",
            ),
        ),
    ),
)


def _setting(name: str, offset: int, width: int, description: str, *, signed: bool = False) -> Register:
    return _single(name, offset, "rw", description, width=width, signed=signed, locked=True)


_SETTINGS = (
    _setting("inputs", 0x80, INPUTS_BITS, "inputs of the layer (K)"),
    _setting("outputs", 0x84, ROWS_BITS, "outputs of the layer"),
    _setting("tokens", 0x88, ROWS_BITS, "tokens of this run"),
    _setting("words", 0x8C, INPUTS_BITS, "ceil(inputs / lanes)"),
    _setting("bits", 0x90, 4, "activation bits: 1, 2, 4 or 8 (serial), 8 (parallel)"),
    _setting("planes", 0x94, 4, "weight planes"),
    _setting("output_tiles", 0x98, TILES_BITS, "ceil(outputs / cols)"),
    _setting("token_tiles", 0x9C, TILES_BITS, "ceil(tokens / rows)"),
    _setting("last_height", 0xA0, TILES_BITS, "tokens in the last token tile"),
    _setting("slots", 0xA4, TILES_BITS, "token tiles that the activation memory holds at once"),
    *(
        _setting(f"coefficient_{plane}", 0xA8 + 4 * plane, COEFFICIENT_BITS, f"factor of plane {plane}", signed=True)
        for plane in range(PLANES_LIMIT)
    ),
    _setting("exponent", 0xB8, _EXPONENT_BITS, "results are multiplied by 2^(shift − exponent)", signed=True),
    _setting("bias_exponent", 0xBC, _EXPONENT_BITS, "biases are multiplied by 2^−bias_exponent", signed=True),
    _setting("result_bits", 0xC0, 6, "width at which results saturate"),
    _single("load_target", 0xC4, "rw", "memory that the next parameter packet goes to", width=3, codes="target"),
    _single("load_address", 0xC8, "rw", "where the next parameter packet starts, in words of its memory"),
)

_COUNTERS = (
    _single("cycles", 0x100, "ro", "cycles that the layer was busy, low half; a read freezes cycles_high"),
    _single("cycles_high", 0x104, "ro", "high half of cycles as it was when cycles was read last"),
    _single("steps", 0x108, "ro", "steps that the array took, low half; a read freezes steps_high"),
    _single("steps_high", 0x10C, "ro", "high half of steps as it was when steps was read last"),
    _single("rows_out", 0x110, "ro", "rows of results that have left"),
)
