"""The small parts that arrays are built of, each with a bench: stimuli drawn at random, and a plain Python oracle.

``mutate`` shows that these benches notice faults; ``gate_level`` runs them on what synthesis made of the parts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any, Literal

from amaranth.hdl import Module, Mux, Signal

from ..designs.pipeline import dot_latency, select_latency
from .accumulator import Accumulator
from .config import ArrayConfig, Tech
from .pass_control import PassControl
from .popcount import XorPopcount
from .select_tree import SelectTree
from .signed_sum import SignedSum
from .stream import SkidBuffer, StreamFifo

Cycle = tuple[dict[str, int], dict[str, int | None]]
"""Inputs of a cycle by port, ``rst`` among them, and the outputs in the same cycle; ``None`` is anything."""
_PHASE = 24
"""Cycles for which a stream keeps its pace."""


def _anything(*given: Any) -> Any:
    return 1


@dataclass(frozen=True)
class Primitive:
    """A part and its bench.

    ``bench``: cycles from power-up on, without end. ``contract``: what the inputs keep to, as a condition on the ports
    of a component; it may count in the module that it is given. ``invariant``: what registers keep to then, by name.
    """

    component: Callable[[], Any]
    bench: Callable[[Random], Iterator[Cycle]]
    contract: Callable[[Module, Any], Any] = _anything
    invariant: Callable[[Mapping[str, Any]], Any] = _anything
    tech: Tech = "generic"


def _word(rng: Random, bits: int) -> int:
    """A word of any density: none, all, one, few, half or most of its bits set."""
    whole, any_bits = (1 << bits) - 1, rng.getrandbits(bits)
    one = 1 << rng.randrange(bits)
    few = any_bits & rng.getrandbits(bits) & rng.getrandbits(bits)
    return rng.choice((0, whole, one, whole ^ one, few, whole ^ few, any_bits, any_bits, any_bits))


def _resets(rng: Random) -> bool:
    return rng.random() < 1 / 48


def _piped(latency: int, cycles: Iterator[tuple[dict[str, int], int]]) -> Iterator[Cycle]:
    """The bench of a pipeline: a result ``latency`` cycles after its inputs."""
    results: deque[int | None] = deque([None] * latency)
    for inputs, result in cycles:
        results.append(result)
        yield inputs, {"o": results.popleft()}


def xor_popcount(lanes: int, tech: Tech = "generic") -> Primitive:
    """``XorPopcount``."""

    def draw(rng: Random) -> Iterator[tuple[dict[str, int], int]]:
        for _ in count():
            a, different = rng.getrandbits(lanes), _word(rng, lanes)
            yield {"i_a": a, "i_b": a ^ different}, different.bit_count()

    latency = dot_latency(lanes, 1)
    return Primitive(lambda: XorPopcount(lanes, tech), lambda rng: _piped(latency, draw(rng)), tech=tech)


def signed_sum(lanes: int, tech: Tech = "generic") -> Primitive:
    """``SignedSum``."""

    def draw(rng: Random) -> Iterator[tuple[dict[str, int], int]]:
        for _ in count():
            added = _word(rng, 8 * lanes).to_bytes(lanes, "little")
            weights = rng.getrandbits(lanes)
            flipped = bytes(value ^ (255 * (weights >> lane & 1)) for lane, value in enumerate(added))
            yield {"i_activations": int.from_bytes(flipped, "little"), "i_weights": weights}, sum(added)

    latency = dot_latency(lanes, 1)
    return Primitive(lambda: SignedSum(lanes, tech), lambda rng: _piped(latency, draw(rng)), tech=tech)


def select_tree(words: int, bits: int) -> Primitive:
    """``SelectTree``: one word selected, or none."""

    def draw(rng: Random) -> Iterator[tuple[dict[str, int], int]]:
        for _ in count():
            values, chosen = [_word(rng, bits) for _ in range(words)], rng.randrange(words + 1)
            packed = sum(value << bits * index for index, value in enumerate(values))
            yield {"i": packed, "i_select": (1 << chosen) % (1 << words)}, [*values, 0][chosen]

    latency = select_latency(words)
    return Primitive(
        lambda: SelectTree(words, bits),
        lambda rng: _piped(latency, draw(rng)),
        lambda m, dut: (dut.i_select & (dut.i_select - 1)) == 0,
    )


def accumulator(config: ArrayConfig) -> Primitive:
    """``Accumulator``."""

    def bench(rng: Random) -> Iterator[Cycle]:
        acc = ones = 0
        for _ in count():
            i, enable, last, double = (
                _word(rng, config.dot_bits),
                rng.random() < 0.8,
                rng.random() < 0.1,
                rng.random() < 0.5,
            )
            is_reset = _resets(rng)
            # Now and then a run of ones, so that a carry ripples through it.
            ones = ones - 1 if ones else rng.randrange(config.acc_bits) * (rng.random() < 0.1)
            if ones:
                i, enable, last, double, is_reset = 1, True, False, True, False
            inputs = {"rst": is_reset, "i": i, "i_enable": enable, "i_last": last}
            if config.activations == "serial":
                inputs["i_double"] = double
            total = (acc * (2 if inputs.get("i_double") else 1) + i) % (1 << config.acc_bits)
            yield inputs, {"o_sum": total}
            if enable:
                acc = 0 if last else total
            if is_reset:
                acc = 0

    return Primitive(lambda: Accumulator(config), bench, tech=config.tech)


def _streams(rng: Random) -> Iterator[tuple[bool, bool]]:
    """Whether an item is offered and whether one is taken, at paces that change."""
    for _ in count():
        offered, taken = rng.choice(((1, 1), (1, 0), (0, 1), (1, 0.3), (0.3, 1), (0.5, 0.5)))
        for _ in range(rng.randrange(1, _PHASE)):
            yield rng.random() < offered, rng.random() < taken


def _buffer(bits: int, room: int, *, is_registered: bool) -> Callable[[Random], Iterator[Cycle]]:
    """The bench of a buffer of ``room`` items; with ``is_registered`` there is one more, in an output register."""

    def bench(rng: Random) -> Iterator[Cycle]:
        items: deque[int] = deque()
        out: deque[int] = deque() if is_registered else items
        for offered, taken in _streams(rng):
            item, is_reset, is_ready, is_valid = _word(rng, bits), _resets(rng), len(items) < room, bool(out)
            yield (
                {"rst": is_reset, "i__valid": offered, "i__payload": item, "o__ready": taken},
                {"i__ready": is_ready, "o__valid": is_valid, "o__payload": out[0] if out else None},
            )
            if is_valid and taken:
                out.popleft()
            if is_registered and not out and items:
                out.append(items.popleft())
            if offered and is_ready:
                items.append(item)
            if is_reset:
                items.clear()
                out.clear()

    return bench


def skid_buffer(bits: int) -> Primitive:
    """``SkidBuffer``."""
    return Primitive(lambda: SkidBuffer(bits), _buffer(bits, 2, is_registered=False))


def stream_fifo(bits: int, depth: int) -> Primitive:
    """``StreamFifo``."""
    return Primitive(
        lambda: StreamFifo(bits, depth),
        _buffer(bits, depth, is_registered=True),
        invariant=lambda registers: (
            (registers["read__addr"] < depth)
            & (registers["level"] <= depth)
            & (registers["filled"] == (registers["level"] != 0))
            & (registers["full"] == (registers["level"] == depth))
        ),
    )


def pass_control(rows: int, capacity: int) -> Primitive:
    """``PassControl``: heights of 1 to ``rows``, and no row taken that has not left."""

    def bench(rng: Random) -> Iterator[Cycle]:
        owed = kept = 0
        may_end = False
        for offered, taken in _streams(rng):
            activations, weights = offered, offered if rng.random() < 0.9 else not offered
            last, height, is_reset = rng.random() < 0.5, rng.randint(1, rows), _resets(rng)
            freed = taken and kept > 0
            allowed = may_end or not last
            is_step = activations and weights and allowed
            yield (
                {
                    "rst": is_reset,
                    "i_activations": activations,
                    "i_weights": weights,
                    "i_last": last,
                    "i_height": height,
                    "i_freed": freed,
                },
                {
                    "o_activations": weights and allowed,
                    "o_weights": activations and allowed,
                    "o_step": is_step,
                    "o_row": owed > 0,
                    "o_row_last": owed == 1,
                },
            )
            has_room = capacity - kept >= rows + 2
            kept += (owed > 0) - freed
            owed = height if is_step and last else max(0, owed - 1)
            may_end = owed <= 1 and has_room
            if is_reset:
                owed, kept, may_end = 0, 0, False

    def contract(m: Module, dut: Any) -> Any:
        kept = Signal(range(2 * capacity))
        m.d.sync += kept.eq(Mux(dut.o_row, kept + 1, kept) - dut.i_freed)
        return (dut.i_height >= 1) & (dut.i_height <= rows) & ~(dut.i_freed & (kept == 0))

    return Primitive(lambda: PassControl(rows, capacity), bench, contract)


def _array(activations: Literal["serial", "parallel"], tech: Tech) -> ArrayConfig:
    return ArrayConfig(rows=1, cols=1, lanes=4, inputs_max=12, activations=activations, tech=tech)


PRIMITIVES = {
    "xor_popcount": xor_popcount(16),
    "xor_popcount ecp5": xor_popcount(16, "ecp5"),
    "signed_sum": signed_sum(4),
    "signed_sum ecp5": signed_sum(4, "ecp5"),
    "accumulator serial": accumulator(_array("serial", "generic")),
    "accumulator serial ecp5": accumulator(_array("serial", "ecp5")),
    "accumulator parallel": accumulator(_array("parallel", "generic")),
    "accumulator parallel ecp5": accumulator(_array("parallel", "ecp5")),
    "select_tree": select_tree(6, 4),
    "skid_buffer": skid_buffer(4),
    "stream_fifo": stream_fifo(2, 3),
    "pass_control": pass_control(4, 8),
}
"""Small sizes, in which every kind of cell and of carry occurs."""
