"""``RegisterFile``: the hardware of ``register_table``, and the check of the settings before every start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from amaranth import C, Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .axi_lite import register_bus_signature
from .register_table import ADDRESS_BITS, ERRORS, Field, Register, register_table
from .settings import EXPONENT_LIMIT, RESULT_BITS, EngineConfig

_PAGE_BITS = 3
"""A page is what the first level of the read multiplexer chooses from: 8 registers."""
_HALVES = {"cycles_high": "cycles", "steps_high": "steps"}
"""High halves of counters, and the register whose read freezes them."""
_CODES = {name: code for code, name in enumerate(ERRORS)}
_CODE_BITS = 8


def settings_layout(config: EngineConfig) -> data.StructLayout:
    """Every ``rw`` field by its name: what the engine is told."""
    fields = [field for register in register_table(config) for field in register.fields if field.access == "rw"]
    return data.StructLayout({field.name: (signed if field.signed else unsigned)(field.width) for field in fields})


class RegisterFile(wiring.Component):
    """The registers of one engine behind a register bus, and who may start it.

    A start makes ``o_busy`` 1 and checks the settings. If all are right, ``o_start`` follows and ``o_busy`` stays until
    ``i_done`` or a soft reset; otherwise ``status`` holds ``error`` and a code, and nothing was started. Checked is all
    that could make an engine wait for ever or address what does not exist. That the weights and the slots of
    activations fit their memories is left to ``layer_settings``: products that would only give wrong numbers.

    Members:

    * ``bus``: In, ``register_bus_signature(9)``.
    * ``o_settings``: Out, ``settings_layout(config)``, constant while busy but for ``load_target`` and
      ``load_address``.
    * ``o_start``, ``o_soft_reset``: Out, 1, for one cycle; ``o_busy``, ``o_done``: Out, 1, as in ``status``.
    * ``i_done``: In, 1, for one cycle after the last result; ``i_load_error``: In, 1, a cycle per error.
    * ``i_cycles``, ``i_steps``: In, 64; ``i_rows_out``: In, 32: counters, read at any time.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._registers = {register.name: register for register in register_table(config)}
        super().__init__(
            {
                "bus": In(register_bus_signature(ADDRESS_BITS)),
                "o_settings": Out(settings_layout(config)),
                "o_start": Out(1),
                "o_soft_reset": Out(1),
                "o_busy": Out(1),
                "o_done": Out(1),
                "i_done": In(1),
                "i_load_error": In(1),
                "i_cycles": In(64),
                "i_steps": In(64),
                "i_rows_out": In(32),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``bus.read`` to ``bus.read_done``; a write has one less."""
        return 2

    @property
    def interval(self) -> int:
        """Cycles from one read to the next, or from one write to the next."""
        return 1

    @property
    def start_latency(self) -> int:
        """Cycles from ``bus.write`` of a start to ``o_start``, or to the error."""
        return 5

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._read(m, self._status(m))
        self._write(m)
        return m

    def _read(self, m: Module, values: Mapping[str, Value]) -> None:
        bus, numbers = self.bus, {register.offset >> 2: register for register in self._registers.values()}
        pages = {number >> _PAGE_BITS: Signal(32, name=f"page_{number >> _PAGE_BITS}") for number in numbers}
        read, known = Signal(), Signal()
        m.d.sync += [read.eq(bus.read), bus.read_done.eq(read), bus.read_error.eq(~known), bus.read_data.eq(0)]
        for page, content in pages.items():
            with m.If(bus.read), m.Switch(bus.read_address[:_PAGE_BITS]):
                for number, register in numbers.items():
                    if number >> _PAGE_BITS == page:
                        with m.Case(number % (1 << _PAGE_BITS)):
                            m.d.sync += content.eq(_content(register, values))
        with m.If(bus.read), m.Switch(bus.read_address):
            with m.Case(*numbers):
                m.d.sync += known.eq(1)
            with m.Default():
                m.d.sync += known.eq(0)
        with m.If(known), m.Switch(bus.read_address[_PAGE_BITS:]):
            for page, content in pages.items():
                with m.Case(page):
                    m.d.sync += bus.read_data.eq(content)

    def _write(self, m: Module) -> None:
        bus, settings = self.bus, self.o_settings
        m.d.sync += [bus.write_done.eq(bus.write), bus.write_error.eq(1)]
        for register in self._registers.values():
            if not register.writable:
                continue
            with m.If(self._writes(register)):
                m.d.sync += bus.write_error.eq(0)
                for field in register.fields:
                    if field.access == "rw":
                        _store(m, Value.cast(settings[field.name]), field, bus)

    def _status(self, m: Module) -> dict[str, Value]:
        """Keep the state of the layer; return what each field reads that is no constant."""
        error, code = Signal(), Signal(_CODE_BITS)
        start, wrong = self._ones("control", "start"), Signal(_CODE_BITS)
        checking, checked = Signal(self.start_latency - 1), Signal()
        refused = checked & (wrong != 0)
        m.d.comb += checked.eq(checking[-1])
        m.d.sync += [
            checking.eq(Cat(start & ~self.o_busy, checking)),
            wrong.eq(self._first_error(m)),
            self.o_start.eq(checked & ~refused),
            self.o_soft_reset.eq(self._ones("control", "soft_reset")),
        ]
        with m.If(self._ones("status", "done")):
            m.d.sync += self.o_done.eq(0)
        with m.If(self._ones("status", "error")):
            m.d.sync += [error.eq(0), code.eq(0)]
        with m.If(start & ~self.o_busy):
            m.d.sync += [self.o_busy.eq(1), self.o_done.eq(0)]
        with m.If(refused):
            m.d.sync += self.o_busy.eq(0)
        with m.If(self.i_done & self.o_busy):
            m.d.sync += [self.o_busy.eq(0), self.o_done.eq(1)]
        with m.If(self.o_soft_reset):
            m.d.sync += [self.o_busy.eq(0), checking.eq(0), self.o_start.eq(0)]

        raised = Signal(_CODE_BITS)
        with m.If(refused):
            m.d.comb += raised.eq(wrong)
        with m.Elif(start & self.o_busy):
            m.d.comb += raised.eq(_CODES["busy"])
        with m.Elif(self.i_load_error):
            m.d.comb += raised.eq(_CODES["load"])
        with m.If((raised != 0) & (~error | self._ones("status", "error"))):
            m.d.sync += [error.eq(1), code.eq(raised)]
        counters = {"cycles": self.i_cycles, "steps": self.i_steps}
        return {
            "busy": self.o_busy,
            "done": self.o_done,
            "error": error,
            "code": code,
            "rows_out": self.i_rows_out,
            **{name: Value.cast(self.o_settings[name]) for name in self.o_settings.shape().members},
            **{name: counter[:32] for name, counter in counters.items()},
            **{high: self._frozen(m, low, counters[low][32:]) for high, low in _HALVES.items()},
        }

    def _frozen(self, m: Module, low: str, high_half: Value) -> Signal:
        """``high_half`` as it was when register ``low`` was read last."""
        frozen = Signal(32, name=f"{low}_high")
        with m.If(self.bus.read & (self.bus.read_address == self._registers[low].offset >> 2)):
            m.d.sync += frozen.eq(high_half)
        return frozen

    def _first_error(self, m: Module) -> Value:
        """Code of the first setting that is wrong, at most 4 cycles after the settings; 0 if all are right."""
        flags = Signal(len(ERRORS))
        code = Signal(_CODE_BITS)
        for name, wrong in self._rules(m):
            m.d.sync += flags[_CODES[name]].eq(wrong)
        for index in reversed(range(len(ERRORS))):
            with m.If(flags[index]):
                m.d.comb += code.eq(index)
        return code

    def _rules(self, m: Module) -> Iterator[tuple[str, Value]]:
        """Each error and when it holds. Products and sums are registers: their rules are up to 2 cycles later."""
        s, config, array = self.o_settings, self._config, self._config.array
        tokens_before = _registered(m, _times(s.token_tiles - 1, array.rows))
        outputs_before = _registered(m, _times(s.output_tiles - 1, array.cols))
        words = _registered(m, (s.inputs + array.lanes - 1) >> (array.lanes - 1).bit_length())
        last_outputs = _registered(m, s.outputs - outputs_before)
        tokens = _registered(m, tokens_before + s.last_height)
        yield "inputs", _outside(s.inputs, array.inputs_max)
        yield "words", s.words != words
        yield "bits", ~s.bits.matches(*config.activation_bits)
        yield "planes", _outside(s.planes, config.planes_max)
        yield "output_tiles", _outside(s.output_tiles, config.output_tiles_max)
        yield "outputs", (last_outputs < 1) | (last_outputs > array.cols)
        yield "token_tiles", s.token_tiles == 0
        yield "last_height", _outside(s.last_height, array.rows)
        yield "tokens", s.tokens != tokens
        yield "slots", _outside(s.slots, config.core.activation_words)
        yield "exponent", _beyond(s.exponent)
        yield "bias_exponent", _beyond(s.bias_exponent)
        yield "result_bits", ~s.result_bits.matches(*RESULT_BITS)

    def _writes(self, register: Register) -> Value:
        """Whether a write to ``register`` takes effect in this cycle."""
        hit = self.bus.write & (self.bus.write_address == register.offset >> 2)
        return hit & ~self.o_busy if register.locked else hit

    def _ones(self, register_name: str, field_name: str) -> Value:
        """Whether a 1 is written to a field of one bit in this cycle."""
        register = self._registers[register_name]
        (field,) = (field for field in register.fields if field.name == field_name)
        return self._writes(register) & self.bus.write_strobe[field.low // 8] & self.bus.write_data[field.low]


def _content(register: Register, values: Mapping[str, Value]) -> Value:
    """What a read of ``register`` returns: its fields, and 0 between them."""
    parts, end = [], 0
    for field in register.fields:
        parts += [C(0, field.low - end), values.get(field.name, C(field.reset, field.width))]
        end = field.low + field.width
    return Cat(*parts)


def _store(m: Module, stored: Value, field: Field, bus: wiring.PureInterface) -> None:
    """The bytes of ``field`` whose strobe is 1 take what is written."""
    for byte in range(4):
        low, high = max(field.low, 8 * byte), min(field.low + field.width, 8 * byte + 8)
        if low < high:
            with m.If(bus.write_strobe[byte]):
                m.d.sync += stored[low - field.low : high - field.low].eq(bus.write_data[low:high])


def _registered(m: Module, value: Value) -> Signal:
    register = Signal(value.shape())
    m.d.sync += register.eq(value)
    return register


def _outside(setting: Value, greatest: int) -> Value:
    return (setting == 0) | (setting > greatest)


def _beyond(exponent: Value) -> Value:
    return (exponent < -EXPONENT_LIMIT) | (exponent > EXPONENT_LIMIT)


def _times(value: Value, factor: int) -> Value:
    """value · factor as shifts and adds: a constant needs no multiplier."""
    return sum(value << bit for bit in range(factor.bit_length()) if factor >> bit & 1)
