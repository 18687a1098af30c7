"""``FrontEnd``: tokens to 8-bit activations for the array, and to what the output scale needs of each token."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.hdl import signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .front_config import FrontConfig
from .prescale import Prescale
from .quantizer import Quantizer
from .stream import StreamFifo

__all__ = ["FrontConfig", "FrontEnd"]

_RECORDS = 32
"""Tokens accepted whose record has not left: room in the queues of the two halves of a record."""
_ROOM_DELAY = 2
"""Beats that the quantizer's counters have not seen, beside those inside ``Prescale``."""


class FrontEnd(wiring.Component):
    """u = quantize(x·α) + 128 and {multiplier, shift, Σ β·x}: the simulator's ``scale_and_quantize`` and ``shift_dot``
    (before its rounding), bit for bit.

    A token is what lies between two ``last``; the last beat's lanes beyond K hold x = 0 and leave as u = 128.

    Members:

    * ``i``: In, stream of ``config.x_layout``.
    * ``parameter_write``: In, ``config.parameter_layout``: one α or β a cycle while no token that needs it is inside.
    * ``o``: Out, stream of ``config.u_layout``.
    * ``o_token``: Out, stream of ``config.token_layout``, one for each token, no later than its first u by much.

    ``i.ready`` depends on registers only. ``latency`` from a token's last beat of x to its first of u and
    ``token_latency`` to its record, if nothing waits; ``interval(inputs)`` between tokens at full rate.
    """

    def __init__(self, config: FrontConfig) -> None:
        self._config = config
        self._prescale = Prescale(config)
        self._quantizer = Quantizer(config, self._prescale.latency + _ROOM_DELAY)
        super().__init__(
            {
                "i": In(stream.Signature(config.x_layout)),
                "parameter_write": In(config.parameter_layout),
                "o": Out(stream.Signature(config.u_layout)),
                "o_token": Out(stream.Signature(config.token_layout)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a token's last beat of x to its first of u."""
        return self._prescale.latency + self._quantizer.latency

    @property
    def token_latency(self) -> int:
        """Cycles from a token's last beat of x to its record."""
        scale = self._prescale.latency + self._quantizer.scale_latency
        return max(scale, self._prescale.beta_sum_latency) + 2

    def interval(self, inputs: int) -> int:
        """Cycles between tokens of ``inputs`` channels."""
        return self._quantizer.interval(inputs)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.prescale = prescale = self._prescale
        m.submodules.quantizer = quantizer = self._quantizer
        records = Signal(range(_RECORDS + 1))
        accepted = self.i.valid & self.i.ready
        m.d.sync += records.eq(records + (accepted & self.i.p.last) - (self.o_token.valid & self.o_token.ready))
        m.d.comb += [
            self.i.ready.eq(quantizer.o_room & (records != _RECORDS)),
            prescale.i.valid.eq(accepted),
            prescale.i.p.eq(self.i.p),
            prescale.parameter_write.eq(self.parameter_write),
        ]
        wiring.connect(m, prescale.o, quantizer.i)
        wiring.connect(m, quantizer.o, wiring.flipped(self.o))
        self._join_record(m)
        return m

    def _join_record(self, m: Module) -> None:
        """A record is whole when both of its halves have come, whichever is first."""
        config = self._config
        m.submodules.scales = scales = StreamFifo(config.scale_layout, _RECORDS, config.tech)
        m.submodules.beta_sums = beta_sums = StreamFifo(signed(config.beta_sum_bits), _RECORDS, config.tech)
        taken = self.o_token.valid & self.o_token.ready
        m.d.comb += [
            scales.i.valid.eq(self._quantizer.o_scale.valid),
            scales.i.p.eq(self._quantizer.o_scale.p),
            beta_sums.i.valid.eq(self._prescale.o_beta_sum.valid),
            beta_sums.i.p.eq(self._prescale.o_beta_sum.p),
            self.o_token.valid.eq(scales.o.valid & beta_sums.o.valid),
            self.o_token.p.multiplier.eq(scales.o.p.multiplier),
            self.o_token.p.shift.eq(scales.o.p.shift),
            self.o_token.p.beta_sum.eq(beta_sums.o.p),
            scales.o.ready.eq(taken),
            beta_sums.o.ready.eq(taken),
        ]
