"""``TokenRecords``: each token's scale and bias, from the quantizer until the token's last output."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .back_config import BIAS_BITS, SCALED_BITS, BackConfig
from .front_config import FrontConfig
from .memory import Ram
from .settings import EXPONENT_LIMIT
from .shift_round import ShiftRound, count_of, counts
from .stages import delayed

EXPONENT = signed(EXPONENT_LIMIT.bit_length() + 2)
"""Shape of the two exponents."""


def record_layout(config: BackConfig) -> data.StructLayout:
    """A token's record as the front end makes it: {multiplier, shift, beta_sum}."""
    front = FrontConfig(lanes=1, inputs_max=config.array.inputs_max, quantizer=config.quantizer, x_bits=config.x_bits)
    return front.token_layout


def scale_layout(config: BackConfig) -> data.StructLayout:
    """What all columns of a token's rows need: {multiplier, count, bias}, ready for ``OutputScale``."""
    return data.StructLayout(
        {
            "multiplier": config.multiplier_bits,
            "count": counts(config.value_bits, SCALED_BITS),
            "bias": signed(BIAS_BITS),
        }
    )


class TokenRecords(wiring.Component):
    """A ring of ``config.tokens_max`` records, in the order of the tokens: written once, read again and again, freed.

        bias = saturate(round_half_even(beta_sum / 2^i_bias_exponent), BIAS_BITS)      shift = i_exponent − record.shift

    are worked out once per token, on the way into the memory. The reader walks through the records of a token tile from
    the oldest on, as often as the tile has rows to scale.

    Members:

    * ``i``: In, stream of ``record_layout``; not ready while the ring is full.
    * ``i_exponent``, ``i_bias_exponent``: In, signed(8), constant from the first record of a layer to its last.
    * ``o_ready``: Out, 1: the record where the reader stands is there.
    * ``i_next``: In, 1, only with ``o_ready``: read it and go on to the next; with ``i_again`` back to the oldest; with
      ``i_free`` to the next, and what was passed is free.
    * ``o``: Out, ``scale_layout``: the record where the reader stood 2 cycles ago.

    Latency ``latency`` from a record's transfer until it makes ``o_ready``; interval 1.
    """

    interval = 1
    read_latency = 2

    def __init__(self, config: BackConfig) -> None:
        self._config = config
        self._record = record_layout(config)
        self._rounding = ShiftRound(self._record["beta_sum"].width, BIAS_BITS, EXPONENT.width)
        super().__init__(
            {
                "i": In(stream.Signature(self._record)),
                "i_exponent": In(EXPONENT),
                "i_bias_exponent": In(EXPONENT),
                "i_next": In(1),
                "i_again": In(1),
                "i_free": In(1),
                "o_ready": Out(1),
                "o": Out(scale_layout(config)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a record's transfer until it can be read."""
        return self._rounding.latency + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tokens = self._config.tokens_max
        taken, written, oldest, here = (
            Signal(range(2 * tokens), name=n) for n in ("taken", "written", "oldest", "here")
        )
        put, arrived, after = Signal(), Signal(), Signal.like(here)
        m.d.comb += [
            self.i.ready.eq(taken != oldest ^ tokens),
            put.eq(self.i.valid & self.i.ready),
            arrived.eq(delayed(m, put, self._rounding.latency, 0)),
            self.o_ready.eq(here != written),
            after.eq(here + 1),
        ]
        m.d.sync += [taken.eq(taken + put), written.eq(written + arrived)]
        with m.If(self.i_next):
            m.d.sync += here.eq(Mux(self.i_again, oldest, after))
        with m.If(self.i_next & self.i_free):
            m.d.sync += oldest.eq(after)
        scale = self._scaled(m)
        m.submodules.memory = memory = Ram(len(scale), tokens, self._config.array.tech)
        m.d.comb += [
            memory.i_write.enable.eq(arrived),
            memory.i_write.address.eq(written),
            memory.i_write.data.eq(scale),
            memory.i_enable.eq(1),
            memory.i_address.eq(here),
            self.o.eq(memory.o),
        ]
        return m

    def _scaled(self, m: Module) -> Any:
        """The record as ``scale_layout``, ``ShiftRound``'s latency after its transfer."""
        record, rounding = self.i.p, self._rounding
        m.submodules.rounding = rounding
        m.d.comb += [rounding.i.eq(record.beta_sum), rounding.i_shift.eq(self.i_bias_exponent)]
        shift = Signal((self.i_exponent - record.shift).shape(), reset_less=True)
        count = Signal(scale_layout(self._config)["count"].shape, reset_less=True)
        m.d.sync += [
            shift.eq(self.i_exponent - record.shift),
            count.eq(count_of(shift, self._config.value_bits, SCALED_BITS)),
        ]
        multiplier = delayed(m, record.multiplier, rounding.latency)
        return Cat(multiplier, delayed(m, count, rounding.latency - 2), rounding.o)
