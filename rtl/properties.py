"""What must always hold of the streams, the pass control, the accumulator and a small array, as Amaranth properties.

A property is a module around a component: it drives the component's inputs with anything that their contract allows,
counts beside it in ghost registers, and asserts. Some assertions are invariants over registers of the component: they
add nothing to what is claimed, but make it provable by induction. ``formal`` runs the proofs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Array, Assert, Assume, Cat, ClockSignal, Instance, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ..designs.design import ACTIVATION_BITS
from ..designs.pipeline import dot_latency, rows_buffered
from .config import ArrayConfig

DUT = "dut"
"""Name of the component's module."""


class Harness:
    """A module around an instance of ``component``, whose ports are its own signals.

    ``inner``: signals inside the component by their name in its flattened netlist, with their width; they can be read.
    ``free``: signals that may take any value in any cycle: the component's inputs, at first.
    """

    def __init__(self, component: wiring.Component, inner: Mapping[str, int]) -> None:
        self.m = Module()
        self.dut: Any = component
        self.inner = {name: Signal(width, name=f"inner_{index}") for index, (name, width) in enumerate(inner.items())}
        ports = [("i", "clk", ClockSignal()), ("i", "rst", ResetSignal())]
        self.free = []
        for path, member, value in component.signature.flatten(component):
            ports.append(("i" if member.flow == In else "o", "__".join(map(str, path)), value))
            if member.flow == In:
                self.free.append(Value.cast(value))
        ports += [("o", name, signal) for name, signal in self.inner.items()]
        self.m.submodules += Instance(DUT, *ports)

    def any(self, width: int, name: str) -> Signal:
        """A signal of any value, another one in every cycle."""
        signal = Signal(width, name=name)
        self.free.append(signal)
        return signal

    def constant(self, width: int, name: str) -> Signal:
        """A signal of any value, always the same."""
        signal = self.any(width, name)
        before, is_first = Signal(width, name=f"{name}_before", reset_less=True), Signal(init=1, reset_less=True)
        self.m.d.sync += [before.eq(signal), is_first.eq(0)]
        self.claim(is_first | (signal == before), of=Assume)
        return signal

    def claim(self, condition: Any, *, of: Any = Assert) -> None:
        """``condition`` holds in every cycle."""
        self.m.d.comb += of(condition)

    def implies(self, premise: Any, condition: Any) -> None:
        """``condition`` holds in every cycle in which ``premise`` does."""
        self.claim(~premise | condition)

    def before(self, value: Any) -> Signal:
        """``value`` of one cycle ago, 0 after a reset."""
        value = Value.cast(value)
        register = Signal(len(value))
        self.m.d.sync += register.eq(value)
        return register


def waits_unchanged(h: Harness, stream: Any) -> None:
    """An item that is offered stays as it is until it is taken."""
    waits = h.before(stream.valid & ~stream.ready)
    payload = h.before(stream.payload)
    h.implies(waits, stream.valid & (Value.cast(stream.payload) == payload))


class Tracked:
    """One item out of all that enter a buffer, whichever: it must be the one that leaves in its turn.

    ``held``: items inside; ``turn``: items that leave before it; ``item``: what it was as it entered. Items are
    numbered modulo a power of two that exceeds what is ever held, and the number of the one to follow is arbitrary: so
    every item leaves once, in order, unchanged.
    """

    def __init__(self, h: Harness, capacity: int, width: int) -> None:
        bits = (capacity + 1).bit_length()
        self.chosen = h.constant(bits, "chosen")
        self.entered, self.left, self.item = Signal(bits), Signal(bits), Signal(width)
        self.held, self.turn = Signal(bits), Signal(bits)
        h.m.d.comb += [self.held.eq(self.entered - self.left), self.turn.eq(self.chosen - self.left)]

    @property
    def is_inside(self) -> Any:
        """Whether the item has entered and not left."""
        return self.turn < self.held


def _buffers(h: Harness, capacity: int, room: int) -> Tracked:
    """The contract of a buffer from ``dut.i`` to ``dut.o``: up to ``capacity`` items, ``room`` of them at any time."""
    i, o = h.dut.i, h.dut.o
    width = len(Value.cast(i.payload))
    tracked = Tracked(h, capacity, width)
    put, get = i.valid & i.ready, o.valid & o.ready
    with h.m.If(put):
        h.m.d.sync += tracked.entered.eq(tracked.entered + 1)
        with h.m.If(tracked.entered == tracked.chosen):
            h.m.d.sync += tracked.item.eq(i.payload)
    with h.m.If(get):
        h.m.d.sync += tracked.left.eq(tracked.left + 1)
    waits_unchanged(h, o)
    h.claim(tracked.held <= capacity)
    h.implies(o.valid, tracked.held != 0)
    h.implies(o.valid & tracked.is_inside & (tracked.turn == 0), Value.cast(o.payload) == tracked.item)
    h.implies(tracked.held < room, i.ready)
    h.implies(h.before(tracked.held > get), o.valid)
    return tracked


def skid_buffer(h: Harness) -> None:
    """Every item leaves once, in order, unchanged; an offered item stays; two fit; none waits needlessly."""
    tracked = _buffers(h, capacity=2, room=2)
    is_spare_full, spare = h.inner["spare_free"] == 0, h.inner["spare"]
    h.claim(tracked.held == h.dut.o.valid + is_spare_full)
    h.implies(is_spare_full & (tracked.turn == 1), spare == tracked.item)


def stream_fifo(h: Harness, depth: int) -> None:
    """Every item leaves once, in order, unchanged; an offered item stays; ``depth`` fit; none waits needlessly."""
    tracked = _buffers(h, capacity=depth + 1, room=depth)
    h.claim(tracked.held == h.inner["count.level"] + h.dut.o.valid)
    _fifo_holds(h, tracked, depth, "")


def fifo_registers(depth: int, width: int, path: str = "") -> dict[str, int]:
    """The registers of a ``StreamFifo`` at ``path`` and their widths, memory included."""
    address, level = (depth - 1).bit_length(), depth.bit_length()
    registers = {
        "count.level": level,
        "count.filled": 1,
        "count.full": 1,
        "read__addr": address,
        "write__addr": address,
    }
    return {path + name: bits for name, bits in (registers | {f"memory[{n}]": width for n in range(depth)}).items()}


def _fifo_holds(h: Harness, tracked: Tracked, depth: int, path: str) -> None:
    """Where the items of a ``StreamFifo`` at ``path`` lie: one in the output register, the others from ``read`` on."""
    level, read, write = (h.inner[path + name] for name in ("count.level", "read__addr", "write__addr"))
    words = Array(h.inner[f"{path}memory[{index}]"] for index in range(depth))
    h.claim((level <= depth) & (read < depth) & (write < depth))
    h.claim(h.inner[path + "count.filled"] == (level != 0))
    h.claim(h.inner[path + "count.full"] == (level == depth))
    h.claim(write == _wrapped(read + level, depth))
    valid = h.dut.o.valid
    in_memory = tracked.is_inside & (tracked.turn >= valid) & (tracked.turn < level + valid)
    h.implies(in_memory, words[_wrapped(read + tracked.turn - valid, depth)] == tracked.item)


def _wrapped(place: Any, depth: int) -> Any:
    return Mux(place >= depth, place - depth, place)


def pass_control(h: Harness, rows: int, capacity: int) -> None:
    """Rows of two passes never meet; every pass gives exactly its rows; ``free`` is the room; nothing overruns it."""
    dut = h.dut
    owed, kept = Signal(range(2 * rows + 1)), Signal(range(2 * capacity + 1))
    ends = dut.o_step & dut.i_last
    h.claim((dut.i_height >= 1) & (dut.i_height <= rows), of=Assume)
    h.claim(~dut.i_freed | (kept != 0), of=Assume)
    h.m.d.sync += [
        owed.eq(owed - dut.o_row + Mux(ends, dut.i_height, 0)),
        kept.eq(kept + dut.o_row - dut.i_freed),
    ]
    h.claim(dut.o_row == (owed != 0))
    h.claim(dut.o_row_last == (owed == 1))
    h.claim(owed <= rows)
    h.implies(ends, owed <= 1)
    h.claim(kept + owed <= capacity)
    h.claim(dut.o_step == (dut.i_activations & dut.o_activations))
    h.claim(dut.o_step == (dut.i_weights & dut.o_weights))
    h.claim(h.inner["free"] == capacity - kept)
    h.claim(h.inner["roomy"] == (kept <= capacity - rows - 2))


def accumulator(h: Harness, config: ArrayConfig) -> None:
    """No pass of up to ``words_max`` words of up to 8 bits overflows; every pass starts from 0."""
    dut, lanes, is_serial = h.dut, config.lanes, config.activations == "serial"
    words, bits = h.constant(config.words_max.bit_length(), "words"), h.constant(4, "bits")
    h.claim((words >= 1) & (words <= config.words_max), of=Assume)
    h.claim((bits >= 1) & (bits <= ACTIVATION_BITS) if is_serial else bits == 1, of=Assume)
    h.claim(dut.i <= lanes * ((1 << config.word_bits) - 1), of=Assume)

    word, bit = Signal(len(words)), Signal(3)
    is_last_word = word == words - 1
    is_last = is_last_word & (bit == bits - 1)
    h.claim(~dut.i_enable | (dut.i_last == is_last), of=Assume)
    exact = Signal(config.acc_bits + 2)
    total = Signal(config.acc_bits + 2)
    h.m.d.comb += total.eq(exact + dut.i)
    if is_serial:
        h.claim(~dut.i_enable | (dut.i_double == ((word == 0) & (bit != 0))), of=Assume)
        h.m.d.comb += total.eq(Mux(dut.i_double, exact << 1, exact) + dut.i)
    with h.m.If(dut.i_enable):
        h.m.d.sync += [
            exact.eq(Mux(is_last, 0, total)),
            word.eq(Mux(is_last_word, 0, word + 1)),
            bit.eq(Mux(is_last, 0, bit + is_last_word)),
        ]
    h.implies(dut.i_enable, dut.o_sum == total)
    h.claim(h.inner["acc"] == exact)
    h.claim((word < words) & (bit < bits))
    if is_serial:
        whole = (words << bit) - words
        h.claim(exact <= lanes * Mux(word == 0, whole, (whole << 1) + word))
    else:
        h.claim(exact <= lanes * ((1 << ACTIVATION_BITS) - 1) * word)


def array(h: Harness, config: ArrayConfig) -> None:
    """Every pass gives its rows, in order, each once, with the exact sums of its steps; the last one is marked.

    The columns read one row at a time and the FIFO of their one block never overruns. Sums are modulo 2^acc_bits, as of
    ``accumulator``.
    """
    dut, m, rows = h.dut, h.m, config.rows
    steps, row = dut.i_activations.payload, dut.o.payload
    capacity = rows_buffered(rows, dut.latency)
    is_step = dut.i_activations.valid & dut.i_activations.ready
    ends = is_step & steps.last
    h.claim(is_step == (dut.i_weights.valid & dut.i_weights.ready))
    h.claim((steps.height >= 1) & (steps.height <= rows), of=Assume)

    tracked = Tracked(h, capacity, len(Value.cast(row)))
    place = Signal(len(tracked.chosen))
    m.d.comb += place.eq(tracked.chosen - tracked.entered)
    totals = [_totals(h, config, index, is_step) for index in range(rows)]
    is_last = place == steps.height - 1
    with m.If(ends):
        m.d.sync += tracked.entered.eq(tracked.entered + steps.height)
        with m.If(place < steps.height):
            m.d.sync += tracked.item.eq(Cat(Array(totals)[place], is_last))
    with m.If(dut.o.valid & dut.o.ready):
        m.d.sync += tracked.left.eq(tracked.left + 1)

    waits_unchanged(h, dut.o)
    h.claim(tracked.held <= capacity)
    h.implies(dut.o.valid, tracked.held != 0)
    h.implies(dut.o.valid & tracked.is_inside & (tracked.turn == 0), Value.cast(row) == tracked.item)
    h.implies(h.inner["fifo_0.i__valid"], h.inner["fifo_0.i__ready"])
    for column in range(config.cols):
        select = h.inner[f"tree_{column}.i_select"]
        h.claim((select & (select - 1)) == 0)

    owed = Signal(range(2 * rows + 1))
    m.d.sync += owed.eq(owed - (owed != 0) + Mux(ends, steps.height, 0))
    h.claim(owed <= rows)
    h.implies(ends, owed <= 1)
    on_their_way = [owed != 0]
    for _ in range(dut.latency - 3):
        on_their_way.append(h.before(on_their_way[-1]))
    in_fifo = h.inner["fifo_0.count.level"] + dut.o.valid
    h.claim(tracked.held == owed + sum(on_their_way[1:]) + in_fifo)
    kept = (tracked.held - owed)[: len(tracked.held)]
    h.claim(h.inner["control.free"] == capacity - kept - h.inner["control.i_freed"])
    _fifo_holds(h, tracked, capacity, "fifo_0.")


def array_registers(config: ArrayConfig, latency: int) -> dict[str, int]:
    """What ``array`` reads inside a ``SystolicArray``, and its widths."""
    capacity = rows_buffered(config.rows, latency)
    width = config.cols * config.acc_bits + 1
    return {
        "control.free": capacity.bit_length(),
        "control.i_freed": 1,
        "fifo_0.i__valid": 1,
        "fifo_0.i__ready": 1,
        **fifo_registers(capacity, width, "fifo_0."),
        **{f"tree_{column}.i_select": config.rows for column in range(config.cols)},
        **{
            _accumulator(row, column, config): config.acc_bits
            for row in range(config.rows)
            for column in range(config.cols)
        },
    }


def _accumulator(row: int, column: int, config: ArrayConfig) -> str:
    block, place = divmod(column, config.cols_per_block)
    return f"block_{row}_{block}.element_{place}.accumulator.acc"


def _totals(h: Harness, config: ArrayConfig, row: int, is_step: Any) -> Any:
    """The sums of ``row`` with the step at hand; the accumulators hold them some cycles later."""
    steps, weights = h.dut.i_activations.payload, h.dut.i_weights.payload.words
    totals = []
    for column in range(config.cols):
        total, exact = Signal(config.acc_bits), Signal(config.acc_bits)
        before = Mux(steps.double, exact << 1, exact) if config.activations == "serial" else exact
        h.m.d.comb += total.eq(before + _mismatches(config, steps.words[row], weights[column]))
        with h.m.If(is_step):
            h.m.d.sync += exact.eq(Mux(steps.last, 0, total))
        delayed = exact
        for _ in range(1 + row + column // config.cols_per_block + dot_latency(config.lanes, config.levels_per_stage)):
            delayed = h.before(delayed)
        h.claim(h.inner[_accumulator(row, column, config)] == delayed)
        totals.append(total)
    return Cat(totals)


def _mismatches(config: ArrayConfig, activations: Any, weights: Any) -> Any:
    """Σ over the lanes of the activation, its bits flipped where the weight is 1."""
    bits = config.word_bits
    return sum(activations.word_select(lane, bits) ^ weights[lane].replicate(bits) for lane in range(config.lanes))
