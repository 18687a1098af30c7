"""``FbiLinear``: a whole FBI-Linear layer behind AXI faces, from integer activations to integer activations."""

from __future__ import annotations

from typing import Any

from amaranth import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.hdl import signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi_lite import AxiLiteSlave, axi_lite_signature
from .axi_stream import FromAxiStream, ToAxiStream, axi_stream_signature, field_bytes
from .back import BackEnd
from .core import ArrayCore
from .front import FrontEnd
from .loader import BEAT_BITS, Loader
from .raw_records import RawRecords
from .register_table import ADDRESS_BITS
from .registers import RegisterFile
from .settings import EngineConfig
from .token_records import record_layout
from .word_packer import WordPacker

LANE = signed(32)
"""A lane of the data faces: x and y are little-endian 32-bit integers, as the simulator's arrays hold them."""


class FbiLinear(wiring.Component):
    """A layer on integers: the simulator's ``apply_linear`` of a binarized layer, bit for bit. ::

        y_o = Σ_i s_oi·(α_i x_i) + Σ_i β_i x_i

    After LiqunMa/FBI-LLM, ``qat/learnable_binarizer.py``; the 8-bit quantizer between α and the array is ours.

    Software loads weights, α, β and offsets as packets of ``s_axis_parameters``, writes the settings, starts; then
    sends ``tokens`` tokens and takes the results, in this order: for token tile, for output tile, the tokens of the
    tile, one beat of ``cols`` outputs each. Columns beyond ``outputs`` mean nothing.

    Members (``config.front`` has the lanes of x):
      ``s_axil``: In, AXI4-Lite, the registers of ``register_table``;
      ``s_axis_parameters``: In, AXI4-Stream of 32 bits, into the memory that ``load_target`` names;
      ``s_axis_x``: In, AXI4-Stream, ``vector_lanes`` × int32 (24 bits used), 0 beyond the layer's inputs; ``tlast``
      ends a token. Before the start and after the last token, two beats are taken and kept for the next layer;
      ``m_axis_y``: Out, AXI4-Stream, ``cols`` × int32, ``tlast`` ends the layer;
      ``o_interrupt``: Out, 1: a layer is done, until software clears ``done``.
    Activations of fewer than 8 bits, or of another quantizer, come in as a parameter packet instead of x.
    ``latency``: cycles from a start that is accepted, its first slot already full, to the first step of the array.
    """

    interval = 1

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._front, self._back = FrontEnd(config.front), BackEnd(config.back)
        self._core = ArrayCore(config.core)
        size = field_bytes(LANE)
        super().__init__(
            {
                "s_axil": In(axi_lite_signature(ADDRESS_BITS)),
                "s_axis_parameters": In(axi_stream_signature(BEAT_BITS // 8)),
                "s_axis_x": In(axi_stream_signature(size * config.vector_lanes)),
                "m_axis_y": Out(axi_stream_signature(size * config.array.cols)),
                "o_interrupt": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from an accepted start, the first slot full, to the first step."""
        return self._core.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.axi_lite = axi_lite = AxiLiteSlave(ADDRESS_BITS)
        m.submodules.registers = registers = RegisterFile(config)
        wiring.connect(m, wiring.flipped(self.s_axil), axi_lite.axi)
        wiring.connect(m, axi_lite.bus, registers.bus)
        self._add_domain(m, registers)
        engine = DomainRenamer("engine")

        m.submodules.from_parameters = parameters = engine(FromAxiStream("data", BEAT_BITS, 1))
        m.submodules.from_x = x = engine(FromAxiStream("x", LANE, config.vector_lanes))
        m.submodules.to_y = y = engine(ToAxiStream("y", LANE, config.array.cols))
        m.submodules.loader = loader = engine(Loader(config.core, config.front, config.back))
        m.submodules.front = engine(self._front)
        m.submodules.packer = packer = engine(
            WordPacker(config.array, config.vector_lanes, config.core.activation_words)
        )
        m.submodules.core = engine(self._core)
        m.submodules.raw_records = raw = engine(
            RawRecords(record_layout(config.back), config.array.rows, config.core.activation_words)
        )
        m.submodules.back = engine(self._back)
        for source, sink in ((self.s_axis_parameters, parameters.i), (self.s_axis_x, x.i)):
            wiring.connect(m, wiring.flipped(source), sink)
        wiring.connect(m, parameters.o, loader.i)
        wiring.connect(m, self._front.o, packer.i)
        wiring.connect(m, self._core.o, self._back.i)
        wiring.connect(m, self._back.o, y.i)
        wiring.connect(m, y.o, wiring.flipped(self.m_axis_y))
        self._set_up(m, registers, loader, packer, raw)
        self._admit_tokens(m, registers, x.o)
        self._write_memories(m, loader, packer)
        self._merge_records(m, raw)
        self._report(m, registers, loader)
        return m

    def _add_domain(self, m: Module, registers: RegisterFile) -> None:
        """All but the registers obeys the soft reset as well."""
        m.domains.engine = ClockDomain("engine", local=True)
        m.d.comb += [
            ClockSignal("engine").eq(ClockSignal()),
            ResetSignal("engine").eq(ResetSignal() | registers.o_soft_reset),
        ]

    def _set_up(self, m: Module, registers: RegisterFile, loader: Loader, packer: WordPacker, raw: RawRecords) -> None:
        """Settings and start to every part, by the names that they share with the registers."""
        settings = registers.o_settings
        for part in (self._core, self._back, packer, raw):
            for name in part.i_settings.shape().members:
                if name != "coefficients":
                    m.d.comb += part.i_settings[name].eq(settings[name])
        m.d.comb += [
            *(c.eq(settings[f"coefficient_{plane}"]) for plane, c in enumerate(self._back.i_settings.coefficients)),
            loader.i_target.eq(settings.load_target),
            loader.i_address.eq(settings.load_address),
            raw.i_busy.eq(registers.o_busy),
            raw.i_slot_full.eq(loader.o_slot_full),
            *(part.i_start.eq(registers.o_start) for part in (self._core, packer, raw)),
        ]

    def _admit_tokens(self, m: Module, registers: RegisterFile, x: Any) -> None:
        """Tokens enter after the start, and no more of them than the layer has: their records belong to its settings.

        A layer of raw activations lets none in once it is done.
        """
        left = Signal.like(registers.o_settings.tokens, name="tokens_left")
        front = self._front.i
        m.d.comb += [
            front.valid.eq(x.valid & (left != 0)),
            x.ready.eq(front.ready & (left != 0)),
            front.payload.last.eq(x.payload.last),
            *(inner.eq(outer) for inner, outer in zip(front.payload.x, x.payload.x, strict=True)),
        ]
        with m.If(registers.o_start):
            m.d.engine += left.eq(registers.o_settings.tokens)
        with m.Elif(~registers.o_busy):
            m.d.engine += left.eq(0)
        with m.Elif(front.valid & front.ready & x.payload.last):
            m.d.engine += left.eq(left - 1)

    def _write_memories(self, m: Module, loader: Loader, packer: WordPacker) -> None:
        """Parameters from the loader; activations from the packer, or from the loader in its stead."""
        core, write = self._core, self._core.activation_write
        m.d.comb += [
            core.weight_write.eq(loader.weight_write),
            self._front.parameter_write.eq(loader.parameter_write),
            self._back.offset_write.eq(loader.offset_write),
            write.eq(packer.activation_write),
            core.i_slot_full.eq(packer.o_slot_full | loader.o_slot_full),
            packer.i_slot_free.eq(core.o_slot_free),
        ]
        with m.If(loader.activation_write.enable):
            m.d.comb += write.eq(loader.activation_write)

    def _merge_records(self, m: Module, raw: RawRecords) -> None:
        """A layer's records come from one of the two, so neither waits for the other for long."""
        front, record = self._front.o_token, self._back.i_record
        m.d.comb += [
            record.valid.eq(raw.o.valid | front.valid),
            record.payload.eq(front.payload),
            raw.o.ready.eq(record.ready),
            front.ready.eq(record.ready & ~raw.o.valid),
        ]
        with m.If(raw.o.valid):
            m.d.comb += record.payload.eq(raw.o.payload)

    def _report(self, m: Module, registers: RegisterFile, loader: Loader) -> None:
        rows_out, taken, y = Signal(32), Signal(), self.m_axis_y
        m.d.comb += [
            taken.eq(y.tvalid & y.tready),
            registers.i_done.eq(taken & y.tlast),
            registers.i_load_error.eq(loader.o_error),
            registers.i_cycles.eq(self._core.o_cycles),
            registers.i_steps.eq(self._core.o_steps),
            registers.i_rows_out.eq(rows_out),
            self.o_interrupt.eq(registers.o_done),
        ]
        with m.If(registers.o_start):
            m.d.engine += rows_out.eq(0)
        with m.Elif(taken):
            m.d.engine += rows_out.eq(rows_out + 1)
